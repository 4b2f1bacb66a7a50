package invoke

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/whisk"
)

func admitted(t *testing.T, v *Invoker, id *whisk.Identity) string {
	t.Helper()
	err := v.Admit(id)
	if err == nil {
		return ""
	}
	var refused *whisk.Error
	if !errors.As(err, &refused) || refused.Status != 429 {
		t.Fatalf("%v", err)
	}
	return refused.Msg
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Invoker{}
		id := &whisk.Identity{Namespace: "a", Limits: whisk.NamespaceLimits{InvocationsPerMinute: 2, ConcurrentInvocations: 1}}
		other := &whisk.Identity{Namespace: "b", Limits: id.Limits}
		time.Sleep(30 * time.Second) // in the middle of a wall-clock minute
		for i, want := range []string{
			"", "",
			"Too many requests in the last minute (count: 3, allowed: 2).",
			"Too many requests in the last minute (count: 4, allowed: 2).",
		} {
			if got := admitted(t, v, id); got != want {
				t.Errorf("call %d: %q, want %q", i+1, got, want)
			}
		}
		if got := admitted(t, v, other); got != "" {
			t.Errorf("another namespace: %q", got)
		}
		time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)) - time.Millisecond)
		if got := admitted(t, v, id); got == "" {
			t.Error("admitted before the minute is over")
		}
		time.Sleep(time.Millisecond)
		if got := admitted(t, v, id); got != "" {
			t.Errorf("in the next minute: %q", got)
		}
	})
}

// Firings have a rate of their own; calls that are accepted together count those
// before them as in flight.
func TestFireThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Invoker{}
		id := &whisk.Identity{Namespace: "a", Limits: whisk.NamespaceLimits{InvocationsPerMinute: 3, ConcurrentInvocations: 2, FiresPerMinute: 1}}
		for i, tt := range []struct {
			admit func() error
			want  string
		}{
			{func() error { return v.AdmitFire(id) }, ""},
			{func() error { return v.AdmitFire(id) }, "Too many requests in the last minute (count: 2, allowed: 1)."},
			{func() error { return v.AdmitAlso(id, 1) }, ""},
			{func() error { return v.AdmitAlso(id, 2) }, "Too many concurrent requests in flight (count: 2, allowed: 2)."},
			{func() error { return v.AdmitAlso(id, 0) }, ""},
			{func() error { return v.AdmitAlso(id, 2) }, "Too many requests in the last minute (count: 4, allowed: 3)."},
		} {
			var refused *whisk.Error
			got := ""
			if errors.As(tt.admit(), &refused) {
				got = refused.Msg
			}
			if got != tt.want {
				t.Errorf("%d: %q, want %q", i, got, tt.want)
			}
		}
	})
}

func TestConcurrencyLimit(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	id := anyone("guest")
	minute := time.Now().Truncate(time.Minute)
	id.Limits = whisk.NamespaceLimits{InvocationsPerMinute: 4, ConcurrentInvocations: 2}
	for range 2 {
		if got := admitted(t, h.v, id); got != "" {
			t.Errorf("%q", got)
		}
		c := call(action("hold"), "")
		c.Caller, c.Wait = id, 0
		if rec, err := h.v.Invoke(t.Context(), c); rec != nil || err != nil {
			t.Fatal(rec, err)
		}
	}
	if got := admitted(t, h.v, id); got != "Too many concurrent requests in flight (count: 2, allowed: 2)." {
		t.Errorf("third at once: %q", got)
	}
	close(leave)
	if err := h.v.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := admitted(t, h.v, id); got != "" {
		t.Errorf("after they ended: %q", got)
	}
	// The rate counted the refused one, and is checked first.
	got := admitted(t, h.v, id)
	if next := time.Now().Truncate(time.Minute); next.Equal(minute) && got != "Too many requests in the last minute (count: 5, allowed: 4)." {
		t.Errorf("fifth: %q", got)
	}
}

func TestLimitZeroBlocksAll(t *testing.T) {
	v := &Invoker{}
	if got := admitted(t, v, &whisk.Identity{Namespace: "a"}); got != "Too many requests in the last minute (count: 1, allowed: 0)." {
		t.Errorf("%q", got)
	}
	if got := admitted(t, v, &whisk.Identity{Namespace: "a", Limits: whisk.NamespaceLimits{InvocationsPerMinute: 9}}); got != "Too many concurrent requests in flight (count: 0, allowed: 0)." {
		t.Errorf("%q", got)
	}
}

func TestRateIsExactUnderContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Invoker{}
		id := &whisk.Identity{Namespace: "a", Limits: whisk.NamespaceLimits{InvocationsPerMinute: 500, ConcurrentInvocations: 1}}
		var wg sync.WaitGroup
		var mu sync.Mutex
		passed := 0
		for range 8 {
			wg.Go(func() {
				for range 100 {
					if v.Admit(id) == nil {
						mu.Lock()
						passed++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		if passed != 500 {
			t.Errorf("%d admitted", passed)
		}
	})
}

// What is known of namespaces that do nothing is dropped, and nothing else is.
func TestThrottleForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &Invoker{}
		kept := func() (names []string) {
			v.throttle.sweep(time.Now())
			v.throttle.namespaces.Range(func(name, _ any) bool { names = append(names, name.(string)); return true })
			slices.Sort(names)
			return names
		}
		id := anyone("calls")
		admitted(t, v, id)
		if err := v.AdmitFire(&whisk.Identity{Namespace: "fires", Limits: whisk.NamespaceLimits{FiresPerMinute: 1}}); err != nil {
			t.Error(err)
		}
		busy, _ := v.throttle.enter("busy")
		if got := kept(); !slices.Equal(got, []string{"busy", "calls", "fires"}) {
			t.Errorf("within the minute: %v", got)
		}
		time.Sleep(time.Minute)
		admitted(t, v, id)
		if got := kept(); !slices.Equal(got, []string{"busy", "calls"}) {
			t.Errorf("a minute later: %v", got)
		}
		busy.inFlight.Add(-1)
		if got := kept(); !slices.Equal(got, []string{"calls"}) {
			t.Errorf("when the call has ended: %v", got)
		}
	})
}

// Calls in flight are counted exactly whatever is dropped between them.
func TestThrottleForgetsWhileInUse(t *testing.T) {
	v := &Invoker{}
	stop := make(chan struct{})
	var sweeper, users sync.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				v.throttle.sweep(time.Now())
			}
		}
	})
	var most atomic.Int64
	for range 4 {
		users.Go(func() {
			for range 2000 {
				u, n := v.throttle.enter("a")
				if n > 4 {
					most.Store(int64(n))
				}
				u.inFlight.Add(-1)
			}
		})
	}
	users.Wait()
	close(stop)
	sweeper.Wait()
	if most.Load() > 0 {
		t.Errorf("%d in flight of 4", most.Load())
	}
	if u := v.throttle.of("a"); u.inFlight.Load() != 0 {
		t.Errorf("%d in flight at the end", u.inFlight.Load())
	}
}

// An accepted call whose namespace was blocked, or may do nothing, ends without
// having run.
func TestAcceptedCallsOfBarredNamespaces(t *testing.T) {
	for name, c := range map[string]struct {
		owner *whisk.Identity
		want  string
	}{
		"made anew":     {&whisk.Identity{Created: time.Now().Add(time.Hour).UnixMilli()}, "The action was not invoked due to a blacklisted namespace."},
		"blocked":       {nil, "The action was not invoked due to a blacklisted namespace."},
		"limit of zero": {&whisk.Identity{Namespace: "guest"}, "The namespace limit is less than or equal to 0."},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, functions{"echo": echo}, func(cfg *Config) {
				cfg.Owner = func(string) *whisk.Identity { return c.owner }
			})
			call := call(action("echo"), "{}")
			call.Blocking = false
			if _, err := h.v.Invoke(t.Context(), call); err != nil {
				t.Fatal(err)
			}
			rec := h.ended("guest", call.ID)
			if rec.Response.Status != whisk.ApplicationError || string(rec.Response.Result) != `{"error":"`+c.want+`"}` {
				t.Errorf("%v %s", rec.Response.Status, rec.Response.Result)
			}
		})
	}
}

// An action is held to the limits of its owner, who may have more than others.
func TestLimitsOfTheOwner(t *testing.T) {
	platform := whisk.DefaultSystemLimits()
	more := platform
	more.MemoryMB.Max = 2048
	h := newHouse(t, functions{"echo": echo}, func(cfg *Config) {
		cfg.Limits = &platform
		cfg.Owner = func(ns string) *whisk.Identity {
			id := anyone(ns)
			if ns == "large" {
				id.System = &more
			}
			return id
		}
	})
	for owner, want := range map[string]whisk.Status{"large": whisk.Success, "guest": whisk.ApplicationError} {
		c := call(action("echo"), "{}")
		c.Action.Namespace, c.Action.Limits.MemoryMB = owner, 1024
		if rec := h.invoke(c); rec.Response.Status != want {
			t.Errorf("an action of %s: %s", owner, rec.Response.Result)
		}
	}
}

func TestNewID(t *testing.T) {
	valid := regexp.MustCompile(`^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if !valid.MatchString(id) || seen[id] {
			t.Fatalf("%s", id)
		}
		seen[id] = true
	}
}

// However many callers were admitted at the same moment, no more than the limit
// run at once, and the others are told so.
func TestConcurrencyIsExact(t *testing.T) {
	const callers, limit = 20, 3
	c := &counted{leave: make(chan struct{})}
	h := newHouse(t, functions{"sleep": c.run})
	results := make(chan error, callers)
	for range callers {
		go func() {
			one := call(action("sleep"), `{}`)
			one.Caller.Limits.ConcurrentInvocations = limit
			_, err := h.v.Invoke(context.Background(), one)
			results <- err
		}()
	}
	for range callers - limit {
		var e *whisk.Error
		if err := <-results; !errors.As(err, &e) || e.Status != http.StatusTooManyRequests {
			t.Errorf("a call too many: %v", err)
		}
	}
	close(c.leave)
	for range limit {
		if err := <-results; err != nil {
			t.Errorf("a call within the limit: %v", err)
		}
	}
}
