package gateway

import (
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/upstream"
	"millrace/plugin"
)

// noteAttempt begins what plugins are told of a call to a node.
func (x *exchange) noteAttempt(node *upstream.Node, endpoint *upstream.Endpoint) {
	if !x.observed {
		return
	}
	u := &x.ctx.Upstream
	addrs, earlier := node.Addr, u.Earlier
	if u.Addr != "" {
		addrs, earlier = u.Addr+", "+node.Addr, append(earlier, u.Attempt)
	}
	host, _, _ := net.SplitHostPort(node.Addr)
	ip, port, _ := net.SplitHostPort(endpoint.Addr())
	*u = plugin.Upstream{Addr: addrs, UnresolvedHost: host, Scheme: x.target.upstream.Scheme, Sent: x, Earlier: earlier}
	u.IP = ip
	u.Port, _ = strconv.Atoi(port)
	x.call.node = node
	x.call.began = time.Now()
}

// UpstreamHost implements plugin.UpstreamRequest.
func (x *exchange) UpstreamHost() string { return string(x.upstreamHost(x.call.node)) }

// UpstreamTarget implements plugin.UpstreamRequest.
func (x *exchange) UpstreamTarget() string {
	if own := x.ctx.UpstreamTarget; own != "" {
		return own
	}
	return x.req.Target()
}

// noteConnected is called when there is a connection to the node.
func (x *exchange) noteConnected() {
	if !x.observed {
		return
	}
	x.ctx.Upstream.ConnectTime = time.Since(x.call.began)
}

// noteStatus is called when an attempt has failed or its answer begins.
func (x *exchange) noteStatus(answers bool) {
	if !x.observed {
		return
	}
	u := &x.ctx.Upstream
	u.ResponseTime = time.Since(x.call.began)
	if answers {
		u.HeaderTime = u.ResponseTime
	}
	u.Status = x.statusList()
}

// noteSent counts what a node was sent.
func (x *exchange) noteSent(n int64) {
	if x.observed {
		x.ctx.Upstream.BytesSent += n
	}
}

// noteReceived counts what came from a node: a head, or a part of a body.
func (x *exchange) noteReceived(head, body int) {
	if x.observed {
		u := &x.ctx.Upstream
		u.BytesReceived += int64(head + body)
		u.BodyBytes += int64(body)
	}
}

// keepHeaders copies the upstream's headers for plugins: other requests use the
// upstream's buffer again before the log phase reads them.
func (x *exchange) keepHeaders() fields {
	shown := x.call.shown[:0]
	for _, f := range x.call.res.Fields {
		shown = append(shown, http1.Field{Name: x.keep(f.Name), Value: x.keep(f.Value), Kind: f.Kind})
	}
	if x.call.eachShown == nil {
		x.call.eachShown = func(fn func(name, value []byte) bool) { x.call.shown.each(fn) }
		x.call.eachTrailer = func(fn func(name, value []byte) bool) { fields(x.call.trailers).each(fn) }
	}
	x.call.shown, x.ctx.Upstream.Headers, x.ctx.Upstream.Trailers = shown, x.call.eachShown, x.call.eachTrailer
	return shown
}

func (x *exchange) keep(b []byte) []byte {
	n := len(x.kept)
	x.kept = append(x.kept, b...)
	return x.kept[n:len(x.kept):len(x.kept)]
}

// noteEnd is called when the answer has been read, or will not be.
func (x *exchange) noteEnd() {
	if x.observed {
		x.ctx.Upstream.ResponseTime = time.Since(x.call.began)
	}
}

// counters are what Connections answers, beside what the connections themselves
// know.
type counters struct {
	accepted atomic.Int64
	requests atomic.Int64 // of connections that have ended
}

var _ plugin.GatewayStatus = (*Gateway)(nil)

// Connections implements plugin.GatewayStatus.
func (g *Gateway) Connections() plugin.Connections {
	n := plugin.Connections{Accepted: g.counters.accepted.Load(), Requests: g.counters.requests.Load()}
	g.serving.Each(func(l *listener) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.conns {
			n.Active++
			n.Requests += c.requests.Load() - c.counted
			h := c.h2.Load()
			switch {
			case h != nil && !h.Busy(), h == nil && c.idle.Load():
				n.Waiting++
			case c.deadline.Load() != 0:
				n.Reading++
			default:
				n.Writing++
			}
		}
		parked := int64(len(l.lot.berths))
		n.Active += parked
		n.Waiting += parked
	})
	return n
}
