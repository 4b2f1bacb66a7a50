// Package acme gets certificates for the names of ssl objects from an authority that
// speaks ACME, and renews them. Nodes with the same store share certificates and
// account, and answer each other's challenges.
//
// Its keys in the store, as certmagic lays out its files:
//
//	/apisix/acme/acme/<authority>/users/…       account and its key
//	/apisix/acme/acme/<authority>/challenge_tokens/<name>.json
//	/apisix/acme/certificates/<authority>/<name>/<name>.crt .key .json
//	/apisix/acme/locks/<what>                   with a time to live
//
// Private keys are encrypted as those of ssl objects are.
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	external "github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"

	"millrace/internal/fieldcrypt"
	"millrace/store"
)

// Config is what a Manager is made of. Log and Store are needed.
type Config struct {
	Log   *slog.Logger
	Store store.Store
	// Keyring encrypts private keys in the store; nil leaves them in the clear.
	Keyring *fieldcrypt.Keyring

	// Directory is the URL of the authority, empty for Let's Encrypt; Roots is whom
	// it is trusted by, nil for the system's.
	Directory string
	Roots     *x509.CertPool
	// Email is for the authority to write to; it may be empty. KeyID and MACKey bind
	// the account to one that exists there otherwise; empty where none is asked for.
	Email         string
	KeyID, MACKey string
	// NoHTTP and NoTLS switch off http-01 and tls-alpn-01.
	NoHTTP, NoTLS bool

	// For tests: the wait after a failure, the time between looks at certificates,
	// and how much of a certificate's life is left when it is renewed.
	retry, every time.Duration
	left         float64
}

// Manager gets and keeps certificates while Run runs.
type Manager struct {
	conf    Config
	storage *storage

	mu      sync.Mutex
	names   map[string]context.CancelFunc // of those being managed; nil before Run
	wanted  []string                      // before Run
	running *running
}

// running is what there is while Run runs.
type running struct {
	ctx    context.Context
	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	jobs   sync.WaitGroup
}

// lockTTL is how long the lock of a process that died hinders others.
const lockTTL = 30 * time.Second

// Waits after an attempt that failed: the first, and the longest.
const (
	firstRetry = time.Minute
	lastRetry  = time.Hour
)

// New makes a Manager, which does nothing before Run.
func New(c Config) *Manager {
	if c.retry == 0 {
		c.retry = firstRetry
	}
	return &Manager{conf: c, storage: &storage{
		store: c.Store, keyring: c.Keyring, log: c.Log, lockTTL: lockTTL, locks: map[string]*lock{},
	}}
}

// Run gets and renews certificates until ctx ends. plain and secured are listeners
// whose challenges are answered by Answer and Challenge, nil where there is none:
// the authority must reach them on its ports, 80 and 443.
func (m *Manager) Run(ctx context.Context, plain, secured net.Addr) error {
	ctx, cancel := context.WithCancel(ctx)
	r := m.start(ctx, plain, secured)
	m.mu.Lock()
	m.running, m.names = r, map[string]context.CancelFunc{}
	wanted := m.wanted
	m.mu.Unlock()
	m.Manage(wanted)
	<-ctx.Done()
	m.mu.Lock()
	m.running, m.names = nil, nil
	m.mu.Unlock()
	cancel()
	r.jobs.Wait()
	r.cache.Stop()
	return ctx.Err()
}

// start sets up the library.
func (m *Manager) start(ctx context.Context, plain, secured net.Addr) *running {
	r, log := &running{ctx: ctx}, zap.New(logCore{m.conf.Log})
	r.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return r.config, nil },
		RenewCheckInterval: m.conf.every, Logger: log,
	})
	r.config = certmagic.New(r.cache, certmagic.Config{
		Storage: m.storage, Logger: log, RenewalWindowRatio: m.conf.left,
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, // ours, for all certificates
		OnEvent: func(_ context.Context, event string, data map[string]any) error {
			if event == "cert_obtained" {
				m.conf.Log.Info("a certificate was issued", "name", data["identifier"], "renewal", data["renewal"])
			}
			return nil
		},
	})
	template := certmagic.ACMEIssuer{
		CA: m.conf.Directory, Email: m.conf.Email, Agreed: true, TrustedRoots: m.conf.Roots, Logger: log,
		DisableHTTPChallenge: m.conf.NoHTTP || plain == nil, DisableTLSALPNChallenge: m.conf.NoTLS || secured == nil,
		// Ports that are taken: the library opens those it finds free.
		AltHTTPPort: portOf(plain), AltTLSALPNPort: portOf(secured), ListenHost: commonHost(plain, secured),
	}
	if template.CA == "" {
		template.CA = certmagic.LetsEncryptProductionCA
	}
	if m.conf.KeyID != "" {
		template.ExternalAccount = &external.EAB{KeyID: m.conf.KeyID, MACKey: m.conf.MACKey}
	}
	r.issuer = certmagic.NewACMEIssuer(r.config, template)
	r.config.Issuers = []certmagic.Issuer{&issuer{r.issuer}}
	return r
}

