package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/gateway/upstream"
)

const (
	// maxDatagram is the largest that UDP carries.
	maxDatagram = 64 << 10
	// maxPending and maxPendingBytes are how much of a client waits until its node is
	// known; the first datagram does in any case.
	maxPending      = 16
	maxPendingBytes = 16 << 10
)

// udpListener hands the datagrams of a socket to the sessions of their clients.
type udpListener struct {
	*listener
	conn *net.UDPConn
	mu   sync.Mutex
	by   map[client]*udp
}

// client is where a datagram comes from and the address that it was sent to.
type client struct {
	remote netip.AddrPort
	local  netip.Addr
}

// ServeUDP passes on the datagrams that come to conn, and what nodes answer to
// them: those of one client are a session until nothing has come for a while. It
// ends as ServeTCP does and closes conn.
func (s *Server) ServeUDP(ctx context.Context, conn *net.UDPConn) error {
	defer conn.Close() // when the sessions have sent their answers
	if err := askLocal(conn); err != nil {
		return fmt.Errorf("asking for the addresses that datagrams are sent to: %w", err)
	}
	l := &udpListener{listener: s.newListener(conn.LocalAddr(), false), conn: conn, by: map[client]*udp{}}
	l.take, l.end = l.receive, func() { conn.SetReadDeadline(past) }
	return s.serving.Serve(ctx, l.listener)
}

// receive takes datagrams until the listener drains. Sessions that are open then
// get no more.
func (l *udpListener) receive() error {
	buf, oob := make([]byte, maxDatagram), make([]byte, 128)
	port := addrPort(l.conn.LocalAddr()).Port()
	for {
		n, m, _, from, err := l.conn.ReadMsgUDPAddrPort(buf, oob)
		switch {
		case err == nil:
			local := localOf(oob[:m])
			if !local.IsValid() {
				local = addrPort(l.conn.LocalAddr()).Addr()
			}
			l.deliver(client{from, local}, port, buf[:n])
		case l.draining.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // what an earlier datagram has met
			l.s.log.Warn("receiving a datagram", "listener", l.addr, "err", err)
			time.Sleep(time.Millisecond) // whatever it is, it shall not take all the time there is
		}
	}
}

// deliver hands a datagram to its session, a new one if the client has none.
func (l *udpListener) deliver(from client, port uint16, b []byte) {
	l.mu.Lock()
	c := l.by[from]
	if c == nil {
		if c = l.open(from, port); c == nil {
			l.mu.Unlock()
			return
		}
	}
	l.mu.Unlock()
	c.take(b)
}

// open begins a session; mu is held. nil: there are too many.
func (l *udpListener) open(from client, port uint16) *udp {
	if l.s.sessions.Add(1) > int64(l.s.conf.MaxSessions) {
		l.s.sessions.Add(-1)
		l.s.log.Warn("dropping a datagram of a new client: there are as many as may be", "listener", l.addr)
		return nil
	}
	x := l.newSession(from.remote, netip.AddrPortFrom(from.local, port), protocolUDP)
	c := &udp{x: x, l: l, from: from, control: sendFrom(from.local), first: make(chan struct{})}
	x.carry(c)
	l.by[from] = c
	l.join(x)
	go func() {
		defer l.s.sessions.Add(-1)
		defer l.leave(x)
		defer c.close()
		x.walk()
	}()
	return c
}

// udp carries the datagrams of one client.
type udp struct {
	x       *session
	l       *udpListener
	from    client
	control []byte // makes answers come from where the client sent to
	first   chan struct{}

	mu      sync.Mutex
	pending [][]byte // came before the node was known
	waiting int      // bytes of pending
	node    atomic.Pointer[net.UDPConn]
	closed  bool
	refused atomic.Bool
}

// take passes on a datagram, or keeps it until the node is known.
func (c *udp) take(b []byte) {
	c.x.touch()
	c.x.count.fromClient.Add(int64(len(b)))
	if node := c.node.Load(); node != nil {
		c.send(node, b)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if node := c.node.Load(); node != nil {
		c.send(node, b)
		return
	}
	if n := len(c.pending); c.closed || n == maxPending || n > 0 && c.waiting+len(b) > maxPendingBytes {
		return
	}
	c.waiting += len(b)
	if c.pending = append(c.pending, append([]byte{}, b...)); len(c.pending) == 1 {
		close(c.first)
	}
}

// send passes a datagram on; UDP may lose it.
func (c *udp) send(node *net.UDPConn, b []byte) {
	n, err := node.Write(b)
	c.x.count.toNode.Add(int64(n))
	if errors.Is(err, syscall.ECONNREFUSED) { // which the relay can no longer see
		c.refused.Store(true)
		node.SetReadDeadline(past)
	}
}

// Peek implements plugin.Peeker: it looks into the first datagram.
func (c *udp) Peek(n int) ([]byte, error) {
	select {
	case <-c.first:
	case <-c.x.life.Done():
		return nil, c.x.life.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.pending[0]; len(b) >= n {
		return b[:n], nil
	}
	return nil, errPeek
}

// call implements carrier.
func (c *udp) call(ctx context.Context, e *upstream.Endpoint, _ time.Duration) (netip.AddrPort, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", e.Addr())
	if err != nil {
		return netip.AddrPort{}, err
	}
	node := conn.(*net.UDPConn)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.pending {
		c.send(node, b)
	}
	c.pending = nil
	c.node.Store(node)
	return addrPort(node.RemoteAddr()), nil
}

// relay passes answers on until the session has been silent for its idle time.
func (c *udp) relay() {
	x, node := c.x, c.node.Load()
	defer x.watchIdle(idleUDP)()
	stop := context.AfterFunc(x.life, func() { node.SetReadDeadline(past) })
	defer stop()
	answers, err := newReader(node, &datagrams)
	for err == nil {
		err = c.pass(answers)
	}
	if x.life.Err() == nil || c.refused.Load() { // most likely nobody listens there
		x.response.status, x.broken = 502, true
		x.s.log.Warn("calling a node", "route", x.route.id, "node", x.node.Addr, "err", err)
	}
}

// pass waits for an answer and passes it on.
func (c *udp) pass(answers *reader) error {
	buf, n, err := answers.next()
	if err != nil {
		return err
	}
	defer datagrams.Put(buf)
	c.x.touch()
	c.x.count.fromNode.Add(int64(n))
	sent, _, _ := c.l.conn.WriteMsgUDPAddrPort((*buf)[:n], c.control, c.from.remote) // UDP may lose it
	c.x.count.toClient.Add(int64(sent))
	return nil
}

func (c *udp) close() {
	c.l.mu.Lock()
	delete(c.l.by, c.from)
	c.l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.pending = true, nil
	if node := c.node.Load(); node != nil {
		node.Close()
	}
}
