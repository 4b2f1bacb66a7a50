package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"millrace/store"
)

// receiveSome waits for one batch.
func receiveSome(t *testing.T, ch <-chan []store.Event) []store.Event {
	t.Helper()
	select {
	case batch, ok := <-ch:
		if !ok {
			t.Fatal("the watch ended")
		}
		return batch
	case <-time.After(patience):
		t.Fatal("no event came")
	}
	return nil
}

func testWatch(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	put(t, s, "/a", "1", store.PutOptions{})
	put(t, s, "/b", "1", store.PutOptions{})
	remove(t, s, "/a")
	all := watch(t, s, "", base)
	late := watch(t, s, "", base+2)
	history := receive(t, all, 3)
	put(t, s, "/a", "2", store.PutOptions{})
	put(t, s, "/b", "2", store.PutOptions{})
	line := func(n int64, rest string) string { return fmt.Sprintf("%d %s", base+n, rest) }
	want := []string{line(1, "/a=1"), line(2, "/b=1"), line(3, "/a deleted"), line(4, "/a=2"), line(5, "/b=2")}
	equal(t, "events from the start", text(append(history, receive(t, all, 2)...)), want)
	equal(t, "events after the second write", text(receive(t, late, 3)), want[2:])

	var create []int64
	for _, e := range history {
		create = append(create, e.CreateRevision-base)
	}
	equal(t, "create revisions of the events", create, []int64{1, 2, 1})
}

func testWatchPrefix(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	ch := watch(t, s, "/a/", base)
	for _, key := range []string{"/a/1", "/b/1", "/a", "/a/2", "/ab", "/a/"} {
		put(t, s, key, "v", store.PutOptions{})
	}
	remove(t, s, "/b/1")
	remove(t, s, "/a/1")
	want := []string{
		fmt.Sprintf("%d /a/1=v", base+1), fmt.Sprintf("%d /a/2=v", base+4),
		fmt.Sprintf("%d /a/=v", base+6), fmt.Sprintf("%d /a/1 deleted", base+8),
	}
	equal(t, "events under /a/", text(receive(t, ch, 4)), want)
}

func testWatchFuture(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	ch := watch(t, s, "", base+2)
	for i := range 3 {
		put(t, s, fmt.Sprintf("/%d", i), "v", store.PutOptions{})
	}
	equal(t, "events", text(receive(t, ch, 1)), []string{fmt.Sprintf("%d /2=v", base+3)})
}

