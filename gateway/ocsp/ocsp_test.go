package ocsp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ocsp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 30 * time.Second

// responder is a real OCSP responder with the authority that it answers for.
type responder struct {
	*httptest.Server
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	say   atomic.Pointer[ocsp.Response] // what it says about any certificate; nil: nothing
	asked atomic.Int64
}

func newResponder(t *testing.T) *responder {
	t.Helper()
	r := &responder{}
	r.key, r.cert = newCert(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "authority"}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}, nil, nil)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func newCert(t *testing.T, template, parent *x509.Certificate, signer crypto.Signer) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<60))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func (r *responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.asked.Add(1)
	body, _ := io.ReadAll(req.Body)
	question, err := ocsp.ParseRequest(body)
	say := r.say.Load()
	if err != nil || say == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	answer := *say
	answer.SerialNumber = question.SerialNumber
	der, err := ocsp.CreateResponse(r.cert, r.cert, answer, r.key)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Write(der)
}

// issue makes a certificate with its issuer behind it.
func (r *responder) issue(t *testing.T, url string) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{DNSNames: []string{"o.com"}}
	if url != "" {
		template.OCSPServer = []string{url}
	}
	key, cert := newCert(t, template, r.cert, r.key)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw, r.cert.Raw}, PrivateKey: key, Leaf: cert}
}

func says(status int, since, until time.Duration) *ocsp.Response {
	now := time.Now()
	return &ocsp.Response{Status: status, ThisUpdate: now.Add(since), NextUpdate: now.Add(until)}
}

func run(t *testing.T) *Stapler {
	t.Helper()
	s := New(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// await waits until the responder has been asked, and the answer been noted.
func (s *Stapler) settled(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		settled := true
		for _, r := range s.records {
			settled = settled && (r.issuer == nil || !r.asking && r.due.After(time.Now()))
		}
		s.mu.Unlock()
		if settled {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the responder is not asked")
		}
	}
}

func TestStaple(t *testing.T) {
	for _, tt := range []struct {
		name    string
		say     *ocsp.Response
		options Options
		stapled bool
	}{
		{"good", says(ocsp.Good, -time.Minute, time.Hour), Options{}, true},
		{"good, without end", &ocsp.Response{Status: ocsp.Good, ThisUpdate: time.Now().Add(-time.Minute)}, Options{}, true},
		{"revoked", says(ocsp.Revoked, -time.Minute, time.Hour), Options{}, false},
		{"unknown", says(ocsp.Unknown, -time.Minute, time.Hour), Options{}, false},
		{"old", says(ocsp.Good, -2*time.Hour, -time.Hour), Options{}, false},
		{"of the future", says(ocsp.Good, 2*time.Hour, 3*time.Hour), Options{}, false},
		{"no answer", nil, Options{}, false},
		{"revoked, not verified", says(ocsp.Revoked, -time.Minute, time.Hour), Options{Unverified: true}, true},
		{"old, not verified", says(ocsp.Good, -2*time.Hour, -time.Hour), Options{Unverified: true}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, s := newResponder(t), run(t)
			r.say.Store(tt.say)
			cert := r.issue(t, r.URL)
			tt.options.TTL = time.Hour
			if s.Staple(cert, tt.options) != nil {
				t.Error("an answer before the responder was asked")
			}
			s.settled(t)
			staple := s.Staple(cert, tt.options)
			if (staple != nil) != tt.stapled {
				t.Fatalf("stapled: %v", staple != nil)
			}
			if staple == nil {
				return
			}
			parsed, err := ocsp.ParseResponse(staple, r.cert)
			if err != nil || parsed.Status != tt.say.Status || parsed.SerialNumber.Cmp(cert.Leaf.SerialNumber) != 0 {
				t.Errorf("%+v, %v", parsed, err)
			}
			if r.asked.Load() != 1 {
				t.Errorf("asked %d times", r.asked.Load())
			}
		})
	}
}

// What is signed by another is not believed.
func TestForged(t *testing.T) {
	r, forger, s := newResponder(t), newResponder(t), run(t)
	forger.say.Store(says(ocsp.Good, -time.Minute, time.Hour))
	cert := r.issue(t, forger.URL)
	s.Staple(cert, Options{TTL: time.Hour})
	s.settled(t)
	if s.Staple(cert, Options{TTL: time.Hour}) != nil {
		t.Error("a forged answer is stapled")
	}
}

func TestNobodyToAsk(t *testing.T) {
	r, s := newResponder(t), run(t)
	alone := r.issue(t, r.URL)
	alone.Certificate = alone.Certificate[:1]
	for _, cert := range []*tls.Certificate{alone, r.issue(t, ""), {}} {
		if s.Staple(cert, Options{TTL: time.Hour}) != nil {
			t.Error("stapled")
		}
	}
	s.settled(t)
	if r.asked.Load() != 0 {
		t.Error("somebody was asked")
	}
}

// An answer is asked for anew after its TTL, and what was good before stays while
// the responder is away.
func TestRefresh(t *testing.T) {
	r, s := newResponder(t), run(t)
	r.say.Store(says(ocsp.Good, -time.Minute, time.Hour))
	cert, o := r.issue(t, r.URL), Options{TTL: time.Millisecond}
	s.Staple(cert, o)
	for end := time.Now().Add(deadline); r.asked.Load() < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not asked again")
		}
	}
	r.say.Store(nil)
	asked := r.asked.Load()
	for end := time.Now().Add(deadline); r.asked.Load() < asked+2; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		for _, rec := range s.records {
			rec.due = time.Now() // not to wait
		}
		s.mu.Unlock()
		if time.Now().After(end) {
			t.Fatal("it is not asked again after a failure")
		}
	}
	if s.Staple(cert, o) == nil {
		t.Error("a good answer was dropped because the responder is away")
	}
}

func TestForgets(t *testing.T) {
	r, s := newResponder(t), New(slog.New(slog.DiscardHandler))
	kept, gone := r.issue(t, r.URL), r.issue(t, r.URL)
	s.Staple(kept, Options{TTL: time.Hour})
	s.Staple(gone, Options{TTL: time.Hour})
	s.Keep([]tls.Certificate{*kept})
	for _, rec := range s.records {
		rec.used = time.Now().Add(-2 * unused)
	}
	if due := s.takeDue(); len(due) != 1 || due[0].leaf != kept.Leaf || len(s.records) != 1 {
		t.Errorf("%d due, %d records", len(due), len(s.records))
	}
}
