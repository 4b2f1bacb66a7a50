// Package sni chooses the certificate that a TLS client is shown by the server
// name that it asks for, and says what the client itself must show. A Table is
// immutable: a change makes a new one.
package sni

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"millrace/gateway/ocsp"
	"millrace/internal/pcre"
	"millrace/resource"
)

// Settings are those of the listener, which an ssl object may narrow.
type Settings struct {
	// MinVersion and MaxVersion are tls.VersionTLS12 and the like; 0 is 1.2, 1.3.
	MinVersion, MaxVersion uint16
	SessionTickets         bool
	// CipherSuites are those up to TLS 1.2; nil stands for Go's own.
	CipherSuites []uint16
	// NextProtos are offered by ALPN.
	NextProtos []string
	// Fallback is the server name of clients that send none, or one that nobody
	// has; empty: such clients are refused.
	Fallback string
	// Managed answers the certificate that has been issued for a name, in lower case;
	// nil if there is none. A nil Managed has none at all.
	Managed func(name string) *tls.Certificate
	// Stapler asks the responders of certificates; nil if none is asked.
	Stapler *ocsp.Stapler
}

// Entry is one ssl object made ready.
type Entry struct {
	names  []string // lower-case
	config *tls.Config
	quic   *tls.Config
	issued func(name string) *tls.Certificate // nil unless certificates are issued for it
	// own are the certificates of an object for which certificate chooses.
	own     []tls.Certificate
	stapler *ocsp.Stapler // nil unless something is stapled
	staple  ocsp.Options
	client  *clients // nil: clients need no certificate
}

// clients is what the certificates of clients must be.
type clients struct {
	roots *x509.CertPool
	depth int
	skip  []*pcre.Pattern
}

// Compile makes an ssl object ready. One that is switched off, or for calls to
// upstreams, is nil.
func Compile(s *resource.SSL, settings Settings) (*Entry, error) {
	if !s.IsServer() || s.Status != nil && *s.Status == 0 {
		return nil, nil
	}
	e := &Entry{}
	for _, name := range append([]string{s.SNI}, s.SNIs...) {
		if name != "" {
			e.names = append(e.names, strings.ToLower(name))
		}
	}
	e.config = &tls.Config{
		MinVersion: settings.MinVersion, MaxVersion: settings.MaxVersion,
		CipherSuites: settings.CipherSuites, NextProtos: settings.NextProtos, SessionTicketsDisabled: !settings.SessionTickets,
	}
	if s.ACME {
		e.issued = settings.Managed
	}
	if err := e.addCertificates(s); err != nil {
		return nil, err
	}
	e.addStapling(s.OCSPStapling, settings.Stapler)
	if err := e.setVersions(s.SSLProtocols); err != nil {
		return nil, err
	}
	if err := e.addClients(s.Client); err != nil {
		return nil, err
	}
	e.quic = e.config.Clone()
	e.quic.MinVersion, e.quic.NextProtos = tls.VersionTLS13, []string{"h3"}
	return e, nil
}

func (e *Entry) addCertificates(s *resource.SSL) error {
	if len(s.Certs) != len(s.Keys) {
		return errors.New("mismatched number of certs and keys")
	}
	certs, keys := append([]string{s.Cert}, s.Certs...), append([]string{s.Key}, s.Keys...)
	if s.Cert == "" && e.issued != nil {
		certs = nil
	}
	for i := range certs {
		pair, err := tls.X509KeyPair([]byte(certs[i]), []byte(keys[i]))
		if err != nil {
			return fmt.Errorf("certificate %d: %w", i+1, err)
		}
		e.config.Certificates = append(e.config.Certificates, pair)
	}
	return nil
}

// Managed answers the names for which certificates are to be issued.
func (e *Entry) Managed() (names []string) {
	for _, name := range e.names {
		if e.issued != nil && !strings.HasPrefix(name, "*") {
			names = append(names, name)
		}
	}
	return names
}

// addStapling makes the certificates be shown with what their responders say, who
// are asked from now on.
func (e *Entry) addStapling(c *resource.OCSPStapling, stapler *ocsp.Stapler) {
	if c != nil && c.Enabled && stapler != nil {
		e.stapler, e.staple = stapler, ocsp.Options{Unverified: c.SkipVerify, TTL: time.Hour}
		if c.CacheTTL != nil {
			e.staple.TTL = time.Duration(*c.CacheTTL) * time.Second
		}
	}
	if e.stapler == nil && e.issued == nil {
		return
	}
	e.own, e.config.Certificates, e.config.GetCertificate = e.config.Certificates, nil, e.certificate
	for i := range e.own {
		e.withStaple(&e.own[i])
	}
}

// Stapled answers the object's certificates that something is stapled to.
func (e *Entry) Stapled() []tls.Certificate {
	if e.stapler == nil {
		return nil
	}
	return e.own
}

func (e *Entry) withStaple(c *tls.Certificate) *tls.Certificate {
	if e.stapler == nil {
		return c
	}
	staple := e.stapler.Staple(c, e.staple)
	if staple == nil {
		return c
	}
	with := *c
	with.OCSPStaple = staple
	return &with
}

