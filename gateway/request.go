package gateway

import (
	"bytes"
	"context"
	"io"
	"slices"

	"millrace/gateway/http1"
	"millrace/plugin"
)

// Bodies up to these sizes are read whole before the upstream is called, as
// nginx does; longer ones stream.
const (
	wholeBody    = 64 << 10
	wholeChunked = 1 << 20
)

// request is the client's request as plugins see it. Texts are made when a
// plugin asks for them: the plain path asks for none.
type request struct {
	x    *exchange
	head http1.Request
	path []byte // decoded and normalised
	// fields are head.Fields as plugins have changed them; those from received
	// on were added.
	fields   fields
	received int
	// headLength is the head's length in bytes.
	headLength int

	body     []byte // what has been read of the body
	space    []byte // where a body is read to; kept for the next request
	bodyRead bool   // body is the whole body
	bodySet  bool   // by a plugin
	streamed bool   // the body went to an upstream as it came
	bodyErr  error

	method, target, pathText, host string
	ctx                            context.Context
	cancel                         context.CancelFunc
}

var _ plugin.Request = (*request)(nil)

// reset makes r ready for the next request.
func (r *request) reset() {
	if r.cancel != nil {
		r.cancel()
	}
	*r = request{x: r.x, head: http1.Request{Fields: r.head.Fields[:0]}, space: r.space[:0]}
	if cap(r.space) > wholeBody {
		r.space = nil
	}
}

func text(cache *string, b []byte) string {
	if *cache == "" && len(b) > 0 {
		*cache = string(b)
	}
	return *cache
}

func (r *request) Method() string { return text(&r.method, r.head.Method) }
func (r *request) Target() string { return text(&r.target, r.head.Target) }
func (r *request) Path() string   { return text(&r.pathText, r.path) }
func (r *request) Host() string   { return text(&r.host, r.head.Host) }

func (r *request) Query() string {
	i := bytes.IndexByte(r.head.Target, '?')
	if i < 0 {
		return ""
	}
	return r.Target()[i+1:]
}

// SetQuery implements plugin.Request.
func (r *request) SetQuery(query string) {
	path, _, _ := bytes.Cut(r.head.Target, []byte("?"))
	target := bytes.Clone(path)
	if query != "" {
		target = http1.AppendTarget(append(target, '?'), query)
	}
	r.head.Target, r.target = target, ""
}

// SetPath implements plugin.Request.
func (r *request) SetPath(path string) {
	_, query, hasQuery := bytes.Cut(r.head.Target, []byte("?"))
	target := http1.AppendPath(nil, path)
	if hasQuery {
		target = append(append(target, '?'), query...)
	}
	r.path, r.pathText = []byte(path), ""
	r.head.Target, r.target = target, ""
}

func (r *request) Headers(fn func(name, value []byte) bool) { r.x.eachHeader(fn) }
func (r *request) AddHeader(name, value string)             { r.fields.add(name, value) }
func (r *request) DelHeader(name string)                    { r.fields.del(name) }

// Header implements plugin.Request.
func (r *request) Header(name string) []byte {
	if k := http1.KindOf(cleanText(name)); isForwarding(k) {
		return r.x.forwardingHeader(k)
	}
	return r.fields.get(name)
}

// SetHeader implements plugin.Request. What says how the client called is replaced by
// a field that counts as added: the client's own might not count.
func (r *request) SetHeader(name, value string) {
	if isForwarding(http1.KindOf(cleanText(name))) {
		r.fields.del(name)
		r.fields.add(name, value)
		return
	}
	r.fields.set(name, value)
}

// SetBody replaces the body that the upstream is sent.
func (r *request) SetBody(body []byte) {
	r.body, r.bodyRead, r.bodySet, r.bodyErr = body, true, true, nil
}

// Body implements plugin.Request.
func (r *request) Body(limit int64) ([]byte, error) {
	if most := r.x.g.conf.MaxBody; most > 0 && (limit < 0 || limit > most) {
		limit = most
	}
	if limit >= 0 && r.head.Length > limit && !r.bodySet {
		return nil, plugin.ErrBodyTooLarge
	}
	if err := r.readBody(limit); err != nil {
		return nil, err
	}
	if limit >= 0 && int64(len(r.body)) > limit {
		return nil, plugin.ErrBodyTooLarge
	}
	return r.body, nil
}

// WholeBody is the body if it has been read, nil if not.
func (r *request) WholeBody() []byte {
	if !r.bodyRead {
		return nil
	}
	return r.body
}

// readBody reads on until the body is whole or over limit.
func (r *request) readBody(limit int64) error {
	if r.bodyRead || r.bodyErr != nil {
		return r.bodyErr
	}
	if r.passes() {
		return plugin.ErrBodyPassed
	}
	rd := r.x.conn.reader
	if len(r.body) == 0 {
		if body, ok := rd.BufferedBody(); ok {
			r.body, r.bodyRead = body, true
			return nil
		}
	}
	r.x.conn.continue100()
	for limit < 0 || int64(len(r.body)) <= limit {
		if err := r.readMore(rd); err == io.EOF {
			r.bodyRead = true
			return nil
		} else if err != nil {
			r.bodyErr = r.x.conn.bodyError(err)
			return r.bodyErr
		}
	}
	return nil
}

// passes says that the body goes, or has gone, to a node as it comes. Another goroutine
// may be reading it.
func (r *request) passes() bool {
	call := r.x.call.rpc
	return r.streamed || call != nil && call.body != nil
}

func (r *request) readMore(rd *http1.Reader) error {
	b := r.space
	if len(b) == cap(b) {
		b = slices.Grow(b, max(4<<10, min(len(b), 4<<20)))
	}
	r.x.conn.expect(r.x.g.conf.BodyTimeout)
	n, err := rd.Read(b[len(b):cap(b)])
	r.space = b[:len(b)+n]
	r.body = r.space
	return err
}

// prepareBody reads small bodies whole. What is left streams.
func (r *request) prepareBody() error {
	if r.bodyRead || r.head.Length == 0 {
		r.bodyRead = true
		return nil
	}
	if r.head.Length > wholeBody {
		return nil
	}
	if most := r.x.g.conf.MaxBody; most > 0 {
		return r.readBody(min(wholeChunked, most))
	}
	return r.readBody(wholeChunked)
}

// Context implements plugin.Request.
func (r *request) Context() context.Context {
	if r.ctx == nil {
		ctx, cancel := context.WithCancel(r.x.g.ctx)
		r.ctx, r.cancel = ctx, cancel
		r.x.conn.watch(cancel)
	}
	return r.ctx
}
