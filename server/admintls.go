package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"

	"millrace/config"
)

// secureAdmin puts TLS in front of the Admin API's listeners if the configuration
// asks for it.
func secureAdmin(t *config.AdminTLS, listeners []net.Listener) ([]net.Listener, error) {
	if !t.Enabled {
		return listeners, nil
	}
	const keys = "deployment.admin.admin_api_mtls"
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: reading admin_ssl_cert and admin_ssl_cert_key: %w", keys, err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("%s: reading admin_ssl_ca_cert: %w", keys, err)
		}
		conf.ClientCAs, conf.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !conf.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: admin_ssl_ca_cert: %s holds no certificate", keys, t.CA)
		}
	}
	secured := make([]net.Listener, len(listeners))
	for i, l := range listeners {
		secured[i] = tls.NewListener(l, conf)
	}
	return secured, nil
}

// sayHTTPS makes the last addresses that were added ones of TLS.
func (s *Server) sayHTTPS(n int) {
	last := s.status.Addresses[len(s.status.Addresses)-n:]
	for i := range last {
		last[i].URL = "https" + strings.TrimPrefix(last[i].URL, "http")
	}
}
