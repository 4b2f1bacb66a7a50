package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/upstream"
	"millrace/plugin"
)

// rpc is a call over HTTP/2, which is how nodes of the schemes grpc and grpcs are
// called. The request's body and the answer's stream at the same time, for as long
// as either side has something to say.
type rpc struct {
	res    *http.Response
	cancel context.CancelCauseFunc
	body   *rpcBody // nil if the request's body was read before

	// The call ends when neither side has said anything for idle.
	idle   time.Duration
	active atomic.Int64 // when one has, in Unix nanoseconds
	timer  *time.Timer
}

// errIdle ends a call that has used up its time.
var errIdle = context.DeadlineExceeded

// callRPC calls a node and reads the head of its answer.
func (x *exchange) callRPC(e *upstream.Endpoint, node *upstream.Node) error {
	ctx, cancel := context.WithCancelCause(x.req.Context())
	call := &rpc{cancel: cancel, idle: x.target.timeouts.Read}
	req, err := x.rpcRequest(ctx, node, call)
	if err != nil {
		cancel(nil)
		return err
	}
	call.note()
	call.timer = time.AfterFunc(call.idle, call.look)
	call.res, err = e.RoundTrip(req, x.target.timeouts.Connect)
	if err != nil {
		idle := context.Cause(ctx) == errIdle
		x.endRPC(call)
		return x.rpcFailed(call, err, idle)
	}
	x.call.rpc = call
	call.describe(&x.call.res)
	return nil
}

// rpcFailed says what it means that a call failed before there was an answer.
func (x *exchange) rpcFailed(call *rpc, err error, idle bool) error {
	switch {
	case x.conn.gone():
		return errClientGone
	case call.body != nil && call.body.failed != nil:
		return call.body.failed
	case idle:
		return &callError{status: 504, sent: true, err: err}
	}
	return newCallError(err, !errors.Is(err, upstream.ErrConnect))
}

// rpcRequest makes the request as a node is sent it. What it says is what a node that
// speaks HTTP/1.1 would be sent.
func (x *exchange) rpcRequest(ctx context.Context, node *upstream.Node, call *rpc) (*http.Request, error) {
	out := x.appendRequest(x.conn.out[:0], node)
	x.conn.out = out[:0]
	head := http1.Request{MaxLine: len(out)} // what there may be has been looked at before
	if err := head.Parse(out); err != nil {
		return nil, newCallError(err, false)
	}
	req := &http.Request{
		Method: string(head.Method), Host: string(head.Host), Header: make(http.Header, len(head.Fields)+2),
		URL: &url.URL{Opaque: rawTarget(&head)}, ContentLength: head.Length,
		Proto: "HTTP/2.0", ProtoMajor: 2,
	}
	for _, f := range head.Fields {
		if framesRequest(f.Kind) {
			continue
		}
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		req.Header[name] = append(req.Header[name], string(f.Value))
	}
	req.Header["Te"] = []string{"trailers"}
	if !strings.HasPrefix(req.Header.Get("Content-Type"), rpcType) {
		req.Header.Set("Content-Type", rpcType)
	}
	x.noteSent(int64(len(out)))
	x.addRPCBody(req, call)
	if x.observed {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.noteConnected() }})
	}
	return req.WithContext(ctx), nil
}

// framesRequest says that a header is of HTTP/1.1 alone, or said in other ways over
// HTTP/2: it is no trailer either.
func framesRequest(k http1.Kind) bool {
	switch k {
	case http1.Connection, http1.ContentLength, http1.Host, http1.HTTP2Settings, http1.KeepAlive,
		http1.ProxyConnection, http1.TE, http1.TransferEncoding, http1.Upgrade:
		return true
	}
	return false
}

// rawTarget is how a URL says the target as it is.
func rawTarget(head *http1.Request) string {
	if strings.HasPrefix(string(head.Target), "//") { // which would be taken for a host
		return "//" + string(head.Host) + string(head.Target)
	}
	return string(head.Target)
}

// rpcType is the media type of gRPC.
const rpcType = "application/grpc"

func (x *exchange) addRPCBody(req *http.Request, call *rpc) {
	r := &x.req
	if r.bodyRead {
		x.noteSent(int64(len(r.body)))
		if req.ContentLength = int64(len(r.body)); len(r.body) > 0 {
			req.Body = io.NopCloser(bytes.NewReader(r.body))
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.body)), nil }
		}
		return
	}
	x.conn.continue100() // here, or it could come in the middle of an early answer
	call.body = &rpcBody{x: x, call: call, before: r.body, trailers: promisedTrailers(req.Header)}
	req.Body, req.Trailer = call.body, call.body.trailers
}

