package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// rsaPair is a certificate with an RSA key.
func (a *authority) rsaPair(name string) (cert, key string) {
	a.t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
}

// handshake makes one and a request, and answers what it settled.
func handshake(t *testing.T, addr string, conf *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, conf)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: k.com\r\nConnection: close\r\n\r\n")
	_, err = io.ReadAll(conn) // a ticket comes before the answer
	return conn.ConnectionState(), err
}

// Of an RSA and an ECDSA certificate each client is shown the one that it can use.
func TestTwoKindsOfCertificates(t *testing.T) {
	r := start(t, nil)
	defer r.stop()
	addr := serveTLS(t, r.g)
	ca := newAuthority(t, "servers")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	cert, key := ca.rsaPair("k.com")
	other, otherKey := ca.pair("k.com")
	r.put("ssls/1", object(t, map[string]any{"sni": "k.com", "cert": cert, "key": key, "certs": []string{other}, "keys": []string{otherKey}}))
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   x509.RSA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA,
	} {
		state, err := handshake(t, addr, &tls.Config{ServerName: "k.com", RootCAs: roots, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err != nil || state.PeerCertificates[0].PublicKeyAlgorithm != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}
}

func TestSessionTicketsAndCiphers(t *testing.T) {
	for _, tickets := range []bool{true, false} {
		t.Run(fmt.Sprint(tickets), func(t *testing.T) {
			r := start(t, func(c *Config) {
				c.TLS.SessionTickets, c.TLS.CipherSuites = tickets, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
			})
			defer r.stop()
			addr := serveTLS(t, r.g)
			roots := certify(t, r, "1", "k.com", nil)
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				conf := &tls.Config{ServerName: "k.com", RootCAs: roots, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				for i := range 2 {
					state, err := handshake(t, addr, conf)
					if err != nil || state.DidResume != (tickets && i == 1) {
						t.Errorf("%s, handshake %d: resumed %v, %v", tls.VersionName(version), i, state.DidResume, err)
					}
					if version == tls.VersionTLS12 && state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
						t.Errorf("cipher suite %s", tls.CipherSuiteName(state.CipherSuite))
					}
				}
			}
		})
	}
}

// A session of one name does not open another that demands a certificate.
func TestTicketOfAnotherName(t *testing.T) {
	r := start(t, func(c *Config) { c.TLS.SessionTickets = true })
	defer r.stop()
	addr := serveTLS(t, r.g)
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":{}}}`)
	clients, others := newAuthority(t, "clients"), newAuthority(t, "others")
	certify(t, r, "1", "a.com", map[string]any{"client": map[string]any{"ca": others.pem}})
	certify(t, r, "2", "k.com", map[string]any{"client": map[string]any{"ca": clients.pem}})
	cert, key := others.pair("someone")
	shown, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	cache := oneSession{tls.NewLRUClientSessionCache(1)}
	for i, tt := range []struct{ name, want string }{{"a.com", "503"}, {"a.com", "503"}, {"k.com", "400"}} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: tt.name, InsecureSkipVerify: true, Certificates: []tls.Certificate{shown}, ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", tt.name)
		text, _ := io.ReadAll(conn)
		conn.Close()
		if !strings.HasPrefix(string(text), "HTTP/1.1 "+tt.want) {
			t.Errorf("request %d, %s: %.40q", i, tt.name, text)
		}
	}
}

// oneSession is a cache that offers the same session to every server.
type oneSession struct{ tls.ClientSessionCache }

func (o oneSession) Get(string) (*tls.ClientSessionState, bool) {
	return o.ClientSessionCache.Get("any")
}
func (o oneSession) Put(_ string, s *tls.ClientSessionState) { o.ClientSessionCache.Put("any", s) }

// No handshake fails while certificates change, and the newest is shown in the end.
func TestCertificatesChangeUnderHandshakes(t *testing.T) {
	r := start(t, nil)
	defer r.stop()
	addr := serveTLS(t, r.g)
	ca := newAuthority(t, "servers")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	var last string
	change := func() {
		cert, key := ca.pair("k.com")
		r.put("ssls/1", object(t, map[string]any{"sni": "k.com", "cert": cert, "key": key}))
		last = cert
	}
	change()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := tls.DialWithDialer(&net.Dialer{Timeout: deadline}, "tcp", addr, &tls.Config{ServerName: "k.com", RootCAs: roots})
				if err != nil {
					t.Error(err)
					return
				}
				conn.Close()
			}
		})
	}
	for range 50 {
		change()
	}
	close(stop)
	clients.Wait()
	state, err := handshake(t, addr, &tls.Config{ServerName: "k.com", RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: state.PeerCertificates[0].Raw})); got != last {
		t.Error("an old certificate is shown")
	}
}