// issuer is the library's, which asks nobody at a terminal for an email address.
type issuer struct{ *certmagic.ACMEIssuer }

// PreCheck implements certmagic.PreChecker.
func (i *issuer) PreCheck(ctx context.Context, names []string, _ bool) error {
	return i.ACMEIssuer.PreCheck(ctx, names, false)
}

// commonHost is the address that both listen on, "" where it is every one or they
// differ.
func commonHost(a, b net.Addr) string {
	one, _ := a.(*net.TCPAddr)
	two, _ := b.(*net.TCPAddr)
	switch {
	case one == nil && two == nil:
		return ""
	case one == nil:
		one = two
	case two == nil:
		two = one
	}
	if one.IP.IsUnspecified() || !one.IP.Equal(two.IP) {
		return ""
	}
	return one.IP.String()
}

func portOf(a net.Addr) int {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.Port
	}
	return 0
}

// Manage says for which names there are to be certificates, in the place of those
// before. It waits for nothing.
func (m *Manager) Manage(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = names
	if m.running == nil {
		return
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	for name, stop := range m.names {
		if !wanted[name] {
			stop()
			delete(m.names, name)
			m.running.forget(name)
		}
	}
	for _, name := range names {
		if m.names[name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(m.running.ctx)
		m.names[name] = stop
		r := m.running
		r.jobs.Go(func() { m.manage(ctx, r, name) })
	}
}

// manage gets the first certificate for a name. The library then renews it.
func (m *Manager) manage(ctx context.Context, r *running, name string) {
	for wait := m.conf.retry; ; wait = min(2*wait, lastRetry) {
		err := r.config.ManageSync(ctx, []string{name})
		if _, managed := m.get(name); !managed {
			r.forget(name) // it may have come at the last moment
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		m.conf.Log.Error("getting a certificate", "name", name, "err", err, "again_in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// forget ends the renewal of a certificate.
func (r *running) forget(name string) {
	r.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name}})
}

// get answers what is running and whether a name, in lower case, is managed.
func (m *Manager) get(name string) (r *running, managed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running, m.names[name] != nil
}

// Certificate answers the certificate for a name, nil if there is none so far.
func (m *Manager) Certificate(name string) *tls.Certificate {
	r, managed := m.get(name)
	if !managed {
		return nil
	}
	var best *certmagic.Certificate
	for _, c := range r.cache.AllMatchingCertificates(name) {
		if best == nil || c.Leaf.NotAfter.After(best.Leaf.NotAfter) {
			best = &c
		}
	}
	if best == nil {
		return nil
	}
	return &best.Certificate
}

// ChallengePath begins the paths of http-01.
const ChallengePath = "/.well-known/acme-challenge/"

// Answer answers a request of http-01; false if it asks for no pending challenge,
// and nothing was written.
func (m *Manager) Answer(w http.ResponseWriter, req *http.Request) bool {
	host := req.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	r, managed := m.get(strings.ToLower(host))
	return managed && r.issuer.HandleHTTPChallenge(w, req)
}

// errNoChallenge ends a handshake for tls-alpn-01 that nobody waits for.
var errNoChallenge = errors.New("no challenge is pending for this name")

// Challenge answers what a handshake of tls-alpn-01 goes by; nil if it is no such
// handshake.
func (m *Manager) Challenge(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmez.ACMETLS1Protocol {
		return nil, nil
	}
	r, managed := m.get(strings.ToLower(hello.ServerName))
	if !managed {
		return nil, errNoChallenge
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol},
		GetCertificate: r.config.GetCertificate, SessionTicketsDisabled: true,
	}, nil
}
