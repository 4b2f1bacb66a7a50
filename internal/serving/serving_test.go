package serving

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait.
const patience = 30 * time.Second

// echo answers what connections send.
type echo struct {
	*Acceptor
	mu    sync.Mutex
	open  map[net.Conn]bool
	conns sync.WaitGroup
	// deaf: it takes more than one Abort.
	aborts, deaf atomic.Int64
}

func (e *echo) Accept() error {
	return e.AcceptAll(func(c net.Conn) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.open[c] = true
		e.conns.Go(func() { defer c.Close(); _, _ = io.Copy(c, c) })
	})
}

func (e *echo) Wait() { e.conns.Wait() }

func (e *echo) Abort() {
	if e.aborts.Add(1) <= e.deaf.Load() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.open {
		c.Close()
	}
}

func acceptor(ln net.Listener) *Acceptor {
	return &Acceptor{Listener: ln, Log: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, g *Group[*echo], ctx context.Context) (e *echo, client net.Conn, served chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, served = &echo{Acceptor: acceptor(ln), open: map[net.Conn]bool{}}, make(chan error, 1)
	go func() { served <- g.Serve(ctx, e) }()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	ask(t, client)
	return e, client, served
}

func ask(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 1)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
}

// What is open goes on when listeners stop, until it ends by itself.
func TestShutdown(t *testing.T) {
	g := New[*echo](patience)
	_, a, servedA := start(t, g, t.Context())
	_, b, servedB := start(t, g, t.Context())
	n := 0
	if g.Each(func(*echo) { n++ }); n != 2 || g.Stopping() {
		t.Errorf("%d listeners, stopping %v", n, g.Stopping())
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Shutdown(context.Background()) }()
	<-g.Draining()
	for _, c := range []net.Conn{a, b} {
		ask(t, c)
		c.Close()
	}
	for _, err := range []error{<-servedA, <-servedB, <-ended} {
		if err != nil {
			t.Error(err)
		}
	}
	if g.Context().Err() == nil {
		t.Error("it is not stopped for good")
	}
	if err := g.Serve(t.Context(), &echo{}); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

// What does not end in time is aborted, again and again.
func TestAbort(t *testing.T) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	g := New[*echo](patience)
	e, _, served := start(t, g, t.Context())
	e.deaf.Store(2)
	if err := g.Shutdown(over); !errors.Is(err, context.Canceled) || e.aborts.Load() != 3 {
		t.Errorf("%v after %d aborts", err, e.aborts.Load())
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	g = New[*echo](time.Millisecond)
	ctx, end := context.WithCancel(context.Background())
	_, _, served = start(t, g, ctx)
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
	_ = g.Shutdown(context.Background())
}

// A listener that breaks says why.
func TestBrokenListener(t *testing.T) {
	g := New[*echo](patience)
	e, client, served := start(t, g, t.Context())
	e.Close()
	client.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	_ = g.Shutdown(context.Background())
}

// scarce is a listener that has something to give after some errors.
type scarce struct {
	net.Listener
	errs []error
}

func (s *scarce) Accept() (net.Conn, error) {
	if len(s.errs) == 0 {
		return nil, net.ErrClosed
	}
	err := s.errs[0]
	if s.errs = s.errs[1:]; err == nil {
		a, b := net.Pipe()
		b.Close()
		return a, nil
	}
	return nil, err
}

func TestScarcity(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	full := &net.OpError{Op: "accept", Err: syscall.EMFILE}
	taken := 0
	a := acceptor(&scarce{ln, []error{nil, full, full, nil}})
	err = a.AcceptAll(func(c net.Conn) { taken++; c.Close() })
	if taken != 2 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d connections, %v", taken, err)
	}
}
