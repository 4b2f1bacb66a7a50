package gateway

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key, a.cert, a.pem = a.sign(name, nil, true)
	return a
}

// sign makes a certificate, signed by itself if the authority has none yet.
func (a *authority) sign(name string, names []string, isCA bool) (*ecdsa.PrivateKey, *x509.Certificate, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// pair is a certificate and its key as PEM.
func (a *authority) pair(names ...string) (cert, key string) {
	a.t.Helper()
	k, _, cert := a.sign(names[0], names, false)
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// serveTLS opens a TLS listener of a gateway and answers its address.
func serveTLS(t *testing.T, g *Gateway) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.ServeTLS(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeTLS: %v", err)
		}
	})
	return ln.Addr().String()
}

// ask makes one request and answers its status and body, or the error of the handshake.
func ask(addr, host, path string, conf *tls.Config) (string, error) {
	conn, err := tls.Dial("tcp", addr, conf)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= 400 {
		body = nil
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body), err
}

func object(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTLSFront(t *testing.T) {
	up := serve(t, func(_ *server, c *upstreamConn) {
		q, err := http.ReadRequest(c.r)
		if err != nil {
			return
		}
		body := q.Header.Get("X-Forwarded-Proto") + " " + q.Host
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	})
	r := start(t, nil)
	defer r.stop()
	addr := serveTLS(t, r.g)
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+up.addr+`":1}}}`)
	ca := newAuthority(t, "servers")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)

	cert, key := ca.pair("test.com", "*.t.com")
	r.put("ssls/1", object(t, map[string]any{"snis": []string{"test.com", "*.T.com"}, "cert": cert, "key": key}))
	for name, want := range map[string]string{
		"test.com": "200 https test.com", "b.t.com": "200 https b.t.com", "TEST.com": "200 https TEST.com",
		"a.b.t.com": "", "t.com": "", "other.com": "", "": "",
	} {
		got, err := ask(addr, name, "/", &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: name == ""})
		if want == "" && err == nil || want != "" && got != want {
			t.Errorf("name %q: %q, %v, want %q", name, got, err, want)
		}
	}

	plain, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	io.WriteString(plain, "GET / HTTP/1.1\r\nHost: test.com\r\n\r\n")
	if text, _ := io.ReadAll(plain); !strings.Contains(string(text), "The plain HTTP request was sent to HTTPS port") {
		t.Errorf("plain HTTP: %q", text)
	}

	r.put("ssls/1", object(t, map[string]any{"sni": "test.com", "cert": cert, "key": key, "ssl_protocols": []string{"TLSv1.2"}}))
	if _, err := ask(addr, "test.com", "/", &tls.Config{ServerName: "test.com", RootCAs: roots, MinVersion: tls.VersionTLS13}); err == nil {
		t.Error("TLS 1.3 though only 1.2 is allowed")
	}
	r.put("ssls/1", object(t, map[string]any{"sni": "test.com", "cert": cert, "key": key, "status": 0}))
	if _, err := ask(addr, "test.com", "/", &tls.Config{ServerName: "test.com", RootCAs: roots}); err == nil {
		t.Error("a certificate that is switched off is shown")
	}
}

func TestClientCertificates(t *testing.T) {
	up := serve(t, func(_ *server, c *upstreamConn) {
		if _, err := http.ReadRequest(c.r); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		}
	})
	r := start(t, nil)
	defer r.stop()
	addr := serveTLS(t, r.g)
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{"`+up.addr+`":1}}}`)
	servers, clients, strangers := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "strangers")
	roots := x509.NewCertPool()
	roots.AddCert(servers.cert)
	cert, key := servers.pair("m.com")
	r.put("ssls/1", object(t, map[string]any{
		"sni": "m.com", "cert": cert, "key": key,
		"client": map[string]any{"ca": clients.pem, "skip_mtls_uri_regex": []string{"^/open/"}},
	}))
	cert, key = servers.pair("n.com")
	r.put("ssls/2", object(t, map[string]any{"sni": "n.com", "cert": cert, "key": key, "client": map[string]any{"ca": strangers.pem}}))
	cert, key = servers.pair("free.com")
	r.put("ssls/3", object(t, map[string]any{"sni": "free.com", "cert": cert, "key": key}))
	shown := func(a *authority) []tls.Certificate {
		if a == nil {
			return nil
		}
		cert, key := a.pair("someone")
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	cert, key = servers.pair("vars.com")
	r.put("ssls/4", object(t, map[string]any{"sni": "vars.com", "cert": cert, "key": key, "client": map[string]any{"ca": clients.pem}}))
	r.put("routes/vars", `{"uri":"/vars","vars":[["ssl_client_s_dn","~~","^CN=someone"],["ssl_server_name","==","vars.com"],["ssl_protocol","==","TLSv1.3"],
		["ssl_cipher","~~","^TLS_"],["ssl_client_fingerprint","~~","^[0-9a-f]{40}$"],["ssl_client_i_dn","~~","CN=clients"],["ssl_session_reused","==","."],
		["ssl_client_v_end","~~","GMT$"],["ssl_client_serial","~~","^[0-9A-F]+$"],["ssl_client_raw_cert","~~","^-----BEGIN CERTIFICATE-----"],["ssl_client_verify","==","SUCCESS"],["ssl_client_v_remain",">=",0],["ssl_client_escaped_cert","~~","^-----BEGIN%20CERTIFICATE-----%0A"],
		["ssl_curve","~~","^(X25519|prime256v1)"],["ssl_nope","==",null]],
		"upstream":{"nodes":{}}}`) // 503
	r.put("routes/none", `{"uri":"/open/none","vars":[["ssl_client_verify","==","NONE"]],"upstream":{"nodes":{}}}`)
	r.put("routes/failed", `{"uri":"/open/failed","vars":[["ssl_client_verify","~~","^FAILED:"]],"upstream":{"nodes":{}}}`)
	for _, tt := range []struct {
		by               *authority
		name, host, path string
		want             string
	}{
		{clients, "m.com", "m.com", "/", "200 ok"},
		{clients, "m.com", "m.com:443", "/", "200 ok"},
		{clients, "M.com", "m.com", "/", "200 ok"},
		{nil, "m.com", "m.com", "/", "400 "},
		{strangers, "m.com", "m.com", "/", "400 "},
		{clients, "m.com", "other.com", "/", "200 ok"},
		{clients, "m.com", "free.com", "/", "200 ok"},
		{nil, "m.com", "free.com", "/", "400 "},
		{clients, "m.com", "n.com", "/", "400 "},
		{nil, "free.com", "free.com", "/", "200 ok"},
		{nil, "free.com", "m.com", "/", "400 "},
		{clients, "free.com", "M.COM:9443", "/", "400 "},
		{nil, "free.com", "m.com", "/open/x", "200 ok"},
		{nil, "m.com", "m.com", "/open/x", "200 ok"},
		{nil, "m.com", "m.com", "/open/../x", "400 "},
		{nil, "m.com", "m.com", "/open/none", "503 "},
		{strangers, "m.com", "m.com", "/open/failed", "503 "},
		{clients, "vars.com", "vars.com", "/vars", "503 "},
	} {
		conf := &tls.Config{ServerName: tt.name, RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if c := shown(tt.by); c != nil {
				return &c[0], nil
			}
			return &tls.Certificate{}, nil
		}}
		if got, err := ask(addr, tt.host, tt.path, conf); got != tt.want {
			t.Errorf("name %s, host %s, path %s: %q, %v, want %q", tt.name, tt.host, tt.path, got, err, tt.want)
		}
	}
}
