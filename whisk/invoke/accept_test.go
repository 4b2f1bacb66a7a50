package invoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/activation"
	"millrace/activation/activationtest"
	activationmem "millrace/activation/mem"
	"millrace/whisk"
)

// accepted makes a call that is not blocking.
func (h *house) accepted(c *Call) string {
	h.t.Helper()
	c.Blocking = false
	if rec, err := h.v.Invoke(context.Background(), c); rec != nil || err != nil {
		h.t.Fatalf("%v, %v", rec, err)
	}
	return c.ID
}

// annotated is an action with annotations.
func annotated(name string, annotations ...whisk.KeyValue) *whisk.Action {
	a := action(name)
	a.Annotations = annotations
	return a
}

func (h *house) state(id string) string {
	rec, err := h.log.Get(context.Background(), "guest", id)
	if err != nil {
		rec, err = h.v.Queued(context.Background(), "guest", id)
	}
	if err != nil {
		return err.Error()
	}
	if s := rec.State(); s != "" {
		return s
	}
	return rec.Response.Status.String()
}

// One that waits for its turn is queued, then running.
func TestStates(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	a := action("hold")
	one := 1
	a.Limits.Instances = &one
	first := h.accepted(call(a, `{}`))
	eventually(t, "the first to run", func() bool { return h.state(first) == "running" })
	second := h.accepted(call(a, `{}`))
	if got := h.state(second); got != "queued" {
		t.Errorf("the second is %s", got)
	}
	close(leave)
	h.ended("guest", second)
	if got := h.state(second); got != "success" {
		t.Errorf("the second is %s", got)
	}
}

// What memory has no room for waits in the log, in its order, and comes later.
func TestParkedCalls(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	h.v.backlog.bounds.heldCallsOfOne = 2
	var ids []string
	for range 20 {
		ids = append(ids, h.accepted(call(action("hold"), `{"a":1}`)))
	}
	eventually(t, "two to run", func() bool { return h.state(ids[0]) == "running" && h.state(ids[1]) == "running" })
	for _, id := range ids[2:] {
		if _, err := h.log.Get(context.Background(), "guest", id); err == nil {
			t.Errorf("%s is in memory", id)
		}
		if got := h.state(id); got != "queued" {
			t.Errorf("%s is %s", id, got)
		}
	}
	if _, err := h.v.Queued(context.Background(), "stranger", ids[5]); err == nil {
		t.Error("a stranger sees a queued call")
	}
	close(leave)
	for _, id := range ids {
		if rec := h.ended("guest", id); string(rec.Response.Result) != `{"a":1}` {
			t.Errorf("%s", rec.Response.Result)
		}
	}
	eventually(t, "the backlog to be empty", func() bool {
		h.v.backlog.mu.Lock()
		defer h.v.backlog.mu.Unlock()
		return h.v.backlog.total == load{} && h.v.backlog.held == load{} && len(h.v.backlog.lines) == 0
	})
	eventually(t, "nothing to be in flight", func() bool { return h.v.throttle.of("guest").inFlight.Load() == 0 })
}

// Too much that waits is refused, all calls of a firing or none.
func TestFullQueue(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	defer close(leave)
	h.v.backlog.bounds.queuedOfOne, h.v.backlog.bounds.queued = 3, 4
	accept := func(namespace string, n int) int {
		var calls []*Call
		for range n {
			c := call(action("hold"), `{}`)
			c.Caller = anyone(namespace)
			calls = append(calls, c)
		}
		err := h.v.AcceptAll(context.Background(), calls)
		if err == nil {
			return 202
		}
		var refused *whisk.Error
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		return refused.Status
	}
	for _, tc := range []struct {
		namespace string
		n, want   int
	}{{"guest", 2, 202}, {"guest", 2, 429}, {"guest", 1, 202}, {"other", 2, 503}, {"other", 1, 202}} {
		if got := accept(tc.namespace, tc.n); got != tc.want {
			t.Errorf("%d of %s: %d, want %d", tc.n, tc.namespace, got, tc.want)
		}
	}
}

// A namespace with much in the backlog does not keep others waiting.
func TestBacklogTakesTurns(t *testing.T) {
	var mu sync.Mutex
	var order []string
	h := newHouse(t, functions{"note": func(args json.RawMessage) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, string(args))
		return args, nil
	}})
	h.v.backlog.bounds.heldCalls = 1
	h.v.backlog.pause(true)
	var calls []*Call
	for n, ns := range []string{"a", "a", "a", "a", "b", "c"} {
		c := call(action("note"), fmt.Sprintf(`{"%s":%d}`, ns, n))
		c.Caller = anyone(ns)
		calls = append(calls, c)
	}
	if err := h.v.AcceptAll(context.Background(), calls); err != nil {
		t.Fatal(err)
	}
	h.v.backlog.pause(false)
	for _, c := range calls {
		h.ended(c.Caller.Namespace, c.ID)
	}
	if got, want := strings.Join(order, " "), `{"a":0} {"b":4} {"c":5} {"a":1} {"a":2} {"a":3}`; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

