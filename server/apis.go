package server

import (
	"context"
	"net"
	"net/http"
	"strings"

	"millrace/config"
	"millrace/whisk/api"
	"millrace/whisk/apis"
	"millrace/whisk/tenant"
)

// APIGatewayName is what the status calls the listeners of the tenants' APIs.
const APIGatewayName = "API gateway (wsk api)"

// apiGateway is the APIs of the tenants, and where they will be served.
type apiGateway struct {
	apis      *apis.APIs
	listeners []net.Listener
}

// openAPIs opens the tenants' APIs and the listeners for them. hosts are where
// the platform serves its web actions.
func (s *Server) openAPIs(ctx context.Context, hosts *localHosts) (*apiGateway, error) {
	cfg := &s.cfg.Functions
	listeners, err := s.listen("the API gateway", "functions.api_gateway_listen", cfg.APIGatewayListen...)
	if err != nil {
		return nil, err
	}
	all, err := apis.Open(ctx, apis.Config{
		Log:      s.log,
		Store:    s.state.store,
		Tenants:  apiTenants{s.tenants},
		URL:      cfg.APIGatewayURL,
		Port:     listeners[0].Addr().(*net.TCPAddr).Port,
		Local:    hosts.find,
		Backends: cfg.APIGatewayBackends,
	})
	if err != nil {
		return nil, err
	}
	s.add(part{name: "APIs", run: all.Run})
	return &apiGateway{all, listeners}, nil
}

// serveAPIs serves the tenants' APIs, which call web actions without a connection.
// By the rule of the REST API, only this machine calls while a key that everybody
// knows is in force.
func (s *Server) serveAPIs(gate *apiGateway, webActions http.Handler) {
	h := http.Handler(gate.apis.Gateway(webActions))
	if len(s.cfg.WellKnownUsers()) > 0 && !s.cfg.InsecureWellKnownKeys {
		h = api.LoopbackOnly(h)
	}
	s.addHTTP(config.RoleFunctions, APIGatewayName, h, gate.listeners)
}

// apiTenants knows the namespaces for the APIs.
type apiTenants struct{ *tenant.Registry }

// HasKey tells whether a valid key of a namespace has a UUID.
func (t apiTenants) HasKey(namespace, uuid string) bool {
	ns, err := t.Find(namespace)
	if err != nil {
		return false
	}
	for _, k := range ns.Keys {
		if strings.EqualFold(k.UUID, uuid) {
			return true
		}
	}
	return false
}
