package gateway

import (
	"bytes"
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

// appendForwardedFor appends the client's own list, unless it is not trusted,
// and the client's address.
func (x *exchange) appendForwardedFor(dst []byte) []byte {
	if x.trusted || !x.g.trusted.set {
		for i := range x.req.fields {
			f := &x.req.fields[i]
			if f.Kind == http1.XForwardedFor && len(f.Name) > 0 && len(f.Value) > 0 {
				dst = append(dst, f.Value...)
				dst = append(dst, ", "...)
			}
		}
	}
	return append(dst, x.ctx.Conn.RemoteAddr...)
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
			if added := i >= x.req.received; added || !given[forwardedIndex(f.Kind)] {
				dst = x.appendForwarded(dst, f, added, &seen)
			}
		case http1.Forwarded:
			if x.trusted {
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

// forwardedIndex numbers the X-Forwarded-* that say what the client called: proto,
// host and port.
func forwardedIndex(k http1.Kind) int {
	switch k {
	case http1.XForwardedHost:
		return 1
	case http1.XForwardedPort:
		return 2
	}
	return 0
}

// forwardedByPlugins tells which of them plugins have added.
func (x *exchange) forwardedByPlugins() (given [3]bool) {
	for i := x.req.received; i < len(x.req.fields); i++ {
		switch f := &x.req.fields[i]; f.Kind {
		case http1.XForwardedProto, http1.XForwardedHost, http1.XForwardedPort:
			given[forwardedIndex(f.Kind)] = given[forwardedIndex(f.Kind)] || len(f.Name) > 0
		}
	}
	return given
}

// appendForwarded puts our value in the client's place, or lets its own pass.
// A value that a plugin added stands.
func (x *exchange) appendForwarded(dst []byte, f *http1.Field, added bool, seen *[3]bool) []byte {
	which := forwardedIndex(f.Kind)
	if x.trusted || added {
		seen[which] = true
		return appendField(dst, f.Name, f.Value)
	}
	if seen[which] {
		return dst
	}
	seen[which] = true
	dst = append(dst, f.Name...)
	dst = append(dst, ':', ' ')
	dst = x.appendForwardedValue(dst, which)
	return append(dst, '\r', '\n')
}

func (x *exchange) appendMissing(dst []byte, seen *[3]bool) []byte {
	for which, name := range [...]string{"X-Forwarded-Proto: ", "X-Forwarded-Host: ", "X-Forwarded-Port: "} {
		if !seen[which] {
			dst = append(dst, name...)
			dst = x.appendForwardedValue(dst, which)
			dst = append(dst, '\r', '\n')
		}
	}
	return dst
}

func (x *exchange) appendForwardedValue(dst []byte, which int) []byte {
	host := x.req.head.Host
	switch which {
	case 0:
		return append(dst, x.ctx.Conn.Scheme...)
	case 1:
		if host == nil {
			return append(dst, '_')
		}
		return append(dst, host...)
	}
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && i < len(host)-1 && bytes.IndexByte(host[i:], ']') < 0 {
		return append(dst, host[i+1:]...)
	}
	return strconv.AppendInt(dst, int64(x.ctx.Conn.ServerPort), 10)
}
