package system

import _ "embed" // the source

//go:embed slack/post.js
var slackPost string

func init() {
	Register(Package{
		Name:        "slack",
		Annotations: Annotations("description", `"Messages to the team chat Slack"`),
		Actions: []Action{
			{Name: "post", Source: slackPost, Annotations: Describe("Post a message to Slack",
				`[{"name":"url","required":true,"description":"URL of an incoming webhook"},{"name":"text","required":true,"description":"The message"},{"name":"username","required":false},{"name":"channel","required":false},{"name":"icon_emoji","required":false},{"name":"icon_url","required":false},{"name":"as_user","required":false},{"name":"attachments","required":false,"description":"Attachments in the form of Slack"}]`,
				`{"url":"https://hooks.slack.com/services/…","username":"builds","text":"done","channel":"#general"}`, `{"response":"ok"}`)},
		},
	})
}
