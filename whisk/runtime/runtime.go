// Package runtime says how action code lives: a Launcher starts instances, an
// Instance is initialised with one action and then serves calls.
//
// Implementations: process, which passes runtimetest.Run, and builtin, whose actions
// are functions of the platform.
package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Errors of Init and Run that say the instance is gone or of no more use. All
// other failures of an action are a Reply with OK false.
var (
	// ErrExited: the process ended, or closed its wire, without an answer.
	ErrExited = errors.New("runtime: instance exited")
	// ErrUnreached is an ErrExited of Run that says that the call certainly did
	// not reach the action: it may be run again on another instance.
	ErrUnreached = fmt.Errorf("%w before it took the call", ErrExited)
	// ErrOutOfMemory: it was killed for using more than its memory limit.
	ErrOutOfMemory = errors.New("runtime: instance ran out of memory")
	// ErrTimeout: the deadline passed; the instance has been killed.
	ErrTimeout = errors.New("runtime: time limit exceeded")
)

// Kind describes a kind that a launcher can run.
type Kind struct {
	Name    string // concrete: nodejs:20
	Family  string // nodejs
	Default bool   // what family:default means
	Image   string // what GET / shows: openwhisk/action-nodejs-v20:nightly
	// RequireMain: an action of this kind must name its entry point.
	RequireMain bool
	// StemCells is how many uninitialised instances are worth keeping ready.
	StemCells int
	// Runs is what it is mapped to here, such as "node v20.20.2".
	Runs string
}

// Launcher starts instances of the kinds it knows.
type Launcher interface {
	// Kinds answers what this launcher can run here, found once at start.
	Kinds() []Kind
	// Launch starts an instance of a kind that holds no user code yet (a stem
	// cell). It returns when the instance can take Init.
	Launch(ctx context.Context, kind string) (Instance, error)
}

// Instance is one process, container or module. Init is called once, before any
// Run; Run may be called several at once, up to Init.Concurrency.
type Instance interface {
	// Init gives it its action. A Reply with OK false is the action's fault and
	// makes the instance useless; so does any error. What a successful Init logs
	// comes with the first call.
	Init(ctx context.Context, in *Init) (*Reply, error)
	// Run carries out one call. The deadline of in kills the instance
	// (ErrTimeout); ctx ending does so too and answers ctx.Err(). With an error of
	// Init or Run that ended the instance there is a Reply too, with the Logs
	// written before; it may be nil after any other error.
	Run(ctx context.Context, in *Run) (*Reply, error)
	// Done is closed when the instance has gone, for whatever reason.
	Done() <-chan struct{}
	// Close kills the instance with all its descendants and frees what it held.
	// It returns when they are gone, and may be called more than once.
	Close() error
}

// Init is what an instance is initialised with.
type Init struct {
	// Action is the provider's full path with a leading slash: /guest/pkg/hello.
	Action, Version, Namespace string
	Main                       string // empty: the runtime's default
	// Code is the source text, or with Binary the decoded archive or
	// executable. CodeID is stable for the same code (its digest), so that what
	// was unpacked once can be used again.
	Code   []byte
	CodeID string
	Binary bool
	// Env holds init parameters as text, and __OW_* names of this call.
	Env         map[string]string
	MemoryMB    int
	Concurrency int
	// LogLimit in bytes bounds what one call may log; 0 collects nothing.
	LogLimit int
	// Lines gets what is logged as it is written, as Run.Lines does; may be nil.
	Lines    Lines
	Deadline time.Time
}

// Run is one call.
type Run struct {
	ActivationID, TransactionID string
	Namespace                   string // the invoking namespace
	Action, Version             string
	APIKey                      string // uuid:secret, or empty if the action gets none
	Deadline                    time.Time
	// Args is a JSON object or array, checked by the caller.
	Args json.RawMessage
	// Lines gets each line that the call logs as it is written, those of a
	// successful Init before them: what it gets are the first of Reply.Logs, in
	// their order. Nil: nobody does. An instance that serves several calls at once
	// gives it nothing, since nobody knows whose a line is.
	Lines Lines
}

// Lines is where the lines of a call that runs go.
type Lines interface {
	// Line gets a line as it will stand in Reply.Logs. It must return at once.
	Line(line string)
}

// Reply is what an instance answered.
type Reply struct {
	// OK: init went well, or the call returned. Otherwise Body is an object
	// {"error":…} or any text that says why.
	OK   bool
	Body []byte
	// Truncated: Body was larger than allowed and holds its beginning; Size is
	// its whole length in bytes in any case.
	Truncated bool
	Size      int
	// Logs are the lines written during this call, formatted as
	// spec/openwhisk.md §3.6 shows, cut at the log limit with its message.
	Logs []string
}
