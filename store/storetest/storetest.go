// Package storetest is the conformance test of store.Store: what holds for one
// engine holds for all.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"millrace/store"

	"github.com/google/go-cmp/cmp"
)

// patience is how long a test waits for what must happen soon.
const patience = 30 * time.Second

// Run checks an engine. open makes an empty store; Run closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s store.Store)
	}{
		{"revisions grow by one a write", testRevisions},
		{"create and mod revisions", testCreateRevision},
		{"expectations", testExpectations},
		{"values", testValues},
		{"list", testList},
		{"one of many compare-and-set writers wins", testRace},
		{"concurrent counters lose nothing", testCounters},
		{"a reader sees its own write", testReadYourWrites},
		{"list agrees with its revision", testListRevision},
		{"watch: history, then live", testWatch},
		{"watch: prefix", testWatchPrefix},
		{"watch: from the future", testWatchFuture},
		{"watch: from a list under load", testWatchFromList},
		{"watch: end of context", testWatchContext},
		{"watch: compaction", testCompaction},
		{"watch: a slow watcher is closed", testSlowWatcher},
		{"time to live", testTTL},
		{"time to live is replaced by a later put", testTTLReplaced},
		{"ended context", testContext},
		{"close", testClose},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { s.Close() })
			tt.run(t, s)
		})
	}
}

func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, s store.Store, key, value string, o store.PutOptions) store.Entry {
	t.Helper()
	e, err := s.Put(t.Context(), key, []byte(value), o)
	if err != nil {
		t.Fatalf("Put(%s): %v", key, err)
	}
	return e
}

func remove(t *testing.T, s store.Store, key string) int64 {
	t.Helper()
	rev, err := s.Delete(t.Context(), key, store.Any)
	if err != nil {
		t.Fatalf("Delete(%s): %v", key, err)
	}
	return rev
}

func list(t *testing.T, s store.Store, prefix string) ([]store.Entry, int64) {
	t.Helper()
	entries, rev, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatalf("List(%s): %v", prefix, err)
	}
	return entries, rev
}

func watch(t *testing.T, s store.Store, prefix string, after int64) <-chan []store.Event {
	t.Helper()
	ch, err := s.Watch(ctxOf(t), prefix, after)
	if err != nil {
		t.Fatalf("Watch(%s, %d): %v", prefix, after, err)
	}
	return ch
}

// receive takes n events from ch.
func receive(t *testing.T, ch <-chan []store.Event, n int) []store.Event {
	t.Helper()
	var got []store.Event
	timeout := time.After(patience)
	for len(got) < n {
		select {
		case batch, ok := <-ch:
			if !ok {
				t.Fatalf("the watch ended after %d events, want %d", len(got), n)
			}
			if len(batch) == 0 {
				t.Fatal("a batch without events")
			}
			got = append(got, batch...)
		case <-timeout:
			t.Fatalf("only %d events came, want %d", len(got), n)
		}
	}
	if len(got) > n {
		t.Fatalf("%d events came, want %d", len(got), n)
	}
	return got
}

// ended waits for the end of a watch and answers the events before it.
func ended(t *testing.T, ch <-chan []store.Event) []store.Event {
	t.Helper()
	var got []store.Event
	timeout := time.After(patience)
	for {
		select {
		case batch, ok := <-ch:
			if !ok {
				return got
			}
			got = append(got, batch...)
		case <-timeout:
			t.Fatal("the watch did not end")
		}
	}
}

// text writes events down as "revision key=value" or "revision key deleted".
func text(events []store.Event) []string {
	lines := make([]string, len(events))
	for i, e := range events {
		if e.Deleted {
			lines[i] = fmt.Sprintf("%d %s deleted", e.ModRevision, e.Key)
			if e.Value != nil {
				lines[i] += " with a value"
			}
			continue
		}
		lines[i] = fmt.Sprintf("%d %s=%s", e.ModRevision, e.Key, e.Value)
	}
	return lines
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}
