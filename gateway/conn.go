package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/http2"
	"millrace/gateway/upstream"
	"millrace/plugin"
)

// errClientGone says that the client's connection broke.
var errClientGone = errors.New("client has gone")

// outBuffer is how much room a connection begins to build messages with.
const outBuffer = 4 << 10

// clientConn is a client's connection, served by one goroutine. Its timeouts
// are no timers of its own: the listener's tick looks at deadline.
type clientConn struct {
	net.Conn
	raw                 net.Conn                   // below TLS
	front               front                      // nil unless the client's requests come on streams
	h2                  atomic.Pointer[http2.Conn] // nil unless the client speaks HTTP/2
	origin              origin
	security            *security
	l                   *listener
	reader              *http1.Reader
	out                 []byte // room to build messages in
	x                   exchange
	peer                plugin.Conn
	addr                netip.Addr // invalid for a Unix socket
	local               bool       // the client is on this machine
	trusted, realIPFrom bool       // what the client's headers may say

	deadline atomic.Int64 // coarse milliseconds; 0 is none
	upTime   atomic.Int64 // deadline of the upstream; 0 is none
	waiting  atomic.Int64 // since when an upstream is working; 0 if none is
	idle     atomic.Bool  // no request has begun
	begun    atomic.Bool  // but a part of its head has come
	requests atomic.Int64 // how many have; only the connection's goroutine counts
	parking  atomic.Bool  // it is asked to be parked
	parked   bool         // it has been left to the listener's lot
	rested   bool         // it has waited for its next request before, until deadline
	counted  int64        // requests before it was parked, which have been added up
	// pipelined: the request had come before the last was answered.
	pipelined bool

	mu      sync.Mutex
	up      *upstream.Conn
	cancel  func()
	aborted bool
	// streamID is the stream of HTTP/2 being served, 0 if none is.
	streamID uint32
	expects  bool // the client waits for 100 Continue
	// realIPText is the last value of the header that names the client, and
	// realAddr whom it named.
	realIPText   string
	realAddr     netip.Addr
	realAddrText string
	shut         bool // it is closed to make room; held by mu
}

func newConn(l *listener, conn net.Conn) *clientConn {
	c := &clientConn{Conn: conn, raw: conn, l: l}
	c.reader = http1.NewReader(conn, 0)
	c.reader.SetLimits(l.g.conf.MaxHeaderLine, l.g.conf.MaxHeader)
	c.peer.Scheme, c.peer.Proto = "http", "HTTP/1.1"
	if t, ok := conn.(*tls.Conn); ok {
		c.raw, c.peer.Scheme = t.NetConn(), "https"
	}
	c.addr, c.peer.RemoteAddr, c.peer.RemotePort = splitAddr(conn.RemoteAddr())
	_, c.peer.ServerAddr, c.peer.ServerPort = splitAddr(conn.LocalAddr())
	c.trusted, c.realIPFrom = l.g.trusted.has(c.addr), l.g.realIP.has(c.addr)
	c.local = !c.addr.IsValid() || c.addr.IsLoopback()
	c.origin = origin{opened: l.g.clock.ms.Load(), requests: &c.requests, raw: c.raw}
	c.peer.Client, c.x.ctx.Limits = c, l.g.conf.VarLimits
	c.x.g, c.x.conn, c.x.req.x = l.g, c, &c.x
	c.x.ctx.Request, c.x.ctx.Response = &c.x.req, &c.x.res
	return c
}

func splitAddr(a net.Addr) (addr netip.Addr, text string, port int) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return addr, "unix:", 0
	}
	addr = t.AddrPort().Addr().Unmap().WithZone("")
	return addr, addr.String(), t.Port
}

// serve answers requests until the connection ends.
func (c *clientConn) serve() {
	defer func() {
		if !c.parked {
			c.Conn.Close()
		}
	}()
	defer c.rescue()
	if h := c.h2.Load(); h != nil { // it was parked
		c.goOnHTTP2(h)
		return
	}
	if c.security != nil && c.security.state.NegotiatedProtocol == protoHTTP2 {
		c.serveHTTP2(c.Conn)
		return
	}
	c.serveRequests()
}

