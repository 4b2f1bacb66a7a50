package server

import (
	"crypto/x509"
	"fmt"
	"os"

	"millrace/gateway/secret"
	"millrace/internal/fieldcrypt"
)

// secretSettings are how references to secrets kept elsewhere are resolved.
func (s *Server) secretSettings() (secret.Settings, error) {
	cfg := &s.cfg.Gateway.Secrets
	roots, err := trusted(s.cfg.Gateway.TLS.TrustedCertificate)
	return secret.Settings{
		TTL: cfg.TTL, NegativeTTL: cfg.NegativeTTL, Count: cfg.Count, NegativeCount: cfg.NegativeCount, Roots: roots,
		Env: func(name string) (string, bool) {
			if value, ok := cfg.Env[name]; ok {
				return value, true
			}
			return os.LookupEnv(name)
		},
	}, err
}

// trusted answers the system's authorities with those of a PEM file; nil, which
// stands for the system's alone, if none is named.
func trusted(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("apisix.ssl.ssl_trusted_certificate: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("apisix.ssl.ssl_trusted_certificate: reading %s: no certificate in it", path)
	}
	return roots, nil
}

// keyring encrypts and decrypts private keys in resources, and unless that is off
// secret fields of plugins: these are in the clear in what comes as it was written,
// from a file or as a whole.
func (s *Server) keyring() (*fieldcrypt.Keyring, error) {
	enc, provider := s.cfg.Gateway.DataEncryption, s.cfg.Gateway.Source.Provider
	ring, err := fieldcrypt.New(enc.Keyring)
	if err == nil && (!enc.Enabled || provider == "file" || provider == "api") {
		ring = ring.OnlyKeys()
	}
	return ring, err
}
