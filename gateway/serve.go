package gateway

import (
	"context"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/upstream"
	"millrace/internal/serving"
)

// tickEvery is how often connections are looked over for timeouts and for
// clients that have gone.
const tickEvery = 100 * time.Millisecond

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
	g         *Gateway
	accepting *serving.Acceptor
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
	return g.serveListener(ctx, &listener{g: g, accepting: g.acceptor(ln), conns: map[*clientConn]struct{}{}})
}

func (g *Gateway) acceptor(ln net.Listener) *serving.Acceptor {
	return &serving.Acceptor{Listener: ln, Log: g.conf.Log}
}

func (g *Gateway) serveListener(ctx context.Context, l *listener) error {
	if p, ok := l.accepting.Listener.(Proxied); ok {
		l.accepting.Listener, l.proxied = p.Listener, true
	}
	defer l.accepting.Close()
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { l.tick(stop) })
	err := g.serving.Serve(ctx, l)
	close(stop)
	ticking.Wait()
	l.lot.forget()
	return err
}

// Shutdown makes all Serve calls drain and waits for them. When ctx ends first,
// the connections that are left are closed.
func (g *Gateway) Shutdown(ctx context.Context) error { return g.serving.Shutdown(ctx) }

// Accept implements serving.Listener.
func (l *listener) Accept() error {
	return l.accepting.AcceptAll(func(conn net.Conn) {
		if l.admit() {
			l.take(conn)
		} else {
			conn.Close()
		}
	})
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
	go l.serve(c, leave)
}

func (l *listener) serve(c *clientConn, leave func()) {
	defer func() {
		leave()
		if !c.parked {
			l.g.open.Add(-1)
		}
	}()
	c.serve()
}

// join counts a connection among those being served, until leave is called.
func (l *listener) join(c *clientConn) (leave func()) {
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	l.done.Add(1)
	return func() {
		l.mu.Lock()
		l.drop(c)
		l.mu.Unlock()
		l.done.Done()
	}
}

// drop ends what join has begun, if that has not been done already; mu is held.
func (l *listener) drop(c *clientConn) {
	if _, ok := l.conns[c]; ok {
		l.g.counters.requests.Add(c.requests.Load() - c.counted)
		delete(l.conns, c)
	}
}

// Drain implements serving.Listener: it stops accepting, after what is already waiting,
// and asks idle connections to end.
func (l *listener) Drain() {
	l.draining.Store(true)
	l.accepting.Drain()
	l.closeLot()
	l.each(func(c *clientConn) { c.lastChance() })
}

// Wait implements serving.Listener.
func (l *listener) Wait() { l.done.Wait() }

// Abort implements serving.Listener.
func (l *listener) Abort() {
	l.each(func(c *clientConn) { c.abort() })
	l.expireParked(math.MaxInt64)
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
		after := l.parkAfter()
		l.each(func(c *clientConn) { c.check(now, after) })
		l.expireParked(now)
		l.release(time.Now())
	}
}

// check ends what takes too long, and calls whose client has gone. Who has been idle
// for after, in milliseconds, is parked.
func (c *clientConn) check(now, after int64) {
	if h := c.h2.Load(); h != nil {
		h.Check(now)
		if socketOf(c.Conn) != nil {
			h.Rest(now, time.Duration(after)*time.Millisecond)
		}
		return
	}
	if dl := c.deadline.Load(); dl != 0 && now > dl {
		c.expire(now)
	}
	c.suggestParking(now, after)
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
