package stream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"millrace/gateway/ocsp"
	"millrace/plugin"
)

// authority signs certificates in tests.
type authority struct {
	testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
	// responder is whom its certificates name for OCSP; "" for nobody.
	responder string
}

func newAuthority(t testing.TB) *authority {
	a := &authority{TB: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key, a.pem = a.make(template, nil, nil)
	return a
}

func (a *authority) make(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// pair answers a certificate for a name and its key, as PEM.
func (a *authority) pair(name string) (cert, key string) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if a.responder != "" {
		template.OCSPServer = []string{a.responder}
	}
	_, private, cert := a.make(template, a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (a *authority) certificate(name string) tls.Certificate {
	cert, key := a.pair(name)
	c, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		a.Fatal(err)
	}
	return c
}

func TestTLS(t *testing.T) {
	t.Parallel()
	a, b, ca := startNode(t, "a", nil), startNode(t, "b", nil), newAuthority(t)
	r := start(t, nil)
	if _, err := r.dialTLS("a.test.com"); err == nil {
		t.Error("there is TLS without a certificate")
	}
	for i, name := range []string{"*.test.com", "b.test.com"} {
		cert, key := ca.pair(name)
		r.put(fmt.Sprintf("ssls/%d", i), `{"sni":%q,"cert":%q,"key":%q}`, name, cert, key)
	}
	r.put("stream_routes/named", `{"sni":"a.test.com",%s}`, nodes(a.addr))
	r.put("stream_routes/others", `{%s}`, nodes(b.addr))
	for name, want := range map[string]string{"a.test.com": "a hello", "b.test.com": "b hello", "c.test.com": "b hello"} {
		c, err := r.dialTLS(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := say(t, c, "hello"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		shown := c.ConnectionState().PeerCertificates[0]
		if err := shown.VerifyHostname(name); name == "b.test.com" && err != nil {
			t.Errorf("%s is shown another certificate: %v", name, err)
		}
		// Its half of the connection ends, the other half goes on.
		io.WriteString(c, "last\n")
		c.CloseWrite()
		if rest, err := io.ReadAll(c); string(rest) != want[:1]+" last\n" || err != nil {
			t.Errorf("%s: got %q, %v", name, rest, err)
		}
	}
	if _, err := r.dialTLS("other.org"); err == nil {
		t.Error("a name that nobody has is shown a certificate")
	}
	plain := r.dial(r.tls)
	io.WriteString(plain, "GET / HTTP/1.1\r\n\r\n")
	if b, _ := io.ReadAll(plain); len(b) > 7 { // an alert is 7 bytes
		t.Errorf("a client without TLS got %q", b)
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	n, ca, other := startNode(t, "n", nil), newAuthority(t), newAuthority(t)
	r := start(t, nil)
	cert, key := ca.pair("a.test.com")
	r.put("ssls/1", `{"sni":"a.test.com","cert":%q,"key":%q,"client":{"ca":%q,"skip_mtls_uri_regex":[".*"]}}`, cert, key, ca.pem)
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	good, err := r.dialTLS("a.test.com", ca.certificate("client"))
	if err != nil {
		t.Fatal(err)
	}
	if got := say(t, good, "hello"); got != "n hello" {
		t.Errorf("got %q", got)
	}
	for name, certs := range map[string][]tls.Certificate{"none": nil, "of another authority": {other.certificate("client")}} {
		c, err := r.dialTLS("a.test.com", certs...)
		if err != nil {
			continue // sent away during the handshake
		}
		io.WriteString(c, "hello\n")
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("certificate %s: got %q", name, b)
		}
	}
	// The client's certificate is no longer asked for; open connections stay.
	r.put("ssls/1", `{"sni":"a.test.com","cert":%q,"key":%q}`, cert, key)
	c, err := r.dialTLS("a.test.com")
	if err != nil {
		t.Fatal(err)
	}
	if got := say(t, c, "hello"); got != "n hello" {
		t.Errorf("got %q", got)
	}
	if got := say(t, good, "again"); got != "n again" {
		t.Errorf("got %q", got)
	}
}

// TLS towards the node, with the name that it is asked for and a certificate of the
// gateway's own.
func TestTLSToNodes(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	n := startNode(t, "n", &tls.Config{Certificates: []tls.Certificate{ca.certificate("node")}})
	strict := startNode(t, "strict", &tls.Config{
		Certificates: []tls.Certificate{ca.certificate("node")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	r := start(t, nil)
	cert, key := ca.pair("a.test.com")
	r.put("ssls/1", `{"sni":"a.test.com","cert":%q,"key":%q}`, cert, key)
	r.put("stream_routes/1", `{"upstream":{"scheme":"tls","nodes":{%q:1}}}`, n.addr)
	c := r.dial(r.tcp)
	if got := say(t, c, "name"); got != "n " {
		t.Errorf("a node without name is asked for %q", got)
	}
	secured, err := r.dialTLS("a.test.com")
	if err != nil {
		t.Fatal(err)
	}
	if got := say(t, secured, "name"); got != "n a.test.com" {
		t.Errorf("the node is asked for %q", got)
	}
	port := n.addr[len("127.0.0.1:"):]
	r.put("stream_routes/1", `{"upstream":{"scheme":"tls","nodes":{"localhost:%s":1}}}`, port)
	if got := say(t, r.dial(r.tcp), "name"); got != "n localhost" {
		t.Errorf("the node is asked for %q", got)
	}
	clientCert, clientKey := ca.pair("gateway")
	r.put("upstreams/u", `{"scheme":"tls","nodes":{%q:1},"tls":{"client_cert_id":"c"}}`, strict.addr)
	r.put("stream_routes/1", `{"upstream_id":"u"}`)
	closed(t, r.dial(r.tcp)) // the certificate is not there
	r.put("ssls/c", `{"type":"client","cert":%q,"key":%q}`, clientCert, clientKey)
	if got := say(t, r.dial(r.tcp), "hello"); got != "strict hello" {
		t.Errorf("got %q", got)
	}
	r.put("stream_routes/1", `{"upstream":{"scheme":"tls","nodes":{%q:1},"tls":{"client_cert":%q,"client_key":%q}}}`, strict.addr, clientCert, clientKey)
	if got := say(t, r.dial(r.tcp), "hello"); got != "strict hello" {
		t.Errorf("got %q", got)
	}
}

// Without a server name clients are taken to want fallback_sni; what TLS has settled is
// known to plugins.
func TestFallbackNameAndVariables(t *testing.T) {
	t.Parallel()
	a, b, ca := startNode(t, "a", nil), startNode(t, "b", nil), newAuthority(t)
	log := make(chan string, 10)
	r := start(t, func(c *Config) {
		c.TLS.Fallback = "a.test.com"
		c.AccessLog = logTo(func(ctx *plugin.Context) {
			log <- ctx.Var("ssl_protocol").Text + " " + ctx.Var("ssl_client_verify").Text + " " + ctx.Var("ssl_client_s_dn").Text + " " + ctx.Var("ssl_server_name").Text
		})
	})
	cert, key := ca.pair("a.test.com")
	r.put("ssls/1", `{"sni":"a.test.com","cert":%q,"key":%q,"client":{"ca":%q}}`, cert, key, ca.pem)
	r.put("stream_routes/1", `{%s}`, nodes(b.addr))
	r.put("stream_routes/2", `{"sni":"a.test.com",%s}`, nodes(a.addr))
	for _, name := range []string{"", "a.test.com"} {
		c, err := r.dialTLS(name, ca.certificate("client"))
		if err != nil {
			t.Fatal(err)
		}
		if got := say(t, c, "hello"); got != "a hello" {
			t.Errorf("%q: got %q", name, got)
		}
		c.Close()
		if got := <-log; got != "TLSv1.3 SUCCESS CN=client a.test.com" {
			t.Errorf("%q: variables %q", name, got)
		}
	}
}

// Clients may choose among the protocols of the configuration, and need not.
func TestALPN(t *testing.T) {
	t.Parallel()
	n, ca := startNode(t, "n", nil), newAuthority(t)
	r := start(t, func(c *Config) { c.TLS.NextProtos = []string{"postgresql", "mqtt"} })
	cert, key := ca.pair("a.test.com")
	r.put("ssls/1", `{"sni":"a.test.com","cert":%q,"key":%q}`, cert, key)
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	for _, tt := range []struct {
		offered []string
		want    string
	}{{nil, ""}, {[]string{"x", "mqtt"}, "mqtt"}, {[]string{"mqtt", "postgresql"}, "postgresql"}, {[]string{"x"}, "refused"}} {
		c := tls.Client(r.dial(r.tls), &tls.Config{ServerName: "a.test.com", InsecureSkipVerify: true, NextProtos: tt.offered})
		got := "refused"
		if c.HandshakeContext(t.Context()) == nil {
			got = c.ConnectionState().NegotiatedProtocol
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.offered, got, tt.want)
		}
	}
}

// logTo is an access log.
type logTo func(*plugin.Context)

func (l logTo) LogStream(c *plugin.Context) { l(c) }

// Clients that ask for it are shown what the certificate's responder says.
func TestStapling(t *testing.T) {
	t.Parallel()
	n, ca := startNode(t, "n", nil), newAuthority(t)
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		question, err := xocsp.ParseRequest(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer, err := xocsp.CreateResponse(ca.cert, ca.cert, xocsp.Response{
			Status: xocsp.Good, SerialNumber: question.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
		}, ca.key)
		if err != nil {
			t.Error(err)
		}
		w.Write(answer)
	}))
	defer responder.Close()
	stapler := ocsp.New(slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = stapler.Run(ctx) })
	r := start(t, func(c *Config) { c.TLS.Stapler = stapler })
	ca.responder = responder.URL
	cert, key := ca.pair("a.test.com")
	r.put("ssls/1", `{"sni":"a.test.com","cert":%q,"key":%q,"ocsp_stapling":{"enabled":true}}`, cert+ca.pem, key)
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	eventually(t, "an answer is stapled", func() bool {
		c, err := r.dialTLS("a.test.com")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		staple := c.ConnectionState().OCSPResponse
		if len(staple) == 0 {
			return false
		}
		answer, err := xocsp.ParseResponse(staple, ca.cert)
		if err != nil || answer.Status != xocsp.Good {
			t.Errorf("%+v, %v", answer, err)
		}
		return true
	})
}
