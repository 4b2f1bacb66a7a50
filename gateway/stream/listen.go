package stream

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/plugin"
)

// listener is a listener being served, with its sessions.
type listener struct {
	s    *Server
	addr string // as logs and metrics have it
	tls  bool

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
	l := s.newListener(ln.Addr(), secured)
	return s.serveListener(ctx, l, func() error { return l.accept(ln) }, func() { ln.Close() })
}

func (s *Server) newListener(addr net.Addr, secured bool) *listener {
	return &listener{s: s, addr: unmap(addrPort(addr)).String(), tls: secured, sessions: map[*session]struct{}{}}
}

// serveListener serves a listener: take takes what comes until it is ended by end.
func (s *Server) serveListener(ctx context.Context, l *listener, take func() error, end func()) error {
	s.mu.Lock()
	if s.stopping() {
		s.mu.Unlock()
		end()
		return nil
	}
	s.serve.Add(1)
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer s.serve.Done()
	defer s.forget(l)
	taken := make(chan error, 1)
	go func() { taken <- take() }()
	err, taking := error(nil), true
	select {
	case err = <-taken:
		taking = false
	case <-ctx.Done():
	case <-s.drain:
	}
	l.draining.Store(true)
	end()
	if taking {
		err = <-taken
	}
	l.finish(ctx)
	if ctx.Err() != nil || s.stopping() {
		return nil
	}
	return err
}

func (s *Server) forget(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) stopping() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// Shutdown makes all Serve calls drain and waits for them. When ctx ends first,
// the connections that are left are closed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopping() {
		close(s.drain)
	}
	s.mu.Unlock()
	defer s.stop()
	done := make(chan struct{})
	go func() {
		s.serve.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.stop()
		<-done
		return ctx.Err()
	}
}

// accept takes connections until ln is closed.
func (l *listener) accept(ln net.Listener) error {
	var wait time.Duration
	for {
		conn, err := ln.Accept()
		if err == nil {
			wait = 0
			l.start(conn)
			continue
		}
		if l.draining.Load() {
			return nil
		}
		if !scarcity(err) {
			return err
		}
		wait = min(max(5*time.Millisecond, 2*wait), time.Second)
		l.s.conf.Log.Warn("accepting a connection", "listener", l.addr, "err", err, "again_in", wait)
		time.Sleep(wait)
	}
}

// scarcity says that the machine lacks something which connections that end give
// back, most likely file descriptors.
func scarcity(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

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
	defer l.mu.Unlock()
	l.sessions[x] = struct{}{}
}

func (l *listener) leave(x *session) {
	x.abort()
	l.mu.Lock()
	delete(l.sessions, x)
	l.mu.Unlock()
	l.active.Add(-1)
	l.done.Done()
}

// finish waits for the sessions, and ends them when the time is over.
func (l *listener) finish(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.done.Wait()
		close(done)
	}()
	l.each((*session).hurry)
	var limit <-chan time.Time
	if ctx.Err() != nil {
		t := time.NewTimer(l.s.conf.DrainTimeout)
		defer t.Stop()
		limit = t.C
	}
	select {
	case <-done:
		return
	case <-limit:
	case <-l.s.ctx.Done():
	}
	l.each(func(x *session) { x.abort() })
	<-done
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		fn(l.addr, l.active.Load())
	}
}
