package request

import (
	"io"
	"net/http"
	"sync"

	"millrace/whisk"
)

// Small is up to where a body or an answer is not measured, in bytes.
const Small = 64 << 10

// Bounds of what clients may have in memory at once, in bytes: bodies that are
// being received and answers that are being sent.
const (
	meterOfOne = 256 << 20
	meterOfAll = 1 << 30
	// meterStep is what is taken at a time while a body grows.
	meterStep = 256 << 10
)

// Meter bounds the memory of bodies and answers, of each namespace and in all, so
// that no number of connections can use up this machine's. nil bounds nothing.
type Meter struct {
	mu  sync.Mutex
	all int64
	of  map[string]int64
}

// NewMeter makes a Meter that has measured nothing yet.
func NewMeter() *Meter { return &Meter{of: map[string]int64{}} }

// Take takes n bytes for a namespace. The error is a *whisk.Error: 429 if it has
// as many as it may have, 503 if all together have.
func (m *Meter) Take(namespace string, n int64) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.of[namespace]+n > meterOfOne:
		return &whisk.Error{Status: http.StatusTooManyRequests, Msg: whisk.MsgTooMuchAtOnce}
	case m.all+n > meterOfAll:
		return &whisk.Error{Status: http.StatusServiceUnavailable, Msg: whisk.MsgBusy}
	}
	m.of[namespace] += n
	m.all += n
	return nil
}

// Give gives back what was taken.
func (m *Meter) Give(namespace string, n int64) {
	if m == nil || n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all -= n
	if m.of[namespace] -= n; m.of[namespace] == 0 {
		delete(m.of, namespace)
	}
}

// Metered has the body of a request measured while it is read, at the expense of a
// namespace, until done is called: when the body is no longer needed, or is held by
// something that is bounded itself.
func (m *Meter) Metered(r *http.Request, namespace string) (done func()) {
	if m == nil || r.ContentLength >= 0 && r.ContentLength <= Small {
		return func() {}
	}
	b := &meteredBody{ReadCloser: r.Body, meter: m, namespace: namespace, free: Small}
	r.Body = b
	return func() { m.Give(namespace, b.taken); b.taken, b.over = 0, true }
}

// meteredBody takes memory as it is read.
type meteredBody struct {
	io.ReadCloser
	meter     *Meter
	namespace string
	taken     int64
	free      int64 // of taken and of what is free, not yet used
	over      bool  // what is read from now on is not kept
}

func (b *meteredBody) Read(p []byte) (int, error) {
	if b.free <= 0 && !b.over {
		if err := b.meter.Take(b.namespace, meterStep); err != nil {
			return 0, err
		}
		b.taken += meterStep
		b.free += meterStep
	}
	n, err := b.ReadCloser.Read(p)
	b.free -= int64(n)
	return n, err
}
