package invoke

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/whisk"
)

// start makes a call in the background and answers its record when it ends.
func (h *house) start(c *Call) <-chan *whisk.Activation {
	ended := make(chan *whisk.Activation, 1)
	go func() {
		rec, _ := h.v.Invoke(context.Background(), c)
		ended <- rec
	}()
	return ended
}

func (h *house) waiting() int {
	h.v.pool.mu.Lock()
	defer h.v.pool.mu.Unlock()
	return h.v.pool.waiting
}

// counted is an action that counts how many calls of it run, until leave.
type counted struct {
	running, most atomic.Int64
	leave         chan struct{}
}

func (c *counted) run(args json.RawMessage) (json.RawMessage, error) {
	n := c.running.Add(1)
	for m := c.most.Load(); n > m && !c.most.CompareAndSwap(m, n); m = c.most.Load() {
	}
	<-c.leave
	c.running.Add(-1)
	return json.RawMessage(`{}`), nil
}

// Calls that block get an instance each, soon.
func TestBlockingActionScalesOut(t *testing.T) {
	const calls = 64
	c := &counted{leave: make(chan struct{})}
	h := newHouse(t, functions{"sleep": c.run})
	for range calls {
		h.start(call(action("sleep"), ""))
	}
	eventually(t, "64 calls at once", func() bool { return c.running.Load() == calls })
	close(c.leave)
	if err := h.v.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.initCount() != calls {
		t.Errorf("%d instances for %d calls", h.initCount(), calls)
	}
}

// Calls that are over sooner than an instance is started wait for a warm one.
// Here they take no time, however busy the machine is.
func TestShortActionDoesNotScaleOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, functions{"echo": echo})
		h.invoke(call(action("echo"), `{}`))
		var callers sync.WaitGroup
		for range 32 {
			callers.Go(func() {
				for range 50 {
					h.invoke(call(action("echo"), `{}`))
				}
			})
		}
		callers.Wait()
		if got := h.initCount(); got > 16 {
			t.Errorf("%d instances for 32 callers", got)
		}
	})
}