// testWatchFromList: a list and a watch from its revision give every change
// exactly once, whenever they begin.
func testWatchFromList(t *testing.T, s store.Store) {
	const workers, writes = 4, 60
	_, base := list(t, s, "")
	const total = workers * writes
	done := make(chan struct{})
	go func() {
		defer close(done)
		each(workers, func(w int) {
			for i := range writes {
				if _, err := s.Put(t.Context(), fmt.Sprintf("/%d/%d", w, i), nil, store.PutOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}()
	for watchers := 0; watchers < 10; watchers++ {
		entries, rev := list(t, s, "")
		ch := watch(t, s, "", rev)
		if missing := total - len(entries); missing > 0 {
			for i, e := range receive(t, ch, missing) {
				if want := rev + int64(i) + 1; e.ModRevision != want {
					t.Fatalf("event %d after revision %d has revision %d, want %d", i, rev, e.ModRevision, want)
				}
			}
		}
	}
	<-done
	for i, e := range receive(t, watch(t, s, "", base), total) {
		if want := base + int64(i) + 1; e.ModRevision != want {
			t.Fatalf("event %d has revision %d, want %d", i, e.ModRevision, want)
		}
	}
}

func testWatchContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	_, base := list(t, s, "")
	ch, err := s.Watch(ctx, "", base)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "/a", "v", store.PutOptions{})
	receive(t, ch, 1)
	cancel()
	if events := ended(t, ch); len(events) > 0 {
		t.Errorf("events after the end: %v", text(events))
	}
	put(t, s, "/a", "w", store.PutOptions{}) // nobody is there to hear it
}

// floodWrites of 1 MiB each are more than any engine keeps as history.
const floodWrites = 16

// flood writes until the history cannot hold all of it any more.
func flood(t *testing.T, s store.Store) {
	t.Helper()
	value := bytes.Repeat([]byte("x"), 1<<20)
	for i := range floodWrites {
		if _, err := s.Put(t.Context(), fmt.Sprintf("/flood/%d", i%4), value, store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// compacter is an engine that drops its history when it is told.
type compacter interface {
	Compact(ctx context.Context) error
}

func testCompaction(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	put(t, s, "/a", "v", store.PutOptions{})
	flood(t, s)
	if c, ok := s.(compacter); ok {
		if err := c.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Watch(ctxOf(t), "", base); !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("watching from revision %d: %v, want ErrCompacted", base, err)
	}
	_, rev := list(t, s, "")
	ch := watch(t, s, "", rev)
	put(t, s, "/a", "w", store.PutOptions{})
	equal(t, "events after the list", text(receive(t, ch, 1)), []string{fmt.Sprintf("%d /a=w", rev+1)})
}

func testSlowWatcher(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	slow := watch(t, s, "", base)
	quick := watch(t, s, "", base)
	stopped := make(chan int)
	go func() {
		n := 0
		for n < floodWrites+1 {
			batch, ok := <-quick
			if !ok {
				break
			}
			n += len(batch)
		}
		stopped <- n
	}()
	put(t, s, "/a", "v", store.PutOptions{})
	flood(t, s) // returns though slow reads nothing
	// What it still gets has no gap.
	for i, e := range ended(t, slow) {
		if want := base + int64(i) + 1; e.ModRevision != want {
			t.Fatalf("event %d has revision %d, want %d", i, e.ModRevision, want)
		}
	}
	<-stopped // a watcher that reads may fall behind too, but nothing hangs
}

func testTTL(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	ch := watch(t, s, "", base)
	put(t, s, "/lasting", "v", store.PutOptions{})
	put(t, s, "/long", "v", store.PutOptions{TTL: time.Hour})
	put(t, s, "/short", "v", store.PutOptions{TTL: 40 * time.Millisecond}) // last: it may end at once
	want := []string{
		fmt.Sprintf("%d /lasting=v", base+1), fmt.Sprintf("%d /long=v", base+2),
		fmt.Sprintf("%d /short=v", base+3), fmt.Sprintf("%d /short deleted", base+4),
	}
	equal(t, "events", text(receive(t, ch, 4)), want)
	if _, err := s.Get(t.Context(), "/short"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after the end: %v, want ErrNotFound", err)
	}
	entries, rev := list(t, s, "")
	if len(entries) != 2 || rev != base+4 {
		t.Errorf("%d entries at revision %d, want 2 at %d", len(entries), rev, base+4)
	}
}

func testTTLReplaced(t *testing.T, s store.Store) {
	put(t, s, "/kept", "1", store.PutOptions{TTL: 30 * time.Millisecond})
	put(t, s, "/kept", "2", store.PutOptions{})
	put(t, s, "/longer", "1", store.PutOptions{TTL: 30 * time.Millisecond})
	put(t, s, "/longer", "2", store.PutOptions{TTL: time.Hour})
	put(t, s, "/anew", "1", store.PutOptions{TTL: 30 * time.Millisecond})
	if _, err := s.Delete(t.Context(), "/anew", store.Any); err != nil && !errors.Is(err, store.ErrNotFound) { // it may have ended
		t.Fatal(err)
	}
	put(t, s, "/anew", "2", store.PutOptions{})
	put(t, s, "/shorter", "1", store.PutOptions{TTL: time.Hour})
	put(t, s, "/shorter", "2", store.PutOptions{TTL: 60 * time.Millisecond})
	// Once the last deadline is over, the earlier ones have had their chance.
	eventually(t, "the end of /shorter", func() bool {
		_, err := s.Get(t.Context(), "/shorter")
		return errors.Is(err, store.ErrNotFound)
	})
	for _, key := range []string{"/kept", "/longer", "/anew"} {
		if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != "2" {
			t.Errorf("%s is %q, %v, want 2", key, e.Value, err)
		}
	}
}
