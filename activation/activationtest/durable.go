package activationtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"millrace/activation"
	"millrace/activation/mem"
)

// RunDurable checks an engine that keeps its state in a folder: what Run checks,
// and what must be there when the folder is opened again.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) activation.Log) {
	Run(t, func(t *testing.T) activation.Log { return open(t, t.TempDir()) })

	tests := []struct {
		name string
		run  func(t *testing.T, reopen func() activation.Log)
	}{
		{"reopen: records", testReopenRecords},
		{"reopen: running records are gone", testReopenRunning},
		{"reopen: accepted calls", testReopenAccepted},
		{"reopen: dead letters", testReopenLetters},
		{"reopen: the same answers as in memory", testReopenModel},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var l activation.Log
			closeIt := func() {
				if l == nil {
					return
				}
				if err := l.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			t.Cleanup(closeIt)
			tt.run(t, func() activation.Log {
				closeIt()
				l = open(t, dir)
				return l
			})
		})
	}
}

func testReopenRecords(t *testing.T, reopen func() activation.Log) {
	l := reopen()
	rec := Record("guest", 1, 1000)
	l.Put(rec)
	l.Put(Record("guest", 2, 2000))
	l = reopen() // no Sync: Close writes what waits
	equal(t, "record", get(t, l, "guest", rec.ID), rec)
	equal(t, "list", list(t, l, activation.Query{Name: "hello"}), strings.Fields("2 1"))
	// A record of an earlier run is replaced too.
	again := Record("guest", 1, 3000)
	l.Put(again)
	l = reopen()
	equal(t, "record", get(t, l, "guest", rec.ID), again)
	equal(t, "list", list(t, l, activation.Query{}), strings.Fields("1 2"))
	if n := count(t, l, activation.Query{}); n != 2 {
		t.Errorf("count is %d, want 2", n)
	}
}

func testReopenRunning(t *testing.T, reopen func() activation.Log) {
	l := reopen()
	l.Put(running(Record("guest", 1, 1000)))
	if err := l.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = reopen()
	if _, err := l.Get(t.Context(), "guest", ID(1)); !errors.Is(err, activation.ErrNotFound) {
		t.Errorf("Get of a call that ran when the log was closed: %v, want ErrNotFound", err)
	}
	if n := count(t, l, activation.Query{}); n != 0 {
		t.Errorf("count is %d, want 0", n)
	}
}

func testReopenAccepted(t *testing.T, reopen func() activation.Log) {
	l := reopen()
	var calls []activation.Accepted
	for _, n := range []int{5, 3, 9, 1} {
		call := activation.Accepted{ID: ID(n), Namespace: "guest", Call: fmt.Appendf(nil, "call %d", n)}
		if err := l.Apply(t.Context(), activation.Change{Accept: []activation.Accepted{call}}); err != nil {
			t.Fatalf("Accept: %v", err)
		}
		calls = append(calls, call)
	}
	for _, n := range []int{3, 9} {
		if err := l.Started(ID(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Finish(ID(9), Record("guest", 9, 1000)); err != nil {
		t.Fatal(err)
	}
	calls[1].Started = true
	calls = append(calls[:2], calls[3])
	l = reopen()
	equal(t, "accepted calls", pending(t, l), calls)
	get(t, l, "guest", ID(9))

	next := activation.Accepted{ID: ID(2), Namespace: "guest"}
	if err := l.Apply(t.Context(), activation.Change{Accept: []activation.Accepted{next}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Finish(ID(5), Record("guest", 5, 1000)); err != nil {
		t.Fatal(err)
	}
	l = reopen()
	equal(t, "accepted calls", pending(t, l), append(calls[1:], next))
}

// testReopenModel does the same to the engine and to the one in memory, and
// asks both the same questions.
func testReopenModel(t *testing.T, reopen func() activation.Log) {
	const day = 24 * 60 * 60 * 1000
	r := rand.New(rand.NewPCG(1, 2))
	l, model := reopen(), mem.New()
	names := []string{"guest/a", "guest/pkg/a", "guest/b"}
	for step := range 600 {
		path := names[r.IntN(len(names))]
		rec := named(r.IntN(300), 1+r.Int64N(4*day), path[strings.LastIndex(path, "/")+1:], path, "")
		l.Put(rec)
		model.Put(rec)
		switch {
		case step%150 == 149:
			l = reopen()
		case step%97 == 96:
			now, keep := 1+r.Int64N(4*day), activation.Retention{MaxAge: time.Duration(r.Int64N(2*day)) * time.Millisecond}
			if got, want := expire(t, l, now, keep), expire(t, model, now, keep); got != want {
				t.Errorf("Expire removed %d, want %d", got, want)
			}
		case step%10 == 9:
			compareLogs(t, l, model, r, 4*day)
		}
	}
	for range 200 {
		compareLogs(t, l, model, r, 4*day)
	}
}

func compareLogs(t *testing.T, l, model activation.Log, r *rand.Rand, span int64) {
	q := activation.Query{Name: []string{"", "a", "pkg/a", "b", "c"}[r.IntN(5)]}
	if r.IntN(2) == 0 {
		q.Since = r.Int64N(span)
	}
	if r.IntN(2) == 0 {
		q.Upto = r.Int64N(span)
	}
	if r.IntN(2) == 0 {
		q.Skip, q.Limit = r.IntN(20), r.IntN(20)
	}
	equal(t, fmt.Sprintf("list of %+v", q), list(t, l, q), list(t, model, q))
	if got, want := count(t, l, q), count(t, model, q); got != want {
		t.Errorf("Count(%+v) = %d, want %d", q, got, want)
	}
}
