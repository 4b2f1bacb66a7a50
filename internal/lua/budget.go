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
)

// over is a channel that is closed.
var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// sampleEvery is after how many instructions the memory is looked at.
const sampleEvery = 256

// budget is what a call may use up. The virtual machine asks Done before each
// instruction, which makes this context a counter.
type budget struct {
	left   int
	err    error
	heap   uint64 // the process's when it was first looked at; 0 before
	sample [1]metrics.Sample
}

var _ context.Context = (*budget)(nil)

func (b *budget) begin() { b.left, b.err, b.heap = Instructions, nil, 0 }

// Done counts an instruction.
func (b *budget) Done() <-chan struct{} {
	b.left--
	if b.left%sampleEvery == 0 {
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
	b.sample[0].Name = "/memory/classes/heap/objects:bytes"
	metrics.Read(b.sample[:])
	heap := b.sample[0].Value.Uint64()
	if b.heap == 0 {
		b.heap = heap
	}
	if heap > b.heap+maxGrowth {
		b.err = errMemory
	}
}

// Err implements context.Context.
func (b *budget) Err() error { return b.err }

// Deadline implements context.Context.
func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (b *budget) Value(any) any { return nil }
