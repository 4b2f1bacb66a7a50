package invoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/activation"
	"millrace/whisk"
)

// stock is actions that a test can change while calls run.
type stock struct {
	mu      sync.Mutex
	actions map[string]*whisk.Resolved // by path
}

func (s *stock) Resolve(caller *whisk.Identity, n whisk.FullName) (*whisk.Resolved, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Namespace != caller.Namespace && n.Package != "public" {
		return nil, whisk.Forbidden(n.Path())
	}
	if r := s.actions[n.Path()]; r != nil {
		return r, nil
	}
	return nil, whisk.NotFound()
}

func (s *stock) put(a *whisk.Action) *whisk.Action {
	s.reach(a.Path(), &whisk.Resolved{Action: a})
	return a
}

// reach lets an action be reached by a path, such as that of a binding.
func (s *stock) reach(path string, r *whisk.Resolved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actions[path] = r
}

// sequenceOf is a sequence in guest.
func sequenceOf(name string, components ...string) *whisk.Action {
	return &whisk.Action{
		Namespace: "guest", Name: name, Version: "0.0.3", Revision: 1,
		Exec:       whisk.Exec{Kind: whisk.KindSequence, Components: components},
		Parameters: whisk.KeyValues{kv("_actions", "[]")},
		Limits:     whisk.Limits{TimeoutMS: 30000, MemoryMB: 512, LogsMB: 5, Concurrency: 1},
	}
}

// newStock runs an invoker whose actions are guest/name for each function.
func newStock(t *testing.T, funcs functions, change ...func(*Config)) (*house, *stock) {
	t.Helper()
	s := &stock{actions: map[string]*whisk.Resolved{}}
	for name := range funcs {
		s.put(action(name))
	}
	h := newHouse(t, funcs, append(change, func(c *Config) { c.Actions = s })...)
	return h, s
}

// adding answers an action that appends its name to the member "by" of what it
// gets.
func adding(name string) func(json.RawMessage) (json.RawMessage, error) {
	return func(args json.RawMessage) (json.RawMessage, error) {
		var o map[string]any
		if err := json.Unmarshal(args, &o); err != nil {
			return nil, err
		}
		by, _ := o["by"].(string)
		o["by"] = by + name
		return json.Marshal(o)
	}
}

// annotations of a record, those that are times as "number".
func annotations(rec *whisk.Activation) map[string]string {
	got := map[string]string{}
	for _, kv := range rec.Annotations {
		got[kv.Key] = string(kv.Value)
		if kv.Key == "waitTime" || kv.Key == "initTime" {
			got[kv.Key] = "number"
		}
	}
	return got
}

func (h *house) want(rec *whisk.Activation, status whisk.Status, result string) {
	h.t.Helper()
	if rec.Response.Status != status || string(rec.Response.Result) != result {
		h.t.Errorf("%s: %v %s, want %v %s", rec.Name, rec.Response.Status, rec.Response.Result, status, result)
	}
}

func TestSequence(t *testing.T) {
	h, s := newStock(t, functions{"a": adding("a"), "b": adding("b"), "c": adding("c")})
	bound := action("b")
	bound.Namespace, bound.Package = "whisk.system", "tools"
	bound.Limits.MemoryMB = 384
	bound.Parameters = whisk.KeyValues{kv("own", "1"), kv("n", "0")}
	s.reach("guest/mine/b", &whisk.Resolved{Action: bound, Inherited: whisk.KeyValues{kv("package", `"p"`)}, Binding: "guest/mine"})

	c := call(sequenceOf("s", "/guest/a", "/guest/mine/b", "/guest/c"), `{"n":7}`)
	rec := h.invoke(c)
	h.want(rec, whisk.Success, `{"by":"abc","n":7,"own":1,"package":"p"}`)
	if rec.ID != c.ID || rec.Name != "s" || rec.Version != "0.0.3" || rec.Namespace != "guest" || rec.Subject != "guest-subject" || rec.Cause != "" {
		t.Errorf("record: %+v", rec)
	}
	if kept := h.ended("guest", c.ID); kept != rec {
		t.Error("the record in the log is another")
	}
	wantAnnotations := map[string]string{
		"path": `"guest/s"`, "kind": `"sequence"`, "topmost": "true", "waitTime": "number",
		"limits": `{"timeout":30000,"memory":384,"logs":5,"concurrency":1}`,
	}
	if diff := cmp.Diff(wantAnnotations, annotations(rec)); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if len(rec.Logs) != 3 {
		t.Fatalf("logs: %q", rec.Logs)
	}
	var sum, end int64
	for i, id := range rec.Logs {
		part := h.ended("guest", id)
		if part.Cause != c.ID || part.Name != "abc"[i:i+1] || part.Start < rec.Start {
			t.Errorf("component %d: %+v", i, part)
		}
		sum, end = sum+part.Duration, part.End
		want := map[string]string{
			"path": `"guest/` + part.Name + `"`, "kind": `"go:test"`, "timeout": "false", "waitTime": "number", "initTime": "number",
			"limits": `{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`, "causedBy": `"sequence"`,
		}
		if i == 1 {
			want["path"], want["binding"] = `"whisk.system/tools/b"`, `"guest/mine"`
			want["limits"] = `{"timeout":60000,"memory":384,"logs":10,"concurrency":1}`
		}
		if diff := cmp.Diff(want, annotations(part)); diff != "" {
			t.Errorf("component %d (-want +got):\n%s", i, diff)
		}
	}
	if rec.Duration != sum || rec.End != end {
		t.Errorf("duration %d, end %d; of the components %d, %d", rec.Duration, rec.End, sum, end)
	}
	last := h.ended("guest", rec.Logs[2])
	if rec.Response.Size == nil || *rec.Response.Size != *last.Response.Size {
		t.Errorf("size: %v", rec.Response.Size)
	}
}

