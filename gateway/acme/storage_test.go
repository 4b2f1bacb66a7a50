package acme

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/store"
	"millrace/store/mem"
)

// lines gathers a log.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func newStorage(t *testing.T, kept store.Store) *storage {
	return &storage{store: kept, log: slog.New(slog.DiscardHandler), lockTTL: time.Minute, locks: map[string]*lock{}}
}

func TestStorage(t *testing.T) {
	kept, ctx := mem.New(), t.Context()
	defer kept.Close()
	s := newStorage(t, kept)
	binary := []byte{0, 0xff, '"', 0x80}
	for _, key := range []string{"a/b/x.crt", "a/b/x.key", "a/c/y.json", "ab/z", "top"} {
		if err := s.Store(ctx, key, binary); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Load(ctx, "a/b/x.crt"); err != nil || string(got) != string(binary) {
		t.Errorf("Load: %q, %v", got, err)
	}
	if _, err := s.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of a folder: %v", err)
	}
	for _, tt := range []struct {
		folder    string
		recursive bool
		want      []string
	}{
		{"", false, []string{"a", "ab", "top"}},
		{"a", false, []string{"a/b", "a/c"}},
		{"a", true, []string{"a/b/x.crt", "a/b/x.key", "a/c/y.json"}},
		{"a/b", false, []string{"a/b/x.crt", "a/b/x.key"}},
	} {
		if got, err := s.List(ctx, tt.folder, tt.recursive); err != nil || cmp.Diff(tt.want, got) != "" {
			t.Errorf("List(%q, %v): %v, %v", tt.folder, tt.recursive, got, err)
		}
	}
	if _, err := s.List(ctx, "none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List of nothing: %v", err)
	}
	if info, err := s.Stat(ctx, "a/b/x.crt"); err != nil || !info.IsTerminal || info.Size != 4 || info.Modified.IsZero() {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	if info, err := s.Stat(ctx, "a"); err != nil || info.IsTerminal {
		t.Errorf("Stat of a folder: %+v, %v", info, err)
	}
	if err := s.Delete(ctx, "a"); err != nil || s.Exists(ctx, "a") || s.Exists(ctx, "a/b/x.crt") || !s.Exists(ctx, "ab/z") {
		t.Errorf("Delete of a folder: %v", err)
	}
	if err := s.Delete(ctx, "a"); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
}

// Of two processes one holds a lock; when it lets go or dies the other gets it.
func TestLocks(t *testing.T) {
	kept, ctx := mem.New(), t.Context()
	defer kept.Close()
	one, two := newStorage(t, kept), newStorage(t, kept)
	if err := one.Lock(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	got := make(chan error, 1)
	go func() { got <- two.Lock(short, "x") }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: %v", err)
	}
	go func() { got <- two.Lock(ctx, "x") }()
	if err := one.Unlock(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	if err := one.Unlock(ctx, "x"); err != nil { // it is not its own any more
		t.Error(err)
	}
	if _, err := kept.Get(ctx, prefix+"locks/x"); err != nil {
		t.Errorf("the other's lock: %v", err)
	}
	if err := two.Unlock(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	// One that nobody keeps.
	if _, err := kept.Put(ctx, prefix+"locks/x", nil, store.PutOptions{TTL: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if err := one.Lock(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	if err := one.Unlock(ctx, "x"); err != nil {
		t.Error(err)
	}
}

// A lock outlives its time as long as its process does.
func TestLockIsKept(t *testing.T) {
	t.Parallel() // it waits
	kept, ctx := mem.New(), t.Context()
	defer kept.Close()
	s := newStorage(t, kept)
	s.lockTTL = 30 * time.Second
	if err := s.Lock(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	before, err := kept.Get(ctx, prefix+"locks/x")
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	l := s.locks["x"]
	s.mu.Unlock()
	l.stop()
	<-l.done
	s.lockTTL = 3 * time.Second
	s.hold("x", prefix+"locks/x", before.ModRevision)
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		e, err := kept.Get(ctx, prefix+"locks/x")
		if err == nil && e.ModRevision > before.ModRevision+1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the lock is not prolonged: %v", err)
		}
	}
	if err := s.Unlock(ctx, "x"); err != nil {
		t.Error(err)
	}
}
