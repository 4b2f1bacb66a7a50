package invoke

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/activation"
	"millrace/activation/activationtest"
	activationmem "millrace/activation/mem"
	"millrace/whisk"
)

// accept makes a call that is not blocking.
func (h *house) accept(c *Call) string {
	h.t.Helper()
	c.Blocking = false
	if rec, err := h.v.Invoke(context.Background(), c); rec != nil || err != nil {
		h.t.Fatalf("%v, %v", rec, err)
	}
	if _, err := h.log.Get(context.Background(), "guest", c.ID); err != nil {
		h.t.Errorf("record of a call that was just accepted: %v", err)
	}
	copy(c.Payload, "#############") // the caller may use it again
	return c.ID
}

func TestAcceptedComposites(t *testing.T) {
	conductor, _ := asks(`{"action":"a"}`, `{"params":{"end":1}}`)
	h, s := newStock(t, functions{"a": adding("a"), "b": adding("b"), "c": conductor})
	s.put(conductorCalled("c"))
	for _, tc := range []struct {
		name   string
		a      *whisk.Action
		status whisk.Status
		result string
	}{
		{"sequence", sequenceOf("s", "/guest/a", "/guest/b"), whisk.Success, `{"by":"ab","n":1}`},
		{"composition", conductorCalled("c"), whisk.Success, `{"end":1}`},
		{"nothing to run", sequenceOf("s", "/guest/none"), whisk.ApplicationError, `{"error":"Sequence component does not exist."}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h.t = t
			id := h.accept(call(tc.a, `{"n":1}`))
			rec := h.ended("guest", id)
			h.want(rec, tc.status, tc.result)
			if got := annotations(rec); got["kind"] != `"sequence"` || got["topmost"] != "true" {
				t.Errorf("%v", got)
			}
		})
	}
	eventually(t, "nothing pending", func() bool { return len(must(activationtest.Pending(context.Background(), h.log))) == 0 })
	eventually(t, "no call in flight", func() bool { return h.v.throttle.of("guest").inFlight.Load() == 0 })
}

// Several calls accepted in one step may be sequences with components that their
// caller may not call: then it is their record that says so.
func TestAcceptedForbiddenSequence(t *testing.T) {
	h, _ := newStock(t, functions{"a": echo})
	c := call(sequenceOf("s", "/guest/a", "/other/x"), `{}`)
	if err := h.v.AcceptAll(context.Background(), []*Call{c}); err != nil {
		t.Fatal(err)
	}
	rec := h.ended("guest", c.ID)
	h.want(rec, whisk.ApplicationError, `{"error":"The supplied authentication is not authorized to access 'other/x'."}`)
	if len(rec.Logs) != 0 {
		t.Errorf("called: %q", rec.Logs)
	}
}

// After a crash a sequence that had begun ends with an error, one that had not
// runs, and none runs twice.
func TestRecoveryOfComposites(t *testing.T) {
	fn, leave := hold()
	conductor, _ := asks(`{"action":"hold"}`, `{}`)
	funcs := functions{"hold": fn, "a": adding("a"), "c": conductor}
	log := activationmem.New()
	h, s := newStock(t, funcs, func(c *Config) { c.Activations = &crashed{Log: log, dead: true} })
	one := 1
	only := action("hold")
	only.Limits.Instances = &one
	s.put(only)
	s.put(sequenceOf("inner", "/guest/hold", "/guest/a"))
	began := h.accept(call(sequenceOf("s", "/guest/a", "/guest/inner"), `{}`))
	running := func(n int) func() bool {
		return func() bool { h.launcher.mu.Lock(); defer h.launcher.mu.Unlock(); return len(h.launcher.runs) == n }
	}
	eventually(t, "start of hold", running(2))
	waits := h.accept(call(sequenceOf("w", "/guest/inner", "/guest/a"), `{"n":1}`))
	conducted := h.accept(call(conductorCalled("c"), `{}`))
	eventually(t, "start of the conductor", running(3))
	h.stop()
	close(leave)

	again := newHouse(t, funcs, func(c *Config) { c.Activations, c.Actions = log, s })
	for _, id := range []string{began, conducted} {
		rec := again.ended("guest", id)
		again.want(rec, whisk.WhiskError, `{"error":"`+msgInterrupted+`"}`)
		want := map[string]string{
			"path": `"guest/` + rec.Name + `"`, "kind": `"sequence"`, "topmost": "true", "waitTime": "number",
			"limits": `{"timeout":30000,"memory":512,"logs":5,"concurrency":1}`,
		}
		if id == conducted {
			want["conductor"], want["limits"] = "true", `{"timeout":60000,"memory":128,"logs":10,"concurrency":1}`
		}
		if diff := cmp.Diff(want, annotations(rec)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rec.Name, diff)
		}
	}
	again.want(again.ended("guest", waits), whisk.Success, `{"by":"aa","n":1}`)
	if n := len(again.launcher.runs); n != 3 {
		t.Errorf("%d calls after the restart, want 3", n)
	}
	if l := must(activationtest.Pending(context.Background(), log)); len(l) != 0 {
		t.Errorf("still pending: %d", len(l))
	}
}

// While a sequence runs, its record has the ids of what has ended as its lines.
func TestLinesOfRunningSequence(t *testing.T) {
	fn, leave := hold()
	h, _ := newStock(t, functions{"a": adding("a"), "hold": fn})
	id := h.accept(call(sequenceOf("s", "/guest/a", "/guest/hold"), `{}`))
	var rec *whisk.Activation
	eventually(t, "the first line", func() bool {
		rec = must(h.log.Get(context.Background(), "guest", id))
		if rec.Tail == nil {
			return false
		}
		lines, _, ended := rec.Tail.Lines(0)
		return len(lines) == 1 && !ended
	})
	close(leave)
	_, more, _ := rec.Tail.Lines(1)
	<-more
	first, _, _ := rec.Tail.Lines(0)
	ended := h.ended("guest", id)
	if len(ended.Logs) != 2 || ended.Logs[0] != first[0] {
		t.Errorf("lines %q, logs %q", first, ended.Logs)
	}
	parts := must(h.log.List(context.Background(), "guest", activation.Query{Name: "a"}))
	if len(parts) != 1 || parts[0].ID != first[0] {
		t.Errorf("line %q is not the id of the component", first[0])
	}
}

// A component that has not ended a minute after its time limit is given up, and
// runs on by itself.
func TestLateComponents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn, leave := hold()
		conductor, _ := asks(`{"action":"busy"}`)
		h, s := newStock(t, functions{"busy": fn, "a": adding("a"), "c": conductor})
		one := 1
		busy := action("busy")
		busy.Limits.Instances, busy.Limits.TimeoutMS = &one, 300_000
		first := h.accept(call(busy, `{}`))
		synctest.Wait()
		queued := action("busy")
		queued.Limits = busy.Limits
		queued.Limits.TimeoutMS = 10_000
		s.put(queued)
		began := time.Now()
		for _, tc := range []struct {
			a    *whisk.Action
			text string
		}{
			{sequenceOf("s", "/guest/a", "/guest/busy", "/guest/a"), "Timeout reached when retrieving activation %s for sequence component."},
			{conductorCalled("c"), "Timeout reached when retrieving activation %s during composition."},
		} {
			c := call(tc.a, `{"n":1}`)
			c.Wait = 5 * time.Minute
			rec := h.invoke(c)
			if len(rec.Logs) != 2 {
				t.Fatalf("%s: %s, logs %q", rec.Name, rec.Response.Result, rec.Logs)
			}
			h.want(rec, whisk.WhiskError, fmt.Sprintf(`{"error":"`+tc.text+`"}`, rec.Logs[1]))
			if took := time.Since(began); took < 70*time.Second || took > 71*time.Second {
				t.Errorf("%s: given up after %v", rec.Name, took)
			}
			began = time.Now()
		}
		close(leave)
		for _, rec := range must(h.log.List(t.Context(), "guest", activation.Query{Name: "busy"})) {
			if rec.ID == first || rec.Cause != "" {
				h.ended("guest", rec.ID)
			}
		}
		h.stop()
	})
}
