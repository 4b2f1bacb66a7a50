package invoke

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"sync"
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

func TestConcurrencyLimit(t *testing.T) {
	fn, leave := hold()
	h := newHouse(t, functions{"hold": fn})
	id := anyone("guest")
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
	if got := admitted(t, h.v, id); got != "Too many requests in the last minute (count: 5, allowed: 4)." {
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

func TestNewID(t *testing.T) {
	valid := regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`)
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
