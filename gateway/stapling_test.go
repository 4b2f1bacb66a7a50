package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// responder is a real OCSP responder of an authority, which vouches for all.
func (a *authority) responder() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		question, err := ocsp.ParseRequest(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer, err := ocsp.CreateResponse(a.cert, a.cert, ocsp.Response{
			Status: ocsp.Good, SerialNumber: question.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
		}, a.key)
		if err != nil {
			a.t.Error(err)
		}
		w.Write(answer)
	}))
	a.t.Cleanup(s.Close)
	return s.URL
}

// chainOf is a certificate that names a responder, with its issuer behind it.
func (a *authority) chainOf(name, responder string) (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, OCSPServer: []string{responder},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + a.pem,
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestStapling(t *testing.T) {
	r := start(t, nil)
	defer r.stop()
	addr := serveTLS(t, r.g)
	ca := newAuthority(t, "servers")
	url := ca.responder()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for id, conf := range map[string]map[string]any{
		"on": {"enabled": true}, "off": {"enabled": false}, "none": nil,
	} {
		cert, key := ca.chainOf(id+".com", url)
		ssl := map[string]any{"sni": id + ".com", "cert": cert, "key": key}
		if conf != nil {
			ssl["ocsp_stapling"] = conf
		}
		r.put("ssls/"+id, object(t, ssl))
	}
	stapled := func(name string) []byte {
		t.Helper()
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().OCSPResponse
	}
	var staple []byte
	for end := time.Now().Add(deadline); staple == nil; time.Sleep(10 * time.Millisecond) {
		if staple = stapled("on.com"); time.Now().After(end) {
			t.Fatal("nothing is stapled")
		}
	}
	if answer, err := ocsp.ParseResponse(staple, ca.cert); err != nil || answer.Status != ocsp.Good {
		t.Errorf("%+v, %v", answer, err)
	}
	for _, name := range []string{"off.com", "none.com"} {
		if stapled(name) != nil {
			t.Errorf("%s: stapled", name)
		}
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		return
	}
	out, _ := exec.Command("openssl", "s_client", "-connect", addr, "-servername", "on.com", "-status").CombinedOutput()
	if text := string(out); !strings.Contains(text, "OCSP Response Status: successful") || !strings.Contains(text, "Cert Status: good") {
		t.Errorf("openssl: %.2000s", text)
	}
}
