package stream

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"millrace/internal/serving"
	"millrace/plugin"
)

// listener is a listener being served, with its sessions.
type listener struct {
	s    *Server
	addr string // as logs and metrics have it
	tls  bool
	// take takes what comes until end is called.
	take func() error
	end  func()

	draining atomic.Bool
	active   atomic.Int64
	mu       sync.Mutex
	sessions map[*session]struct{}
	done     sync.WaitGroup
}

// ServeTCP passes on the connections that ln accepts, with secured those that speak
// TLS, until ctx ends or Shutdown is called. Then it stops accepting, waits for
// connections that are not silent, for DrainTimeout at most if it was ctx, and
// returns nil when all are gone. It closes ln.
func (s *Server) ServeTCP(ctx context.Context, ln net.Listener, secured bool) error {
	accepting := &serving.Acceptor{Listener: ln, Log: s.conf.Log}
	defer accepting.Close()
	l := s.newListener(ln.Addr(), secured)
	l.take, l.end = func() error { return accepting.AcceptAll(l.start) }, accepting.Drain
	return s.serving.Serve(ctx, l)
}

func (s *Server) newListener(addr net.Addr, secured bool) *listener {
	return &listener{s: s, addr: unmap(addrPort(addr)).String(), tls: secured, sessions: map[*session]struct{}{}}
}

// Shutdown makes all Serve calls drain and waits for them. When ctx ends first,
// the connections that are left are closed.
func (s *Server) Shutdown(ctx context.Context) error { return s.serving.Shutdown(ctx) }

// Accept implements serving.Listener.
func (l *listener) Accept() error { return l.take() }

// Drain implements serving.Listener: sessions that are silent end.
func (l *listener) Drain() {
	l.draining.Store(true)
	l.end()
	l.each((*session).hurry)
}

// Wait implements serving.Listener.
func (l *listener) Wait() { l.done.Wait() }

// Abort implements serving.Listener.
func (l *listener) Abort() { l.each(func(x *session) { x.abort() }) }

// start passes a connection on, unless there are too many.
func (l *listener) start(conn net.Conn) {
	if l.s.connections.Add(1) > int64(l.s.conf.MaxConnections) {
		l.s.connections.Add(-1)
		conn.Close()
		l.s.log.Warn("turning a connection away: there are as many as may be", "listener", l.addr)
		return
	}
	x := l.newSession(addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr()), protocolTCP)
	l.join(x)
	go func() {
		defer l.s.connections.Add(-1)
		defer l.leave(x)
		c := newTCP(x, conn)
		x.carry(c)
		defer c.close()
		if err := c.open(); err != nil {
			l.s.log.Info("closing a connection that does not begin as it should", "listener", l.addr, "client", x.ctx.Conn.RemoteAddr, "err", err)
			return
		}
		x.walk()
	}()
}

// join counts a session among those being served.
func (l *listener) join(x *session) {
	l.active.Add(1)
	l.done.Add(1)
	l.mu.Lock()
	l.sessions[x] = struct{}{}
	l.mu.Unlock()
	if l.draining.Load() {
		x.hurry()
	}
}

func (l *listener) leave(x *session) {
	x.abort()
	l.mu.Lock()
	delete(l.sessions, x)
	l.mu.Unlock()
	l.active.Add(-1)
	l.done.Done()
}

func (l *listener) each(fn func(*session)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for x := range l.sessions {
		fn(x)
	}
}

var _ plugin.StreamStatus = (*Server)(nil)

// EachListener implements plugin.StreamStatus.
func (s *Server) EachListener(fn func(addr string, active int64)) {
	s.serving.Each(func(l *listener) { fn(l.addr, l.active.Load()) })
}
