package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/activation"
	"millrace/activation/activationtest"
	activationmem "millrace/activation/mem"
	"millrace/whisk"
	"millrace/whisk/runtime"
)

func TestBlockingCall(t *testing.T) {
	h := newHouse(t, functions{"echo": echo})
	c := call(action("echo"), `{"a":1}`)
	rec := h.invoke(c)
	if got := string(rec.Response.Result); got != `{"a":1}` || rec.Response.Status != whisk.Success {
		t.Errorf("result: %s %v", got, rec.Response.Status)
	}
	if rec.Response.Size == nil || *rec.Response.Size != 7 {
		t.Errorf("size: %v", rec.Response.Size)
	}
	if rec.Namespace != "guest" || rec.Subject != "guest-subject" || rec.Name != "echo" || rec.Version != "0.0.1" || rec.ID != c.ID {
		t.Errorf("record: %+v", rec)
	}
	kept, err := h.log.Get(context.Background(), "guest", c.ID)
	if err != nil || kept != rec {
		t.Errorf("kept record: %v, %v", kept, err)
	}
}

func TestAnnotations(t *testing.T) {
	h := newHouse(t, functions{"echo": echo})
	two := 2
	limited := action("echo")
	limited.Package, limited.Limits.Instances = "tools", &two
	bound := call(limited, `{}`)
	bound.Binding, bound.Cause = "guest/mine", NewID()
	plain := call(action("echo"), `{}`)

	cold, warm := h.invoke(plain), h.invoke(call(action("echo"), `{}`))
	for _, tc := range []struct {
		name string
		rec  *whisk.Activation
		want map[string]string
	}{
		{"cold", cold, map[string]string{
			"path": `"guest/echo"`, "kind": `"go:test"`, "limits": `{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`,
			"timeout": `false`, "waitTime": "number", "initTime": "number",
		}},
		{"warm", warm, map[string]string{
			"path": `"guest/echo"`, "kind": `"go:test"`, "limits": `{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`,
			"timeout": `false`, "waitTime": "number",
		}},
		{"bound component", h.invoke(bound), map[string]string{
			"path": `"guest/tools/echo"`, "kind": `"go:test"`,
			"limits":  `{"timeout":60000,"memory":256,"logs":10,"concurrency":1,"instances":2}`,
			"timeout": `false`, "waitTime": "number", "initTime": "number", "causedBy": `"sequence"`, "binding": `"guest/mine"`,
		}},
	} {
		got := map[string]string{}
		for _, kv := range tc.rec.Annotations {
			got[kv.Key] = string(kv.Value)
			if kv.Key == "waitTime" || kv.Key == "initTime" {
				got[kv.Key] = "number"
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if tc.rec.End < tc.rec.Start {
			t.Errorf("%s: end %d before start %d", tc.name, tc.rec.End, tc.rec.Start)
		}
	}
}

// The record of a call can be read from its start on.
func TestRecordWhileRunning(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := newHouse(t, functions{"hold": func(json.RawMessage) (json.RawMessage, error) {
		close(entered)
		<-leave
		return json.RawMessage(`{}`), nil
	}})
	c := call(action("hold"), "")
	go func() { h.v.Invoke(context.Background(), c) }()
	<-entered
	rec, err := h.log.Get(context.Background(), "guest", c.ID)
	if err != nil || rec.Response.Status != whisk.Running || rec.End != 0 {
		t.Errorf("while it runs: %+v, %v", rec, err)
	}
	close(leave)
	if rec := h.ended("guest", c.ID); rec.Response.Status != whisk.Success || rec.End == 0 {
		t.Errorf("afterwards: %+v", rec)
	}
}

func TestWhatTheActionIsTold(t *testing.T) {
	h := newHouse(t, functions{"echo": echo}, func(c *Config) { c.APIHost = "http://127.0.0.1:3233" })
	secretive, open := action("echo"), action("echo")
	secretive.Revision, secretive.Annotations = 2, whisk.KeyValues{{Key: "provide-api-key", Value: json.RawMessage("false")}}
	open.Revision, open.Package = 3, "p"
	open.Parameters = whisk.KeyValues{{Key: "GREETING", Value: json.RawMessage(`{ "a": 1 }`), Init: true}, {Key: "b", Value: json.RawMessage("2")}}
	h.invoke(call(secretive, ""))
	h.invoke(call(open, ""))

	in, run := h.launcher.inits[0], h.launcher.runs[0]
	if _, ok := in.Env["__OW_API_KEY"]; ok || run.APIKey != "" {
		t.Error("an action with provide-api-key false got the key")
	}
	in, run = h.launcher.inits[1], h.launcher.runs[1]
	if run.APIKey != "uuid-guest:secret-guest" {
		t.Errorf("key of an action without the annotation: %q", run.APIKey)
	}
	want := map[string]string{
		"__OW_NAMESPACE": "guest", "__OW_ACTION_NAME": "/guest/p/echo", "__OW_ACTION_VERSION": "0.0.1",
		"__OW_ACTIVATION_ID": run.ActivationID, "__OW_TRANSACTION_ID": "tid", "__OW_API_KEY": "uuid-guest:secret-guest",
		"__OW_API_HOST": "http://127.0.0.1:3233", "__OW_ALLOW_CONCURRENT": "false", "GREETING": `{"a":1}`,
		"__OW_DEADLINE": in.Env["__OW_DEADLINE"],
	}
	if diff := cmp.Diff(want, in.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if string(run.Args) != `{"b":2}` || run.Action != "/guest/p/echo" || run.Namespace != "guest" {
		t.Errorf("run: %+v, arguments %s", run, run.Args)
	}
	if in.LogLimit != 10<<20 || in.MemoryMB != 256 || in.Concurrency != 1 || in.CodeID != open.Exec.Digest {
		t.Errorf("init: %+v", in)
	}
}

// hold is an action that runs until the test lets it go.
func hold() (fn func(json.RawMessage) (json.RawMessage, error), leave chan struct{}) {
	leave = make(chan struct{})
	return func(args json.RawMessage) (json.RawMessage, error) {
		<-leave
		return args, nil
	}, leave
}

func TestWaitIsOver(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	one := 1
	a := action("hold")
	a.Limits.Instances = &one // the later ones wait in the queue
	var calls []*Call
	for _, tc := range []struct {
		name string
		ctx  context.Context
		wait time.Duration
	}{
		{"running, wait over", context.Background(), time.Millisecond},
		{"queued, wait over", context.Background(), time.Millisecond},
		{"queued, client gone", gone, time.Minute},
	} {
		c := call(a, `{"mine":true}`)
		c.Wait = tc.wait
		if rec, err := h.v.Invoke(tc.ctx, c); rec != nil || err != nil {
			t.Errorf("%s: %v, %v", tc.name, rec, err)
		}
		h.mustBeRunning(c.ID)
		copy(c.Payload, "#############") // the caller may use it again
		calls = append(calls, c)
	}
	if got := h.v.throttle.of("guest").inFlight.Load(); got != 3 {
		t.Errorf("calls in flight: %d", got)
	}
	close(leave)
	for _, c := range calls {
		if rec := h.ended("guest", c.ID); string(rec.Response.Result) != `{"mine":true}` {
			t.Errorf("result: %s", rec.Response.Result)
		}
	}
	eventually(t, "no call in flight", func() bool { return h.v.throttle.of("guest").inFlight.Load() == 0 })
}

func TestClientGoneWhileRunning(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	ctx, cancel := context.WithCancel(context.Background())
	c := call(action("hold"), `{}`)
	answered := make(chan *whisk.Activation)
	go func() {
		rec, _ := h.v.Invoke(ctx, c)
		answered <- rec
	}()
	eventually(t, "start", func() bool { return h.initCount() == 1 })
	cancel()
	if rec := <-answered; rec != nil {
		t.Errorf("answer: %v", rec)
	}
	close(leave)
	if rec := h.ended("guest", c.ID); rec.Response.Status != whisk.Success {
		t.Errorf("record: %+v", rec)
	}
}

func TestTimeout(t *testing.T) {
	fn, leave := hold()
	defer close(leave)
	h := newHouse(t, functions{"hold": fn})
	a := action("hold")
	a.Limits.TimeoutMS = 100
	rec := h.invoke(call(a, ""))
	if string(rec.Response.Result) != `{"error":"The action exceeded its time limits of 100 milliseconds."}` ||
		rec.Response.Status != whisk.DeveloperError || string(rec.Annotations.Find("timeout")) != "true" {
		t.Errorf("%+v", rec)
	}
}

func TestInstancesAfterErrors(t *testing.T) {
	h := newHouse(t, functions{
		"ok":    echo,
		"app":   func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{"error":"mine"}`), nil },
		"throw": func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("boom") },
		"exit":  func(json.RawMessage) (json.RawMessage, error) { return nil, runtime.ErrExited },
	})
	for _, tc := range []struct {
		name   string
		status whisk.Status
		inits  int
	}{
		{"ok", whisk.Success, 1}, {"app", whisk.ApplicationError, 1}, {"throw", whisk.DeveloperError, 2}, {"exit", whisk.DeveloperError, 2},
	} {
		before := h.initCount()
		for range 2 {
			if rec := h.invoke(call(action(tc.name), `{}`)); rec.Response.Status != tc.status {
				t.Errorf("%s: %v", tc.name, rec.Response.Status)
			}
		}
		if got := h.initCount() - before; got != tc.inits {
			t.Errorf("%s: %d inits for two calls, want %d", tc.name, got, tc.inits)
		}
	}
}

// An instance that died while idle does not cost the caller its call.
func TestDeadOnArrival(t *testing.T) {
	h := newHouse(t, functions{"echo": echo})
	kill := map[string]func(*watched){
		"known to be dead": func(w *watched) { w.Instance.Close() },
		"found dead":       func(w *watched) { w.unreached.Store(true) },
	}
	for name, how := range kill {
		t.Run(name, func(t *testing.T) {
			h.invoke(call(action("echo"), `{}`))
			before := h.initCount()
			h.launcher.mu.Lock()
			for _, w := range h.launcher.instances {
				if w.inited.Load() {
					how(w)
				}
			}
			h.launcher.mu.Unlock()
			if rec := h.invoke(call(action("echo"), `{}`)); rec.Response.Status != whisk.Success {
				t.Errorf("%s", rec.Response.Result)
			}
			if got := h.initCount() - before; got != 1 {
				t.Errorf("%d new instances, want 1", got)
			}
		})
	}
}

func TestRefusedCalls(t *testing.T) {
	limits := whisk.DefaultSystemLimits()
	h := newHouse(t, functions{"echo": echo}, func(c *Config) { c.Limits = &limits })
	huge, strange, lost := action("echo"), action("echo"), action("echo")
	huge.Limits.MemoryMB = 1024
	strange.Exec.Kind = "cobol:1"
	lost.Exec.Digest = "0000"
	for _, tc := range []struct {
		name   string
		a      *whisk.Action
		status whisk.Status
		result string
	}{
		{"above the system limit", huge, whisk.ApplicationError, `{"error":"Action limit exceeded the system limit."}`},
		{"no launcher", strange, whisk.WhiskError, `{"error":"Failed to provision resources to run the action."}`},
		{"code deleted", lost, whisk.ApplicationError, `{"error":"Action could not be found or may have been deleted."}`},
	} {
		c := call(tc.a, `{}`)
		rec := h.invoke(c)
		if rec.Response.Status != tc.status || string(rec.Response.Result) != tc.result {
			t.Errorf("%s: %v %s", tc.name, rec.Response.Status, rec.Response.Result)
		}
		if kept := h.ended("guest", c.ID); kept != rec {
			t.Errorf("%s: not in the log", tc.name)
		}
	}
}

func TestNonBlockingCall(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	c := call(action("hold"), `{"a":1}`)
	c.Blocking = false
	if rec, err := h.v.Invoke(context.Background(), c); rec != nil || err != nil {
		t.Fatalf("%v, %v", rec, err)
	}
	h.mustBeRunning(c.ID)
	copy(c.Payload, "#######")
	pending := func() []activation.Accepted {
		list, err := activationtest.Pending(context.Background(), h.log)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	eventually(t, "start", func() bool { l := pending(); return len(l) == 1 && l[0].Started && l[0].ID == c.ID })
	close(leave)
	if rec := h.ended("guest", c.ID); string(rec.Response.Result) != `{"a":1}` {
		t.Errorf("%s", rec.Response.Result)
	}
	if l := pending(); len(l) != 0 {
		t.Errorf("still pending: %v", l)
	}
}

// crashed is a log as a crash leaves it: what the dead process writes is lost.
type crashed struct {
	activation.Log
	dead bool
}

func (l *crashed) Finish(id string, rec *whisk.Activation) error {
	if l.dead {
		return nil
	}
	return l.Log.Finish(id, rec)
}

func TestRecoveryOfAcceptedCalls(t *testing.T) {
	fn, leave := hold()
	funcs := functions{"hold": fn, "echo": echo}
	log := activationmem.New()
	first := &crashed{Log: log, dead: true}
	h := newHouse(t, funcs, func(c *Config) { c.Activations = first })
	one := 1
	a := action("hold")
	a.Limits.Instances = &one
	a.Parameters = whisk.KeyValues{{Key: "p", Value: json.RawMessage("1")}}
	var ids []string
	for i := range 3 {
		c := call(a, `{"a":1}`)
		c.Blocking = false
		if _, err := h.v.Invoke(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
		if i == 0 {
			eventually(t, "start", func() bool { return h.initCount() == 1 })
		}
	}
	for _, p := range must(activationtest.Pending(context.Background(), log)) {
		if bytes.Contains(p.Call, []byte("secret-guest")) {
			t.Error("the secret is in the log")
		}
	}
	h.stop()
	close(leave)

	again := newHouse(t, funcs, func(c *Config) {
		c.Activations = log
		c.Owner = func(ns string) *whisk.Identity {
			id := anyone(ns)
			id.UUID, id.Secret = "new-uuid", "new-secret"
			return id
		}
	})
	rec := again.ended("guest", ids[0])
	if rec.Response.Status != whisk.WhiskError || string(rec.Response.Result) != `{"error":"`+msgInterrupted+`"}` || rec.Name != "hold" {
		t.Errorf("the started one: %v %s", rec.Response.Status, rec.Response.Result)
	}
	for _, id := range ids[1:] {
		if rec := again.ended("guest", id); string(rec.Response.Result) != `{"p":1,"a":1}` {
			t.Errorf("one not started: %s", rec.Response.Result)
		}
	}
	if key := again.launcher.runs[0].APIKey; key != "new-uuid:new-secret" {
		t.Errorf("key after the restart: %q", key)
	}
	if l := must(activationtest.Pending(context.Background(), log)); len(l) != 0 {
		t.Errorf("still pending: %d", len(l))
	}
}

func TestDamagedAcceptedCalls(t *testing.T) {
	log := activationmem.New()
	for i, data := range [][]byte{nil, {0x80}, {200, 1, '{'}, []byte("\x02{}"), []byte("\x02{]")} {
		if err := log.Apply(context.Background(), activation.Change{Accept: []activation.Accepted{{ID: string(rune('a' + i)), Namespace: "guest", Call: data}}}); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t, nil, func(c *Config) { c.Activations = log })
	for i := range 5 {
		if rec := h.ended("guest", string(rune('a'+i))); rec.Response.Status != whisk.WhiskError {
			t.Errorf("%d: %v", i, rec.Response.Status)
		}
	}
}

func TestDrain(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	c := call(action("hold"), "")
	c.Blocking = false
	if _, err := h.v.Invoke(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := h.v.Drain(over); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain with a call that runs: %v", err)
	}
	drained := make(chan error)
	go func() { drained <- h.v.Drain(context.Background()) }()
	close(leave)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if rec := h.ended("guest", c.ID); rec.Response.Status != whisk.Success {
		t.Errorf("%+v", rec)
	}
}

// Run's end ends what runs, records it, and refuses what comes later.
func TestStop(t *testing.T) {
	fn, leave := hold()
	defer close(leave)
	h := newHouse(t, functions{"hold": fn})
	c := call(action("hold"), "")
	answered := make(chan *whisk.Activation)
	go func() {
		rec, _ := h.v.Invoke(context.Background(), c)
		answered <- rec
	}()
	eventually(t, "start", func() bool { h.launcher.mu.Lock(); defer h.launcher.mu.Unlock(); return len(h.launcher.runs) == 1 })
	h.stop()
	if rec := <-answered; rec == nil || rec.Response.Status != whisk.WhiskError || string(rec.Response.Result) != `{"error":"`+msgStopped+`"}` {
		t.Errorf("%+v", rec)
	}
	_, err := h.v.Invoke(context.Background(), call(action("hold"), ""))
	var refused *whisk.Error
	if !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("afterwards: %v", err)
	}
	for _, w := range h.launcher.instances {
		select {
		case <-w.Done():
		default:
			t.Error("an instance is left")
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
