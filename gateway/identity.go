package gateway

import (
	"bytes"
	"net/netip"

	"millrace/gateway/http1"
)

// identify finds out who the client is.
func (x *exchange) identify() {
	c := x.conn
	x.ctx.Conn = c.peer
	if c.security != nil {
		x.ctx.Conn.TLS = &c.security.state
	}
	x.addr, x.trusted = c.addr, c.trusted
	if c.realIPFrom {
		x.addr, x.ctx.Conn.RemoteAddr = c.realIP(x.realIPField())
	}
}

// RealIPHeader is the header by which peers in RealIPFrom name the client.
func (g *Gateway) RealIPHeader() string { return g.conf.RealIPHeader }

// realIPField answers the header that names the client: the last one of its name,
// or where several lists may have to be walked all of them as one.
func (x *exchange) realIPField() []byte {
	g := x.g
	if g.realIPKind == http1.XRealIP {
		return x.req.fields.kind(http1.XRealIP)
	}
	var all []byte
	for i := range x.req.fields {
		f := &x.req.fields[i]
		if !foldSame(f.Name, g.conf.RealIPHeader) {
			continue
		}
		if all == nil || !g.conf.RealIPRecursive {
			all = f.Value
			continue
		}
		all = append(append(bytes.Clone(all), ','), f.Value...)
	}
	return all
}

// realIP answers the client's address after the header that names it, whose last
// value of this connection is remembered.
func (c *clientConn) realIP(header []byte) (netip.Addr, string) {
	if len(header) == 0 {
		return c.addr, c.peer.RemoteAddr
	}
	if string(header) != c.realIPText {
		addr := c.l.g.namedClient(header)
		if !addr.IsValid() {
			return c.addr, c.peer.RemoteAddr
		}
		c.realIPText, c.realAddr, c.realAddrText = string(header), addr, addr.String()
	}
	return c.realAddr, c.realAddrText
}

// namedClient answers the last address of a list, or the last that is no trusted
// proxy; the zero address if there is none. A word that is no address ends the
// walk, as what stands before it was not written by a trusted proxy.
func (g *Gateway) namedClient(list []byte) (client netip.Addr) {
	for {
		list = bytes.TrimRight(list, " ,")
		word := list[bytes.LastIndexAny(list, " ,")+1:]
		addr, ok := parseClient(string(word))
		if !ok {
			return client
		}
		client, list = addr, list[:len(list)-len(word)]
		if !g.conf.RealIPRecursive || !g.realIP.has(client) {
			return client
		}
	}
}

// parseClient reads an address with or without port.
func parseClient(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = with.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
