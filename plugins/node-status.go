package plugins

import (
	"strconv"

	"millrace/plugin"
)

func init() {
	plugin.Register[nodeStatus]("node-status", 1000, `{"type":"object"}`)
	plugin.RegisterPublicAPI(plugin.PublicAPI{
		Plugin: "node-status", URI: "/apisix/status", Methods: []string{"GET"}, Serve: serveNodeStatus,
	})
}

// nodeStatus has the endpoint that tells what the gateway is doing.
type nodeStatus struct{ endpointOnly }

// nodeStatusAnswer has numbers as texts, as APISIX has them.
type nodeStatusAnswer struct {
	Status struct {
		Active   string `json:"active"`
		Accepted string `json:"accepted"`
		Handled  string `json:"handled"`
		Total    string `json:"total"`
		Reading  string `json:"reading"`
		Writing  string `json:"writing"`
		Waiting  string `json:"waiting"`
	} `json:"status"`
	ID string `json:"id"`
}

func serveNodeStatus(env *plugin.Env, c *plugin.Context) error {
	var n plugin.Connections
	if g, ok := plugin.Service[plugin.GatewayStatus](env); ok {
		n = g.Connections()
	}
	text := func(n int64) string { return strconv.FormatInt(n, 10) }
	var a nodeStatusAnswer
	a.ID = processOf(env).id
	s := &a.Status
	s.Active, s.Accepted, s.Handled, s.Total = text(n.Active), text(n.Accepted), text(n.Accepted), text(n.Requests)
	s.Reading, s.Writing, s.Waiting = text(n.Reading), text(n.Writing), text(n.Waiting)
	return exitJSON(c, 200, a)
}
