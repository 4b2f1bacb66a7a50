package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/gateway/acme/acmetest"
)

// An ssl object that asks for a certificate gets one from a real authority, which
// looks for the challenge on a port of the gateway: plain or TLS.
func TestACME(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{config.HTTP01, config.TLSALPN01} {
		t.Run(challenge, func(t *testing.T) { testACME(t, challenge) })
	}
}

func testACME(t *testing.T, challenge string) {
	// The authority must know the ports before the gateway has them.
	plain, secured := reserve(t), reserve(t)
	a := acmetest.Start(t, plain.Addr().String(), int(plain.Port()), int(secured.Port()))
	s := start(t, func(c *config.Config) {
		c.Gateway.Listen = []config.Listener{{Addr: plain, Network: "tcp"}}
		c.Gateway.TLS.Enabled = true
		c.Gateway.TLS.Listen = []config.Listener{{Addr: secured, Network: "tcp", HTTP2: true}}
		c.Gateway.ACME = config.ACME{Agree: true, CA: a.Directory, CAFile: a.RootsFile, Challenges: []string{challenge}}
	})
	s.must(s.send("PUT", s.Admin+"/apisix/admin/routes/1", `{"uri":"/*","plugins":{"mocking":{"response_example":"a route","with_mock_header":false}}}`))
	if got := s.send("PUT", s.Admin+"/apisix/admin/ssls/1", `{"snis":["one.test","*.test"],"acme":true}`); got.Status != 400 || !strings.Contains(got.Body, "*.test") {
		t.Errorf("a wildcard: %d %s", got.Status, got.Body)
	}
	s.must(s.send("PUT", s.Admin+"/apisix/admin/ssls/1", `{"snis":["one.test"],"acme":true}`))
	roots := a.Issued(t)
	shown := func() *x509.Certificate {
		conn, err := tls.Dial("tcp", secured.String(), &tls.Config{ServerName: "one.test", RootCAs: roots})
		if err != nil {
			return nil
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	for end := time.Now().Add(90 * time.Second); shown() == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no certificate has come")
		}
	}
	// What looks like a challenge goes to the routes when none is pending.
	resp, err := http.Get(s.Gateway + "/.well-known/acme-challenge/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); strings.TrimSpace(string(body)) != "a route" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	if u, _ := url.Parse(s.Secured); u.Host != secured.String() {
		t.Errorf("TLS at %s", s.Secured)
	}
}

// reserve answers a free port of an address that only this process uses.
func reserve(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.35.%d:0", 1+os.Getpid()%250))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}