// rescue keeps a plugin that panics from ending the process: its connection is lost,
// with what was being done for it.
func (c *clientConn) rescue() {
	reason := recover()
	if reason == nil {
		return
	}
	c.l.g.log.Error("a panic while answering a request", "route", c.x.routeID(), "panic", reason, "stack", string(debug.Stack()))
	c.abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up != nil {
		c.up.Close()
	}
}

// serveRequests answers requests of HTTP/1.1, one after the other.
func (c *clientConn) serveRequests() {
	c.out = make([]byte, 0, outBuffer)
	for first := c.requests.Load() == 0; ; first = false {
		c.begun.Store(false)
		c.idle.Store(true)
		if c.l.draining.Load() {
			c.lastChance()
		}
		head, err := c.nextHead(first)
		if err != nil && c.goesOn(err) {
			if c.parked {
				return
			}
			continue
		}
		c.idle.Store(false)
		if c.l.draining.Load() {
			c.resume()
		}
		if err != nil {
			if c.overslept(err) {
				continue
			}
			if c.reader.Buffered() > 0 {
				c.x.begin() // what the last request has left
				c.refuse(err)
				c.linger()
			}
			return
		}
		if first && bytes.Equal(head, prefaceHead) && c.l.g.conf.HTTP2 {
			c.upgrade()
			return
		}
		c.requests.Store(c.requests.Load() + 1)
		keep := c.x.handle(head)
		if !keep {
			c.linger()
			return
		}
		c.reader.Next()
	}
}

// upgrade goes on in HTTP/2, whose preface has come in the place of a request.
func (c *clientConn) upgrade() {
	c.relax()
	before := append([]byte(nil), prefaceHead...)
	rest := make([]byte, c.reader.Buffered())
	c.reader.SetBody(int64(len(rest)))
	n, _ := io.ReadFull(c.reader, rest) // it is in memory
	c.serveHTTP2(&prefixed{Conn: c.Conn, before: append(before, rest[:n]...)})
}

// nextHead waits for a request and reads its head.
func (c *clientConn) nextHead(first bool) ([]byte, error) {
	if !first {
		if !c.rested {
			c.expect(c.l.g.conf.KeepaliveTimeout)
		}
		c.rested = false
		c.pipelined = c.reader.Buffered() > 0
		if err := c.reader.Peek(); err != nil {
			return nil, err
		}
		c.begun.Store(true)
		if c.parking.Load() {
			c.stay()
		}
	}
	c.expect(c.l.g.conf.HeaderTimeout)
	return c.reader.Head(false)
}

