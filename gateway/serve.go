package gateway

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"millrace/gateway/upstream"
)

// tickEvery is how often connections are looked over for timeouts and for
// clients that have gone.
const tickEvery = 100 * time.Millisecond

// lastAccept is how long a listener still accepts connections when it stops:
// those that clients have already opened.
const lastAccept = 50 * time.Millisecond

// lastAccepts is how many times as long that may become on a machine that is too
// busy to accept them meanwhile.
const lastAccepts = 10

// lastRequest is how long an idle connection may begin another request when the
// gateway stops: its client cannot know yet.
const lastRequest = 500 * time.Millisecond

// clock is the coarse time that connections work with.
type clock struct {
	ms   atomic.Int64
	date atomic.Pointer[string]
}

func (c *clock) tick() {
	now := time.Now()
	old := c.ms.Swap(now.UnixMilli())
	if c.date.Load() == nil || old/1000 != now.Unix() {
		date := now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		c.date.Store(&date)
	}
}

// listener is a listener being served, with its connections.
type listener struct {
	g  *Gateway
	ln net.Listener
	// tls: its clients speak TLS.
	tls bool
	// proxied: they begin with a PROXY head.
	proxied bool
	// altSvc is the header line that announces HTTP/3; "" if there is none.
	altSvc string

	draining atomic.Bool
	mu       sync.Mutex
	conns    map[*clientConn]struct{}
	lot      lot
	done     sync.WaitGroup
}

// Serve accepts connections on ln until ctx ends or Shutdown is called. Then it
// stops accepting, finishes the requests in flight, for DrainTimeout at most if
// it was ctx, and returns nil when all connections are gone. It closes ln.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	return g.serveListener(ctx, &listener{g: g, ln: ln, conns: map[*clientConn]struct{}{}})
}

func (g *Gateway) serveListener(ctx context.Context, l *listener) error {
	if p, ok := l.ln.(Proxied); ok {
		l.ln, l.proxied = p.Listener, true
	}
	g.mu.Lock()
	if g.stopping() {
		g.mu.Unlock()
		return l.ln.Close()
	}
	g.serve.Add(1)
	g.listeners[l] = struct{}{}
	g.mu.Unlock()
	defer g.serve.Done()
	defer g.forget(l)
	ticking := make(chan struct{})
	stopTick := make(chan struct{})
	go func() {
		defer close(ticking)
		l.tick(stopTick)
	}()
	accepted := make(chan error, 1)
	go func() { accepted <- l.accept() }()

	err, listening := error(nil), true
	select {
	case err = <-accepted:
		listening = false
	case <-ctx.Done():
	case <-g.drain:
	}
	l.beginDrain()
	if listening {
		err = <-accepted
	}
	l.finish(ctx)
	close(stopTick)
	<-ticking
	l.lot.forget()
	if l.draining.Load() && (ctx.Err() != nil || g.stopping()) {
		return nil
	}
	return err
}

func (g *Gateway) forget(l *listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, l)
}

func (g *Gateway) stopping() bool {
	select {
	case <-g.drain:
		return true
	default:
		return false
	}
}

// Shutdown makes all Serve calls drain and waits for them. When ctx ends first,
// the connections that are left are closed.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	if !g.stopping() {
		close(g.drain)
	}
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
		g.serve.Wait()
		close(done)
	}()
	select {
	case <-done:
		g.stop()
		return nil
	case <-ctx.Done():
		g.stop()
		<-done
		return ctx.Err()
	}
}

// accept takes connections until the listener is closed or, after it is
// draining, no more come.
func (l *listener) accept() error {
	defer l.ln.Close()
	var wait time.Duration
	drained := 0
	for {
		conn, err := l.ln.Accept()
		if err == nil {
			wait = 0
			if l.admit() {
				l.take(conn)
			} else {
				conn.Close()
			}
			continue
		}
		if l.draining.Load() {
			if drained++; drained < lastAccepts && waiting(l.ln) { // it was too late to look
				l.acceptTheLast()
				continue
			}
			return nil
		}
		if !scarcity(err) {
			return err
		}
		wait = min(max(5*time.Millisecond, 2*wait), time.Second)
		l.g.conf.Log.Warn("accepting a connection", "err", err, "again_in", wait)
		time.Sleep(wait)
	}
}

