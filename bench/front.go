package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// frontCases are what the gateway does beside plain proxying.
func frontCases() []loadCase {
	return []loadCase{
		{"key-auth, limit-count and prometheus (peer: plain route)", 0, []subject{millrace("three plugins", guardedRoute), millrace("plain", plainRoute)}},
		{"plain route over TLS", 0, []subject{
			millrace("millrace", tlsRoute),
			proxyOver("https://localhost", "haproxy", haproxyTLSConf, "haproxy", "-f", "%s"),
			proxyOver("https://localhost", "nginx", nginxTLSConf, "nginx", "-c", "%s"),
		}},
	}
}

func guardedRoute(o options, s *site, r *running) error {
	stub, addr, err := startStub(o)
	if err != nil {
		return err
	}
	r.others, r.url, r.script = []*process{stub}, s.gateway+"/hello", filepath.Join(o.out, "guarded.lua")
	if err := os.WriteFile(r.script, []byte("wrk.headers['apikey'] = 'k1'\n"), 0o644); err != nil {
		return err
	}
	for path, body := range map[string]string{
		"consumers/jack": `{"username":"jack","plugins":{"key-auth":{"key":"k1"}}}`,
		"routes/1": fmt.Sprintf(`{"uri":"/hello","upstream":{"nodes":{%q:1}},"plugins":{"key-auth":{},"prometheus":{},
			"limit-count":{"count":1000000000,"time_window":3600,"key":"remote_addr"}}}`, addr),
	} {
		if err := s.send("PUT", s.admin+"/apisix/admin/"+path, body); err != nil {
			return err
		}
	}
	return nil
}

func tlsRoute(o options, s *site, r *running) error {
	cert, key, err := certificate(o)
	if err != nil {
		return err
	}
	ssl, err := json.Marshal(map[string]string{"sni": "localhost", "cert": cert, "key": key})
	if err != nil {
		return err
	}
	if err := s.send("PUT", s.admin+"/apisix/admin/ssls/1", string(ssl)); err != nil {
		return err
	}
	if err := plainRoute(o, s, r); err != nil {
		return err
	}
	r.url = strings.Replace(s.secured, "127.0.0.1", "localhost", 1) + "/hello"
	return nil
}

func nginxTLSConf(o options, port int, stub string) string {
	certificate(o)
	plain := nginxConf(o, port, stub)
	listen := fmt.Sprintf("listen 127.0.0.1:%d;", port)
	return strings.Replace(plain, listen, fmt.Sprintf("listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.2 TLSv1.3;",
		port, filepath.Join(o.out, "cert.pem"), filepath.Join(o.out, "key.pem")), 1)
}

func haproxyTLSConf(o options, port int, stub string) string {
	cert, key, _ := certificate(o)
	both := filepath.Join(o.out, "both.pem")
	os.WriteFile(both, []byte(cert+key), 0o600)
	bind := fmt.Sprintf("bind 127.0.0.1:%d", port)
	return strings.Replace(haproxyConf(o, port, stub), bind, bind+" ssl crt "+both+" ssl-min-ver TLSv1.2", 1)
}

// certificate makes a certificate for localhost once, and answers it with its key
// as PEM.
func certificate(o options) (cert, key string, err error) {
	certFile, keyFile := filepath.Join(o.out, "cert.pem"), filepath.Join(o.out, "key.pem")
	if c, err := os.ReadFile(certFile); err == nil {
		k, err := os.ReadFile(keyFile)
		return string(c), string(k), err
	}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalECPrivateKey(secret)
	if err != nil {
		return "", "", err
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		return "", "", err
	}
	return cert, key, os.WriteFile(certFile, []byte(cert), 0o644)
}
