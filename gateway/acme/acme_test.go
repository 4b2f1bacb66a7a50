package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/gateway/acme/acmetest"
	"millrace/internal/fieldcrypt"
	"millrace/store"
	"millrace/store/mem"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"))
}

// deadline is how long a test waits for what must happen.
const deadline = 90 * time.Second

// site is two listeners that answer challenges by the manager of the moment.
type site struct {
	t              *testing.T
	plain, secured net.Listener
	manager        chan *Manager // holds the one
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, manager: make(chan *Manager, 1)}
	for _, ln := range []*net.Listener{&s.plain, &s.secured} {
		var err error
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	plain := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.now().Answer(w, r) {
			http.NotFound(w, r)
		}
	})}
	secured := &http.Server{
		Handler: http.NotFoundHandler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		TLSConfig: &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if c, err := s.now().Challenge(hello); c != nil || err != nil {
				return c, err
			}
			if c := s.now().Certificate(hello.ServerName); c != nil {
				return &tls.Config{Certificates: []tls.Certificate{*c}}, nil
			}
			return nil, errors.New("no certificate")
		}},
	}
	go plain.Serve(s.plain)
	go secured.ServeTLS(s.secured, "", "")
	t.Cleanup(func() { plain.Close(); secured.Close() })
	return s
}

func (s *site) now() *Manager {
	m := <-s.manager
	s.manager <- m
	return m
}

// run runs a manager until stop.
func (s *site) run(m *Manager) (stop func()) {
	select {
	case <-s.manager:
	default:
	}
	s.manager <- m
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, s.plain.Addr(), s.secured.Addr()) }()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			s.t.Errorf("Run: %v", err)
		}
	}
}

// shown is the certificate that clients see; nil if there is none.
func (s *site) shown(name string, roots *x509.CertPool) *x509.Certificate {
	conn, err := tls.Dial("tcp", s.secured.Addr().String(), &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func (s *site) await(name string, roots *x509.CertPool, want func(*x509.Certificate) bool) *x509.Certificate {
	s.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(20 * time.Millisecond) {
		if c := s.shown(name, roots); c != nil && (want == nil || want(c)) {
			return c
		}
		if time.Now().After(end) {
			s.t.Fatalf("no such certificate for %s", name)
		}
	}
}

func (s *site) ports() (int, int) {
	return s.plain.Addr().(*net.TCPAddr).Port, s.secured.Addr().(*net.TCPAddr).Port
}

func config(t *testing.T, kept store.Store, a *acmetest.Authority) Config {
	ring, err := fieldcrypt.New([]string{"0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Store: kept, Keyring: ring,
		Directory: a.Directory, Roots: a.Roots, Email: "ops@example.com", retry: 100 * time.Millisecond,
	}
}

func TestChallenges(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
	}{
		{"http-01", func(c *Config) { c.NoTLS = true }},
		{"tls-alpn-01", func(c *Config) { c.NoHTTP = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			http, tls := s.ports()
			a := acmetest.Start(t, "127.0.0.1", http, tls)
			kept := mem.New()
			defer kept.Close()
			conf := config(t, kept, a)
			tt.change(&conf)
			m := New(conf)
			stop := s.run(m)
			m.Manage([]string{"one.test", "two.test"})
			roots := a.Issued(t)
			first := s.await("one.test", roots, nil)
			s.await("two.test", roots, nil)
			if s.shown("three.test", roots) != nil {
				t.Error("a certificate for a name that nobody asked for")
			}
			m.Manage([]string{"two.test"})
			if s.shown("one.test", roots) != nil {
				t.Error("a certificate for a name that is gone")
			}
			stop()
			checkSealed(t, kept)

			// Another process with the same store has it without asking again.
			m = New(conf)
			m.Manage([]string{"one.test"})
			stop = s.run(m)
			defer stop()
			again := s.await("one.test", roots, nil)
			if again.SerialNumber.Cmp(first.SerialNumber) != 0 {
				t.Error("another certificate after a new start")
			}
		})
	}
}

// checkSealed fails if a private key stands in the store in the clear.
func checkSealed(t *testing.T, kept store.Store) {
	t.Helper()
	entries, _, err := kept.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, e := range entries {
		if strings.Contains(e.Key, "/locks/") {
			t.Errorf("a lock was left: %s", e.Key)
		}
		if !isPrivate(strings.TrimPrefix(e.Key, prefix)) {
			continue
		}
		keys++
		f, err := (&storage{store: kept}).Load(t.Context(), strings.TrimPrefix(e.Key, prefix))
		if err != nil || bytes.Contains(f, []byte("PRIVATE")) {
			t.Errorf("%s stands in the clear: %v", e.Key, err)
		}
	}
	if keys < 3 { // of the account and both certificates
		t.Errorf("%d keys in the store", keys)
	}
}

func TestRenewal(t *testing.T) {
	s := newSite(t)
	http, tls := s.ports()
	a := acmetest.Start(t, "127.0.0.1", http, tls)
	kept := mem.New()
	defer kept.Close()
	conf := config(t, kept, a)
	conf.every, conf.left = 50*time.Millisecond, 0.9999999 // at once
	m := New(conf)
	m.Manage([]string{"one.test"})
	stop := s.run(m)
	defer stop()
	roots := a.Issued(t)
	first := s.await("one.test", roots, nil)
	s.await("one.test", roots, func(c *x509.Certificate) bool { return c.SerialNumber.Cmp(first.SerialNumber) != 0 })
}

// An authority that cannot reach the challenges is asked again, and disturbs nobody.
func TestAuthorityFails(t *testing.T) {
	s := newSite(t)
	a := acmetest.Start(t, "127.0.0.1", 1, 1)
	kept := mem.New()
	defer kept.Close()
	conf := config(t, kept, a)
	var logs lines
	conf.Log = slog.New(slog.NewTextHandler(&logs, nil))
	m := New(conf)
	m.Manage([]string{"one.test"})
	stop := s.run(m)
	for end := time.Now().Add(deadline); logs.count("getting a certificate") < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not tried again")
		}
	}
	if s.shown("one.test", nil) != nil {
		t.Error("a certificate")
	}
	stop()
}

// A path of http-01 that nobody waits for is left to the routes.
func TestNoChallengePending(t *testing.T) {
	s := newSite(t)
	kept := mem.New()
	defer kept.Close()
	m := New(Config{Log: slog.New(slog.DiscardHandler), Store: kept, Directory: "https://127.0.0.1:1/"})
	stop := s.run(m)
	defer stop()
	for _, name := range []string{"one.test", "other.test"} {
		req, _ := http.NewRequest("GET", "http://"+s.plain.Addr().String()+ChallengePath+"token", nil)
		req.Host = name
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 404 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
