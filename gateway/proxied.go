package gateway

import (
	"context"
	"net"
	"net/netip"

	"millrace/gateway/ocsp"
	"millrace/gateway/proxyproto"
	"millrace/gateway/upstream"
	"millrace/internal/rawio"
)

// Proxied is a listener of Serve or ServeTLS whose clients begin with a head of the
// PROXY protocol, ahead of TLS too. The client that it names takes the place of a
// peer in RealIPFrom.
type Proxied struct{ net.Listener }

// take serves a connection that has been accepted.
func (l *listener) take(conn net.Conn) {
	switch {
	case l.proxied:
		l.startProxied(conn)
	case l.tls:
		l.startTLS(conn)
	default:
		l.start(rawio.NewConn(conn), nil)
	}
}

// startProxied serves a connection after its PROXY head, which others need not wait
// for.
func (l *listener) startProxied(conn net.Conn) {
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		stop := context.AfterFunc(l.g.ctx, func() { conn.SetDeadline(past) })
		with, err := proxyproto.Accept(rawio.NewConn(conn), l.g.conf.HeaderTimeout, l.g.realIP.has)
		if stop(); err != nil {
			l.g.log.Warn("closing a connection that does not begin as it should", "client", conn.RemoteAddr(), "err", err)
			conn.Close()
			l.g.open.Add(-1)
			return
		}
		if l.tls {
			l.startTLS(with)
		} else {
			l.start(with, nil)
		}
	}()
}

// Trusts tells whether a peer may name the client that it speaks for.
func (g *Gateway) Trusts(peer netip.Addr) bool { return g.realIP.has(peer) }

// Stapler keeps what responders say of the certificates of ssl objects, for others that
// show them too. The gateway runs it.
func (g *Gateway) Stapler() *ocsp.Stapler { return g.conf.TLS.Stapler }

// Pool is where the gateway's upstreams are.
func (g *Gateway) Pool() *upstream.Pool { return g.pool }