func TestWants(t *testing.T) {
	now := time.Now()
	cores := func(state coreState) *capacity { return &capacity{cores: 4, state: state} }
	for _, tc := range []struct {
		name string
		g    *group
		age  time.Duration
		cpu  *capacity
		want bool
	}{
		{"no instance", &group{}, 0, cores(unknown), true},
		{"capped", &group{cap: 1, size: 1, allowance: 1}, time.Second, cores(unknown), false},
		{"unknown, fresh", &group{size: 1, allowance: 1}, time.Millisecond, cores(unknown), false},
		{"unknown, nothing ends", &group{size: 1, allowance: 1}, 6 * time.Millisecond, cores(unknown), true},
		{"doubled in this tick", &group{size: 1}, 6 * time.Millisecond, cores(unknown), false},
		{"the first still starts", &group{size: 1, starting: 1, allowance: 1}, 6 * time.Millisecond, cores(unknown), false},
		{"the first starts for long", &group{size: 1, starting: 1, allowance: 1}, 11 * time.Millisecond, cores(unknown), true},
		{"slow start, patience", &group{size: 1, allowance: 1, startCost: 20 * time.Millisecond}, 30 * time.Millisecond, cores(unknown), false},
		{"slow start, long wait", &group{size: 1, allowance: 1, startCost: 20 * time.Millisecond}, 41 * time.Millisecond, cores(unknown), true},
		{"short, moving", &group{size: 1, allowance: 1, runs: 9, best: time.Millisecond, moved: now}, time.Second, cores(unknown), false},
		{"short, stalled", &group{size: 1, allowance: 1, runs: 9, best: time.Millisecond, moved: now.Add(-time.Second)}, time.Second, cores(unknown), true},
		{"short, standing queue", &group{size: 3, runs: 999, handoffs: 64, best: time.Millisecond, moved: now}, 0, cores(unknown), true},
		{"short, enough for the cores", &group{size: 4, runs: 999, handoffs: 64, best: time.Millisecond, moved: now}, 0, cores(unknown), false},
		{"medium, waited", &group{size: 9, allowance: 1, runs: 9, best: 5 * time.Millisecond, moved: now}, 6 * time.Millisecond, cores(unknown), true},
		{"long", &group{size: 9, runs: 9, best: 20 * time.Millisecond, moved: now}, 0, cores(unknown), true},
		{"long, no core to spare", &group{size: 9, runs: 9, best: 20 * time.Millisecond, allowance: 1, moved: now}, 10 * time.Millisecond, cores(saturated), false},
		{"long, no core to spare, stalled", &group{size: 9, runs: 9, best: 20 * time.Millisecond, allowance: 1, moved: now.Add(-time.Second)}, 10 * time.Millisecond, cores(saturated), true},
		{"short, standing queue, cores to spare", &group{size: 9, runs: 999, handoffs: 64, best: time.Millisecond, moved: now}, 0, cores(idle), true},
		{"short, standing queue, none to spare", &group{size: 4, runs: 999, handoffs: 64, best: time.Millisecond, moved: now}, 0, cores(saturated), false},
	} {
		tc.g.queue.push(&waiter{since: now.Add(-tc.age)})
		if got := tc.g.wants(now, tc.cpu); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if (&group{allowance: 1}).wants(now, cores(idle)) {
		t.Error("an instance for no call")
	}
}

func TestInstanceCap(t *testing.T) {
	c := &counted{leave: make(chan struct{})}
	h := newHouse(t, functions{"sleep": c.run})
	two := 2
	a := action("sleep")
	a.Limits.Instances = &two
	for range 8 {
		h.start(call(a, ""))
	}
	eventually(t, "six waiting calls", func() bool { return c.running.Load() == 2 && h.waiting() == 6 })
	h.v.pool.tick(time.Now().Add(time.Hour))
	close(c.leave)
	if err := h.v.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.most.Load() > 2 {
		t.Errorf("%d at once", c.most.Load())
	}
}

func TestConcurrentCallsShareAnInstance(t *testing.T) {
	c := &counted{leave: make(chan struct{})}
	h := newHouse(t, functions{"sleep": c.run})
	one := 1
	a := action("sleep")
	a.Limits.Concurrency, a.Limits.Instances = 5, &one
	for range 7 {
		h.start(call(a, ""))
	}
	eventually(t, "five at once", func() bool { return c.running.Load() == 5 && h.waiting() == 2 })
	close(c.leave)
	if err := h.v.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.initCount() != 1 || c.most.Load() != 5 {
		t.Errorf("%d instances, %d at once", h.initCount(), c.most.Load())
	}
}

func TestEvictionOfTheOneIdleLongest(t *testing.T) {
	h := newHouse(t, functions{"echo": echo}, func(c *Config) { c.MemoryMB = 256 + 2*64 })
	actions := make([]*whisk.Action, 4)
	for i := range actions {
		actions[i] = action("echo")
		actions[i].Name = fmt.Sprint("a", i)
	}
	coldNow := func(i int) bool {
		before := h.initCount()
		h.invoke(call(actions[i], `{}`))
		return h.initCount() > before
	}
	for i, step := range []struct {
		action int
		cold   bool
	}{
		{0, true}, {1, true}, {2, true}, // two idle ones and a busy one fit
		{0, false}, {1, false}, // 2 is now the one idle the longest
		{3, true}, // in place of 2
		{0, false}, {1, false}, {3, false}, {2, true},
	} {
		if got := coldNow(step.action); got != step.cold {
			t.Errorf("step %d: action %d cold: %v", i, step.action, got)
		}
	}
	if p := h.v.pool; p.used > p.budget || p.used != p.idleUsed {
		t.Errorf("used %d, idle %d, budget %d", p.used, p.idleUsed, p.budget)
	}
}

func TestManyActionsStayWarm(t *testing.T) {
	h := newHouse(t, functions{"echo": echo}, func(c *Config) { c.MemoryMB = 100*64 + 256 })
	for round := range 3 {
		for i := range 100 {
			a := action("echo")
			a.Name = fmt.Sprint("a", i)
			h.invoke(call(a, `{}`))
		}
		if h.initCount() != 100 {
			t.Fatalf("round %d: %d inits", round, h.initCount())
		}
	}
}

// With memory for one instance, an action that is always busy gives way.
func TestBusyActionDoesNotStarveAnother(t *testing.T) {
	h := newHouse(t, functions{"work": func(json.RawMessage) (json.RawMessage, error) {
		time.Sleep(time.Millisecond)
		return json.RawMessage(`{}`), nil
	}}, func(c *Config) { c.MemoryMB = 256 })
	over := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					h.invoke(call(action("work"), ""))
				}
			}
		})
	}
	eventually(t, "a queue", func() bool { return h.waiting() > 0 })
	for _, ns := range []string{"b", "c", "guest"} {
		other := call(action("work"), "")
		other.Caller = anyone(ns)
		a := *other.Action
		a.Name = "other"
		other.Action = &a
		h.invoke(other) // ends: that is the test
	}
	close(over)
	busy.Wait()
}

