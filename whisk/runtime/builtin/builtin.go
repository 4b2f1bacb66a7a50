// Package builtin runs actions that are part of the platform, such as the feeds
// and the API management of whisk.system: Go functions behind the runtime
// interface, so that calls of them are throttled, recorded and answered like any.
//
// Only the platform itself makes actions of this kind; clients cannot, since the
// manifest does not list it. Their code is the name of the function.
package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"millrace/whisk"
	"millrace/whisk/runtime"
)

// Kind is the kind of such actions.
const Kind = "builtin"

// Func carries out one call. in.Args is an object; the answer is one JSON object
// or array. An error becomes the application error {"error":text}: its text is
// for clients. It must return when ctx is done.
type Func func(ctx context.Context, in *runtime.Run) (json.RawMessage, error)

// Launcher holds the functions by name.
type Launcher struct{ funcs map[string]Func }

// New makes a launcher.
func New(funcs map[string]Func) *Launcher { return &Launcher{funcs} }

var _ runtime.Launcher = (*Launcher)(nil)

// Kinds answers the one kind.
func (l *Launcher) Kinds() []runtime.Kind {
	return []runtime.Kind{{Name: Kind, Family: Kind, Default: true, Runs: "millrace itself"}}
}

// Launch answers an instance that has no function yet.
func (l *Launcher) Launch(context.Context, string) (runtime.Instance, error) {
	i := &instance{launcher: l, done: make(chan struct{})}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	return i, nil
}

type instance struct {
	launcher *Launcher
	run      Func
	ctx      context.Context
	cancel   context.CancelFunc
	once     sync.Once
	done     chan struct{}
}

func (i *instance) Init(_ context.Context, in *runtime.Init) (*runtime.Reply, error) {
	if i.run = i.launcher.funcs[string(in.Code)]; i.run == nil {
		return refusal(errors.New("This version of the platform has no function " + string(in.Code) + ".")), nil
	}
	return &runtime.Reply{OK: true}, nil
}

func (i *instance) Run(ctx context.Context, in *runtime.Run) (*runtime.Reply, error) {
	ctx, cancel := context.WithDeadline(ctx, in.Deadline)
	defer cancel()
	defer context.AfterFunc(i.ctx, cancel)()
	result, err := i.run(ctx, in)
	switch {
	case i.ctx.Err() != nil:
		return nil, runtime.ErrExited
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, runtime.ErrTimeout
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return &runtime.Reply{OK: true, Body: refusal(err).Body, Size: len(refusal(err).Body)}, nil
	}
	return &runtime.Reply{OK: true, Body: result, Size: len(result)}, nil
}

func refusal(err error) *runtime.Reply {
	b := append(whisk.AppendString([]byte(`{"error":`), err.Error()), '}')
	return &runtime.Reply{Body: b, Size: len(b)}
}

func (i *instance) Done() <-chan struct{} { return i.done }

func (i *instance) Close() error {
	i.once.Do(func() {
		i.cancel()
		close(i.done)
	})
	return nil
}
