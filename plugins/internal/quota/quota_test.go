package quota

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		use := func(key string, want Use) {
			t.Helper()
			if got := s.Fixed([]byte(key), 2, time.Minute); got != want {
				t.Errorf("%s: %+v, want %+v", key, got, want)
			}
		}
		use("a", Use{1, time.Minute})
		time.Sleep(20 * time.Second)
		use("a", Use{0, 40 * time.Second})
		use("b", Use{1, time.Minute})
		use("a", Use{-1, 40 * time.Second})
		time.Sleep(40*time.Second - time.Nanosecond)
		use("a", Use{-1, 1})
		time.Sleep(time.Nanosecond)
		use("a", Use{1, time.Minute})
	})
}

// A window before the running one counts for what is still covered of it.
func TestSliding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		use := func(want Use) {
			t.Helper()
			if got := s.Sliding([]byte("a"), 4, 10*time.Second); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		use(Use{3, 10 * time.Second})
		time.Sleep(9 * time.Second)
		use(Use{2, time.Second})
		use(Use{1, time.Second})
		use(Use{0, time.Second})
		use(Use{-1, time.Second})
		time.Sleep(3 * time.Second) // 4·0.8 = 3.2 of the last window
		use(Use{-1, 8 * time.Second})
		time.Sleep(3 * time.Second) // 4·0.5 = 2
		use(Use{1, 5 * time.Second})
		use(Use{0, 5 * time.Second})
		use(Use{-1, 5 * time.Second})
		time.Sleep(15 * time.Second) // the window after the next: nothing is left
		use(Use{3, 10 * time.Second})
	})
}

// spec §10.20: excess = max(prev − rate·Δ + 1, 0), kept only when accepted.
func TestLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		use := func(wait time.Duration, fits bool) {
			t.Helper()
			if got, ok := s.Leak([]byte("a"), 2, 2); got != wait || ok != fits {
				t.Errorf("%v %t, want %v %t", got, ok, wait, fits)
			}
		}
		use(0, true)
		use(500*time.Millisecond, true)
		use(time.Second, true)
		use(0, false)
		use(0, false)
		time.Sleep(500 * time.Millisecond)
		use(time.Second, true)
		time.Sleep(time.Hour)
		use(0, true)
	})
}

// A tiny rate makes a long wait, not one that overflows.
func TestLeakAtATinyRate(t *testing.T) {
	s := New()
	s.Leak([]byte("a"), 1e-12, 5)
	if wait, ok := s.Leak([]byte("a"), 1e-12, 5); !ok || wait != longestWait {
		t.Errorf("%v %t", wait, ok)
	}
}

func TestCrowd(t *testing.T) {
	var cr Crowd
	if p, _ := cr.Enter([]byte("a"), 0); p != nil {
		t.Error("entered where nobody may")
	}
	p1, n1 := cr.Enter([]byte("a"), 2)
	_, n2 := cr.Enter([]byte("a"), 2)
	if full, _ := cr.Enter([]byte("a"), 2); full != nil || n1 != 1 || n2 != 2 {
		t.Errorf("entered as %d and %d, then %v", n1, n2, full)
	}
	if _, n := cr.Enter([]byte("b"), 2); n != 1 {
		t.Errorf("another key has %d", n)
	}
	cr.Leave(p1)
	if p, n := cr.Enter([]byte("a"), 2); p == nil || n != 2 {
		t.Errorf("after one left there are %d", n)
	}
	cr.Leave(p1)
	cr.Leave(p1)
	if len(cr.places) != 1 {
		t.Errorf("%d keys are kept", len(cr.places))
	}
}

// Keys that clients invent neither fill the memory nor push out those in use.
func TestBounds(t *testing.T) {
	s := New()
	const invented = shards * perShard * 5 / 4
	for i := range invented {
		if i%100 == 0 {
			s.Fixed([]byte("steady"), 1<<40, time.Hour)
		}
		s.Fixed(fmt.Append(nil, "invented ", i), 1, time.Hour)
	}
	for i := range s.shards {
		if n := len(s.shards[i].entries); n > perShard {
			t.Errorf("shard %d has %d keys", i, n)
		}
	}
	if got := 1<<40 - s.Fixed([]byte("steady"), 1<<40, time.Hour).Left; got != (invented+99)/100+1 {
		t.Errorf("the steady key was forgotten: it counts %d", got)
	}
	long := []byte(strings.Repeat("k", 8<<10))
	s.Fixed(long, 1, time.Hour)
	if left := s.Fixed(long, 1, time.Hour).Left; left != -1 {
		t.Errorf("a long key: %d left", left)
	}
	if left := s.Fixed(append(long, 'x'), 1, time.Hour).Left; left != 0 {
		t.Errorf("another long key: %d left", left)
	}
}

func TestGroups(t *testing.T) {
	s := New()
	if err := errors.Join(s.Join("g", []byte("1")), s.Join("g", []byte("1")), s.Join("h", []byte("2"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Join("g", []byte("2")); !errors.Is(err, ErrMismatch) {
		t.Errorf("another configuration: %v", err)
	}
	s.Leave("g")
	if s.Join("g", []byte("2")) == nil {
		t.Error("the group is free though one member is left")
	}
	s.Leave("g")
	if err := s.Join("g", []byte("2")); err != nil {
		t.Errorf("an empty group: %v", err)
	}
}

// Exactly limit requests pass, however many come at once.
func TestConcurrentUse(t *testing.T) {
	s := New()
	var wg sync.WaitGroup
	passed := make([]int, 8)
	for g := range passed {
		wg.Go(func() {
			for range 1000 {
				if s.Fixed([]byte("k"), 500, time.Hour).Left >= 0 {
					passed[g]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range passed {
		sum += n
	}
	if sum != 500 {
		t.Errorf("%d passed", sum)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	s, key := New(), []byte("1:127.0.0.1")
	var cr Crowd
	p, _ := cr.Enter(key, 10)
	defer cr.Leave(p)
	if n := testing.AllocsPerRun(100, func() {
		s.Fixed(key, 1, time.Hour)
		if p, _ := cr.Enter(key, 10); p != nil {
			cr.Leave(p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFixed(b *testing.B) {
	s, key := New(), []byte("1:127.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		s.Fixed(key, 1<<40, time.Hour)
	}
}
