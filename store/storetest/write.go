package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"millrace/store"
)

func testRevisions(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	for i := int64(1); i <= 5; i++ {
		if e := put(t, s, fmt.Sprintf("/k%d", i%2), "v", store.PutOptions{}); e.ModRevision != base+i {
			t.Errorf("write %d has revision %d, want %d", i, e.ModRevision, base+i)
		}
	}
	if rev := remove(t, s, "/k1"); rev != base+6 {
		t.Errorf("the deletion has revision %d, want %d", rev, base+6)
	}
	// What changes nothing takes no revision.
	if _, err := s.Delete(t.Context(), "/k1", store.Any); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting a deleted key: %v, want ErrNotFound", err)
	}
	if _, err := s.Put(t.Context(), "/k0", nil, store.PutOptions{If: store.Absent}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("creating an existing key: %v, want ErrConflict", err)
	}
	if _, rev := list(t, s, ""); rev != base+6 {
		t.Errorf("the store has revision %d, want %d", rev, base+6)
	}
}

func testCreateRevision(t *testing.T, s store.Store) {
	first := put(t, s, "/a", "1", store.PutOptions{})
	if first.CreateRevision != first.ModRevision {
		t.Errorf("a new key: create revision %d, mod revision %d", first.CreateRevision, first.ModRevision)
	}
	put(t, s, "/b", "1", store.PutOptions{})
	second := put(t, s, "/a", "2", store.PutOptions{})
	want := store.Entry{Key: "/a", Value: []byte("2"), CreateRevision: first.ModRevision, ModRevision: first.ModRevision + 2}
	equal(t, "answer of Put", second, want)
	got, err := s.Get(t.Context(), "/a")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "answer of Get", got, want)
	entries, _ := list(t, s, "/a")
	equal(t, "answer of List", entries, []store.Entry{want})

	remove(t, s, "/a")
	third := put(t, s, "/a", "3", store.PutOptions{})
	if third.CreateRevision != third.ModRevision || third.ModRevision != want.ModRevision+2 {
		t.Errorf("a key made anew: create revision %d, mod revision %d", third.CreateRevision, third.ModRevision)
	}
}

func testExpectations(t *testing.T, s store.Store) {
	rev := put(t, s, "/there", "v", store.PutOptions{}).ModRevision
	puts := []struct {
		key  string
		If   int64
		want error
	}{
		{"/there", store.Absent, store.ErrConflict},
		{"/there", rev + 1, store.ErrConflict},
		{"/not there", rev, store.ErrConflict},
		{"/there", -2, store.ErrConflict},
		{"/new", store.Absent, nil},
		{"/there", rev, nil},
		{"/there", rev, store.ErrConflict}, // it has moved on
		{"/there", store.Any, nil},
	}
	for _, tt := range puts {
		if _, err := s.Put(t.Context(), tt.key, []byte("w"), store.PutOptions{If: tt.If}); !errors.Is(err, tt.want) {
			t.Errorf("Put(%s) if %d: %v, want %v", tt.key, tt.If, err, tt.want)
		}
	}
	e, err := s.Get(t.Context(), "/there")
	if err != nil {
		t.Fatal(err)
	}
	deletes := []struct {
		key    string
		expect int64
		want   error
	}{
		{"/not there", store.Any, store.ErrNotFound},
		{"/not there", e.ModRevision, store.ErrNotFound},
		{"/there", rev, store.ErrConflict},
		{"/there", e.ModRevision, nil},
		{"/there", e.ModRevision, store.ErrNotFound},
	}
	for _, tt := range deletes {
		if _, err := s.Delete(t.Context(), tt.key, tt.expect); !errors.Is(err, tt.want) {
			t.Errorf("Delete(%s, %d): %v, want %v", tt.key, tt.expect, err, tt.want)
		}
	}
}

func testValues(t *testing.T, s store.Store) {
	if _, err := s.Get(t.Context(), "/none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of no key: %v, want ErrNotFound", err)
	}
	for key, value := range map[string]string{
		"/empty": "", "/zeros": "\x00\x00", "/text": `{"a":"é"}`, "/large": strings.Repeat("x", 1<<20), "/key with \x00 and é": "v",
	} {
		put(t, s, key, value, store.PutOptions{})
		e, err := s.Get(t.Context(), key)
		if err != nil || e.Key != key || string(e.Value) != value {
			t.Errorf("Get(%q) answers %d bytes under %q and %v, want %d bytes", key, len(e.Value), e.Key, err, len(value))
		}
	}
}

func testList(t *testing.T, s store.Store) {
	for _, key := range []string{"/b/2", "/a/1", "/b/10", "/b/1", "/c/1", "/b", "/b\xff\xff", "/b/1/x", "/b0"} {
		put(t, s, key, "v", store.PutOptions{})
	}
	put(t, s, "/b/gone", "v", store.PutOptions{})
	remove(t, s, "/b/gone")
	for prefix, want := range map[string][]string{
		"":         {"/a/1", "/b", "/b/1", "/b/1/x", "/b/10", "/b/2", "/b0", "/b\xff\xff", "/c/1"},
		"/b/":      {"/b/1", "/b/1/x", "/b/10", "/b/2"},
		"/b/1":     {"/b/1", "/b/1/x", "/b/10"},
		"/b\xff":   {"/b\xff\xff"},
		"/c/1":     {"/c/1"},
		"/nothing": nil,
		"/z":       nil,
	} {
		entries, _ := list(t, s, prefix)
		var got []string
		for _, e := range entries {
			got = append(got, e.Key)
		}
		equal(t, "keys under "+strconv.Quote(prefix), got, want)
	}
}