func TestNestedSequence(t *testing.T) {
	h, s := newStock(t, functions{"a": adding("a"), "b": adding("b")})
	inner := s.put(sequenceOf("inner", "/guest/a", "/guest/b"))
	s.reach("guest/mine/inner", &whisk.Resolved{Action: inner, Binding: "guest/mine"})
	c := call(sequenceOf("outer", "/guest/b", "/guest/mine/inner", "/guest/a"), `{}`)
	rec := h.invoke(c)
	h.want(rec, whisk.Success, `{"by":"baba"}`)
	if len(rec.Logs) != 3 || string(rec.Annotations.Find("topmost")) != "true" {
		t.Fatalf("%q, %s", rec.Logs, rec.Annotations.Find("topmost"))
	}
	nested := h.ended("guest", rec.Logs[1])
	if nested.Name != "inner" || nested.Cause != c.ID || len(nested.Logs) != 2 {
		t.Errorf("%+v", nested)
	}
	want := map[string]string{
		"path": `"guest/inner"`, "kind": `"sequence"`, "topmost": "false", "waitTime": "number", "causedBy": `"sequence"`, "binding": `"guest/mine"`,
		"limits": `{"timeout":30000,"memory":256,"logs":5,"concurrency":1}`,
	}
	if diff := cmp.Diff(want, annotations(nested)); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	for _, id := range nested.Logs {
		if part := h.ended("guest", id); part.Cause != nested.ID {
			t.Errorf("%+v", part)
		}
	}
}

