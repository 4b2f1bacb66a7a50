package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"millrace/config"
)

// selfSigned is a certificate for a name with its key, as PEM.
func selfSigned(t *testing.T, name string) (cert, key string) { return numbered(t, name, 1) }

// numbered is selfSigned with a serial number.
func numbered(t *testing.T, name string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// A client of TLS is told about HTTP/3, and finds it there.
func TestHTTP3BesideTLS(t *testing.T) {
	t.Parallel()
	// An address that no other test uses, so that a port free for TCP is free for UDP.
	own := netip.MustParseAddrPort("127.0.33.3:0")
	s := start(t, func(c *config.Config) {
		c.Gateway.TLS.Enabled = true
		c.Gateway.TLS.Listen = []config.Listener{{Addr: own, Network: "tcp", HTTP2: true, HTTP3: true}}
	})
	cert, key := selfSigned(t, "h3.com")
	ssl, _ := json.Marshal(map[string]any{"sni": "h3.com", "cert": cert, "key": key})
	s.must(s.send("PUT", s.Admin+"/apisix/admin/ssls/1", string(ssl)))
	s.must(s.send("PUT", s.Admin+"/apisix/admin/routes/1", `{"uri":"/*","plugins":{"mocking":{"response_example":"over there","with_mock_header":false}}}`))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	conf := &tls.Config{RootCAs: roots, ServerName: "h3.com"}
	at, err := url.Parse(s.Secured)
	if err != nil {
		t.Fatal(err)
	}
	read := func(tr http.RoundTripper) (*http.Response, string) {
		t.Helper()
		resp, err := (&http.Client{Transport: tr}).Get(s.Secured + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp, string(body)
	}
	secured := &http.Transport{TLSClientConfig: conf}
	defer secured.CloseIdleConnections()
	resp, body := read(secured)
	if want := `h3=":` + at.Port() + `"; ma=86400`; strings.TrimSpace(body) != "over there" || resp.Header.Get("Alt-Svc") != want {
		t.Errorf("by TLS: %q, Alt-Svc %q, want %q", body, resp.Header.Get("Alt-Svc"), want)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	from := &quic.Transport{Conn: socket}
	defer func() { from.Close(); socket.Close() }()
	tr := &http3.Transport{TLSClientConfig: conf, Dial: func(ctx context.Context, addr string, conf *tls.Config, q *quic.Config) (*quic.Conn, error) {
		to, err := net.ResolveUDPAddr("udp", addr)
		if err != nil {
			return nil, err
		}
		return from.DialEarly(ctx, to, conf, q)
	}}
	defer tr.Close()
	if resp, body := read(tr); resp.ProtoMajor != 3 || strings.TrimSpace(body) != "over there" {
		t.Errorf("by %s: %d %q", resp.Proto, resp.StatusCode, body)
	}
}