// each runs fn for n workers at once and waits for them.
func each(n int, fn func(worker int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

func testRace(t *testing.T, s store.Store) {
	e := put(t, s, "/race", "start", store.PutOptions{})
	for round := range 20 {
		rev := e.ModRevision
		var winners atomic.Int32
		each(16, func(i int) {
			got, err := s.Put(t.Context(), "/race", []byte(strconv.Itoa(i)), store.PutOptions{If: rev})
			switch {
			case err == nil:
				winners.Add(1)
				e = got
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("a loser got %v, want ErrConflict", err)
			}
		})
		if winners.Load() != 1 {
			t.Fatalf("round %d: %d writers won", round, winners.Load())
		}
		if e.ModRevision != rev+1 {
			t.Errorf("round %d: revision %d after %d, losers must take none", round, e.ModRevision, rev)
		}
		if now, err := s.Get(t.Context(), "/race"); err != nil || string(now.Value) != string(e.Value) {
			t.Fatalf("round %d: stored is %q (%v), the winner wrote %q", round, now.Value, err, e.Value)
		}
	}
	// The same for creation and for deletion.
	for _, op := range []struct {
		name string
		do   func() error
	}{
		{"create", func() error {
			_, err := s.Put(t.Context(), "/new", []byte("v"), store.PutOptions{If: store.Absent})
			return err
		}},
		{"delete", func() error {
			_, err := s.Delete(t.Context(), "/race", e.ModRevision)
			return err
		}},
	} {
		var winners atomic.Int32
		each(16, func(int) {
			if op.do() == nil {
				winners.Add(1)
			}
		})
		if winners.Load() != 1 {
			t.Errorf("%s: %d winners", op.name, winners.Load())
		}
	}
}

func testCounters(t *testing.T, s store.Store) {
	const workers, rounds = 8, 15
	put(t, s, "/counter", "0", store.PutOptions{})
	each(workers, func(int) {
		for range rounds {
			if err := increment(t.Context(), s, "/counter"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	e, err := s.Get(t.Context(), "/counter")
	if err != nil || string(e.Value) != strconv.Itoa(workers*rounds) {
		t.Errorf("the counter is %s (%v), want %d", e.Value, err, workers*rounds)
	}
}

func increment(ctx context.Context, s store.Store, key string) error {
	for {
		e, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(e.Value))
		_, err = s.Put(ctx, key, []byte(strconv.Itoa(n+1)), store.PutOptions{If: e.ModRevision})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func testReadYourWrites(t *testing.T, s store.Store) {
	each(8, func(i int) {
		key := fmt.Sprintf("/own/%d", i)
		for n := range 20 {
			e, err := s.Put(t.Context(), key, []byte(strconv.Itoa(n)), store.PutOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			got, err := s.Get(t.Context(), key)
			if err != nil || got.ModRevision != e.ModRevision || string(got.Value) != strconv.Itoa(n) {
				t.Errorf("after writing %d: got %+v, %v", n, got, err)
			}
			if _, rev, err := s.List(t.Context(), key); err != nil || rev < e.ModRevision {
				t.Errorf("after revision %d, List answers revision %d, %v", e.ModRevision, rev, err)
			}
		}
	})
}

func testListRevision(t *testing.T, s store.Store) {
	// Each write adds a key, so the number of keys tells the revision.
	_, base := list(t, s, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		each(4, func(w int) {
			for i := range 50 {
				if _, err := s.Put(t.Context(), fmt.Sprintf("/l/%d/%d", w, i), nil, store.PutOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		entries, rev := list(t, s, "/l/")
		if int64(len(entries)) != rev-base {
			t.Fatalf("List shows %d writes and says revision %d after %d", len(entries), rev, base)
		}
	}
}

func testContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, base := list(t, s, "")
	_, getErr := s.Get(ctx, "/a")
	_, putErr := s.Put(ctx, "/a", nil, store.PutOptions{})
	_, deleteErr := s.Delete(ctx, "/a", store.Any)
	_, _, listErr := s.List(ctx, "/")
	for op, err := range map[string]error{"Get": getErr, "Put": putErr, "Delete": deleteErr, "List": listErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want context.Canceled", op, err)
		}
	}
	if _, rev := list(t, s, ""); rev != base {
		t.Errorf("a Put with an ended context was made")
	}
}

func testClose(t *testing.T, s store.Store) {
	_, base := list(t, s, "")
	ch := watch(t, s, "", base)
	put(t, s, "/a", "1", store.PutOptions{})
	receive(t, ch, 1)

	// Writers that are under way either succeed or are told.
	done := make(chan struct{})
	go func() {
		defer close(done)
		each(8, func(i int) {
			for {
				_, err := s.Put(t.Context(), fmt.Sprintf("/w%d", i), nil, store.PutOptions{})
				if errors.Is(err, store.ErrUnavailable) {
					return
				}
				if err != nil {
					t.Errorf("a writer got %v, want ErrUnavailable", err)
					return
				}
			}
		})
	}()
	receiveSome(t, ch)
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	<-done
	ended(t, ch)

	_, getErr := s.Get(t.Context(), "/a")
	_, putErr := s.Put(t.Context(), "/a", nil, store.PutOptions{})
	_, deleteErr := s.Delete(t.Context(), "/a", store.Any)
	_, _, listErr := s.List(t.Context(), "/")
	_, watchErr := s.Watch(t.Context(), "/", base)
	for op, err := range map[string]error{"Get": getErr, "Put": putErr, "Delete": deleteErr, "List": listErr, "Watch": watchErr} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s after Close: %v, want ErrUnavailable", op, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
