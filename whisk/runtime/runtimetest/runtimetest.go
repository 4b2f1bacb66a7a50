// Package runtimetest holds what tests need around runtime.Launcher: Run, which
// every launcher must pass, and InProcess, a launcher that runs Go functions, for
// tests of what stands above the launchers.
package runtimetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/whisk/runtime"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// Run tests a launcher: every family of kinds that it has and this package has
// actions for. newLauncher answers a fresh one, with answers bounded to 1 MiB,
// and sees to its end.
func Run(t *testing.T, newLauncher func(t *testing.T) runtime.Launcher) {
	l := newLauncher(t)
	t.Run("unknown kind", func(t *testing.T) {
		if i, err := l.Launch(context.Background(), "cobol:85"); err == nil {
			i.Close()
			t.Error("an unknown kind was launched")
		}
	})
	tested := 0
	for _, k := range l.Kinds() {
		if a, ok := families[k.Family]; ok && k.Default {
			tested++
			t.Run(k.Family, func(t *testing.T) {
				t.Parallel()
				suite{l, k.Name, a}.run(t)
			})
		}
	}
	if tested == 0 {
		t.Skip("the launcher has no kind that this test has actions for")
	}
}

// suite is the test of one kind.
type suite struct {
	l       runtime.Launcher
	kind    string
	actions actions
}

func (s suite) run(t *testing.T) {
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"cases", s.cases},
		{"init failures", s.initFailures},
		{"init twice", s.initTwice},
		{"array", s.array},
		{"state is kept", s.stateKept},
		{"exit", s.exit},
		{"deadline", s.deadline},
		{"context", s.contextEnds},
		{"close", s.closed},
		{"large", s.large},
		{"environment", s.environment},
		{"logs", s.logs},
		{"log limit", s.logLimit},
		{"live logs", s.liveLogs},
		{"live logs are the logs", s.liveLogsAreTheLogs},
		{"concurrent", s.concurrent},
	} {
		t.Run(part.name, part.test)
	}
}

// need answers the source of an action, or skips the test.
func (s suite) need(t *testing.T, name string) string {
	t.Helper()
	code, ok := s.actions.sources[name]
	if !ok {
		t.Skipf("kind %s has no %q action", s.kind, name)
	}
	return code
}

// launch answers a stem cell.
func (s suite) launch(t *testing.T) runtime.Instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	i, err := s.l.Launch(ctx, s.kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("closing an instance: %v", err)
		}
	})
	return i
}

// Init answers what an instance is initialised with in these tests.
func Init(code string) *runtime.Init {
	return &runtime.Init{
		Action: "/guest/pkg/test", Version: "0.0.7", Namespace: "guest", Code: []byte(code),
		MemoryMB: 256, Concurrency: 1, LogLimit: 1 << 20, Deadline: time.Now().Add(patience),
	}
}

// Call answers a call with the given arguments.
func Call(args string) *runtime.Run {
	return &runtime.Run{
		ActivationID: "0123456789abcdef0123456789abcdef", TransactionID: "tid_7", Namespace: "caller",
		Action: "/guest/pkg/test", Version: "0.0.7", APIKey: "uuid:secret",
		Deadline: time.Now().Add(patience), Args: json.RawMessage(args),
	}
}

// start answers an instance that has the code of an init.
func (s suite) start(t *testing.T, in *runtime.Init) runtime.Instance {
	t.Helper()
	i := s.launch(t)
	reply, err := i.Init(context.Background(), in)
	if err != nil || !reply.OK {
		t.Fatalf("initialising: %v, %s", err, show(reply))
	}
	return i
}

func (s suite) cases(t *testing.T) {
	for _, c := range s.actions.cases {
		t.Run(c.name, func(t *testing.T) {
			in := Init(c.code)
			in.Main = c.main
			i := s.start(t, in)
			reply, err := i.Run(context.Background(), Call(c.args))
			if err != nil {
				t.Fatalf("%v, %s", err, show(reply))
			}
			if reply.OK == c.fails {
				t.Errorf("OK is %v: %s", reply.OK, show(reply))
			}
			checkJSON(t, reply.Body, c.want)
			if reply.Size != len(reply.Body) || reply.Truncated {
				t.Errorf("Size %d, Truncated %v for a body of %d bytes", reply.Size, reply.Truncated, len(reply.Body))
			}
		})
	}
}

