package plugins

import "millrace/plugin"

const publicAPISchema = `{"type":"object","properties":{"uri":{"type":"string"}}}`

func init() { plugin.Register[publicAPI]("public-api", 501, publicAPISchema) }

// publicAPI shows an endpoint of a plugin on a route.
type publicAPI struct {
	URI string `json:"uri"`

	env     *plugin.Env
	process *Process
}

var (
	_ plugin.Initer   = (*publicAPI)(nil)
	_ plugin.Accesser = (*publicAPI)(nil)
)

// Init keeps what endpoints work with.
func (p *publicAPI) Init(env *plugin.Env) error {
	p.env, p.process = env, processOf(env)
	return nil
}

// Access lets the endpoint answer: that of the configuration, else that of the
// request's path.
func (p *publicAPI) Access(c *plugin.Context) error {
	uri := p.URI
	if uri == "" {
		uri = c.Request.Path()
	}
	api := plugin.FindPublicAPI(p.env, c.Request.Method(), p.process.endpoint(uri))
	if api == nil {
		return c.Exit(404, nil)
	}
	return api.Serve(p.env, c)
}

// endpoint answers the URI by which an endpoint is registered for that where the
// configuration has put it.
func (p *Process) endpoint(uri string) string {
	switch {
	case uri == p.metrics.conf.uri:
		return defaultExportURI
	case p.conf.BatchURI == "":
	case uri == p.conf.BatchURI:
		return batchRequestsURI
	case uri == batchRequestsURI:
		return ""
	}
	return uri
}

// exitJSON answers with JSON labelled as such, as endpoints do.
func exitJSON(c *plugin.Context, status int, body any) error {
	c.Response.SetHeader("Content-Type", "application/json")
	return c.Exit(status, body)
}

// endpointOnly is a plugin that does nothing to requests: it has an endpoint.
type endpointOnly struct{}

// Log does nothing; a plugin has to have a phase.
func (endpointOnly) Log(*plugin.Context) {}
