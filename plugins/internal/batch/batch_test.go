package batch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sink keeps the batches it is sent, with the seconds since its start.
type sink struct {
	mu      sync.Mutex
	start   time.Time
	batches []int
	at      []float64
	fail    int
	block   chan struct{}
}

func (s *sink) send(ctx context.Context, entries [][]byte) error {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return errors.New("no luck")
	}
	s.batches = append(s.batches, len(entries))
	s.at = append(s.at, time.Since(s.start).Seconds())
	return nil
}

func newQueue(s *sink, conf Conf) (*Group, *Queue) {
	s.start = time.Now()
	g := NewGroup()
	return g, g.New(conf, "test", slog.New(slog.DiscardHandler), s.send)
}

var usual = Conf{BufferDurationS: 60, InactiveTimeoutS: 5, BatchMaxSize: 3, RetryDelayS: 1}

func TestWhenBatchesAreSent(t *testing.T) {
	cases := []struct {
		name    string
		entries []float64 // when each comes, in seconds
		batches []int
		at      []float64
	}{
		{"full", []float64{0, 0, 0}, []int{3}, []float64{0}},
		{"full twice", []float64{0, 0, 0, 1, 1, 1, 1}, []int{3, 3, 1}, []float64{0, 1, 6}},
		{"inactive", []float64{0, 4}, []int{2}, []float64{9}},
		{"one by one", []float64{0, 6}, []int{1, 1}, []float64{5, 11}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{}
				g, q := newQueue(s, usual)
				for _, at := range tc.entries {
					time.Sleep(time.Until(s.start.Add(time.Duration(at * float64(time.Second)))))
					q.Push([]byte("x"), 100, "r", "a")
					synctest.Wait()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(tc.batches, s.batches) + cmp.Diff(tc.at, s.at); diff != "" {
					t.Error(diff)
				}
				if err := g.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestBufferDurationBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		g, q := newQueue(s, Conf{BufferDurationS: 10, InactiveTimeoutS: 5, BatchMaxSize: 100})
		for range 15 {
			q.Push([]byte("x"), 100, "", "")
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if diff := cmp.Diff([]float64{10}, s.at); diff != "" {
			t.Error(diff)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRetries(t *testing.T) {
	for _, tc := range []struct {
		fail, retries int
		want          []float64
	}{{0, 0, []float64{0}}, {1, 0, nil}, {2, 2, []float64{2}}, {3, 2, nil}} {
		synctest.Test(t, func(t *testing.T) {
			s := &sink{fail: tc.fail}
			conf := usual
			conf.BatchMaxSize, conf.MaxRetryCount = 1, tc.retries
			g, q := newQueue(s, conf)
			q.Push([]byte("x"), 100, "", "")
			time.Sleep(time.Minute)
			synctest.Wait()
			if diff := cmp.Diff(tc.want, s.at); diff != "" {
				t.Errorf("%+v: %s", tc, diff)
			}
			if err := g.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{block: make(chan struct{})}
		g, q := newQueue(s, usual)
		for i := range 10 {
			if got, want := q.Push([]byte("x"), 5, "r", "a"), i < 5; got != want {
				t.Errorf("entry %d: %t", i, got)
			}
			synctest.Wait()
		}
		g.Each(func(name, route, server string, pending int) {
			if name != "test" || route != "r" || server != "a" || pending != 5 {
				t.Error(name, route, server, pending)
			}
		})
		if q.Dropped() != 5 {
			t.Errorf("%d dropped", q.Dropped())
		}
		if q.Push(make([]byte, maxBytes), 100, "", "") {
			t.Error("an entry beyond the bound of bytes has room")
		}
		close(s.block)
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseSendsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		g, q := newQueue(s, usual)
		q.Push([]byte("x"), 100, "", "")
		q.Close()
		synctest.Wait()
		if len(s.batches) != 1 || q.Push([]byte("y"), 100, "", "") {
			t.Errorf("batches %v, or an entry after Close", s.batches)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a server that does not answer
		s := &sink{block: make(chan struct{})}
		g, q := newQueue(s, usual)
		q.Push([]byte("x"), 100, "", "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if g.New(usual, "late", slog.New(slog.DiscardHandler), s.send).Push([]byte("x"), 100, "", "") {
			t.Error("a queue begins after Close")
		}
	})
}
