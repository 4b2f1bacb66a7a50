package activation

import (
	"context"

	"millrace/whisk"
)

// Change is what Apply does in one write.
type Change struct {
	// Accept queues calls. One with the id of a call that is queued takes its
	// place and has not started; the record that says it runs goes.
	Accept []Accepted
	// Records are put.
	Records []*whisk.Activation
	// Forget names accepted calls that have ended.
	Forget []string
	// Bury keeps dead letters, Exhume takes some out.
	Bury   []Letter
	Exhume []LetterKey
}

// LetterKey is where a dead letter is found.
type LetterKey struct{ Namespace, ID string }

// Letter is a call that was given up: it has ended, and what it was is kept so
// that it can be accepted again.
type Letter struct {
	LetterKey
	At int64 // when it was given up, ms since 1970
	// About is what a list shows of it, Call what the invoker needs to run it
	// again, both in the invoker's encoding.
	About, Call []byte
	// Size is the length of Call; it is set by the log.
	Size int64
}

// Queue is the durable queue of a Log beside what every call needs.
type Queue interface {
	// Apply makes a change, all of it or nothing: when it returns, it survives
	// kill -9. ErrNotFound: a letter to take out is not there.
	Apply(ctx context.Context, c Change) error
	// EachPending calls fn with the calls accepted and not finished, oldest first,
	// until fn answers an error, which it then answers.
	EachPending(ctx context.Context, fn func(Accepted) error) error
	// Call answers one accepted call, or ErrNotFound.
	Call(ctx context.Context, id string) (Accepted, error)

	// Letters calls fn with the dead letters of a namespace without their Call,
	// newest first, until fn answers false; those of all namespaces, one
	// namespace after another, if it is empty.
	Letters(ctx context.Context, namespace string, fn func(*Letter) bool) error
	// Letter answers a whole dead letter, or ErrNotFound.
	Letter(ctx context.Context, key LetterKey) (*Letter, error)
}