// flaky fails so often, then succeeds.
func flaky(times int) func(json.RawMessage) (json.RawMessage, error) {
	var mu sync.Mutex
	return func(args json.RawMessage) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		if times--; times >= 0 {
			return nil, errors.New("not yet")
		}
		return args, nil
	}
}

const quickly = `"backoff":"10ms","max-backoff":"20ms"`

func TestRetries(t *testing.T) {
	for _, tc := range []struct {
		name, retries   string
		failures        int
		status          whisk.Status
		attempts, calls int
		dead            bool
	}{
		{"succeeds at last", `{"max":3,` + quickly + `}`, 2, whisk.Success, 3, 3, false},
		{"fails for good", `{"max":2,` + quickly + `}`, 9, whisk.DeveloperError, 3, 3, true},
		{"not for this end", `{"max":2,"on":["whisk","application"]}`, 9, whisk.DeveloperError, 1, 1, true},
		{"none", `0`, 9, whisk.DeveloperError, 0, 1, false},
		{"malformed", `"many"`, 9, whisk.DeveloperError, 0, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHouse(t, functions{"flaky": flaky(tc.failures)})
			id := h.accepted(call(annotated("flaky", kv("retries", tc.retries)), `{"a":1}`))
			rec := h.ended("guest", id)
			attempt := ""
			if tc.attempts > 0 {
				attempt = fmt.Sprint(tc.attempts)
			}
			if rec.Response.Status != tc.status || string(rec.Annotations.Find("attempt")) != attempt {
				t.Errorf("the call's record: %v, attempt %s", rec.Response.Status, rec.Annotations.Find("attempt"))
			}
			all, err := h.log.List(context.Background(), "guest", activation.Query{})
			if err != nil || len(all) != tc.calls {
				t.Fatalf("%d records (%v)", len(all), err)
			}
			for _, other := range all {
				if other.ID != id && (other.Cause != id || other.Response.Status == whisk.Success) {
					t.Errorf("attempt: %+v", other)
				}
			}
			for _, run := range h.launcher.runs {
				if run.ActivationID != id || string(run.Args) != `{"a":1}` {
					t.Errorf("attempt with id %s, arguments %s", run.ActivationID, run.Args)
				}
			}
			letters, n, err := h.v.Letters(context.Background(), "guest", 0, 10)
			if err != nil || (n == 1) != tc.dead {
				t.Errorf("dead letters: %s (%v)", letters, err)
			}
			if l := must(activationtest.Pending(context.Background(), h.log)); len(l) != 0 {
				t.Errorf("still pending: %d", len(l))
			}
		})
	}
}

// How often a call was tried, and when it is next, survive a restart.
func TestRetriesAfterRestart(t *testing.T) {
	t.Parallel() // it waits for the second attempt
	log := activationmem.New()
	funcs := functions{"flaky": flaky(9)}
	retries := kv("retries", `{"max":1,"backoff":"2s"}`)
	h := newHouse(t, funcs, func(c *Config) { c.Activations = log })
	before := time.Now()
	id := h.accepted(call(annotated("flaky", retries), `{}`))
	eventually(t, "the first attempt to fail", func() bool {
		all, _ := log.List(context.Background(), "guest", activation.Query{})
		return len(all) == 1 && all[0].ID != id
	})
	if got := h.state(id); got != "queued" {
		t.Errorf("between attempts the call is %s", got)
	}
	h.stop()
	again := newHouse(t, funcs, func(c *Config) { c.Activations = log })
	rec := again.ended("guest", id)
	if got := string(rec.Annotations.Find("attempt")); got != "2" {
		t.Errorf("attempt %s", got)
	}
	if took := time.UnixMilli(rec.Start).Sub(before); took < 1999*time.Millisecond {
		t.Errorf("the second attempt was made after %v", took)
	}
}

// A call that was running when the platform was killed is tried again only if its
// action's annotations say so.
func TestInterruptedCallIsRetried(t *testing.T) {
	fn, leave := hold()
	log := activationmem.New()
	first := &killed{Log: log}
	h := newHouse(t, functions{"hold": fn}, func(c *Config) { c.Activations = first })
	id := h.accepted(call(annotated("hold", kv("retries", `{"max":1,"backoff":"10ms"}`)), `{}`))
	eventually(t, "start", func() bool { return h.initCount() == 1 })
	first.dead.Store(true)
	h.stop()
	close(leave)
	again := newHouse(t, functions{"hold": echo}, func(c *Config) { c.Activations = log })
	rec := again.ended("guest", id)
	if rec.Response.Status != whisk.Success || string(rec.Annotations.Find("attempt")) != "2" {
		t.Errorf("%v %s", rec.Response.Status, rec.Response.Result)
	}
}

