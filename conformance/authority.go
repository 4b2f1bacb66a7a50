package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// authority signs the certificates of a script, made when they are first asked for.
type authority struct {
	pem   string
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pairs map[string]*pair
}

// pair is a certificate and its key, as PEM.
type pair struct{ cert, key string }

// newAuthority makes one; it panics without randomness, as all of crypto does.
func newAuthority() *authority {
	a := &authority{pairs: map[string]*pair{}}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "conformance"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, key := a.sign(template)
	a.key = key
	a.cert, _ = x509.ParseCertificate(der) // just made
	a.pem = block("CERTIFICATE", der)
	return a
}

// pair answers the certificate for names, which a comma separates. Text after a space
// tells those for the same names apart. It serves servers and clients.
func (a *authority) pair(names string) *pair {
	if p := a.pairs[names]; p != nil {
		return p
	}
	list, _, _ := strings.Cut(names, " ")
	der, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: names}, DNSNames: strings.Split(list, ","), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(fmt.Sprintf("encoding a key just made: %v", err))
	}
	p := &pair{block("CERTIFICATE", der), block("PRIVATE KEY", secret)}
	a.pairs[names] = p
	return p
}

// sign makes a key and signs template for it, with that key itself as long as there is
// no other.
func (a *authority) sign(template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("making a key: %v", err))
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(240*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		panic(fmt.Sprintf("signing %s: %v", template.Subject, err))
	}
	return der, key
}

// client is the certificate for names as a client shows it.
func (a *authority) client(names string) (tls.Certificate, error) {
	p := a.pair(names)
	return tls.X509KeyPair([]byte(p.cert), []byte(p.key))
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