// lastChance lets an idle connection begin one more request, soon.
func (c *clientConn) lastChance() {
	if h := c.h2.Load(); h != nil {
		h.Shutdown()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle.Load() && !c.shut {
		c.Conn.SetReadDeadline(time.Now().Add(c.l.g.lastRequest))
	}
}

// resume undoes lastChance when a request has begun.
func (c *clientConn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.aborted {
		c.Conn.SetReadDeadline(time.Time{})
	}
}

// overslept says whether a read was ended by lastChance although a request had
// begun to arrive.
func (c *clientConn) overslept(err error) bool {
	if !c.l.draining.Load() || !isTimeout(err) {
		return false
	}
	pending, open := upstream.Pending(c.raw)
	return open && (pending || c.reader.Buffered() > 0) && !c.timedOut()
}

func (c *clientConn) timedOut() bool {
	dl := c.deadline.Load()
	return dl != 0 && c.l.g.clock.ms.Load() > dl
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// refuse answers what is no request.
func (c *clientConn) refuse(err error) {
	status, detail := 0, ""
	switch {
	case errors.Is(err, http1.ErrTargetTooLong):
		status = 414
	case errors.Is(err, http1.ErrHeadTooLarge):
		status, detail = 400, "Request Header Or Cookie Too Large"
	case errors.Is(err, http1.ErrMethod):
		status = 405
	case errors.Is(err, http1.ErrCoding):
		status = 501
	case errors.Is(err, http1.ErrVersion):
		status = 505
	case errors.Is(err, http1.ErrMalformed):
		status = 400
	case c.tooSlow(err) && c.reader.Buffered() > 0: // nobody waits for an answer who has asked nothing
		status = 408
	}
	if status != 0 {
		c.x.refuse(status, detail)
	}
}

// expect gives the client d for what it does next.
func (c *clientConn) expect(d time.Duration) {
	c.deadline.Store(c.l.g.clock.ms.Load() + d.Milliseconds())
}

// relax ends expect.
func (c *clientConn) relax() { c.deadline.Store(0) }

// send writes to the client; last ends the answer.
func (c *clientConn) send(b []byte, last bool) (err error) {
	c.expect(c.l.g.conf.SendTimeout)
	if c.streams() {
		err = c.front.Send(b, last)
	} else {
		_, err = c.Conn.Write(b)
	}
	c.relax()
	if err != nil {
		return errClientGone
	}
	return nil
}

// continue100 tells a client that waits for it to send its body.
func (c *clientConn) continue100() {
	if c.expects {
		c.expects = false
		_ = c.send([]byte("HTTP/1.1 100 Continue\r\n\r\n"), false)
	}
}

// attach makes the upstream's connection end when the client goes; false if it
// has already gone.
func (c *clientConn) attach(up *upstream.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		return false
	}
	c.up = up
	c.waiting.Store(c.l.g.clock.ms.Load())
	return true
}

// expectUp gives the upstream d for its next read.
func (c *clientConn) expectUp(d time.Duration) {
	c.upTime.Store(c.l.g.clock.ms.Load() + d.Milliseconds())
}

// endUp ends a call whose upstream has used up its time; another may have begun
// since that was noticed.
func (c *clientConn) endUp(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if dl := c.upTime.Load(); c.up != nil && dl != 0 && now > dl {
		c.up.SetReadDeadline(past)
	}
}

func (c *clientConn) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up = nil
	c.upTime.Store(0)
	if c.cancel == nil {
		c.waiting.Store(0)
	}
}

// watch makes cancel be called when the client goes before the request is over.
func (c *clientConn) watch(cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	c.waiting.Store(c.l.g.clock.ms.Load())
	if c.aborted {
		cancel()
	}
}

func (c *clientConn) unwatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = nil
	c.waiting.Store(0)
}

// abort ends whatever is done for the client.
func (c *clientConn) abort() {
	if h := c.h2.Load(); h != nil {
		h.Abort()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endAll()
}

// endAll is abort; mu is held.
func (c *clientConn) endAll() {
	c.aborted = true
	c.Conn.SetDeadline(past)
	if c.up != nil {
		c.up.SetDeadline(past)
	}
	if c.cancel != nil {
		c.cancel()
	}
}

func (c *clientConn) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.aborted
}

// Bounds of linger.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 10
)

// linger reads on for a while after the last answer: closing a connection with
// unread bytes would make the kernel reset it, and the answer could be lost.
func (c *clientConn) linger() {
	if c.x.dropped || c.gone() {
		return
	}
	pending, open := upstream.Pending(c.raw)
	if !open || !pending && c.reader.Buffered() == 0 && c.reader.BodyDone() {
		return
	}
	w, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	c.expect(lingerTime)
	var sink [4 << 10]byte
	for n := 0; n < lingerBytes; {
		m, err := c.Conn.Read(sink[:])
		if n += m; err != nil {
			return
		}
	}
}

// discard reads a body that nobody wanted, if it is short; false if not.
func (c *clientConn) discard() bool {
	if c.reader.BodyDone() {
		return true
	}
	if c.expects {
		return false
	}
	c.expect(lingerTime)
	var sink [4 << 10]byte
	for n := 0; n <= wholeBody; {
		m, err := c.reader.Read(sink[:])
		if n += m; err != nil {
			return err == io.EOF
		}
	}
	return false
}