func TestSequenceErrors(t *testing.T) {
	funcs := functions{
		"a": adding("a"), "never": func(json.RawMessage) (json.RawMessage, error) { panic("called") },
		"app": func(json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`{"error":{"code":1},"x":1}`), nil
		},
		"throw": func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("boom") },
	}
	h, s := newStock(t, funcs)
	s.put(sequenceOf("fails", "/guest/a", "/guest/app", "/guest/never"))
	s.put(sequenceOf("itself", "/guest/itself"))
	s.put(sequenceOf("twenty", strings.Fields(strings.Repeat("/guest/a ", 20))...))
	s.put(sequenceOf("foreign", "/guest/a", "/other/x"))
	many := strings.Repeat("a", 50)
	for _, tc := range []struct {
		name, components, payload string
		status                    whisk.Status
		result                    string
		logs                      int
	}{
		{"error in the payload", "/guest/a", `{"error":1}`, whisk.ApplicationError, `{"error":1}`, 1},
		{"application error", "/guest/app /guest/never", `{}`, whisk.ApplicationError, `{"error":{"code":1}}`, 1},
		{"developer error", "/guest/a /guest/throw /guest/never", `{}`, whisk.DeveloperError, `{"error":"An error has occurred: boom"}`, 2},
		{"error of a nested one", "/guest/a /guest/fails /guest/never", `{}`, whisk.ApplicationError, `{"error":{"code":1}}`, 2},
		{"missing", "/guest/a /guest/none /guest/never", `{}`, whisk.ApplicationError, `{"error":"Sequence component does not exist."}`, 1},
		{"no name", "/guest/a /guest", `{}`, whisk.ApplicationError, `{"error":"Sequence component does not exist."}`, 1},
		{"fifty", strings.Repeat("/guest/a ", 50), `{}`, whisk.Success, `{"by":"` + many + `"}`, 50},
		{"fifty-one", strings.Repeat("/guest/a ", 51), `{}`, whisk.ApplicationError, `{"error":"Too many actions in the sequence."}`, 50},
		{"three times twenty", "/guest/twenty /guest/twenty /guest/twenty", `{}`, whisk.ApplicationError, `{"error":"Too many actions in the sequence."}`, 3},
		{"of itself", "/guest/itself", `{}`, whisk.ApplicationError, `{"error":"Too many actions in the sequence."}`, 1},
		{"forbidden inside", "/guest/foreign", `{}`, whisk.ApplicationError,
			`{"error":"The supplied authentication is not authorized to access 'other/x'."}`, 1},
		{"none", "", `{}`, whisk.WhiskError, `{"error":"Sequence failed."}`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h.t = t
			rec := h.invoke(call(sequenceOf("s", strings.Fields(tc.components)...), tc.payload))
			h.want(rec, tc.status, tc.result)
			if len(rec.Logs) != tc.logs {
				t.Errorf("%d calls, want %d", len(rec.Logs), tc.logs)
			}
		})
	}
	h.t = t
	if got := h.v.throttle.of("guest").inFlight.Load(); got != 0 {
		t.Errorf("calls in flight: %d", got)
	}
	if got := h.v.live.n.Load(); got != 0 {
		t.Errorf("calls in progress: %d", got)
	}
}

// What the topmost sequence may not call refuses the call itself.
func TestForbiddenComponents(t *testing.T) {
	h, _ := newStock(t, functions{"a": echo})
	for _, blocking := range []bool{true, false} {
		c := call(sequenceOf("s", "/guest/a", "/other/z", "/other/p/b", "/other/z", "/guest/none"), `{}`)
		c.Blocking = blocking
		_, err := h.v.Invoke(context.Background(), c)
		var refused *whisk.Error
		if !errors.As(err, &refused) || refused.Status != 403 ||
			refused.Msg != "The supplied authentication is not authorized to access 'other/p/b, other/z'." {
			t.Errorf("%v", err)
		}
		if _, err := h.log.Get(context.Background(), "guest", c.ID); err == nil {
			t.Error("there is a record")
		}
	}
	if got := h.v.throttle.of("guest").inFlight.Load() + h.v.live.n.Load(); got != 0 {
		t.Errorf("calls in flight: %d", got)
	}
}

func TestArraysInSequences(t *testing.T) {
	list := func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`[1,2]`), nil }
	h, s := newStock(t, functions{"list": list, "echo": echo})
	with := action("echo")
	with.Package, with.Parameters = "p", whisk.KeyValues{kv("own", "1")}
	s.put(with)
	h.want(h.invoke(call(sequenceOf("s", "/guest/list", "/guest/p/echo"), `{}`)), whisk.Success, `[1,2]`)
}

// A sequence is one call for the rate and one in flight, whatever it calls.
func TestSequenceCountsOnce(t *testing.T) {
	fn, leave := hold()
	h, s := newStock(t, functions{"a": echo, "hold": fn})
	s.put(sequenceOf("inner", "/guest/a", "/guest/hold"))
	c := call(sequenceOf("s", "/guest/a", "/guest/inner"), `{}`)
	c.Caller.Limits = whisk.NamespaceLimits{InvocationsPerMinute: 1000, ConcurrentInvocations: 1}
	if err := h.v.Admit(c.Caller); err != nil {
		t.Fatal(err)
	}
	ended := make(chan *whisk.Activation)
	go func() { ended <- h.invoke(c) }()
	usage := h.v.throttle.of("guest")
	eventually(t, "start", func() bool { h.launcher.mu.Lock(); defer h.launcher.mu.Unlock(); return len(h.launcher.runs) == 3 })
	if got := usage.inFlight.Load(); got != 1 {
		t.Errorf("calls in flight: %d", got)
	}
	second := call(sequenceOf("s", "/guest/a"), `{}`)
	second.Caller = c.Caller
	_, err := h.v.Invoke(context.Background(), second)
	var refused *whisk.Error
	if !errors.As(err, &refused) || refused.Status != 429 {
		t.Errorf("a second one: %v", err)
	}
	close(leave)
	h.want(<-ended, whisk.Success, `{}`)
	if n := usage.calls.Load() & 0xffffffff; n != 1 {
		t.Errorf("%d calls in the minute", n)
	}
	if got := usage.inFlight.Load(); got != 0 {
		t.Errorf("calls in flight afterwards: %d", got)
	}
}

