package sni

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"millrace/resource"
)

// issue answers a certificate for every name.
func issue(string) *tls.Certificate { return &tls.Certificate{} }

// tableOf is a table of objects with these names.
func tableOf(t *testing.T, settings Settings, objects ...[]string) (*Table, []*Entry) {
	t.Helper()
	settings.Managed = issue
	entries := make([]*Entry, len(objects))
	for i, names := range objects {
		var err error
		if entries[i], err = Compile(&resource.SSL{SNIs: names, ACME: true}, settings); err != nil {
			t.Fatal(err)
		}
	}
	return NewTable(entries, settings), entries
}

func TestFind(t *testing.T) {
	table, entries := tableOf(t, Settings{},
		[]string{"test.com", "*.t.com"}, []string{"A.t.com"}, []string{"*.b.t.com"}, []string{"twice.com"}, []string{"twice.com"})
	for name, want := range map[string]int{
		"test.com": 0, "TEST.com": 0, "test.com.": 0, "b.t.com": 0, "B.T.com": 0,
		"a.t.com": 1, "x.b.t.com": 2, "twice.com": 4,
		"t.com": -1, "a.b.c.t.com": -1, "x.test.com": -1, "xt.com": -1, "": -1, ".": -1, ".t.com.": 0,
	} {
		got := -1
		for i, e := range entries {
			if table.Find(name) == e {
				got = i
			}
		}
		if got != want {
			t.Errorf("%q: object %d, want %d", name, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	everybody, _ := tableOf(t, Settings{}, []string{"*"})
	fallback, _ := tableOf(t, Settings{Fallback: "test.com"}, []string{"test.com"})
	nobody, _ := tableOf(t, Settings{Fallback: "gone.com"}, []string{"test.com"})
	tests := []struct {
		what  string
		table *Table
		name  string
		found bool
	}{
		{"any name", everybody, "x.y.z", true},
		{"no name, though any would do", everybody, "", false},
		{"no name, with a fallback", fallback, "", true},
		{"a name that nobody has, with a fallback", fallback, "other.com", true},
		{"no name, with a fallback that nobody has", nobody, "", false},
		{"a name that nobody has", nobody, "other.com", false},
	}
	for _, test := range tests {
		e, err := test.table.Choose(&tls.ClientHelloInfo{ServerName: test.name})
		if (e != nil) != test.found || !test.found && !errors.Is(err, ErrNoCertificate) {
			t.Errorf("%s: %v, %v", test.what, e != nil, err)
		}
	}
}

// TestAuthority: clients need a certificate only where there is an authority for it.
func TestAuthority(t *testing.T) {
	conf := &resource.SSL{SNI: "test.com", ACME: true}
	e, err := Compile(conf, Settings{Managed: issue})
	if err != nil || e.AsksClients() || e.Demands("/") {
		t.Errorf("without client: %v", err)
	}
	conf.Client = &resource.ClientTLS{CA: "no certificate"}
	if _, err := Compile(conf, Settings{Managed: issue}); err == nil {
		t.Error("an authority without certificate was accepted")
	}
}

// chain signs certificates one by the other, the first by itself.
func chain(t *testing.T, length int) (certs []*x509.Certificate) {
	t.Helper()
	var signer *ecdsa.PrivateKey
	for i := range length {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprint(i)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: i < length-1, BasicConstraintsValid: true,
		}
		parent := template
		if i > 0 {
			parent = certs[i-1]
		} else {
			signer = key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs, signer = append(certs, cert), key
	}
	return certs
}

// TestDepth: it is the number of certificates between the client's and the authority,
// as an nginx with OpenSSL 3 counts.
func TestDepth(t *testing.T) {
	for between := range 3 {
		certs := chain(t, between+2)
		ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs[0].Raw}))
		slices.Reverse(certs)
		for depth := range 4 {
			e, err := Compile(&resource.SSL{SNI: "a.b", ACME: true, Client: &resource.ClientTLS{CA: ca, Depth: &depth}}, Settings{Managed: issue})
			if err != nil {
				t.Fatal(err)
			}
			err = e.Verify(&tls.ConnectionState{PeerCertificates: certs[:len(certs)-1]})
			if (err == nil) != (depth >= between) {
				t.Errorf("%d between, depth %d: %v", between, depth, err)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string][2]uint16{
		"TLSv1.2": {tls.VersionTLS12, tls.VersionTLS12}, "TLSv1.3": {tls.VersionTLS13, tls.VersionTLS13}, "TLSv1.1": {tls.VersionTLS11, tls.VersionTLS11},
	} {
		e, err := Compile(&resource.SSL{SNI: "a.b", ACME: true, SSLProtocols: []string{text}}, Settings{Managed: issue})
		if err != nil || e.Config().MinVersion != want[0] || e.Config().MaxVersion != want[1] {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Compile(&resource.SSL{SNI: "a.b", ACME: true, SSLProtocols: []string{"SSLv3"}}, Settings{Managed: issue}); err == nil {
		t.Error("an unknown version was accepted")
	}
}
