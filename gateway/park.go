package gateway

import (
	"crypto/tls"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"millrace/gateway/http2"
	"millrace/gateway/proxyproto"
	"millrace/gateway/sni"
	"millrace/internal/rawio"
)

// A connection on which nothing has come for parkAfter is parked: its goroutine ends
// and its buffers are given back, and what is left until its client goes on is a
// descriptor that the kernel watches and, if it speaks TLS or HTTP/2, the state of
// those. Going on costs about as much as serving a request. A longer wait would have
// more connections with all that they take at once, for which the runtime keeps some
// 2 KB each for ever. Where a listener has no more than fewConns, which take some 20 MB,
// the wait is patience times as long, so that clients that ask once a second or so do
// not pay for it.
const (
	parkAfter = 500 * time.Millisecond
	fewConns  = 1024
	patience  = 10
)

// parkAfter is how long, in milliseconds, a connection has to be idle to be parked.
func (l *listener) parkAfter() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	after := l.g.parkAfter.Load()
	if len(l.conns)+len(l.lot.berths) <= fewConns {
		after *= patience
	}
	return after
}

// held is what is kept in memory of a parked connection.
type held struct {
	conn   net.Conn
	socket *rawio.Conn
	entry  *sni.Entry
	h2     *http2.Conn // nil unless the client speaks HTTP/2
}

// socketOf is what a connection's bytes come from; nil if that is no TCP socket, and
// the connection cannot be parked.
func socketOf(conn net.Conn) *rawio.Conn {
	switch c := conn.(type) {
	case *rawio.Conn:
		return c
	case *tls.Conn:
		return socketOf(c.NetConn())
	case *proxyproto.Conn:
		return socketOf(c.Conn)
	}
	return nil
}

// suggestParking asks the connection's goroutine to park it, if it has been idle for
// so long, in milliseconds.
func (c *clientConn) suggestParking(now, after int64) {
	if !c.idle.Load() || c.begun.Load() || c.requests.Load() == 0 || c.parking.Load() {
		return
	}
	since := c.deadline.Load() - c.l.g.conf.KeepaliveTimeout.Milliseconds()
	if now-since < after || socketOf(c.Conn) == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted || c.shut || c.l.draining.Load() {
		return
	}
	// A request that begins now is seen here, or sees parking in nextHead.
	c.parking.Store(true)
	if c.begun.Load() {
		c.parking.Store(false)
	} else {
		c.Conn.SetReadDeadline(past)
	}
}

// stay undoes suggestParking; false if the connection has to end.
func (c *clientConn) stay() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parking.Store(false)
	if c.aborted || c.shut {
		return false
	}
	c.Conn.SetReadDeadline(time.Time{})
	return true
}

// goesOn says whether the connection waits on, or is parked, although reading ended
// with err, which was suggestParking.
func (c *clientConn) goesOn(err error) bool {
	if !c.parking.Load() || !isTimeout(err) || !c.stay() || c.timedOut() {
		return false
	}
	c.rested = true
	if c.reader.Buffered() == 0 {
		c.l.park(c, c.deadline.Load())
	}
	return true
}

// park leaves an idle connection to the lot, if it can; deadline is when it has been
// idle for too long. Whoever finds c among the listener's connections holds mu, so
// that nobody uses it meanwhile.
func (l *listener) park(c *clientConn, deadline int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	socket := socketOf(c.Conn)
	fd, err := socket.Handle()
	if err != nil {
		return
	}
	b := &berth{deadline: deadline, serial: c.origin.serial, opened: c.origin.opened, fd: int32(fd), requests: uint32(c.requests.Load())}
	if h := c.h2.Load(); h != nil || c.Conn != net.Conn(socket) {
		b.held = &held{conn: c.Conn, socket: socket, h2: h}
		if c.security != nil {
			b.held.entry = c.security.entry
		}
	}
	if c.ends() || !l.lot.add(b, l.wake) {
		unix.Close(fd)
		return
	}
	socket.Discard()
	c.parked = true
	l.drop(c)
}

// ends says that the connection is to end.
func (c *clientConn) ends() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.aborted || c.shut
}

