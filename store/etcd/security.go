package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Security says how an etcd behind TLS is spoken to.
type Security struct {
	// Hosts are the URLs of the etcd; TLS is meant if they are https.
	Hosts []string
	// Cert and Key are PEM files of the client's certificate, empty for none.
	Cert, Key string
	// ServerName is the name in etcd's certificate, empty for that of its URL.
	ServerName string
	// Verify: etcd's certificate is checked, against Authorities, a PEM file, empty
	// for the system's.
	Verify      bool
	Authorities string
}

// TLS makes the settings of a client, nil for an etcd without TLS. An error names
// the key of config.yaml that is wrong.
func TLS(s Security) (*tls.Config, error) {
	if len(s.Hosts) == 0 || !strings.HasPrefix(s.Hosts[0], "https://") {
		return nil, nil
	}
	c := &tls.Config{InsecureSkipVerify: !s.Verify, ServerName: s.ServerName}
	if s.Cert != "" || s.Key != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return nil, fmt.Errorf("deployment.etcd.tls: reading the client certificate (cert, key): %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if s.Authorities == "" {
		return c, nil
	}
	text, err := os.ReadFile(s.Authorities)
	c.RootCAs = x509.NewCertPool()
	if err == nil && !c.RootCAs.AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, fmt.Errorf("apisix.ssl.ssl_trusted_certificate: reading %s: %w", s.Authorities, err)
	}
	return c, nil
}

// unreachable says why no connection to an endpoint can be made, nil if one can. The
// client itself only tells that its time is over.
func unreachable(cfg Config) error {
	var reasons []error
	for _, endpoint := range cfg.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil {
			continue
		}
		var conn net.Conn
		dialer := &net.Dialer{Timeout: 2 * time.Second}
		if cfg.TLS != nil && u.Scheme == "https" {
			conn, err = tls.DialWithDialer(dialer, "tcp", u.Host, cfg.TLS)
		} else {
			conn, err = dialer.Dial("tcp", u.Host)
		}
		if err != nil {
			reasons = append(reasons, err)
			continue
		}
		conn.Close()
		return nil
	}
	return errors.Join(reasons...)
}
