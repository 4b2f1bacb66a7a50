package gateway

import (
	"bytes"
	"strconv"

	"millrace/gateway/http1"
)

// What a client says of how it was called, in X-Forwarded-Proto, -Host and -Port and
// in Forwarded, counts only if the client is trusted; where trusted clients are
// configured, so does the list of addresses in X-Forwarded-For. Plugins and the
// conditions of routes see what the upstream is going to get. What a plugin says
// itself stands: that is a field which was added.

// The X-Forwarded-* of which a request always has one, if need be the gateway's own.
var forwardedNames = [...]string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"}

// forwarded is a note for each of them.
type forwarded [len(forwardedNames)]bool

// forwardedIndex is the place of such a header among them.
func forwardedIndex(k http1.Kind) int {
	switch k {
	case http1.XForwardedHost:
		return 1
	case http1.XForwardedPort:
		return 2
	}
	return 0
}

// isForwarding tells all headers that say how the client called.
func isForwarding(k http1.Kind) bool {
	switch k {
	case http1.XForwardedProto, http1.XForwardedHost, http1.XForwardedPort, http1.XForwardedFor, http1.Forwarded:
		return true
	}
	return false
}

// forwardedByPlugins tells which of forwardedNames plugins have added.
func (x *exchange) forwardedByPlugins() (given forwarded) {
	for i := x.req.received; i < len(x.req.fields); i++ {
		switch f := &x.req.fields[i]; f.Kind {
		case http1.XForwardedProto, http1.XForwardedHost, http1.XForwardedPort:
			given[forwardedIndex(f.Kind)] = given[forwardedIndex(f.Kind)] || len(f.Name) > 0
		}
	}
	return given
}

// believes says whether what field i says counts.
func (x *exchange) believes(i int) bool { return x.trusted || i >= x.req.received }

// believesList is believes for X-Forwarded-For.
func (x *exchange) believesList(i int) bool { return !x.g.trusted.set || x.believes(i) }

// counts says whether field i, one of forwardedNames, is passed on, and whether with
// the gateway's value in its place. given are those that plugins have added; seen are
// those that were passed on before it.
func (x *exchange) counts(i int, given forwarded, seen *forwarded) (passes, ours bool) {
	which := forwardedIndex(x.req.fields[i].Kind)
	switch {
	case i < x.req.received && given[which]:
		return false, false
	case x.believes(i):
		seen[which] = true
		return true, false
	case seen[which]:
		return false, false
	}
	seen[which] = true
	return true, true
}

// appendForwarded appends field i, one of forwardedNames, as it counts.
func (x *exchange) appendForwarded(dst []byte, i int, given forwarded, seen *forwarded) []byte {
	f := &x.req.fields[i]
	switch passes, ours := x.counts(i, given, seen); {
	case !passes:
		return dst
	case !ours:
		return appendField(dst, f.Name, f.Value)
	}
	dst = append(append(dst, f.Name...), ": "...)
	return append(x.appendForwardedValue(dst, forwardedIndex(f.Kind)), "\r\n"...)
}

// appendMissing appends the X-Forwarded-* that have not been passed on.
func (x *exchange) appendMissing(dst []byte, seen *forwarded) []byte {
	for which, name := range forwardedNames {
		if !seen[which] {
			dst = append(append(dst, name...), ": "...)
			dst = append(x.appendForwardedValue(dst, which), "\r\n"...)
		}
	}
	return dst
}

// appendForwardedValue appends what the gateway itself knows.
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

// appendForwardedFor appends the list, as far as it counts, and the client's address.
func (x *exchange) appendForwardedFor(dst []byte) []byte {
	for i := range x.req.fields {
		f := &x.req.fields[i]
		if f.Kind == http1.XForwardedFor && len(f.Name) > 0 && len(f.Value) > 0 && x.believesList(i) {
			dst = append(dst, f.Value...)
			dst = append(dst, ", "...)
		}
	}
	return append(dst, x.ctx.Conn.RemoteAddr...)
}

// eachHeader calls fn for each header of the request as it counts, those that the
// gateway adds last.
func (x *exchange) eachHeader(fn func(name, value []byte) bool) {
	given := x.forwardedByPlugins()
	seen := given
	for i := range x.req.fields {
		f := &x.req.fields[i]
		value, passes := f.Value, len(f.Name) > 0
		switch f.Kind {
		case http1.XForwardedFor:
			passes = passes && x.believesList(i)
		case http1.Forwarded:
			passes = passes && x.believes(i)
		case http1.XForwardedProto, http1.XForwardedHost, http1.XForwardedPort:
			if !passes {
				continue
			}
			ours := false
			if passes, ours = x.counts(i, given, &seen); ours {
				value = x.appendForwardedValue(nil, forwardedIndex(f.Kind))
			}
		}
		if passes && !fn(f.Name, value) {
			return
		}
	}
	for which, name := range forwardedNames {
		if !seen[which] && !fn([]byte(name), x.appendForwardedValue(nil, which)) {
			return
		}
	}
}

// forwardingHeader answers the first value, as it counts, of a header for which
// isForwarding holds; nil if there is none.
func (x *exchange) forwardingHeader(k http1.Kind) (value []byte) {
	x.eachHeader(func(name, v []byte) bool {
		if http1.KindOf(name) == k {
			value = v
		}
		return value == nil
	})
	return value
}