func (s suite) initFailures(t *testing.T) {
	for _, c := range s.actions.broken {
		t.Run(c.name, func(t *testing.T) {
			in := Init(c.code)
			in.Main = c.main
			reply, err := s.launch(t).Init(context.Background(), in)
			if err != nil {
				t.Fatalf("%v, %s", err, show(reply))
			}
			var body struct{ Error string }
			if err := json.Unmarshal(reply.Body, &body); err != nil || reply.OK {
				t.Fatalf("OK %v: %s", reply.OK, show(reply))
			}
			if !strings.HasPrefix(body.Error, c.want) {
				t.Errorf("error is %q, want it to begin with %q", body.Error, c.want)
			}
			if logged := strings.Join(reply.Logs, "\n"); !strings.Contains(logged, c.logs) {
				t.Errorf("logs are %q, want %q in them", logged, c.logs)
			}
		})
	}
}

func (s suite) initTwice(t *testing.T) {
	if s.actions.again == "" {
		t.Skip("this kind does not mind")
	}
	i := s.start(t, Init(s.need(t, "echo")))
	reply, err := i.Init(context.Background(), Init(s.need(t, "echo")))
	if err != nil || reply.OK {
		t.Fatalf("%v, %s", err, show(reply))
	}
	checkJSON(t, reply.Body, s.actions.again)
}

func (s suite) array(t *testing.T) {
	i := s.start(t, Init(s.need(t, "echo")))
	reply, err := i.Run(context.Background(), Call(`[1,{"a":"ü😀"},null]`))
	if err != nil || !reply.OK {
		t.Fatalf("%v, %s", err, show(reply))
	}
	checkJSON(t, reply.Body, `[1,{"a":"ü😀"},null]`)
}

func (s suite) stateKept(t *testing.T) {
	i := s.start(t, Init(s.need(t, "count")))
	for n := 1; n <= 3; n++ {
		reply, err := i.Run(context.Background(), Call(`{}`))
		if err != nil || !reply.OK {
			t.Fatalf("call %d: %v, %s", n, err, show(reply))
		}
		checkJSON(t, reply.Body, fmt.Sprintf(`{"n":%d}`, n))
	}
}

// checkGone waits until an instance says that it is gone, and for calls to fail.
func checkGone(t *testing.T, i runtime.Instance) {
	t.Helper()
	select {
	case <-i.Done():
	case <-time.After(patience):
		t.Fatal("Done is not closed")
	}
	if _, err := i.Run(context.Background(), Call(`{}`)); err == nil {
		t.Error("an instance that is gone has answered a call")
	}
}

func (s suite) exit(t *testing.T) {
	for _, name := range []string{"exit", "exit late", "exit at init"} {
		t.Run(name, func(t *testing.T) {
			i := s.launch(t)
			reply, err := i.Init(context.Background(), Init(s.need(t, name)))
			if err == nil {
				reply, err = i.Run(context.Background(), Call(`{}`))
			}
			if !errors.Is(err, runtime.ErrExited) {
				t.Fatalf("error is %v, want ErrExited; %s", err, show(reply))
			}
			if want := s.actions.lastWords; want != "" && !strings.Contains(strings.Join(reply.Logs, "\n"), want) {
				t.Errorf("logs are %q, want %q in them", reply.Logs, want)
			}
			checkGone(t, i)
		})
	}
}

func (s suite) deadline(t *testing.T) {
	for _, name := range []string{"sleep", "spin"} {
		t.Run(name, func(t *testing.T) {
			i := s.start(t, Init(s.need(t, name)))
			call := Call(`{}`)
			call.Deadline = time.Now().Add(100 * time.Millisecond)
			if reply, err := i.Run(context.Background(), call); !errors.Is(err, runtime.ErrTimeout) {
				t.Fatalf("error is %v, want ErrTimeout; %s", err, show(reply))
			}
			checkGone(t, i)
		})
	}
	t.Run("init", func(t *testing.T) {
		i := s.launch(t)
		in := Init(s.need(t, "spin at init"))
		in.Deadline = time.Now().Add(100 * time.Millisecond)
		if reply, err := i.Init(context.Background(), in); !errors.Is(err, runtime.ErrTimeout) {
			t.Fatalf("error is %v, want ErrTimeout; %s", err, show(reply))
		}
		checkGone(t, i)
	})
}

