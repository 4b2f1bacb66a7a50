package disk_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"millrace/activation"
	"millrace/activation/activationtest"
	"millrace/activation/disk"
	"millrace/internal/crashtest"
	"millrace/whisk"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	crashtest.Main(callForever)
	goleak.VerifyTestMain(m)
}

const crashWorkers = 6

func crashID(round, worker, i int) string {
	return activationtest.ID(round*10_000_000 + worker*1_000_000 + i)
}

// callForever has some workers accept, start and finish calls, and others put
// records and sync them.
func callForever(dir string, round int, ack func(string)) {
	l, err := disk.Open(dir, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for w := range crashWorkers {
		wg.Go(func() {
			for i := 0; ; i++ {
				step := callOnce
				if w%2 == 1 {
					step = putOnce
				}
				if err := step(l, round, w, i, ack); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
}

func crashRecord(round, worker, i int) *whisk.Activation {
	rec := activationtest.Record("guest", 0, int64(1_700_000_000_000+round*1000+i))
	rec.ID = crashID(round, worker, i)
	return rec
}

func callOnce(l activation.Log, round, w, i int, ack func(string)) error {
	rec := crashRecord(round, w, i)
	call := activation.Accepted{ID: rec.ID, Namespace: "guest", Call: []byte(rec.ID)}
	if err := l.Apply(context.Background(), activation.Change{Accept: []activation.Accepted{call}}); err != nil {
		return err
	}
	ack("accepted " + rec.ID)
	if i%3 == 0 {
		return nil // it stays in the queue
	}
	if err := l.Started(rec.ID); err != nil {
		return err
	}
	ack("started " + rec.ID)
	if i%3 == 1 {
		return nil // it never ends
	}
	running := *rec
	running.Response.Status = whisk.Running
	l.Put(&running)
	ack("finishing " + rec.ID)
	return l.Finish(rec.ID, rec)
}

func putOnce(l activation.Log, round, w, i int, ack func(string)) error {
	rec := crashRecord(round, w, i)
	running := *rec
	running.Response.Status = whisk.Running
	running.Start += 5
	l.Put(&running)
	l.Put(rec)
	if i%4 != 3 {
		return nil
	}
	if err := l.Sync(context.Background()); err != nil {
		return err
	}
	for n := i - 3; n <= i; n++ {
		ack("synced " + crashID(round, w, n))
	}
	return nil
}

func TestKill(t *testing.T) {
	crashtest.Rounds(t, 12, 100, func(dir string, round int, lines []string) {
		l := open(t, dir)
		defer l.Close()
		checkKilled(t, l, lines)
		if round%4 == 3 { // it looks at the records of all rounds
			checkWhole(t, l)
		}
		finishAll(t, l)
	})
}

// checkKilled checks that what was acknowledged is there: a call in the queue,
// or its record instead once it was about to finish.
func checkKilled(t *testing.T, l activation.Log, lines []string) {
	calls, err := activationtest.Pending(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	pending := map[string]activation.Accepted{}
	for _, c := range calls {
		if string(c.Call) != c.ID {
			t.Errorf("call %s has become %q", c.ID, c.Call)
		}
		pending[c.ID] = c
	}
	finishing := map[string]bool{}
	for _, line := range lines {
		if what, id, _ := strings.Cut(line, " "); what == "finishing" {
			finishing[id] = true
		}
	}
	for _, line := range lines {
		what, id, _ := strings.Cut(line, " ")
		rec, err := l.Get(t.Context(), "guest", id)
		call, isPending := pending[id]
		if err == nil && (rec.Response.Status == whisk.Running || isPending) {
			t.Errorf("%s has a record with status %v and is pending: %t", id, rec.Response.Status, isPending)
		}
		there := isPending || finishing[id] && err == nil
		switch {
		case what == "synced" && err != nil:
			t.Errorf("record %s was synced: %v", id, err)
		case what == "accepted" && !there:
			t.Errorf("call %s was accepted and is gone", id)
		case what == "started" && (!there || isPending && !call.Started):
			t.Errorf("call %s was started: pending %t, started %t", id, isPending, call.Started)
		}
	}
}

// checkWhole checks that all indexes and counters tell of the same records.
func checkWhole(t *testing.T, l activation.Log) {
	all, err := l.List(t.Context(), "guest", activation.Query{})
	if err != nil {
		t.Fatal(err)
	}
	byName, err := l.List(t.Context(), "guest", activation.Query{Name: "hello"})
	if err != nil || len(byName) != len(all) {
		t.Errorf("%d records by name (%v), %d in all", len(byName), err, len(all))
	}
	for _, q := range []activation.Query{{}, {Name: "hello"}, {Since: 1}, {Upto: 1_800_000_000_000}} {
		if n, err := l.Count(t.Context(), "guest", q); err != nil || n != len(all) {
			t.Errorf("Count(%+v) = %d, %v, want %d", q, n, err, len(all))
		}
	}
	for _, rec := range all {
		if _, err := l.Get(t.Context(), "guest", rec.ID); err != nil {
			t.Errorf("%s is listed: %v", rec.ID, err)
		}
	}
}

// finishAll finishes what is pending.
func finishAll(t *testing.T, l activation.Log) {
	calls, err := activationtest.Pending(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		rec := activationtest.Record("guest", 0, 1_700_000_000_000)
		rec.ID = c.ID
		if err := l.Finish(c.ID, rec); err != nil {
			t.Error(err)
		}
	}
	if calls, err := activationtest.Pending(t.Context(), l); err != nil || len(calls) > 0 {
		t.Errorf("%d calls pending (%v) after all were finished", len(calls), err)
	}
}
