package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/server/servertest"
)

// writePair writes a certificate that is its own authority, with its key, and
// answers their files.
func writePair(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(kind, file string, der []byte) string {
		path := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("CERTIFICATE", name+".crt", der), write("PRIVATE KEY", name+".key", pkcs8)
}

func TestAdminTLS(t *testing.T) {
	t.Parallel()
	serverCert, serverKey := writePair(t, "server")
	clientCert, clientKey := writePair(t, "client")
	site := servertest.Start(t, func(c *config.Config) {
		c.Admin.TLS = config.AdminTLS{Enabled: true, Cert: serverCert, Key: serverKey, CA: clientCert}
	})
	if !strings.HasPrefix(site.Admin, "https://") {
		t.Fatalf("the address is %s", site.Admin)
	}
	authority, err := os.ReadFile(serverCert)
	if err != nil {
		t.Fatal(err)
	}
	get := func(pairs ...tls.Certificate) (int, error) {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(authority)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: pairs}}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequest(http.MethodGet, site.Admin+"/apisix/admin/routes", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-API-KEY", servertest.AdminKey)
		resp, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := get(pair); status != http.StatusOK || err != nil {
		t.Errorf("with a client certificate: %d %v", status, err)
	}
	if status, err := get(); err == nil {
		t.Errorf("without a client certificate: %d", status)
	}
	if status, body := askAdmin(t, "GET", site.Gateway+"/apisix/admin/routes", ""); status != http.StatusNotFound || !strings.Contains(body, "404 Route Not Found") {
		t.Errorf("around the client certificate: %d %s", status, body)
	}
}
