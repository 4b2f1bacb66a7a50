package gateway

import (
	"strconv"

	"millrace/gateway/http1"
	"millrace/gateway/upstream"
)

// appendRequest appends the request as the node is sent it, without its body.
// The order is nginx's: Host, who the client is, the length, then the client's
// own headers and at last what plugins added.
func (x *exchange) appendRequest(dst []byte, node *upstream.Node) []byte {
	r := &x.req
	dst = append(dst, x.upstreamMethod()...)
	dst = append(dst, ' ')
	if target := x.ctx.UpstreamTarget; target != "" {
		dst = http1.AppendTarget(dst, target)
	} else {
		dst = append(dst, r.head.Target...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, x.upstreamHost(node)...)
	if x.upgrading() {
		dst = append(dst, "\r\nUpgrade: "...)
		dst = append(dst, r.head.Upgrade...)
		dst = append(dst, "\r\nConnection: upgrade"...)
	}
	dst = append(dst, "\r\nX-Real-IP: "...)
	dst = append(dst, x.ctx.Conn.RemoteAddr...)
	dst = append(dst, "\r\nX-Forwarded-For: "...)
	dst = x.appendForwardedFor(dst)
	dst = append(dst, "\r\n"...)
	dst = x.appendLength(dst)
	dst = x.appendFields(dst)
	return append(dst, "\r\n"...)
}

// upstreamMethod is the method that a node is sent.
func (x *exchange) upstreamMethod() []byte {
	if own := cleanText(x.ctx.UpstreamMethod); http1.IsToken(own) {
		return own
	}
	return x.req.head.Method
}

// upgrading says whether the request asks for WebSocket and may have it. No other
// protocol is let through: in a tunnel of HTTP/2 a client could send the upstream
// requests that no route and no plugin has seen.
func (x *exchange) upgrading() bool {
	return x.route.websocket && http1.EqualFold(x.req.head.Upgrade, "websocket")
}

// upstreamHost is the Host that a node is sent.
func (x *exchange) upstreamHost(node *upstream.Node) []byte {
	u := x.target.upstream
	switch u.HostMode {
	case upstream.PassNodeHost:
		return cleanText(node.HostField)
	case upstream.PassFixedHost:
		return cleanText(u.FixedHost)
	}
	if x.ctx.UpstreamHost != "" {
		return cleanText(x.ctx.UpstreamHost)
	}
	if h := x.req.fields.kind(http1.Host); h != nil {
		return h
	}
	return cleanText(node.HostField)
}

func (x *exchange) appendLength(dst []byte) []byte {
	r := &x.req
	length := r.head.Length
	switch {
	case r.bodyRead:
		if length = int64(len(r.body)); length == 0 && !r.head.HasLength && !r.bodySet && r.head.Length == 0 {
			return dst
		}
	case length < 0:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, length, 10)
	return append(dst, "\r\n"...)
}

// appendFields appends the client's headers, the X-Forwarded-* that are missing
// among them, and what plugins added.
func (x *exchange) appendFields(dst []byte) []byte {
	given := x.forwardedByPlugins()
	seen := given
	for i := range x.req.fields {
		if i == x.req.received {
			dst = x.appendMissing(dst, &seen)
		}
		f := &x.req.fields[i]
		if len(f.Name) == 0 {
			continue
		}
		switch f.Kind {
		case http1.Other:
			dst = appendField(dst, f.Name, f.Value)
		case http1.XForwardedProto, http1.XForwardedHost, http1.XForwardedPort:
			dst = x.appendForwarded(dst, i, given, &seen)
		case http1.Forwarded:
			if x.believes(i) {
				dst = appendField(dst, f.Name, f.Value)
			}
		case http1.Connection, http1.ContentLength, http1.Expect, http1.Host, http1.HTTP2Settings, http1.KeepAlive,
			http1.ProxyConnection, http1.TE, http1.TransferEncoding, http1.Upgrade,
			http1.XForwardedFor, http1.XRealIP:
		default:
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	if len(x.req.fields) == x.req.received {
		dst = x.appendMissing(dst, &seen)
	}
	return dst
}

func appendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}
