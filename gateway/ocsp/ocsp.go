// Package ocsp keeps what the responders of certificates say about them, so that TLS
// clients are shown it in the handshake (stapling). Responders are asked in the
// background: no handshake waits for one or fails because of one.
package ocsp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Options are what an ssl object says about stapling.
type Options struct {
	// Unverified answers are stapled too: revoked ones, old ones, forged ones.
	Unverified bool
	// TTL is how long an answer is kept before the responder is asked again.
	TTL time.Duration
}

// Bounds of what is asked for.
const (
	maxAnswer = 64 << 10
	askTime   = 10 * time.Second
	// askers is how many responders are asked at a time.
	askers = 8
	// lookEvery is how often it is looked for what is due.
	lookEvery = time.Second
	// firstRetry and lastRetry are the waits after a failure.
	firstRetry, lastRetry = 10 * time.Second, 10 * time.Minute
	// unused answers about certificates that no ssl object has are forgotten.
	unused = time.Hour
)

// Stapler keeps answers while Run runs.
type Stapler struct {
	log    *slog.Logger
	client *http.Client
	wake   chan struct{}

	mu      sync.Mutex
	records map[[sha256.Size]byte]*record // by the certificate
	kept    map[[sha256.Size]byte]bool
}

// record is what is known about a certificate.
type record struct {
	leaf, issuer *x509.Certificate
	options      Options

	answer []byte    // nil if there is none to show
	until  time.Time // when it is worth nothing
	due    time.Time // when the responder is asked
	retry  time.Duration
	asking bool
	used   time.Time
}

// New makes a Stapler, which asks nobody before Run.
func New(log *slog.Logger) *Stapler {
	return &Stapler{
		log: log, wake: make(chan struct{}, 1), records: map[[sha256.Size]byte]*record{},
		client: &http.Client{Timeout: askTime, Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}},
	}
}

// Staple answers what is to be shown with a certificate, nil if there is nothing
// so far. From then on its responder is asked.
func (s *Stapler) Staple(cert *tls.Certificate, o Options) []byte {
	if len(cert.Certificate) == 0 {
		return nil
	}
	now, id := time.Now(), sha256.Sum256(cert.Certificate[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		r = newRecord(cert, s.log)
		s.records[id] = r
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	if r.used = now; r.options != o {
		r.options, r.answer, r.due = o, nil, now
	}
	if now.After(r.until) {
		return nil
	}
	return r.answer
}

// Keep says which certificates there are; others are forgotten when no client has
// been shown them for long.
func (s *Stapler) Keep(certs []tls.Certificate) {
	kept := make(map[[sha256.Size]byte]bool, len(certs))
	for i := range certs {
		kept[sha256.Sum256(certs[i].Certificate[0])] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = kept
}

// newRecord finds out whom to ask. A certificate without responder, or without its
// issuer behind it, has a record that is never due.
func newRecord(cert *tls.Certificate, log *slog.Logger) *record {
	r := &record{leaf: cert.Leaf}
	var err error
	if r.leaf == nil {
		r.leaf, err = x509.ParseCertificate(cert.Certificate[0])
	}
	if err == nil && len(cert.Certificate) > 1 {
		r.issuer, err = x509.ParseCertificate(cert.Certificate[1])
	}
	switch {
	case err != nil:
		log.Error("stapling: reading a certificate", "err", err)
		r.issuer = nil
	case len(r.leaf.OCSPServer) == 0:
		log.Warn("stapling: the certificate names no responder", "serial", r.leaf.SerialNumber)
		r.issuer = nil
	case r.issuer == nil:
		log.Warn("stapling: the certificate of the issuer does not stand behind it", "serial", r.leaf.SerialNumber)
	}
	return r
}

// Run asks responders until ctx ends.
func (s *Stapler) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	slots := make(chan struct{}, askers)
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		for _, r := range s.takeDue() {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			asking.Go(func() {
				defer func() { <-slots }()
				s.refresh(ctx, r)
			})
		}
		tick := t.C
		if s.isEmpty() {
			tick = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
		case <-s.wake:
		}
	}
}

func (s *Stapler) isEmpty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records) == 0
}

// takeDue answers the records whose responders are to be asked, and forgets those
// that nobody needs.
func (s *Stapler) takeDue() (due []*record) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.records {
		switch {
		case !s.kept[id] && now.Sub(r.used) > unused:
			delete(s.records, id)
		case r.issuer != nil && !r.asking && !now.Before(r.due):
			r.asking = true
			due = append(due, r)
		}
	}
	return due
}

// refresh asks once and notes what came of it. An answer that is still good stays
// if no new one has come.
func (s *Stapler) refresh(ctx context.Context, r *record) {
	s.mu.Lock()
	o := r.options
	s.mu.Unlock()
	answer, until, err := s.ask(ctx, r, o)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	r.asking = false
	switch {
	case o != r.options: // it is due again
	case err != nil && ctx.Err() == nil:
		r.retry = min(max(2*r.retry, firstRetry), lastRetry)
		r.due = now.Add(r.retry)
		if errors.Is(err, errBad) {
			r.answer = nil
		}
		s.log.Error("stapling: asking the responder of a certificate", "serial", r.leaf.SerialNumber, "err", err, "again_in", r.retry)
	case err == nil:
		r.answer, r.until, r.retry = answer, until, 0
		r.due = now.Add(min(o.TTL, max(until.Sub(now)/2, firstRetry)))
	}
}

// errBad says that the responder does not vouch for the certificate.
var errBad = errors.New("the certificate is not good")

// ask answers what the responder says and until when that counts.
func (s *Stapler) ask(ctx context.Context, r *record, o Options) (answer []byte, until time.Time, err error) {
	question, err := ocsp.CreateRequest(r.leaf, r.issuer, nil)
	if err != nil {
		return nil, until, fmt.Errorf("making the question: %w", err)
	}
	if answer, err = s.post(ctx, r.leaf.OCSPServer[0], question); err != nil {
		return nil, until, err
	}
	until = time.Now().Add(24 * time.Hour)
	parsed, err := ocsp.ParseResponseForCert(answer, r.leaf, r.issuer)
	switch {
	case o.Unverified:
		return answer, until, nil
	case err != nil:
		return nil, until, fmt.Errorf("reading the answer: %w", err)
	case parsed.Status != ocsp.Good:
		return nil, until, fmt.Errorf("%w: status %d", errBad, parsed.Status)
	}
	if !parsed.NextUpdate.IsZero() {
		until = parsed.NextUpdate
	}
	if now := time.Now(); now.After(until) || now.Add(time.Hour).Before(parsed.ThisUpdate) {
		return nil, until, errors.New("the answer is not of this time")
	}
	return answer, until, nil
}

func (s *Stapler) post(ctx context.Context, url string, question []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Header.Set("Accept", "application/ocsp-response")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	return answer, err
}
