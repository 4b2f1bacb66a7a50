package lua

import (
	"context"
	"errors"
	"runtime/metrics"
	"time"
)

var (
	errInstructions = errors.New("too many instructions")
	errMemory       = errors.New("too much memory")
	errTime         = errors.New("too much time")
)

// over is a channel that is closed.
var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// After how many instructions the clock and the memory are looked at. One instruction
// may call what works on a string of the longest kind.
const (
	clockEvery  = 64
	memoryEvery = 256
	// chargeEvery is after how many bytes that libraries have made both are looked at.
	chargeEvery = 1 << 20
)

// budget is what a call may use up. The virtual machine asks Done before each
// instruction, which makes this context a counter.
type budget struct {
	left   int
	err    error
	heap   uint64    // the process's when it was first looked at; 0 before
	until  time.Time // likewise from then on
	made   int       // bytes that libraries have made since the last look
	large  bool      // the process has grown by more than keptGrowth
	sample [1]metrics.Sample
}

var _ context.Context = (*budget)(nil)

func (b *budget) begin() { *b = budget{left: Instructions, sample: b.sample} }

// Done counts an instruction.
func (b *budget) Done() <-chan struct{} {
	b.left--
	if b.left%clockEvery == 0 {
		b.check()
	}
	if b.err != nil {
		return over
	}
	return nil
}

func (b *budget) check() {
	if b.left <= 0 {
		b.err = errInstructions
		return
	}
	b.lookAtClock()
	if b.left%memoryEvery == 0 {
		b.lookAtMemory()
	}
}

func (b *budget) lookAtClock() {
	if now := time.Now(); b.until.IsZero() {
		b.until = now.Add(maxTime)
	} else if now.After(b.until) {
		b.err = errTime
	}
}

func (b *budget) lookAtMemory() {
	b.sample[0].Name = "/memory/classes/heap/objects:bytes"
	metrics.Read(b.sample[:])
	heap := b.sample[0].Value.Uint64()
	if b.heap == 0 {
		b.heap = heap
	}
	b.large = b.large || heap > b.heap+keptGrowth
	if heap > b.heap+maxGrowth {
		b.err = errMemory
	}
}

// Charge counts bytes that a library is about to make for the call under way, so that
// few instructions cannot make many.
func (s *State) Charge(n int) {
	b := s.budget
	if b.made += n; b.made < chargeEvery {
		return
	}
	b.made = 0
	b.lookAtClock()
	b.lookAtMemory()
	if b.err != nil {
		s.RaiseError("%s", b.err.Error())
	}
}

// Idle gives the call under way the time that it spends on waiting for something
// else.
func (s *State) Idle(d time.Duration) {
	if !s.budget.until.IsZero() {
		s.budget.until = s.budget.until.Add(d)
	}
}

// Err implements context.Context.
func (b *budget) Err() error { return b.err }

// Deadline implements context.Context.
func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (b *budget) Value(any) any { return nil }