// scarcity says that the machine lacks something which connections that end give
// back, most likely file descriptors.
func scarcity(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		return true
	}
	return false
}

func (l *listener) start(conn net.Conn, s *security) {
	c := newConn(l, conn)
	c.security = s
	c.origin.serial = l.g.counters.accepted.Add(1)
	l.run(c)
}

// run serves a connection until it ends or is parked.
func (l *listener) run(c *clientConn) {
	leave := l.join(c)
	go func() {
		defer func() {
			leave()
			if !c.parked {
				l.g.open.Add(-1)
			}
		}()
		c.serve()
	}()
}

// join counts a connection among those being served, until leave is called.
func (l *listener) join(c *clientConn) (leave func()) {
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	l.done.Add(1)
	return func() {
		l.mu.Lock()
		l.g.counters.requests.Add(c.requests.Load() - c.counted)
		delete(l.conns, c)
		l.mu.Unlock()
		l.done.Done()
	}
}

// beginDrain stops accepting, after what is already waiting, and asks idle
// connections to end.
func (l *listener) beginDrain() {
	l.draining.Store(true)
	l.acceptTheLast()
	l.lot.close(l)
	l.each(func(c *clientConn) { c.lastChance() })
}

// acceptTheLast ends accepting soon.
func (l *listener) acceptTheLast() {
	if d, ok := l.ln.(interface{ SetDeadline(time.Time) error }); ok {
		d.SetDeadline(time.Now().Add(lastAccept))
	} else {
		l.ln.Close()
	}
}

// waiting tells whether a client has opened a connection that is not accepted yet.
func waiting(ln net.Listener) bool {
	s, ok := ln.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) })
	return err == nil && n > 0
}

// finish waits for the connections, and closes them when the time is over.
func (l *listener) finish(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.done.Wait()
		close(done)
	}()
	var limit <-chan time.Time
	if ctx.Err() != nil {
		t := time.NewTimer(l.g.conf.DrainTimeout)
		defer t.Stop()
		limit = t.C
	}
	select {
	case <-done:
		return
	case <-limit:
	case <-l.g.ctx.Done():
	}
	for {
		l.each(func(c *clientConn) { c.abort() })
		select {
		case <-done:
			return
		case <-time.After(tickEvery):
		}
	}
}

func (l *listener) each(fn func(*clientConn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		fn(c)
	}
}

func (l *listener) tick(stop <-chan struct{}) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		l.g.clock.tick()
		now := l.g.clock.ms.Load()
		l.each(func(c *clientConn) { c.check(now) })
		l.lot.expire(l, now)
		l.lot.release(time.Now())
	}
}

// check ends what takes too long, and calls whose client has gone.
func (c *clientConn) check(now int64) {
	if h := c.h2.Load(); h != nil {
		h.Check(now)
		return
	}
	if dl := c.deadline.Load(); dl != 0 && now > dl {
		c.expire(now)
	}
	c.suggestParking(now)
	if dl := c.upTime.Load(); dl != 0 && now > dl {
		c.endUp(now)
	}
	if since := c.waiting.Load(); since == 0 || now-since < 2*tickEvery.Milliseconds() {
		return
	}
	if c.left() {
		c.abort()
	}
}

// left tells whether the client has closed its connection, or given up its request.
func (c *clientConn) left() bool {
	if c.streams() {
		return c.gone() // once more: a deadline that abort set may have been taken away
	}
	_, open := upstream.Pending(c.raw)
	return !open
}

// past is a deadline that is over.
var past = time.Unix(1, 0)
