package server

import (
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"

	"millrace/config"
	"millrace/gateway/acme"
	"millrace/gateway/sni"
)

// tlsSettings takes over what config.yaml says.
func tlsSettings(t *config.TLS, issuer *acme.Manager) sni.Settings {
	settings := sni.Settings{
		MinVersion: t.MinVersion, MaxVersion: t.MaxVersion, SessionTickets: t.SessionTickets, Fallback: t.FallbackSNI,
		CipherSuites: t.CipherSuites,
	}
	if issuer != nil {
		settings.Managed = issuer.Certificate
	}
	return settings
}

// listenTLS opens the listeners for TLS. Where config.yaml does not ask for them,
// a port that somebody else has is no reason not to start.
func (s *Server) listenTLS() ([]net.Listener, error) {
	t := &s.cfg.Gateway.TLS
	if !t.Enabled {
		return nil, nil
	}
	listeners, err := s.listen("the gateway's TLS", "apisix.ssl.listen", t.Listen...)
	if err != nil && !t.Given && errors.Is(err, syscall.EADDRINUSE) {
		s.log.Warn("no TLS is served", "reason", err)
		return nil, nil
	}
	for _, l := range listeners {
		s.addAddress(config.RoleGateway, "gateway, TLS", l)
		last := &s.status.Addresses[len(s.status.Addresses)-1]
		last.URL = "https" + strings.TrimPrefix(last.URL, "http")
	}
	return listeners, err
}

func anyHTTP2(listeners []config.Listener) bool {
	return slices.ContainsFunc(listeners, func(l config.Listener) bool { return l.HTTP2 })
}