// wake serves a parked connection again, on which something has come.
func (l *listener) wake(fd int32, events uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.lot.take(fd)
	switch {
	case b == nil:
	case b.held == nil && events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 && !b.asks():
		l.end(b) // its client has gone
	default:
		l.unpark(b, false)
	}
}

// parked is how many connections are.
func (l *listener) parked() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.lot.berths))
}

// asks says whether the client has sent anything.
func (b *berth) asks() bool {
	pending, _ := rawio.Look(uintptr(b.fd))
	return pending
}

// unpark has a connection served that has been taken out of the lot: until it ends or,
// if over, to end it; mu is held.
func (l *listener) unpark(b *berth, over bool) {
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		l.resume(b, over)
	}()
	l.leaveLot()
}

// end closes a connection that has been taken out of the lot; mu is held.
func (l *listener) end(b *berth) {
	if b.held != nil { // its client is told
		l.unpark(b, true)
		return
	}
	unix.Close(int(b.fd))
	l.g.open.Add(-1)
	l.leaveLot()
}

// leaveLot ends what closeLot has made wait; mu is held.
func (l *listener) leaveLot() {
	if l.lot.closed && len(l.lot.berths) == 0 {
		l.done.Done()
	}
}

// resume serves a connection that was parked.
func (l *listener) resume(b *berth, over bool) {
	c, err := l.reopen(b)
	if err != nil {
		l.g.log.Error("a connection that was idle cannot be served any more", "err", err)
		l.g.open.Add(-1)
		return
	}
	leave := l.join(c)
	if over {
		c.sayGoodbye()
	}
	l.serve(c, leave)
}

// reopen makes a connection of what was kept of it.
func (l *listener) reopen(b *berth) (c *clientConn, err error) {
	if b.held == nil {
		var socket *rawio.Conn
		if socket, err = rawio.Open(int(b.fd)); err != nil {
			return nil, err
		}
		c = newConn(l, socket)
	} else {
		if err := b.held.socket.Reopen(int(b.fd)); err != nil {
			return nil, err
		}
		c = newConn(l, b.held.conn)
		c.h2.Store(b.held.h2)
		if t, ok := b.held.conn.(*tls.Conn); ok {
			c.security = &security{entry: b.held.entry, state: t.ConnectionState()}
		}
	}
	c.origin.serial, c.origin.opened = b.serial, b.opened
	c.requests.Store(int64(b.requests))
	c.deadline.Store(b.deadline)
	c.counted, c.rested = int64(b.requests), true
	return c, nil
}

// sayGoodbye has a connection end that was parked.
func (c *clientConn) sayGoodbye() {
	if h := c.h2.Load(); h != nil {
		h.Shed(c.l.g.clock.ms.Load())
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = true
	c.Conn.SetReadDeadline(past)
}

// closeLot takes no more connections in, and lets those in the lot begin one more
// request, soon: see lastChance.
func (l *listener) closeLot() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lot.closed = true
	if len(l.lot.berths) == 0 {
		return
	}
	l.done.Add(1) // until the lot is empty
	until := l.g.clock.ms.Load() + l.g.lastRequest.Milliseconds()
	for fd, b := range l.lot.berths {
		b.deadline = min(b.deadline, until)
		if b.held != nil && b.held.h2 != nil { // its client is told
			l.unpark(l.lot.take(fd), false)
		}
	}
}

// expireParked closes the connections that have been parked for too long.
func (l *listener) expireParked(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var next *berth
	for b := l.lot.oldest; b != nil && now > b.deadline; b = next {
		if next = b.newer; !b.asks() { // or else it is about to be woken
			l.end(l.lot.take(b.fd))
		}
	}
}

// shedParked closes some connections to make room, those first that have been parked
// for longest, and answers how many.
func (l *listener) shedParked() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var next *berth
	for b, tries := l.lot.oldest, 0; b != nil && n < shedAtOnce && tries < 4*shedAtOnce; b, tries = next, tries+1 {
		if next = b.newer; b.requests > 0 && !b.asks() {
			l.end(l.lot.take(b.fd))
			n++
		}
	}
	return n
}

// release gives memory back to the system if many connections have been parked.
func (l *listener) release(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lot.release(now)
}