// promisedTrailers takes the trailers that a request says it will have out of its
// header. The library refuses to call the node for one that is none.
func promisedTrailers(h http.Header) http.Header {
	var promised http.Header
	for _, list := range h["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
			if b := []byte(name); name == "Trailer" || !http1.IsToken(b) || framesRequest(http1.KindOf(b)) {
				continue
			}
			if promised == nil {
				promised = http.Header{}
			}
			promised[name] = nil
		}
	}
	h.Del("Trailer")
	return promised
}

// describe makes the answer's head one of HTTP/1.1.
func (c *rpc) describe(res *http1.Response) {
	*res = http1.Response{Status: c.res.StatusCode, Fields: fieldsOf(c.res.Header), Length: http1.LengthChunked}
	if c.res.Header["Content-Length"] != nil && c.res.ContentLength >= 0 {
		res.HasLength, res.Length, res.DeclaredLength = true, c.res.ContentLength, c.res.ContentLength
	}
}

// ended says that the answer is a head only, as that of a call which fails at once.
func (c *rpc) ended() bool { return c.res.Body == http.NoBody || c.res.ContentLength == 0 }

// note keeps the call from ending for another while.
func (c *rpc) note() { c.active.Store(time.Now().UnixNano()) }

// look ends the call if it has been idle for too long.
func (c *rpc) look() {
	left := c.idle - time.Since(time.Unix(0, c.active.Load()))
	if left <= 0 {
		c.cancel(errIdle)
		return
	}
	c.timer.Reset(left)
}

// readRPC reads the answer's body; behind its end the trailers are known.
func (x *exchange) readRPC(p []byte) (int, error) {
	call := x.call.rpc
	n, err := call.res.Body.Read(p)
	call.note()
	if err == io.EOF && x.call.trailers == nil {
		x.call.trailers = slices.DeleteFunc(fieldsOf(call.res.Trailer), func(f http1.Field) bool { return framesRequest(f.Kind) })
	}
	if n > 0 {
		err = nil // it comes again
	}
	return n, err
}

// releaseRPC ends the call whose answer has been read, or will not be.
func (x *exchange) releaseRPC() {
	call := x.call.rpc
	x.noteEnd()
	x.call.rpc = nil
	call.res.Body.Close()
	x.endRPC(call)
}

// endRPC ends a call. When it returns, nothing of it reads from the client.
func (x *exchange) endRPC(call *rpc) {
	call.timer.Stop()
	call.cancel(nil)
	if call.body == nil {
		return
	}
	call.body.stop()
	if x.req.streamed = x.req.streamed || call.body.begun; x.req.streamed && !call.body.whole.Load() {
		x.close = true
	}
}

// rpcBody is the request's body as the library reads it, in a goroutine of its own.
type rpcBody struct {
	x        *exchange
	call     *rpc
	before   []byte // what has been read already
	trailers http.Header

	mu      sync.Mutex // held while reading
	total   int64
	begun   bool
	stopped bool
	failed  error // how the client failed
	whole   atomic.Bool
}

// Read implements io.Reader.
func (b *rpcBody) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return 0, os.ErrDeadlineExceeded
	}
	b.begun = true
	if len(b.before) > 0 {
		n = copy(p, b.before)
		b.before = b.before[n:]
	} else {
		n, err = b.x.conn.reader.Read(p)
	}
	b.call.note()
	b.total += int64(n)
	if limit := b.x.g.conf.MaxBody; limit > 0 && b.total > limit {
		b.failed = plugin.ErrBodyTooLarge
		return 0, b.failed
	}
	switch {
	case err == io.EOF:
		b.end()
	case err != nil && !b.stopped:
		b.failed = b.x.conn.bodyError(err)
	}
	return n, err
}

// end keeps the trailers that were promised.
func (b *rpcBody) end() {
	b.whole.Store(true)
	if b.trailers == nil || !b.x.conn.streams() {
		return
	}
	for _, f := range b.x.conn.front.Trailers() {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		if _, ok := b.trailers[name]; ok {
			b.trailers[name] = append(b.trailers[name], string(f.Value))
		}
	}
}

// Close implements io.Closer. Reading goes on to be possible for another attempt.
func (b *rpcBody) Close() error { return nil }

// stop ends Read, and the one that is under way.
func (b *rpcBody) stop() {
	if !b.mu.TryLock() {
		conn := b.x.conn.Conn
		conn.SetReadDeadline(past)
		b.mu.Lock()
		conn.SetReadDeadline(time.Time{})
		if errors.Is(b.failed, errClientGone) && !b.x.conn.gone() {
			b.failed = nil // it was us
		}
	}
	b.stopped = true
	b.mu.Unlock()
}