func TestDeadLetters(t *testing.T) {
	resolver := resolveTo{}
	h := newHouse(t, functions{"fails": flaky(3), "echo": echo}, func(c *Config) { c.Actions = resolver })
	a := annotated("fails", kv("dead-letter", "true"))
	a.Package = "pkg"
	a.Parameters = whisk.KeyValues{kv("secret", `"hidden"`)}
	bound := call(a, `{"n":0}`)
	bound.Binding = "guest/mine"
	ids := []string{h.accepted(bound), h.accepted(call(a, `{"n":1}`)), h.accepted(call(a, ``))}
	for _, id := range ids {
		h.ended("guest", id)
	}
	ctx := context.Background()
	page, total, err := h.v.Letters(ctx, "guest", 1, 1)
	if err != nil || total != 3 || len(page) != 1 {
		t.Fatalf("%s, %d, %v", page, total, err)
	}
	one, err := h.v.Letter(ctx, "guest", ids[0])
	if err != nil || !json.Valid(one) {
		t.Fatalf("%s %v", one, err)
	}
	for _, want := range []string{`"action":"guest/pkg/fails"`, `"binding":"guest/mine"`, `"attempts":1,`, `"payload":{"n":0}`,
		`"result":{"error":"An error has occurred: not yet"}`, `"status":"action developer error"`, `"size":7,`} {
		if !strings.Contains(string(one), want) {
			t.Errorf("%s has no %s", one, want)
		}
	}
	if strings.Contains(string(one), "hidden") || strings.Contains(string(one), "secret-guest") {
		t.Errorf("the letter shows what it must not: %s", one)
	}
	for _, ns := range []string{"stranger", "guest/"} {
		if _, err := h.v.Letter(ctx, ns, ids[0]); status(err) != 404 {
			t.Errorf("letter of %s: %v", ns, err)
		}
	}

	id, err := h.v.Redrive(ctx, anyone("guest"), ids[1], "tid")
	if err != nil {
		t.Fatal(err)
	}
	if rec := h.ended("guest", id); string(rec.Response.Result) != `{"n":1}` || rec.Name != "echo" {
		t.Errorf("redriven: %s %s", rec.Name, rec.Response.Result) // by the action as it is now
	}
	if _, err := h.v.Redrive(ctx, anyone("guest"), ids[1], "tid"); status(err) != 404 {
		t.Errorf("again: %v", err)
	}
	if _, err := h.v.Redrive(ctx, anyone("stranger"), ids[2], "tid"); status(err) != 404 {
		t.Errorf("by a stranger: %v", err)
	}
	if err := h.v.DeleteLetter(ctx, "guest", ids[2]); err != nil {
		t.Error(err)
	}
	if err := h.v.DeleteLetter(ctx, "guest", ids[2]); status(err) != 404 {
		t.Errorf("deleting again: %v", err)
	}
	if _, total, _ := h.v.Letters(ctx, "guest", 0, 10); total != 1 {
		t.Errorf("%d are left", total)
	}
}

