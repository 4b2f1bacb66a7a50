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
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"millrace/whisk"
	"millrace/whisk/runtime"
)

// Kind is the kind of such actions.
const Kind = "builtin"

// MemoryMB is the memory limit of such actions: an instance is a few hundred
// bytes, and the smallest unit is charged for it.
const MemoryMB = 1

// Func carries out one call. in.Args is an object; the answer is one JSON object
// or array. An error becomes the application error {"error":text}: its text is
// for clients. It must return when ctx is done. Several calls may run at once.
type Func func(ctx context.Context, in *runtime.Run) (json.RawMessage, error)

// Launcher holds the functions by name.
type Launcher struct {
	log   *slog.Logger
	funcs map[string]Func
}

// New makes a launcher of functions, which it keeps.
func New(log *slog.Logger, funcs map[string]Func) *Launcher { return &Launcher{log, funcs} }

var _ runtime.Launcher = (*Launcher)(nil)

// Kinds answers the one kind.
func (l *Launcher) Kinds() []runtime.Kind {
	return []runtime.Kind{{Name: Kind, Family: Kind, Default: true, Runs: "millrace itself"}}
}

// Launch answers an instance that has no function yet.
func (l *Launcher) Launch(_ context.Context, kind string) (runtime.Instance, error) {
	if kind != Kind {
		return nil, fmt.Errorf("launching an instance: unknown kind %q", kind)
	}
	i := &instance{launcher: l, done: make(chan struct{})}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	return i, nil
}

type instance struct {
	launcher *Launcher
	run      Func
	ctx      context.Context // done when the instance is closed
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
	if i.ctx.Err() != nil {
		return nil, runtime.ErrExited
	}
	if !whisk.IsObject(in.Args) {
		return failure(errors.New(whisk.MsgPayloadNotObject)), nil
	}
	ctx, cancel := context.WithDeadline(ctx, in.Deadline)
	defer cancel()
	defer context.AfterFunc(i.ctx, cancel)()
	result, err := i.call(ctx, in)
	switch {
	case err == nil:
		return &runtime.Reply{OK: true, Body: result, Size: len(result)}, nil
	case errors.Is(err, runtime.ErrExited), i.ctx.Err() != nil:
		i.Close()
		return nil, runtime.ErrExited
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		i.Close()
		return nil, runtime.ErrTimeout
	case ctx.Err() != nil:
		i.Close()
		return nil, ctx.Err()
	}
	return failure(err), nil
}

// call runs the function. A panic ends the instance, as the crash of a process
// would, and nothing else.
func (i *instance) call(ctx context.Context, in *runtime.Run) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			i.launcher.log.Error("a builtin action panicked", "action", in.Action, "activation", in.ActivationID,
				"panic", p, "stack", string(debug.Stack()))
			err = runtime.ErrExited
		}
	}()
	return i.run(ctx, in)
}

// failure is the reply of a call that returned an application error.
func failure(err error) *runtime.Reply {
	r := refusal(err)
	r.OK = true
	return r
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
