// Package watermark is a number that grows and that others wait for: how far a follower
// of the store has come.
package watermark

import (
	"context"
	"sync"
)

// Mark is a watermark. Several goroutines may use it.
type Mark struct {
	mu      sync.Mutex
	at      int64
	changed chan struct{} // closed when at grows
}

// New makes a Mark that stands at a number.
func New(at int64) *Mark { return &Mark{at: at, changed: make(chan struct{})} }

// At is where the mark stands.
func (m *Mark) At() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// Raise brings the mark to a number, if it does not stand there already.
func (m *Mark) Raise(to int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to <= m.at {
		return
	}
	m.at = to
	close(m.changed)
	m.changed = make(chan struct{})
}

// Lower brings the mark down to a number, if it stands above: what is counted has
// begun anew.
func (m *Mark) Lower(to int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = min(m.at, to)
}

// Wait returns when the mark stands at a number or above, or with ctx's error.
func (m *Mark) Wait(ctx context.Context, number int64) error {
	for {
		m.mu.Lock()
		reached, changed := m.at >= number, m.changed
		m.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
