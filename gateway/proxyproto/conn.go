package proxyproto

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Conn is a connection whose head has been read.
type Conn struct {
	net.Conn
	Head   Header
	rest   []byte // the client's first bytes, read with the head
	remote net.Addr
}

// Accept reads the head of a connection, which has until timeout to come. The
// connection that it answers has the client's address as its remote one if trusts
// says so of its peer. On an error the connection is still open.
func Accept(conn net.Conn, timeout time.Duration, trusts func(netip.Addr) bool) (*Conn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	h, rest, err := Read(conn)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: conn, Head: h, rest: rest, remote: conn.RemoteAddr()}
	if peer, ok := c.remote.(*net.TCPAddr); ok && h.Source.IsValid() && trusts(peer.AddrPort().Addr().Unmap()) {
		c.remote = net.TCPAddrFromAddrPort(h.Source)
	}
	return c, conn.SetReadDeadline(time.Time{})
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Unread hands over the connection as it was accepted, with the client's bytes that
// were read from it.
func (c *Conn) Unread() (net.Conn, []byte) { return c.Conn, c.rest }

// CloseWrite ends the sending side.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

// SyscallConn implements syscall.Conn. Who reads from the socket misses the bytes
// that came with the head.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if raw, ok := c.Conn.(syscall.Conn); ok {
		return raw.SyscallConn()
	}
	return nil, syscall.EINVAL
}