func (s suite) contextEnds(t *testing.T) {
	i := s.start(t, Init(s.need(t, "sleep")))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if reply, err := i.Run(ctx, Call(`{}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error is %v, want that of the context; %s", err, show(reply))
	}
	checkGone(t, i)
}

func (s suite) closed(t *testing.T) {
	for name, i := range map[string]runtime.Instance{"stem": s.launch(t), "warm": s.start(t, Init(s.need(t, "echo")))} {
		for range 2 {
			if err := i.Close(); err != nil {
				t.Errorf("closing a %s instance: %v", name, err)
			}
		}
		select {
		case <-i.Done():
		default:
			t.Errorf("Close of a %s instance returned before it was gone", name)
		}
	}
}

func (s suite) large(t *testing.T) {
	i := s.start(t, Init(s.need(t, "repeat")))
	for _, n := range []int{1, 1 << 20, 10, 5 << 20, 20} {
		reply, err := i.Run(context.Background(), Call(fmt.Sprintf(`{"n":%d}`, n)))
		if err != nil || !reply.OK {
			t.Fatalf("%v, %s", err, show(reply))
		}
		whole := fmt.Sprintf(`{"s":"%s"}`, strings.Repeat("x", n))
		if reply.Size != len(whole) || reply.Truncated != (len(whole) > 1<<20) {
			t.Errorf("Size %d, Truncated %v for %d bytes", reply.Size, reply.Truncated, len(whole))
		}
		if string(reply.Body) != whole[:min(len(whole), 1<<20)] {
			t.Errorf("a wrong body of %d bytes for %d", len(reply.Body), n)
		}
	}
	big := fmt.Sprintf(`{"n":3,"more":"%s"}`, strings.Repeat("y", 3<<20))
	reply, err := i.Run(context.Background(), Call(big))
	if err != nil || string(reply.Body) != `{"s":"xxx"}` {
		t.Errorf("large arguments: %v, %s", err, show(reply))
	}
}

func (s suite) environment(t *testing.T) {
	in := Init(s.need(t, "environment"))
	in.Env = map[string]string{"COLOUR": `bl"ue`, "__OW_ACTIVATION_ID": "of init"}
	i := s.start(t, in)
	call := Call(`{}`)
	reply, err := i.Run(context.Background(), call)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"COLOUR": `bl"ue`, "__OW_NAMESPACE": "caller", "__OW_ACTION_NAME": "/guest/pkg/test", "__OW_ACTION_VERSION": "0.0.7",
		"__OW_ACTIVATION_ID": call.ActivationID, "__OW_TRANSACTION_ID": "tid_7", "__OW_API_KEY": "uuid:secret",
		"__OW_DEADLINE": fmt.Sprint(call.Deadline.UnixMilli()), "__OW_ALLOW_CONCURRENT": "false",
	}
	got := environment(t, reply)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok && !slices.Contains([]string{"PATH", "HOME", "LANG", "TMPDIR", "NODE_PATH", "LC_CTYPE"}, name) {
			t.Errorf("%s=%q comes from the platform", name, got[name])
		}
	}
	call.APIKey = ""
	if reply, err = i.Run(context.Background(), call); err != nil {
		t.Fatal(err)
	}
	if key, has := environment(t, reply)["__OW_API_KEY"]; has {
		t.Errorf("a call without a key sees %q", key)
	}
}

func environment(t *testing.T, reply *runtime.Reply) map[string]string {
	t.Helper()
	var env map[string]string
	if err := json.Unmarshal(reply.Body, &env); err != nil {
		t.Fatalf("%v: %s", err, show(reply))
	}
	return env
}

func (s suite) concurrent(t *testing.T) {
	in := Init(s.need(t, "meet"))
	in.Concurrency = 8
	i := s.start(t, in)
	var wg sync.WaitGroup
	for n := range 8 { // the action answers when all eight have come
		wg.Go(func() {
			reply, err := i.Run(context.Background(), Call(fmt.Sprintf(`{"n":%d}`, n)))
			if err != nil || string(reply.Body) != fmt.Sprintf(`{"n":%d}`, n) {
				t.Errorf("call %d: %v, %s", n, err, show(reply))
			}
		})
	}
	wg.Wait()
}

// checkJSON compares JSON texts by their values.
func checkJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Errorf("%v: %s", err, got)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func show(r *runtime.Reply) string {
	if r == nil {
		return "no reply"
	}
	return fmt.Sprintf("OK %v, body %.300s, logs %.300q", r.OK, r.Body, r.Logs)
}
