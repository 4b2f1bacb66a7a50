package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/watermark"
	"millrace/store"
	"millrace/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait.
const patience = 30 * time.Second

// shaky is a store that can be cut off.
type shaky struct {
	store.Store
	mu   sync.Mutex
	away bool
	cut  context.CancelFunc // ends the watch
}

func (s *shaky) List(ctx context.Context, prefix string) ([]store.Entry, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, 0, errors.New("away")
	}
	return s.Store.List(ctx, prefix)
}

func (s *shaky) Watch(ctx context.Context, prefix string, after int64) (<-chan []store.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, s.cut = context.WithCancel(ctx)
	return s.Store.Watch(ctx, prefix, after)
}

func (s *shaky) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away = away; away {
		s.cut()
	}
}

// state is what has been applied.
type state struct {
	mu        sync.Mutex
	values    map[string]string
	calls     int
	following bool
	lost      int // how often the store was not there
}

func (s *state) apply(_ context.Context, events []store.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	for _, e := range events {
		if s.values[e.Key] = string(e.Value); e.Deleted {
			delete(s.values, e.Key)
		}
	}
}

func (s *state) follows(now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.following = now; !now {
		s.lost++
	}
}

func (s *state) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.values, s.following)
}

func TestFollow(t *testing.T) {
	st, got, changed := &shaky{Store: mem.New()}, &state{values: map[string]string{}}, make(chan struct{})
	defer st.Close()
	f := &Follower{
		Log: slog.New(slog.DiscardHandler), Store: st, Apply: got.apply, Changed: changed, Following: got.follows, Applied: watermark.New(-1),
		Wants: func(key string) bool { return !strings.Contains(key, "other") },
		Check: func(key string, value []byte) error {
			switch string(value) {
			case "bad":
				return errors.New("bad")
			case "worse":
				panic("worse")
			}
			return nil
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	put := func(key, value string) (revision int64) {
		t.Helper()
		e, err := st.Put(t.Context(), "/apisix/"+key, []byte(value), store.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return e.ModRevision
	}
	remove := func(key string) (revision int64) {
		t.Helper()
		revision, err := st.Delete(t.Context(), "/apisix/"+key, store.Any)
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	expect := func(revision int64, want string) {
		t.Helper()
		wait, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := f.Applied.Wait(wait, revision); err != nil || got.String() != want {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
	}
	put("a", "1")
	put("b", "1")
	last := put("other", "1")
	go func() { ended <- f.Run(ctx) }()
	expect(last, "map[/apisix/a:1 /apisix/b:1] true")
	expect(put("other", "2"), "map[/apisix/a:1 /apisix/b:1] true")
	put("a", "bad")
	expect(put("b", "worse"), "map[/apisix/a:1 /apisix/b:1] true")
	expect(put("a", "2"), "map[/apisix/a:2 /apisix/b:1] true")
	st.set(true)
	put("c", "1")
	last = remove("a")
	eventually(t, func() bool { return strings.HasSuffix(got.String(), "false") })
	changed <- struct{}{} // it is taken in although the store is away
	st.set(false)
	expect(last, "map[/apisix/b:1 /apisix/c:1] true")
	got.mu.Lock()
	calls := got.calls
	got.mu.Unlock()
	changed <- struct{}{}
	eventually(t, func() bool { got.mu.Lock(); defer got.mu.Unlock(); return got.calls == calls+1 })
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestAnew: everything is applied once more, with what has been deleted meanwhile.
func TestAnew(t *testing.T) {
	st, got := &shaky{Store: mem.New()}, &state{values: map[string]string{}}
	defer st.Close()
	var anew atomic.Pointer[chan struct{}]
	renew := func() *chan struct{} { next := make(chan struct{}); return anew.Swap(&next) }
	renew()
	f := &Follower{
		Log: slog.New(slog.DiscardHandler), Store: st, Apply: got.apply, Following: got.follows, Applied: watermark.New(-1),
		Anew: func() <-chan struct{} { return *anew.Load() },
	}
	for _, key := range []string{"a", "b"} {
		if _, err := st.Put(t.Context(), "/apisix/"+key, []byte("1"), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	const all = "map[/apisix/a:1 /apisix/b:1] true"
	for range 3 {
		eventually(t, func() bool { return got.String() == all })
		got.mu.Lock()
		clear(got.values)
		got.mu.Unlock()
		close(*renew())
	}
	eventually(t, func() bool { return got.String() == all })
	got.mu.Lock()
	lost := got.lost
	got.mu.Unlock()
	if lost > 0 {
		t.Errorf("the store, which was there, was said to be away %d times", lost)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}
