// Package calmlog keeps a fault that every request meets from flooding the log:
// of records with the same message about the same thing only a few are passed on
// in a second, and the next one says how many were not.
package calmlog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// PerSecond is how many records of a kind are passed on in a second.
const PerSecond = 5

// maxKinds bounds what is remembered. When it is reached, all is forgotten.
const maxKinds = 1024

// New makes a logger that writes to log. Records are of one kind if they have the
// same message and the same value of the attribute about; "" leaves the message.
// Attributes given by With belong to no kind.
func New(log *slog.Logger, about string) *slog.Logger {
	return slog.New(&handler{Handler: log.Handler(), about: about, seen: &seen{kinds: map[kind]*count{}, now: time.Now}})
}

type handler struct {
	slog.Handler
	about string
	seen  *seen
}

type kind struct{ message, about string }

// count is how often a kind was seen in one second.
type count struct {
	second             int64
	passed, suppressed int
}

type seen struct {
	mu    sync.Mutex
	kinds map[kind]*count
	now   func() time.Time
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	k := kind{message: r.Message}
	if h.about != "" {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == h.about {
				k.about = a.Value.String()
			}
			return k.about == ""
		})
	}
	pass, suppressed := h.seen.admit(k)
	if !pass {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.Handler.Handle(ctx, r)
}

// admit says whether a record of a kind is passed on, and how many were not since
// the last one that was.
func (s *seen) admit(k kind) (pass bool, suppressed int) {
	second := s.now().Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.kinds[k]
	if c == nil {
		if len(s.kinds) >= maxKinds {
			clear(s.kinds)
		}
		c = &count{}
		s.kinds[k] = c
	}
	if c.second != second {
		c.second, c.passed = second, 0
	}
	if c.passed == PerSecond {
		c.suppressed++
		return false, 0
	}
	c.passed++
	suppressed, c.suppressed = c.suppressed, 0
	return true, suppressed
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.about, h.seen}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.about, h.seen}
}
