package system

import _ "embed" // the source

//go:embed websocket/send.js
var websocketSend string

func init() {
	Register(Package{
		Name:        "websocket",
		Annotations: Annotations("description", `"Messages to WebSocket servers"`),
		Actions: []Action{
			{Name: "send", Source: websocketSend, Annotations: Describe("Send a message to a WebSocket server",
				`[{"name":"uri","required":true,"description":"The URI of the server, ws: or wss:"},{"name":"payload","required":true,"description":"The message"}]`,
				`{"uri":"ws://localhost:8080/chat","payload":"hi"}`, `{"payload":"hi"}`)},
		},
	})
}
