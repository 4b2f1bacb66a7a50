package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/gateway/http1"
	"millrace/internal/rawio"
)

// Conn is a connection to an endpoint.
type Conn struct {
	net.Conn
	Reader *http1.Reader

	raw      net.Conn
	timed    atomic.Bool // a deadline is set
	endpoint *Endpoint
	served   int
	since    time.Time     // idle since
	rested   time.Duration // how long it was idle when it was taken
}

// handshake speaks TLS over a connection.
func (e *Endpoint) handshake(ctx context.Context, conn net.Conn) (*tls.Conn, error) {
	if e.certErr != nil {
		return nil, e.certErr
	}
	t := tls.Client(conn, e.tls)
	return t, t.HandshakeContext(ctx)
}

// Fresh says that the connection has served no request yet.
func (c *Conn) Fresh() bool { return c.served == 0 }

// SetDeadline sets both deadlines, which also a kept-alive connection keeps.
func (c *Conn) SetDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is SetDeadline for reads.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is SetDeadline for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.Conn.SetWriteDeadline(t)
}

// NoDeadline takes deadlines away if any may be set.
func (c *Conn) NoDeadline() {
	if c.timed.Load() {
		c.timed.Store(false)
		c.Conn.SetDeadline(time.Time{})
	}
}

// Release ends an exchange. The connection is kept for the next one if reusable
// is true and its settings allow it, else closed.
func (c *Conn) Release(reusable bool) {
	c.served++
	keep := c.endpoint.key.Keep
	if !reusable || keep.Size < 0 || c.served >= keep.Requests || c.Reader.Buffered() > 0 {
		c.Conn.Close()
		return
	}
	c.Reader.Next()
	c.endpoint.put(c)
}

// Alive looks whether the server has closed an idle connection. An idle server
// that sends something has lost the count of its answers and is dead as well.
func (c *Conn) Alive() bool {
	pending, open := Pending(c.raw)
	return open && !pending
}

// quietTime is how long an idle connection is taken to be as it was left.
const quietTime = time.Millisecond

// Usable is Alive for what may be sent again if the server has closed meanwhile: a
// connection in steady use is not looked at.
func (c *Conn) Usable() bool { return c.rested < quietTime || c.Alive() }

// Pending looks into a connection without waiting: whether received bytes are
// waiting, and whether the peer has kept it open.
func Pending(conn net.Conn) (pending, open bool) {
	if c, ok := conn.(*rawio.Conn); ok {
		return c.Pending()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false, true
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false, false
	}
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		pending = n > 0
		open = n > 0 || err == syscall.EAGAIN || err == syscall.EINTR
	})
	return pending, open && err == nil
}

// Dial opens a connection.
func (e *Endpoint) Dial(ctx context.Context, timeout time.Duration) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var d net.Dialer
	dialled, err := d.DialContext(ctx, "tcp", e.key.Addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", e.key.Addr, err)
	}
	raw := rawio.NewConn(dialled)
	c := &Conn{Conn: raw, raw: raw, endpoint: e}
	if e.tls != nil {
		if c.Conn, err = e.handshake(ctx, raw); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS with %s: %w", e.key.Addr, err)
		}
	}
	c.Reader = http1.NewReader(c.Conn, readBuffer)
	c.Reader.SetLimits(maxHead, maxHead)
	return c, nil
}

// readBuffer holds a usual answer, head and body; maxHead is the longest head.
const (
	readBuffer = 4 << 10
	maxHead    = 32 << 10
)