// Namespaces take turns, whatever the length of their queues; within one, first
// come is first served.
func TestTurns(t *testing.T) {
	var mu sync.Mutex
	var order []string
	gate := make(chan struct{})
	h := newHouse(t, functions{"note": func(args json.RawMessage) (json.RawMessage, error) {
		mu.Lock()
		order = append(order, string(args))
		mu.Unlock()
		return json.RawMessage(`{}`), nil
	}, "block": func(json.RawMessage) (json.RawMessage, error) { <-gate; return json.RawMessage(`{}`), nil }},
		func(c *Config) { c.MemoryMB = 256 })
	h.start(call(action("block"), ""))
	eventually(t, "the blocker", func() bool { return h.initCount() == 1 })
	queue := func(ns string, i int) {
		a := action("note") // each another action: each needs an instance of its own
		a.Name = fmt.Sprint(ns, i)
		c := call(a, fmt.Sprintf(`{"%s":%d}`, ns, i))
		c.Caller = anyone(ns)
		before := h.waiting()
		h.start(c)
		eventually(t, "a longer queue", func() bool { return h.waiting() == before+1 })
	}
	for i := range 4 {
		queue("a", i)
	}
	for i := range 2 {
		queue("b", i)
	}
	close(gate)
	if err := h.v.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(order)
	if want := `[{"a":0} {"b":0} {"a":1} {"b":1} {"a":2} {"a":3}]`; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestNewRevisionDropsIdleInstances(t *testing.T) {
	h := newHouse(t, functions{"echo": echo})
	old, changed := action("echo"), action("echo")
	changed.Revision = 2
	h.invoke(call(old, `{}`))
	h.invoke(call(changed, `{}`))
	eventually(t, "the end of the old instance", func() bool {
		h.launcher.mu.Lock()
		defer h.launcher.mu.Unlock()
		closed := 0
		for _, w := range h.launcher.instances {
			if w.inited.Load() && gone(w) {
				closed++
			}
		}
		return closed == 1
	})
	// A call accepted before the change still runs, and leaves nothing behind.
	h.invoke(call(old, `{}`))
	h.v.pool.mu.Lock()
	defer h.v.pool.mu.Unlock()
	if len(h.v.pool.live) != 1 {
		t.Errorf("%d instances", len(h.v.pool.live))
	}
}

func TestIdleTimeout(t *testing.T) {
	h := newHouse(t, functions{"echo": echo}, func(c *Config) { c.IdleTimeout = 20 * time.Millisecond })
	h.invoke(call(action("echo"), `{}`))
	eventually(t, "an empty pool", func() bool {
		h.v.pool.mu.Lock()
		defer h.v.pool.mu.Unlock()
		return len(h.v.pool.live) == 0 && len(h.v.pool.groups) == 0 && len(h.v.pool.lines) == 0 && h.v.pool.used == 0
	})
}

// Whatever happens, memory is accounted for and every call ends.
func TestPoolUnderStress(t *testing.T) {
	h := newHouse(t, functions{
		"echo": echo,
		"slow": func(json.RawMessage) (json.RawMessage, error) {
			time.Sleep(2 * time.Millisecond)
			return json.RawMessage(`{}`), nil
		},
		"fail": func(json.RawMessage) (json.RawMessage, error) { panic("boom") },
	}, func(c *Config) { c.MemoryMB = 1024 })
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := range 40 {
				a := action([]string{"echo", "slow", "fail"}[(i+n)%3])
				a.Name = fmt.Sprint(a.Name, n%5)
				a.Limits.Concurrency = 1 + i%2
				a.Limits.MemoryMB = 128 << (i % 3)
				a.Revision = int64(1 + n/20)
				c := call(a, `{}`)
				c.Caller = anyone(fmt.Sprint("ns", i%4))
				c.Blocking = n%7 != 0
				if n%5 == 0 {
					c.Wait = time.Millisecond
				}
				if _, err := h.v.Invoke(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if err := h.v.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.v.pool.sweep(time.Now().Add(time.Hour), time.Minute)
	p := h.v.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used != 0 || p.idleUsed != 0 || p.waiting != 0 || len(p.live) != 0 || len(p.ring) != 0 || p.launching != 0 {
		t.Errorf("left behind: used %d, idle %d, waiting %d, live %d, ring %d, launching %d",
			p.used, p.idleUsed, p.waiting, len(p.live), len(p.ring), p.launching)
	}
}
