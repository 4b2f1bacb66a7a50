package gateway

import (
	"bytes"

	"millrace/gateway/http1"
	"millrace/gateway/route"
)

// begin makes x ready for a request; its parts keep their memory.
func (x *exchange) begin() {
	x.ctx.Reset()
	x.ctx.Request, x.ctx.Response = &x.req, &x.res
	x.req.reset()
	x.res.reset()
	x.call.reset()
	x.kept = x.kept[:0]
	x.lifecycle.reset()
	x.close, x.dropped = false, false
}

// end lets go of what the request held.
func (x *exchange) end() {
	x.endAttempt(nil)
	if x.call.rpc != nil { // a plugin failed
		x.releaseRPC()
	}
	if x.req.cancel != nil {
		x.conn.unwatch()
		x.req.cancel()
		x.req.cancel = nil
	}
}

// read parses the head and derives what the request is matched by.
func (x *exchange) read(head []byte) error {
	r := &x.req
	r.head.MaxLine = x.g.conf.MaxHeaderLine
	if err := r.head.Parse(head); err != nil {
		return err
	}
	r.headLength = len(head)
	c := x.conn
	c.reader.SetBody(r.head.Length)
	c.expects = r.head.Expect && r.head.Length != 0
	x.close = r.head.Close || x.g.conf.KeepaliveTimeout < 0 || x.g.conf.lastRequest(c.requests.Load())
	return x.derive()
}

// derive finds what the request is matched by.
func (x *exchange) derive() (err error) {
	r, conf := &x.req, &x.g.conf
	r.fields, r.received = r.head.Fields, len(r.head.Fields)
	if r.path, x.path, err = http1.CleanPath(r.head.Target, x.path, conf.EncodedSlash); err != nil {
		return err
	}
	if conf.ServletPaths {
		if r.path, err = servletPath(r.path); err != nil {
			return err
		}
	}
	if n := len(r.path); conf.DeleteTailSlash && n > 1 && r.path[n-1] == '/' {
		r.path = r.path[:n-1]
	}
	if conf.DropUnderscores {
		r.fields.dropUnderscores()
	}
	x.identify()
	full := x.lowerHost(r.head.Host)
	x.query = route.Query{
		Host: withoutPort(full), HostPort: full,
		Path: r.path, Method: r.head.Method, Addr: x.addr,
		Vars: x.ctx.Lookup(), Asker: &x.ctx, Params: x.query.Params[:0],
	}
	return nil
}

func (x *exchange) lowerHost(host []byte) []byte {
	for _, c := range host {
		if c >= 'A' && c <= 'Z' {
			x.lower = append(x.lower[:0], host...)
			for i, c := range x.lower {
				if c >= 'A' && c <= 'Z' {
					x.lower[i] = c | 0x20
				}
			}
			return x.lower
		}
	}
	return host
}

// withoutPort cuts the port and a final dot off a host.
func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	if n := len(host); n > 1 && host[n-1] == '.' {
		host = host[:n-1]
	}
	return host
}
