package etcd

import (
	"errors"
	"fmt"

	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/store"
)

// wire leads to an etcd. It can be slow, pass on nothing, or be cut.
type wire struct {
	net.Listener
	to string

	mu      sync.Mutex
	delay   time.Duration // for each piece that is passed on
	stalled chan struct{} // closed when bytes are passed on; nil while they are
	conns   []net.Conn
	passing sync.WaitGroup
}

func layWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: strings.TrimPrefix(to, "http://")}
	w.passing.Go(w.serve)
	t.Cleanup(func() {
		l.Close()
		w.stall(false)
		w.cut()
		w.passing.Wait()
	})
	return w
}

func (w *wire) serve() {
	for {
		near, err := w.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		w.passing.Go(func() { w.pass(near, far) })
		w.passing.Go(func() { w.pass(far, near) })
	}
}

// pass takes bytes from one end to the other, some hundred at a time.
func (w *wire) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	piece := make([]byte, 400)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		w.mu.Lock()
		delay, stalled := w.delay, w.stalled
		w.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		time.Sleep(delay)
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}

func (w *wire) stall(now bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled != nil {
		close(w.stalled)
		w.stalled = nil
	}
	if now {
		w.stalled = make(chan struct{})
	}
}

func (w *wire) slow(delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = delay
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// Over a slow wire that is cut again and again in the midst of a watch, every change
// comes, once and in order. Over one that passes on nothing, requests are told so.
func TestSlowEtcd(t *testing.T) {
	t.Parallel()
	e := startServer(t)
	tool := e.tool()
	mustPut(t, tool, "/apisix/routes/1", "begin")
	w := layWire(t, e.URL)
	s, err := Open(t.Context(), Config{Endpoints: []string{"http://" + w.Addr().String()}, Timeout: 20 * time.Second, Attempts: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, revision, err := s.List(t.Context(), "/apisix/")
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	changes, err := s.Watch(t.Context(), "/apisix/", revision)
	if err != nil {
		t.Fatal(err)
	}
	const writes = 60
	w.slow(time.Millisecond)
	for i := range writes {
		mustPut(t, tool, fmt.Sprintf("/apisix/routes/%d", i%7), fmt.Sprint(i, strings.Repeat("x", 2000)))
		if i%10 == 9 {
			w.cut()
		}
	}
	for i := 0; i < writes; {
		select {
		case events, open := <-changes:
			if !open {
				t.Fatalf("the watch has ended after %d changes", i)
			}
			for _, event := range events {
				if event.Key != fmt.Sprintf("/apisix/routes/%d", i%7) || !strings.HasPrefix(string(event.Value), fmt.Sprint(i, "xxx")) {
					t.Fatalf("change %d: %s %.10s", i, event.Key, event.Value)
				}
				i++
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("only %d changes came", i)
		}
	}

	w.slow(0)
	hurried, err := Open(t.Context(), Config{Endpoints: []string{"http://" + w.Addr().String()}, Timeout: 500 * time.Millisecond, Attempts: 60})
	if err != nil {
		t.Fatal(err)
	}
	defer hurried.Close()
	w.stall(true)
	if _, err := hurried.Put(t.Context(), "/apisix/routes/1", nil, store.PutOptions{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put over a wire that passes on nothing: %v", err)
	}
	w.stall(false)
	await(t, "a request after that", func() bool {
		_, err := s.Get(t.Context(), "/apisix/routes/1")
		return err == nil
	})
}
