package upstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millrace/internal/freeport"
)

// grpcLike answers with what it was sent, and trailers.
var grpcLike = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	w.Header().Set("Trailer", "Grpc-Status")
	io.WriteString(w, q.Proto+" "+q.Host+" "+q.RequestURI+" "+string(body)+" "+q.Trailer.Get("X-End"))
	w.Header().Set("Grpc-Status", "0")
})

func TestHTTP2(t *testing.T) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	clear := httptest.NewUnstartedServer(grpcLike)
	clear.Config.Protocols = &protocols
	clear.Start()
	defer clear.Close()
	secure := httptest.NewUnstartedServer(grpcLike)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	p := NewPool(Settings{})
	defer p.close()
	for scheme, server := range map[string]*httptest.Server{"grpc": clear, "grpcs": secure} {
		u := p.mustCompile(t, "", `{"scheme":"`+scheme+`","nodes":{"`+server.Listener.Addr().String()+`":1}}`)
		e, err := u.Pick(nil, nil).Endpoint(t.Context(), "svc.example")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			req, _ := http.NewRequest("POST", "/pkg.Service/Call?x=1", io.NopCloser(strings.NewReader("ping")))
			req.Host = "svc.example:50051"
			req.Trailer = http.Header{"X-End": {"end"}}
			res, err := e.RoundTrip(req, time.Second)
			if err != nil {
				t.Fatalf("%s: %v", scheme, err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if got := string(body); err != nil || got != "HTTP/2.0 svc.example:50051 /pkg.Service/Call?x=1 ping end" || res.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("%s: %q, trailers %v, %v", scheme, got, res.Trailer, err)
			}
		}
	}
}

func TestHTTP2WithoutServer(t *testing.T) {
	p := NewPool(Settings{})
	e := p.Endpoint(Key{Addr: freeport.Address(t)})
	req, _ := http.NewRequest("POST", "/", nil)
	if _, err := e.RoundTrip(req, time.Second); !errors.Is(err, ErrConnect) {
		t.Errorf("no server: %v", err)
	}
}

// clientCert makes a certificate for itself.
func clientCert(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

// The server sees the certificate that the upstream says, and its own name.
func TestClientCertificate(t *testing.T) {
	seen := make(chan string, 10)
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, VerifyConnection: func(s tls.ConnectionState) error {
		seen <- s.ServerName + " " + s.PeerCertificates[0].Subject.CommonName
		return nil
	}}
	server.StartTLS()
	defer server.Close()
	cert, key := clientCert(t)
	p := NewPool(Settings{})
	defer p.close()
	conf := `{"scheme":"https","nodes":{"` + server.Listener.Addr().String() + `":1},"tls":{"client_cert":` + quote(cert) + `,"client_key":` + quote(key) + `}}`
	u := p.mustCompile(t, "", conf)
	e, err := u.Pick(nil, nil).Endpoint(t.Context(), "one.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Dial(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := <-seen; got != "one.example gateway" {
		t.Errorf("the server saw %s", got)
	}
	e = p.Endpoint(Key{Addr: server.Listener.Addr().String(), TLS: true, ClientCert: "x", ClientKey: "y"})
	if _, err := e.Dial(context.Background(), time.Second); err == nil {
		t.Errorf("a certificate that is none: %v", err)
	}
	if _, err := tryCompile(t, `{"scheme":"https","nodes":{},"tls":{"client_cert_id":"1"}}`); err == nil {
		t.Error("an unresolved client_cert_id was accepted")
	}
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }

func TestConnect(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	addr := server.Listener.Addr().String()
	p := NewPool(Settings{})
	for scheme, wantTLS := range map[string]bool{"tcp": false, "tls": true} {
		u := p.mustCompile(t, "", `{"scheme":"`+scheme+`","nodes":{"`+addr+`":1}}`)
		e, err := u.Pick(nil, nil).Endpoint(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.Connect(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, isTLS := c.(*tls.Conn); isTLS != wantTLS {
			t.Errorf("%s: TLS %v", scheme, isTLS)
		}
		c.Close()
	}
}

func TestServerNames(t *testing.T) {
	u := NewPool(Settings{}).mustCompile(t, "", `{"scheme":"https","nodes":{"127.0.0.1:1":1}}`)
	n := u.Pick(nil, nil)
	byName := map[string]*Endpoint{}
	for _, name := range []string{"a", "a", "b", "a", ""} {
		e, err := n.Endpoint(t.Context(), name)
		if err != nil || e.key.ServerName != name || byName[name] != nil && byName[name] != e {
			t.Errorf("asked for %q: %+v, %v", name, e.key, err)
		}
		byName[name] = e
	}
}
