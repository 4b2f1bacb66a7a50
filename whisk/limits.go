package whisk

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Range bounds one limit of an action, both ends allowed, and says what an
// action gets that does not name it.
type Range struct{ Min, Default, Max int }

// SystemLimits bound what every action and every request may ask for. Units
// stand in the names; sizes without one are bytes.
type SystemLimits struct {
	// Namespace is for identities that bring no limits of their own.
	Namespace NamespaceLimits

	TimeoutMS   Range
	MemoryMB    Range
	LogsMB      Range
	Concurrency Range

	// Exec bounds an action's code, Parameters its parameters and likewise its
	// annotations, Payload the body of an invocation.
	Exec, Parameters, Payload int64
	// SequenceLength is how many actions a sequence may have.
	SequenceLength int
	// BlockingWait is how long a blocking call and a web action wait at most.
	BlockingWait time.Duration
}

// DefaultSystemLimits are OpenWhisk's, except that one machine of its own allows
// a namespace 60,000 invocations a minute and 1,000 at once (OpenWhisk: 60 and
// 30). An instance serves one call at a time unless the platform's configuration
// allows actions to ask for more.
func DefaultSystemLimits() SystemLimits {
	return SystemLimits{
		Namespace:      NamespaceLimits{InvocationsPerMinute: 60_000, ConcurrentInvocations: 1_000, FiresPerMinute: 60_000},
		TimeoutMS:      Range{Min: 100, Default: 60_000, Max: 300_000},
		MemoryMB:       Range{Min: 128, Default: 256, Max: 512},
		LogsMB:         Range{Min: 0, Default: 10, Max: 10},
		Concurrency:    Range{Min: 1, Default: 1, Max: 1},
		Exec:           48 << 20,
		Parameters:     1 << 20,
		Payload:        1 << 20,
		SequenceLength: 50,
		BlockingWait:   time.Minute,
	}
}

// Defaults are the limits of an action that names none.
func (s *SystemLimits) Defaults() Limits {
	return Limits{
		TimeoutMS: s.TimeoutMS.Default, MemoryMB: s.MemoryMB.Default,
		LogsMB: s.LogsMB.Default, Concurrency: s.Concurrency.Default,
	}
}

// Check answers nil or the 400 that names the first limit out of range.
// instances is how many instances the namespace may have at once.
func (s *SystemLimits) Check(l Limits, instances int) error {
	for _, c := range []struct {
		value      int
		allowed    Range
		what, unit string
	}{
		{l.TimeoutMS, s.TimeoutMS, "duration", " milliseconds"},
		{l.MemoryMB, s.MemoryMB, "memory size", " MB"},
		{l.LogsMB, s.LogsMB, "log size", " MB"},
		{l.Concurrency, s.Concurrency, "concurrency", ""},
	} {
		switch {
		case c.value > c.allowed.Max:
			return &Error{Status: http.StatusBadRequest, Msg: msgAboveLimit(c.what, c.unit, c.value, c.allowed.Max)}
		case c.value < c.allowed.Min:
			return &Error{Status: http.StatusBadRequest, Msg: msgBelowLimit(c.what, c.unit, c.value, c.allowed.Min)}
		}
	}
	if l.Instances == nil {
		return nil
	}
	if *l.Instances < 0 {
		return &Error{Status: http.StatusBadRequest, Msg: msgNegativeInstances}
	}
	if *l.Instances > instances {
		return &Error{Status: http.StatusBadRequest, Msg: msgTooManyInstances(instances)}
	}
	return nil
}

// LimitsPatch is the limits object of a PUT body: nil is what was not given.
type LimitsPatch struct {
	TimeoutMS, MemoryMB, LogsMB, Concurrency, Instances *int
}

// Over answers l with what the patch names replaced.
func (p LimitsPatch) Over(l Limits) Limits {
	for _, f := range []struct {
		to   *int
		from *int
	}{
		{&l.TimeoutMS, p.TimeoutMS}, {&l.MemoryMB, p.MemoryMB},
		{&l.LogsMB, p.LogsMB}, {&l.Concurrency, p.Concurrency},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if p.Instances != nil {
		l.Instances = p.Instances
	}
	return l
}

// ParseLimits reads the limits object of a PUT body. Errors are for clients.
func ParseLimits(raw json.RawMessage) (LimitsPatch, error) {
	var p LimitsPatch
	fields, err := object(raw)
	if err != nil {
		return p, errors.New("limits malformed")
	}
	for _, f := range []struct {
		key, label string
		to         **int
	}{
		{"timeout", "time", &p.TimeoutMS},
		{"memory", "memory", &p.MemoryMB},
		{"logs", "log", &p.LogsMB},
		{"concurrency", "concurrency", &p.Concurrency},
		{"instances", "instances", &p.Instances},
	} {
		if *f.to, err = wholeNumber(fields[f.key], f.label); err != nil {
			return p, err
		}
	}
	return p, nil
}

// wholeNumber reads a JSON number without a fraction; absent and null are nil.
func wholeNumber(raw json.RawMessage, label string) (*int, error) {
	raw = bytes.TrimSpace(raw)
	if isNull(raw) {
		return nil, nil
	}
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return nil, errors.New(label + " limit malformed")
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return nil, errors.New(label + " limit must be whole number")
	}
	n := int(f)
	return &n, nil
}
