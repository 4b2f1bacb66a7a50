package builtin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"millrace/whisk/runtime"
	"millrace/whisk/runtime/builtin"
)

var functions = map[string]builtin.Func{
	"echo": func(_ context.Context, in *runtime.Run) (json.RawMessage, error) { return in.Args, nil },
	"fail": func(context.Context, *runtime.Run) (json.RawMessage, error) {
		return nil, errors.New(`no such "thing"`)
	},
	"panic": func(context.Context, *runtime.Run) (json.RawMessage, error) { panic("boom") },
	"wait": func(ctx context.Context, _ *runtime.Run) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	},
}

func launch(t *testing.T, function string) runtime.Instance {
	t.Helper()
	l := builtin.New(slog.New(slog.NewTextHandler(io.Discard, nil)), functions)
	i, err := l.Launch(t.Context(), builtin.Kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	reply, err := i.Init(t.Context(), &runtime.Init{Code: []byte(function)})
	if err != nil || !reply.OK {
		t.Fatalf("init: %+v, %v", reply, err)
	}
	return i
}

func call(args string) *runtime.Run {
	return &runtime.Run{Args: json.RawMessage(args), Deadline: time.Now().Add(time.Minute)}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct{ function, args, want string }{
		{"echo", `{"a":[1]}`, `{"a":[1]}`},
		{"echo", `[1]`, `{"error":"JSON object expected"}`},
		{"fail", `{}`, `{"error":"no such \"thing\""}`},
	} {
		reply, err := launch(t, c.function).Run(t.Context(), call(c.args))
		if err != nil {
			t.Errorf("%s %s: %v", c.function, c.args, err)
			continue
		}
		if !reply.OK || string(reply.Body) != c.want || reply.Size != len(c.want) {
			t.Errorf("%s %s: %+v, want %s", c.function, c.args, reply, c.want)
		}
	}
}

func TestUnknown(t *testing.T) {
	l := builtin.New(slog.New(slog.NewTextHandler(io.Discard, nil)), functions)
	if _, err := l.Launch(t.Context(), "nodejs:20"); err == nil {
		t.Error("a foreign kind was launched")
	}
	i, err := l.Launch(t.Context(), builtin.Kind)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	reply, err := i.Init(t.Context(), &runtime.Init{Code: []byte("none")})
	if err != nil || reply.OK || string(reply.Body) != `{"error":"This version of the platform has no function none."}` {
		t.Errorf("init of an unknown function: %+v, %v", reply, err)
	}
}

func TestPanicEndsTheInstanceOnly(t *testing.T) {
	i := launch(t, "panic")
	if _, err := i.Run(t.Context(), call(`{}`)); !errors.Is(err, runtime.ErrExited) {
		t.Errorf("a panic answers %v", err)
	}
	select {
	case <-i.Done():
	default:
		t.Error("the instance goes on")
	}
}

func TestDeadline(t *testing.T) {
	in := call(`{}`)
	in.Deadline = time.Now().Add(10 * time.Millisecond)
	if _, err := launch(t, "wait").Run(t.Context(), in); !errors.Is(err, runtime.ErrTimeout) {
		t.Errorf("past the deadline: %v", err)
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := launch(t, "wait").Run(ctx, call(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
}

func TestClose(t *testing.T) {
	i := launch(t, "wait")
	ended := make(chan error)
	go func() {
		_, err := i.Run(context.Background(), call(`{}`))
		ended <- err
	}()
	i.Close()
	if err := <-ended; !errors.Is(err, runtime.ErrExited) {
		t.Errorf("a call on a closed instance: %v", err)
	}
	i.Close()
	<-i.Done()
}