// Each namespace keeps so many letters, the newest, and none that is too old.
func TestDeadLettersAreBounded(t *testing.T) {
	h := newHouse(t, nil)
	h.v.graves.most = load{3, 1000}
	now := time.Now()
	bury := func(namespace, id string, age time.Duration, size int) {
		t.Helper()
		letter := activation.Letter{
			LetterKey: activation.LetterKey{Namespace: namespace, ID: id}, At: now.Add(-age).UnixMilli(),
			About: []byte(`"` + id + `"`), Call: make([]byte, size),
		}
		if err := h.log.Apply(context.Background(), activation.Change{Bury: []activation.Letter{letter}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		bury("many", fmt.Sprint(i), time.Duration(i)*time.Second, 1)
		bury("large", fmt.Sprint(i), time.Duration(i)*time.Second, 400)
	}
	bury("old", "a", maxLetterAge-time.Hour, 1)
	bury("old", "b", maxLetterAge+time.Hour, 1)
	h.v.tidyLetters(context.Background(), "")
	for namespace, want := range map[string]string{"many": `["0" "1" "2"]`, "large": `["0" "1"]`, "old": `["a"]`} {
		if page, _, err := h.v.Letters(context.Background(), namespace, 0, 10); err != nil || fmt.Sprintf("%s", page) != want {
			t.Errorf("%s: %s (%v), want %s", namespace, page, err, want)
		}
	}
}

// What a namespace had that was deleted is not its successor's of the same name.
func TestDeadLettersOfADeletedNamespace(t *testing.T) {
	owner := anyone("guest")
	h := newHouse(t, functions{"fails": flaky(9)}, func(c *Config) {
		c.Owner = func(string) *whisk.Identity { return owner }
	})
	id := h.accepted(call(annotated("fails", kv("dead-letter", "true")), `{}`))
	h.ended("guest", id)
	ctx := context.Background()
	if _, n, err := h.v.Letters(ctx, "guest", 0, 9); n != 1 || err != nil {
		t.Fatalf("%d letters, %v", n, err)
	}
	next := *owner
	next.Created = time.Now().Add(time.Minute).UnixMilli()
	h.stop() // nobody else reads owner
	owner = &next
	_, n, err := h.v.Letters(ctx, "guest", 0, 9)
	_, getErr := h.v.Letter(ctx, "guest", id)
	_, redriveErr := h.v.Redrive(ctx, owner, id, "tid")
	if n != 0 || err != nil || status(getErr) != 404 || status(redriveErr) != 404 || status(h.v.DeleteLetter(ctx, "guest", id)) != 404 {
		t.Errorf("%d letters, %v, %v, %v", n, err, getErr, redriveErr)
	}
	h.v.tidyLetters(ctx, "")
	if _, err := h.log.Letter(ctx, activation.LetterKey{Namespace: "guest", ID: id}); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

func FuzzPolicy(f *testing.F) {
	for _, value := range []string{`3`, `{"max":3,"backoff":"1s","on":["whisk"]}`, `"https://example.com/"`, `"/_/a"`, `[`, `{"max":1e9}`} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, key := range []string{annotationRetries, annotationDeadLetter, annotationCompletion} {
			p, err := policyOf(whisk.KeyValues{kv(key, value)})
			if p.retries < 0 || p.retries > maxRetries || p.retries > 0 && (p.pause(1) < minBackoff || p.pause(99) > 2*mostBackoff) {
				t.Errorf("%s %q: %+v", key, value, p)
			}
			if err != nil && (p.retries != 0 || p.completion != "") {
				t.Errorf("%s %q: %+v with %v", key, value, p, err)
			}
		}
	})
}

// resolveTo finds the action echo under every name.
type resolveTo struct{}

func (resolveTo) Resolve(*whisk.Identity, whisk.FullName) (*whisk.Resolved, error) {
	return &whisk.Resolved{Action: action("echo")}, nil
}

func status(err error) int {
	var e *whisk.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

func TestPolicies(t *testing.T) {
	for _, tc := range []struct{ key, value, problem string }{
		{"retries", `3`, ""},
		{"retries", `{"max":3,"backoff":"1s","max-backoff":"1m","on":["application","developer","timeout","whisk"]}`, ""},
		{"retries", `{"max":21}`, "max is needed, from 0 to 20"},
		{"retries", `{}`, "max is needed"},
		{"retries", `-1`, "max is needed"},
		{"retries", `"3"`, "a number or an object"},
		{"retries", `{"max":1,"more":2}`, "unknown field"},
		{"retries", `{"max":1,"backoff":"1"}`, "backoff: a time from"},
		{"retries", `{"max":1,"max-backoff":"25h"}`, "max-backoff: a time from"},
		{"retries", `{"max":1,"on":["success"]}`, `on may hold application, developer, timeout, whisk, not "success"`},
		{"on-completion", `"https://example.com/hook?x=1"`, ""},
		{"on-completion", `"/_/pkg/told"`, ""},
		{"on-completion", `false`, ""},
		{"on-completion", `"http://"`, "is no URL"},
		{"on-completion", `"told"`, "neither a URL"},
		{"on-completion", `"ftp://example.com/"`, "neither a URL"},
		{"on-completion", `{"url":"x"}`, "the URL of a webhook or the name of an action"},
		{"dead-letter", `"yes"`, ""},
	} {
		err := CheckPolicy(whisk.KeyValues{kv(tc.key, tc.value)})
		if (err == nil) != (tc.problem == "") || err != nil && !strings.Contains(err.Error(), tc.problem) {
			t.Errorf("%s %s: %v, want %q", tc.key, tc.value, err, tc.problem)
		}
	}
	p, _ := policyOf(whisk.KeyValues{kv("retries", `{"max":20,"backoff":"1s","max-backoff":"1m"}`)})
	for failed, least := range map[int]time.Duration{1: time.Second, 3: 4 * time.Second, 7: time.Minute, 100: time.Minute} {
		if d := p.pause(failed); d < least || d > least*6/5 {
			t.Errorf("after %d failures the pause is %v", failed, d)
		}
	}
}

// killed is a log that loses all changes once the process is dead.
type killed struct {
	activation.Log
	dead atomic.Bool
}

func (l *killed) Apply(ctx context.Context, c activation.Change) error {
	if l.dead.Load() {
		return nil
	}
	return l.Log.Apply(ctx, c)
}