// certificate answers what a client is shown.
func (e *Entry) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c := e.choose(hello)
	if c == nil {
		return nil, ErrNoCertificate
	}
	return e.withStaple(c), nil
}

// choose answers the certificate that has been issued, else one of the object's own
// that the client can use, else what there is.
func (e *Entry) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	if e.issued != nil {
		if c := e.issued(fold(hello.ServerName)); c != nil {
			return c
		}
	}
	for i := range e.own {
		if hello.SupportsCertificate(&e.own[i]) == nil {
			return &e.own[i]
		}
	}
	if len(e.own) > 0 {
		return &e.own[0]
	}
	for _, name := range e.names {
		if c := e.issued(name); c != nil {
			return c
		}
	}
	return nil
}

// fold brings a server name into the form of names in objects.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

var versions = map[string]uint16{"TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

func (e *Entry) setVersions(names []string) error {
	if len(names) == 0 {
		return nil
	}
	least, most := uint16(tls.VersionTLS13), uint16(0)
	for _, name := range names {
		v, ok := versions[name]
		if !ok {
			return fmt.Errorf("protocol %s is not known", name)
		}
		least, most = min(least, v), max(most, v)
	}
	e.config.MinVersion, e.config.MaxVersion = least, most
	return nil
}

// addClients asks clients for a certificate without ending the handshake when it
// is missing: such a client is answered 400.
func (e *Entry) addClients(c *resource.ClientTLS) error {
	if c == nil || c.CA == "" {
		return nil
	}
	e.client = &clients{roots: x509.NewCertPool(), depth: 1}
	if !e.client.roots.AppendCertsFromPEM([]byte(c.CA)) {
		return errors.New("client.ca holds no certificate")
	}
	if c.Depth != nil {
		e.client.depth = *c.Depth
	}
	for _, text := range c.SkipMTLSURIRegex {
		p, err := pcre.Compile(text)
		if err != nil {
			return fmt.Errorf("client.skip_mtls_uri_regex: %w", err)
		}
		e.client.skip = append(e.client.skip, p)
	}
	e.config.ClientAuth, e.config.ClientCAs = tls.RequestClientCert, e.client.roots
	return nil
}

// Table finds entries by name.
type Table struct {
	settings Settings
	exact    map[string]*Entry
	wildcard map[string]*Entry // by what follows the *, such as .example.com
	clients  bool              // whether any entry asks clients for a certificate
}

// NewTable makes a table. Of entries with the same name the last one counts.
func NewTable(entries []*Entry, settings Settings) *Table {
	t := &Table{settings: settings, exact: map[string]*Entry{}, wildcard: map[string]*Entry{}}
	for _, e := range entries {
		t.clients = t.clients || e.AsksClients()
		for _, name := range e.names {
			if suffix, ok := strings.CutPrefix(name, "*"); ok {
				t.wildcard[suffix] = e
				continue
			}
			t.exact[name] = e
		}
	}
	return t
}

// AskClients tells whether any entry asks clients for a certificate.
func (t *Table) AskClients() bool { return t.clients }

// SameName tells whether two server names are one.
func SameName(a, b string) bool { return fold(a) == fold(b) }

// Find answers the entry of a name: its own, or that of a wildcard in the place of
// its first label; nil if there is none.
func (t *Table) Find(name string) *Entry {
	name = fold(name)
	if e := t.exact[name]; e != nil {
		return e
	}
	if i := strings.IndexByte(name, '.'); i >= 0 {
		if e := t.wildcard[name[i:]]; e != nil {
			return e
		}
	}
	return t.wildcard[""]
}

// ErrNoCertificate ends the handshake of a client whose name nobody has.
var ErrNoCertificate = errors.New("no certificate for this server name")

// Choose answers the entry for a client.
func (t *Table) Choose(hello *tls.ClientHelloInfo) (*Entry, error) {
	if hello.ServerName != "" {
		if e := t.Find(hello.ServerName); e != nil {
			return e, nil
		}
	}
	if t.settings.Fallback != "" {
		if e := t.Find(t.settings.Fallback); e != nil {
			return e, nil
		}
	}
	return nil, ErrNoCertificate
}

// Config is what the handshake goes by.
func (e *Entry) Config() *tls.Config { return e.config }

// QUIC is what the handshake of HTTP/3 goes by: TLS 1.3 or none.
func (e *Entry) QUIC() *tls.Config { return e.quic }

// AsksClients tells whether clients must show a certificate where there are no paths.
func (e *Entry) AsksClients() bool { return e.client != nil }

// Demands tells whether clients must show a certificate for a path (decoded and
// normalised).
func (e *Entry) Demands(path string) bool {
	if e.client == nil {
		return false
	}
	for _, p := range e.client.skip {
		if p.MatchString(path) {
			return false
		}
	}
	return true
}

// Verify answers nil if a client has shown a certificate as the entry demands it.
func (e *Entry) Verify(state *tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("client certificate was not present")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	chains, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: e.client.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("client certificate verification is not passed: %w", err)
	}
	for _, chain := range chains {
		if len(chain)-2 <= e.client.depth { // what is between it and the root counts, as in OpenSSL
			return nil
		}
	}
	return errors.New("client certificate verification is not passed: the chain is too long")
}
