package runtimetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"millrace/whisk/runtime"
)

// KindInProcess is the one kind that NewInProcess knows.
const KindInProcess = "go:test"

// InProcess is a small real runtime.Launcher without processes: the code of an
// action is the name of one of its functions.
type InProcess struct {
	funcs map[string]func(json.RawMessage) (json.RawMessage, error)
}

var _ runtime.Launcher = (*InProcess)(nil)

// NewInProcess answers a launcher of kind "go:test". A function gets the call's
// arguments and answers a JSON object or array. Its error is a failed call, as a
// thrown exception is, except that ErrExited, ErrOutOfMemory and ErrTimeout are
// passed on as such and end the instance. A panic ends it as a crash does.
func NewInProcess(funcs map[string]func(args json.RawMessage) (json.RawMessage, error)) *InProcess {
	return &InProcess{funcs: funcs}
}

// Kinds answers the one kind.
func (l *InProcess) Kinds() []runtime.Kind {
	return []runtime.Kind{{
		Name: KindInProcess, Family: "go", Default: true,
		Image: "millrace/action-go-test:nightly", StemCells: 1, Runs: "functions of this process",
	}}
}

// Launch starts an instance, which costs nothing.
func (l *InProcess) Launch(ctx context.Context, kind string) (runtime.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if kind != KindInProcess {
		return nil, fmt.Errorf("launching an instance: unknown kind %q", kind)
	}
	return &inProcess{funcs: l.funcs, done: make(chan struct{})}, nil
}

// inProcess is one instance. A call whose time is up is abandoned, since a
// goroutine cannot be killed: its function ends by itself and is not heard.
type inProcess struct {
	funcs map[string]func(json.RawMessage) (json.RawMessage, error)
	fn    func(json.RawMessage) (json.RawMessage, error)
	once  sync.Once
	done  chan struct{}
}

func (i *inProcess) Init(ctx context.Context, in *runtime.Init) (*runtime.Reply, error) {
	fn := i.funcs[string(in.Code)]
	if fn == nil {
		return failed("Initialization has failed due to: there is no function " + string(in.Code)), nil
	}
	i.fn = fn
	return &runtime.Reply{OK: true, Body: []byte(`{"OK":true}`), Size: 11}, nil
}

func (i *inProcess) Run(ctx context.Context, in *runtime.Run) (*runtime.Reply, error) {
	select {
	case <-i.done:
		return &runtime.Reply{}, runtime.ErrExited
	default:
	}
	if !in.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, in.Deadline, runtime.ErrTimeout)
		defer cancel()
	}
	type outcome struct {
		body json.RawMessage
		err  error
	}
	answered := make(chan outcome, 1)
	go func() {
		o := outcome{err: runtime.ErrExited}
		defer func() {
			if recover() != nil {
				o = outcome{err: runtime.ErrExited}
			}
			answered <- o
		}()
		o.body, o.err = i.fn(in.Args)
	}()
	select {
	case o := <-answered:
		return i.reply(o.body, o.err)
	case <-ctx.Done():
		i.Close()
		return &runtime.Reply{}, context.Cause(ctx)
	case <-i.done:
		return &runtime.Reply{}, runtime.ErrExited
	}
}

// reply tells the failures that end the instance from those of the call.
func (i *inProcess) reply(body json.RawMessage, err error) (*runtime.Reply, error) {
	switch {
	case err == nil:
		return &runtime.Reply{OK: true, Body: body, Size: len(body)}, nil
	case errors.Is(err, runtime.ErrExited), errors.Is(err, runtime.ErrOutOfMemory), errors.Is(err, runtime.ErrTimeout):
		i.Close()
		return &runtime.Reply{}, err
	}
	return failed("An error has occurred: " + err.Error()), nil
}

func (i *inProcess) Done() <-chan struct{} { return i.done }

func (i *inProcess) Close() error {
	i.once.Do(func() { close(i.done) })
	return nil
}

// failed is the reply {"error": text}.
func failed(text string) *runtime.Reply {
	body, err := json.Marshal(map[string]string{"error": text})
	if err != nil {
		panic(err) // a string always encodes
	}
	return &runtime.Reply{Body: body, Size: len(body)}
}
