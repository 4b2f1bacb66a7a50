package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"millrace/config"
	"millrace/gateway/acme"
	"millrace/internal/fieldcrypt"
)

// openACME makes what gets certificates; nil if the configuration has none of it.
// They are kept where the resources are, so that nodes share them, unless those
// come from a file or as a whole.
func (s *Server) openACME(keyring *fieldcrypt.Keyring) (*acme.Manager, error) {
	c := &s.cfg.Gateway.ACME
	if !c.Agree {
		return nil, nil
	}
	conf := acme.Config{
		Log: s.log, Store: s.resources, Keyring: keyring, Directory: c.CA, Email: c.Email,
		KeyID: c.KeyID, MACKey: c.MACKey, NoHTTP: !c.Has(config.HTTP01), NoTLS: !c.Has(config.TLSALPN01),
	}
	if provider := s.cfg.Gateway.Source.Provider; provider == "file" || provider == "api" {
		conf.Store = s.state.store
	}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("acme.ca_file: %w", err)
		}
		conf.Roots = x509.NewCertPool()
		if !conf.Roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("acme.ca_file: %s holds no certificate", c.CAFile)
		}
	}
	return acme.New(conf), nil
}

// addACME adds the part that gets certificates, with the listeners that answer
// challenges.
func (s *Server) addACME(m *acme.Manager, plain, secured []net.Listener) {
	if m == nil {
		return
	}
	s.add(part{name: "ACME", run: func(ctx context.Context) error {
		return m.Run(ctx, firstAddr(plain), firstAddr(secured))
	}})
}

func firstAddr(listeners []net.Listener) net.Addr {
	if len(listeners) == 0 {
		return nil
	}
	return listeners[0].Addr()
}