// The records of a sequence and of those within it are visible from the start,
// and it runs on when its caller has gone or its wait is over.
func TestSequenceOutlastsItsWait(t *testing.T) {
	for _, tc := range []struct {
		name string
		warm bool
		wait time.Duration
		gone bool
	}{
		{"wait over, cold", false, time.Millisecond, false},
		{"wait over, warm", true, 30 * time.Millisecond, false},
		{"client gone", false, time.Minute, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fn, leave := hold()
			h, s := newStock(t, functions{"a": adding("a"), "hold": fn, "b": adding("b")})
			s.put(sequenceOf("inner", "/guest/hold", "/guest/a"))
			if tc.warm {
				h.invoke(call(action("a"), `{}`))
			}
			c := call(sequenceOf("s", "/guest/a", "/guest/inner", "/guest/b"), `{"n":1}`)
			c.Wait = tc.wait
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if tc.gone {
				cancel()
			}
			if rec, err := h.v.Invoke(ctx, c); rec != nil || err != nil {
				t.Fatalf("%v, %v", rec, err)
			}
			copy(c.Payload, "#######")
			h.mustBeRunning(c.ID)
			eventually(t, "start of the nested one", func() bool {
				list := must(h.log.List(context.Background(), "guest", activation.Query{Name: "inner"}))
				return len(list) == 1 && list[0].Response.Status == whisk.Running
			})
			close(leave)
			rec := h.ended("guest", c.ID)
			h.want(rec, whisk.Success, `{"by":"aab","n":1}`)
			eventually(t, "no call in flight", func() bool { return h.v.throttle.of("guest").inFlight.Load() == 0 })
		})
	}
}

func TestSequenceStopped(t *testing.T) {
	fn, leave := hold()
	defer close(leave)
	h, s := newStock(t, functions{"hold": fn})
	s.put(sequenceOf("inner", "/guest/hold"))
	c := call(sequenceOf("s", "/guest/inner", "/guest/hold"), `{}`)
	answered := make(chan *whisk.Activation)
	go func() { answered <- h.invoke(c) }()
	eventually(t, "start", func() bool { h.launcher.mu.Lock(); defer h.launcher.mu.Unlock(); return len(h.launcher.runs) == 1 })
	over, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := h.v.Drain(over); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain with a sequence that runs: %v", err)
	}
	h.stop()
	h.want(<-answered, whisk.WhiskError, `{"error":"`+msgStopped+`"}`)
	rec := h.invoke(call(sequenceOf("s", "/guest/hold"), `{}`))
	h.want(rec, whisk.WhiskError, `{"error":"Sequence failed."}`)
}

// A component that does not end in time is given up, and runs on.
func TestLateComponent(t *testing.T) {
	s := &sequence{components: make([]component, 2), at: 1, run: new(int), limit: 50}
	got := s.next(&report{id: "0123", err: errLate})
	want := fmt.Sprintf(`{"error":"Timeout reached when retrieving activation %s for sequence component."}`, "0123")
	if got.target != nil || got.end.Status != whisk.WhiskError || string(got.end.Result) != want {
		t.Errorf("sequence: %+v", got)
	}
	got = (&composition{}).next(&report{id: "0123", err: errLate})
	want = `{"error":"Timeout reached when retrieving activation 0123 during composition."}`
	if got.target != nil || got.end.Status != whisk.WhiskError || string(got.end.Result) != want {
		t.Errorf("composition: %+v", got)
	}
}

// A component is found as it is when its turn comes within a nested sequence.
func TestComponentChanges(t *testing.T) {
	var s *stock
	h, s := newStock(t, functions{"a": adding("a"), "b": adding("b"), "change": func(args json.RawMessage) (json.RawMessage, error) {
		s.put(sequenceOf("inner", "/guest/b"))
		return args, nil
	}})
	s.put(sequenceOf("inner", "/guest/a"))
	s.put(sequenceOf("later", "/guest/inner"))
	h.want(h.invoke(call(sequenceOf("s", "/guest/change", "/guest/later"), `{}`)), whisk.Success, `{"by":"b"}`)
}
