package activationtest

import (
	"testing"
	"time"

	"millrace/activation"
)

const minute = int64(60_000)

func expire(t *testing.T, l activation.Log, now int64, keep activation.Retention) int {
	t.Helper()
	// What is not written yet may wait for the next time.
	if err := l.Sync(t.Context()); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	n, err := l.Expire(t.Context(), time.UnixMilli(now), func(namespace string) activation.Retention {
		if namespace == "guest" {
			return keep
		}
		return activation.Retention{}
	})
	if err != nil {
		t.Fatalf("Expire: %v", err)
	}
	return n
}

func testExpireByAge(t *testing.T, l log) {
	const count, now = 1200, 3000 * minute
	for n := range count {
		rec := Record("guest", n, int64(n)*minute)
		rec.Name = []string{"a", "b", "c"}[n%3]
		rec.Annotations = nil
		l.Put(rec)
	}
	l.Put(running(Record("guest", count, 1)))
	l.Put(Record("other", 1, 1))
	if n := expire(t, l, now, activation.Retention{}); n != 0 {
		t.Errorf("without a bound %d went", n)
	}
	// The limit lies within a minute; the whole minute stays.
	keep := activation.Retention{MaxAge: time.Duration(2000*minute-1) * time.Millisecond}
	if n := expire(t, l, now, keep); n != 1000 {
		t.Errorf("%d went, want 1000", n)
	}
	if n := expire(t, l, now, keep); n != 0 {
		t.Errorf("%d went the second time", n)
	}
	checkExpired(t, l)
	// What is put under an old time is kept until the next time.
	l.Put(Record("guest", 5, 5*minute))
	l.settle(t)
	get(t, l, "guest", ID(5))
	if n := expire(t, l, now, keep); n != 1 {
		t.Errorf("%d went, want the late one", n)
	}
	checkExpired(t, l)
}

func checkExpired(t *testing.T, l log) {
	t.Helper()
	for _, q := range []activation.Query{{}, {Name: "a"}, {Name: "b", Since: 1}, {Since: 999 * minute}, {Upto: 1100 * minute}, {Upto: 1000*minute - 1}} {
		if got, want := count(t, l, q), len(list(t, l, q)); got != want {
			t.Errorf("Count(%+v) = %d, the list has %d", q, got, want)
		}
	}
	equal(t, "count", count(t, l, activation.Query{}), 201) // and the running call
	if _, err := l.Get(t.Context(), "guest", ID(999)); err != activation.ErrNotFound {
		t.Errorf("an old one: %v", err)
	}
	get(t, l, "guest", ID(1000))
	get(t, l, "guest", ID(1200))
	get(t, l, "other", ID(1))
}

func testExpireBySize(t *testing.T, l log) {
	const now = 100*minute + 1
	for n := range 400 {
		l.Put(Record("guest", n, int64(n/4)*minute))
	}
	if n := expire(t, l, now, activation.Retention{MaxBytes: 1 << 30}); n != 0 {
		t.Errorf("%d went though all fits", n)
	}
	n := expire(t, l, now, activation.Retention{MaxBytes: 200 << 10})
	left := list(t, l, activation.Query{})
	// A record takes 1 to 2 KB, by the engine's own count.
	if len(left) < 80 || len(left) > 240 || len(left)%4 != 0 || n != 400-len(left) {
		t.Errorf("%d went, %d stay", n, len(left))
	}
	if left[0] != "18c" { // the first of the newest four
		t.Errorf("the newest is %s", left[0])
	}
	l.Put(Record("guest", 500, 100*minute))
	if n := expire(t, l, now, activation.Retention{MaxBytes: 1}); n != len(left) {
		t.Errorf("%d went, want all but the minute that runs", n)
	}
	get(t, l, "guest", ID(500))
}
