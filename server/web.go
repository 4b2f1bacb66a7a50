package server

import (
	"net/http"

	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
	"millrace/whisk/web"
)

// webActions makes what serves web actions, on the listeners of the REST API.
func (s *Server) webActions(entities *catalog.Catalog, invoker *invoke.Invoker, tenants web.Identities, limits *whisk.SystemLimits) http.Handler {
	return web.New(web.Config{
		Log: s.log, Identities: tenants, Actions: entities, Invoker: invoker, Limits: limits, Meter: s.meter, Sandbox: s.cfg.Functions.WebSandbox,
	})
}
