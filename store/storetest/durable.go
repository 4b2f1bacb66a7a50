package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"millrace/store"
)

// RunDurable checks an engine that keeps its state in a folder: what Run checks,
// and what must be there when the folder is opened again.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })

	tests := []struct {
		name string
		run  func(t *testing.T, reopen func() store.Store)
	}{
		{"reopen: entries and revision", testReopen},
		{"reopen: watch", testReopenWatch},
		{"reopen: time to live", testReopenTTL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var s store.Store
			closeIt := func() {
				if s == nil {
					return
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			t.Cleanup(closeIt)
			tt.run(t, func() store.Store {
				closeIt()
				s = open(t, dir)
				return s
			})
		})
	}
}

func testReopen(t *testing.T, reopen func() store.Store) {
	s := reopen()
	for i := range 50 {
		put(t, s, fmt.Sprintf("/%d", i%7), fmt.Sprint(i), store.PutOptions{})
	}
	remove(t, s, "/3")
	put(t, s, "/empty", "", store.PutOptions{})
	want, rev := list(t, s, "")
	for range 3 {
		s = reopen()
		got, gotRev := list(t, s, "")
		equal(t, "entries", got, want)
		if gotRev != rev {
			t.Errorf("revision %d, want %d", gotRev, rev)
		}
		// Revisions go on, and expectations on old ones still hold.
		e := put(t, s, "/0", "again", store.PutOptions{If: want[0].ModRevision})
		if e.ModRevision != rev+1 || e.CreateRevision != want[0].CreateRevision {
			t.Errorf("wrote %+v at revision %d", e, rev)
		}
		want[0], rev = e, e.ModRevision
	}
	// A deletion as the last write takes its revision for good.
	rev = remove(t, s, "/0")
	s = reopen()
	if e := put(t, s, "/0", "", store.PutOptions{}); e.ModRevision != rev+1 || e.CreateRevision != rev+1 {
		t.Errorf("wrote %+v after the deletion at %d", e, rev)
	}
}

// testReopenWatch: an engine may forget its history at a restart, but must say so.
func testReopenWatch(t *testing.T, reopen func() store.Store) {
	s := reopen()
	_, base := list(t, s, "")
	put(t, s, "/a", "1", store.PutOptions{})
	put(t, s, "/b", "1", store.PutOptions{})
	s = reopen()
	_, rev := list(t, s, "")
	want := []string{fmt.Sprintf("%d /a=1", base+1), fmt.Sprintf("%d /b=1", base+2), fmt.Sprintf("%d /c=1", base+3)}
	now := watch(t, s, "", rev)
	all, err := s.Watch(ctxOf(t), "", base)
	if err != nil && !errors.Is(err, store.ErrCompacted) {
		t.Fatalf("Watch from before the restart: %v, want all events or ErrCompacted", err)
	}
	put(t, s, "/c", "1", store.PutOptions{})
	equal(t, "events from now", text(receive(t, now, 1)), want[2:])
	if err == nil {
		equal(t, "events from before the restart", text(receive(t, all, 3)), want)
	}
}

func testReopenTTL(t *testing.T, reopen func() store.Store) {
	s := reopen()
	put(t, s, "/before", "v", store.PutOptions{TTL: 300 * time.Millisecond})
	put(t, s, "/during", "v", store.PutOptions{TTL: time.Millisecond})
	put(t, s, "/kept", "v", store.PutOptions{TTL: time.Millisecond})
	kept := put(t, s, "/kept", "w", store.PutOptions{TTL: time.Hour})
	s = reopen()
	eventually(t, "the ends of two keys", func() bool {
		entries, _ := list(t, s, "")
		return len(entries) == 1
	})
	// Each end is a write: two for the deletions, four for the puts, and one if
	// the first value of /kept ended before the second came.
	want := int64(7)
	if kept.CreateRevision == kept.ModRevision {
		want++
	}
	if e := put(t, s, "/next", "v", store.PutOptions{}); e.ModRevision != want {
		t.Errorf("the next write has revision %d, want %d", e.ModRevision, want)
	}
	s = reopen()
	if entries, _ := list(t, s, ""); len(entries) != 2 || entries[0].Key != "/kept" || string(entries[0].Value) != "w" {
		t.Errorf("after reopening: %v", entries)
	}
}
