// Package activation says what keeps activation records and the durable queue
// of accepted calls.
//
// A record is visible from the moment its call starts, before anything is on
// disk; the reply to a caller never waits for the disk. Only what changes the
// queue (Apply, Started) is synced before it returns.
//
// Implementations: mem (nothing kept), disk (Pebble). All pass
// activationtest.Run.
package activation

import (
	"context"
	"errors"
	"time"

	"millrace/whisk"
)

// Errors of every implementation; test them with errors.Is.
var (
	// ErrNotFound: the namespace has no activation with this id.
	ErrNotFound = errors.New("activation: not found")
	// ErrClosed: the log has been closed.
	ErrClosed = errors.New("activation: log closed")
)

// Query selects records of one namespace, newest start first.
type Query struct {
	// Name keeps records of one action: "name" those whose Name it is and that
	// are in the default package (and triggers, sequences), "pkg/name" those of
	// a packaged or bound action (by their path or binding annotation). Empty
	// keeps all.
	Name string
	// Since and Upto bound Start, inclusively, in milliseconds since 1970; 0 is no bound.
	Since, Upto int64
	// Skip passes over so many newest matches; Limit ends the list (0: no limit).
	Skip, Limit int
	// Ended leaves out calls that have not ended.
	Ended bool
	// Brief lets records come without their logs and results, which may be
	// megabytes each.
	Brief bool
}

// Retention bounds the records that a namespace keeps. 0 is no bound.
type Retention struct {
	// MaxAge counts from the start of the call. It is rounded to minutes.
	MaxAge time.Duration
	// MaxBytes is about what the records may take on disk. The oldest go first,
	// by whole minutes.
	MaxBytes int64
}

// Log keeps records and accepted calls. All methods may be called from several
// goroutines.
type Log interface {
	// Put makes a record visible under its namespace and id, in place of an
	// earlier one with the same id. It returns at once; the engine writes later.
	// The record must not be changed afterwards: put a new one. Records with
	// status Running live in memory only, and a call that has ended does not run
	// again: ids are not used twice.
	Put(rec *whisk.Activation)
	// Get answers one record, or ErrNotFound.
	Get(ctx context.Context, namespace, id string) (*whisk.Activation, error)
	// List answers the records that q selects.
	List(ctx context.Context, namespace string, q Query) ([]*whisk.Activation, error)
	// Count answers how many records q selects, its Limit ignored and its Skip
	// subtracted (never below 0).
	Count(ctx context.Context, namespace string, q Query) (int, error)

	// Started notes that the call began to run: after a crash EachPending answers it
	// with Started set and it must not run a second time.
	Started(id string) error
	// Finish puts the record and forgets the accepted call in one step.
	Finish(id string, rec *whisk.Activation) error

	// Expire removes, for each namespace, the records that keep does not let stay
	// at this time, and answers how many those were. Running calls, and records
	// of the minute that runs, stay in any case. It works in small steps: nobody
	// waits for it for more than a few milliseconds.
	Expire(ctx context.Context, now time.Time, keep func(namespace string) Retention) (int, error)

	Queue

	// Sync returns when all that was put before is on disk.
	Sync(ctx context.Context) error
	// Close writes what is waiting and releases the engine.
	Close() error
}

// Accepted is a call that was answered with 202 and has not ended.
type Accepted struct {
	// ID is the activation id, Namespace the invoking namespace.
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	// Call is what the invoker needs to run it, in its own encoding.
	Call    []byte `json:"call"`
	Started bool   `json:"started,omitempty"`
}
