package gateway

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"millrace/gateway/proxyproto"
	"millrace/plugin"
)

// origin is the connection that requests come from; the streams of HTTP/2 and HTTP/3
// share that of their connection.
type origin struct {
	serial   int64 // counts the connections of the gateway
	opened   int64 // coarse milliseconds
	requests *atomic.Int64
	raw      net.Conn // below TLS; nil over QUIC
}

// Client is what variables can find out about a connection; a clientConn is one.
var _ plugin.Client = (*clientConn)(nil)

// Serial and the following implement plugin.Client.
func (c *clientConn) Serial() int64 { return c.origin.serial }

// Requests counts the present one too.
func (c *clientConn) Requests() int64 { return c.origin.requests.Load() }

// Opened is as exact as the gateway's clock.
func (c *clientConn) Opened() time.Time { return time.UnixMilli(c.origin.opened) }

// Pipelined says that the request was in memory when the last was answered.
func (c *clientConn) Pipelined() bool { return c.pipelined }

// Peer is who has opened the connection, as the kernel says.
func (c *clientConn) Peer() netip.AddrPort {
	conn := c.origin.raw
	if p, ok := conn.(*proxyproto.Conn); ok {
		conn = p.Conn
	}
	if conn != nil {
		if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			return a.AddrPort()
		}
	}
	if !c.addr.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(c.addr, uint16(c.peer.RemotePort))
}

// Balancer is what the head of the PROXY protocol has said.
func (c *clientConn) Balancer() (source, destination netip.AddrPort) {
	if p, ok := c.origin.raw.(*proxyproto.Conn); ok {
		return p.Head.Source, p.Head.Destination
	}
	return source, destination
}

// TCP asks the kernel.
func (c *clientConn) TCP() (info plugin.TCPInfo, ok bool) {
	conn, ok := c.origin.raw.(syscall.Conn)
	if !ok {
		return info, false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return info, false
	}
	var tcp *unix.TCPInfo
	if controlled := raw.Control(func(fd uintptr) { tcp, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); controlled != nil || err != nil {
		return info, false
	}
	return plugin.TCPInfo{RTT: int64(tcp.Rtt), RTTVar: int64(tcp.Rttvar), SndCwnd: int64(tcp.Snd_cwnd), RcvSpace: int64(tcp.Rcv_space)}, true
}

// CheckCertificate holds the client's certificate against what its server name demands.
func (c *clientConn) CheckCertificate() error {
	if c.security == nil || c.security.entry == nil {
		return nil
	}
	return c.security.entry.Verify(&c.security.state)
}
