package gateway

import (
	"errors"
	"strconv"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/upstream"
)

// call is the exchange with the upstream.
type call struct {
	conn     *upstream.Conn
	res      http1.Response
	tried    upstream.Tried // and those that were passed over
	attempts int
	statuses []int         // of each attempt that failed, then of the answer
	upload   chan uploaded // not nil while the request body streams
	rpc      *rpc          // the call is one over HTTP/2, and conn nil
	trailers []http1.Field // of the answer, once its body has been read

	// watched is the node being called if the upstream wants to know how it does,
	// and since when.
	watched *upstream.Node
	since   time.Time

	// For plugins: when the attempt began, and the answer's headers.
	began     time.Time
	node      *upstream.Node
	shown     fields
	eachShown func(fn func(name, value []byte) bool)
	// eachTrailer is the same for trailers.
	eachTrailer func(fn func(name, value []byte) bool)
}

func (c *call) reset() {
	c.conn, c.upload, c.rpc, c.trailers, c.attempts = nil, nil, nil, nil, 0
	c.tried, c.statuses = c.tried[:0], c.statuses[:0]
}

// callError is a failed attempt. status is what the client is told; sent says
// that the node may have begun to work on the request, answered that it has said
// something that is no answer.
type callError struct {
	status         int
	sent, answered bool
	err            error
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

func newCallError(err error, sent bool) *callError {
	status := 502
	if isTimeout(err) {
		status = 504
	}
	return &callError{status: status, sent: sent, err: err}
}

// prepare reads the request body as far as it is held back for the upstream.
func (x *exchange) prepare() error {
	if x.target.upstream.RPC() && !x.req.bodyRead && x.req.head.Length != 0 {
		return nil // its parts may be answers to parts of the answer
	}
	if err := x.req.prepareBody(); err != nil {
		return err
	}
	if limit := x.g.conf.MaxBody; limit > 0 && int64(len(x.req.body)) > limit {
		return x.ctx.Exit(413, nil)
	}
	return nil
}

// dispatch calls one node after another until one has answered. When it answers
// nil, the head of the answer is in x.call.res.
func (x *exchange) dispatch() error {
	u := x.target.upstream
	if err := u.Ready(x.g.ctx); err != nil {
		x.g.log.Warn("finding the nodes of an upstream", "route", x.route.id(), "err", err)
		return x.ctx.Exit(503, nil)
	}
	var started time.Time
	if u.RetryTimeout > 0 {
		started = time.Now()
	}
	last := 502
	for range u.Retries() + 1 {
		if x.call.attempts > 0 && !started.IsZero() && time.Since(started) > u.RetryTimeout {
			last = 502
			break
		}
		node, endpoint := x.pick()
		if node == nil {
			break
		}
		failed, err := x.attempt(node, endpoint)
		if failed == nil {
			return err
		}
		last = failed.status
		if failed.answered || failed.sent && !x.mayRepeat() || x.bodyConsumed() {
			break
		}
	}
	if x.call.attempts == 0 {
		return x.ctx.Exit(503, nil) // no node has an address
	}
	x.res.fields.set(statusHeader, x.statusList())
	return x.ctx.Exit(last, nil)
}

// attempt calls a node and notes what came of it. failed is nil if the node has answered
// or if, as err says, the request has ended.
func (x *exchange) attempt(node *upstream.Node, endpoint *upstream.Endpoint) (failed *callError, err error) {
	x.call.attempts++
	x.noteAttempt(node, endpoint)
	x.watchAttempt(node)
	if err = x.beforeProxy(); err != nil {
		return nil, err
	}
	if err = x.try(node, endpoint); err == nil {
		x.call.statuses = append(x.call.statuses, x.call.res.Status)
		x.noteStatus(true)
		return nil, nil
	}
	var failure *callError // not the result, which would cost memory on the way of success
	isFailure := errors.As(err, &failure)
	x.endAttempt(failure)
	if !isFailure {
		return nil, err
	}
	x.g.log.Warn("calling an upstream", "route", x.route.id(), "node", node.Addr, "err", failure.err)
	x.call.statuses = append(x.call.statuses, failure.status)
	x.noteStatus(false)
	return failure, nil
}

// pick answers the next node to be called, and where it is reached; nil if there is
// none. A node whose name has no address is passed over, as if it were not there.
func (x *exchange) pick() (*upstream.Node, *upstream.Endpoint) {
	u := x.target.upstream
	for {
		node := u.Pick(x.call.tried, &x.ctx)
		if node == nil {
			return nil, nil
		}
		x.call.tried = append(x.call.tried, node)
		name := ""
		if u.TLS {
			name = string(withoutPort(x.upstreamHost(node)))
		}
		endpoint, err := node.Endpoint(x.g.ctx, name)
		if err == nil {
			return node, endpoint
		}
		x.g.log.Warn("resolving an upstream", "route", x.route.id(), "node", node.Addr, "err", err)
		if u.Watched() {
			u.Done(node, upstream.Result{})
		}
	}
}

// statusHeader tells the client with which statuses the upstream failed.
const statusHeader = "X-APISIX-Upstream-Status"

func (x *exchange) statusList() string {
	if s := x.call.statuses; len(s) == 1 && s[0] == 200 {
		return "200" // nearly all
	}
	b := make([]byte, 0, 32)
	for i, s := range x.call.statuses {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, int64(s), 10)
	}
	return string(b)
}

// mayRepeat says whether the request may reach two servers.
func (x *exchange) mayRepeat() bool {
	return !x.sends("POST") && !x.sends("LOCK") && !x.sends("PATCH")
}

// sends says whether the upstream is sent this method.
func (x *exchange) sends(method string) bool {
	return string(x.upstreamMethod()) == method
}

// try calls one node. A kept-alive connection that the server has closed in the
// meantime does not count: the node is asked again over a fresh one.
func (x *exchange) try(node *upstream.Node, endpoint *upstream.Endpoint) error {
	if x.target.upstream.RPC() {
		return x.callRPC(endpoint, node)
	}
	for fresh := false; ; fresh = true {
		up, err := x.connect(endpoint, fresh)
		if err != nil {
			return newCallError(err, false)
		}
		if !x.conn.attach(up) {
			up.Close()
			return errClientGone
		}
		x.noteConnected()
		err = x.converse(up, node)
		if err == nil {
			x.call.conn = up
			return nil
		}
		x.hangUp(up)
		if x.conn.gone() {
			return errClientGone
		}
		stale := !up.Fresh() && up.Reader.Buffered() == 0 && !isTimeout(err)
		if !stale || !x.mayRepeat() || x.bodyConsumed() {
			return err
		}
	}
}

// connect takes a kept-alive connection or opens one.
func (x *exchange) connect(e *upstream.Endpoint, fresh bool) (*upstream.Conn, error) {
	for !fresh {
		up := e.Take()
		if up == nil {
			break
		}
		// What may not be repeated must not meet a closed connection, and no request
		// one on which bytes wait: they would be taken for its answer.
		if x.mayRepeat() && up.Usable() || up.Alive() {
			return up, nil
		}
		up.Close()
	}
	return e.Dial(x.g.ctx, x.target.timeouts.Connect)
}

// hangUp ends a call whose connection cannot be used again.
func (x *exchange) hangUp(up *upstream.Conn) {
	x.conn.detach()
	up.Close()
	x.endUpload(up)
}

// smallWrite is what a kernel takes at once from an idle connection, so that a
// write of it needs no deadline.
const smallWrite = 4 << 10

// converse sends the request and reads the head of the answer.
func (x *exchange) converse(up *upstream.Conn, node *upstream.Node) error {
	up.NoDeadline()
	out := x.appendRequest(x.conn.out[:0], node)
	body := x.req.body
	if !x.req.bodyRead {
		body = nil // the upload sends it
	}
	if len(out)+len(body) <= wholeBody {
		out, body = append(out, body...), nil
	}
	x.conn.out = out[:0]
	if err := x.sendUp(up, out); err != nil {
		return newCallError(err, true)
	}
	if len(body) > 0 {
		if err := x.sendUp(up, body); err != nil {
			return newCallError(err, true)
		}
	}
	if x.req.bodyRead {
		x.expectAnswer(up)
	} else {
		x.startUpload(up)
	}
	return x.readAnswer(up)
}

// coarseTimeout is from when on the listener's tick watches a read timeout; a
// timer for each request would cost more than it is worth.
const coarseTimeout = 5 * time.Second

// expectAnswer gives the upstream its time to go on with the answer.
func (x *exchange) expectAnswer(up *upstream.Conn) {
	if d := x.target.timeouts.Read; d < coarseTimeout {
		up.SetReadDeadline(time.Now().Add(d))
	} else {
		up.NoDeadline()
		x.conn.expectUp(d)
	}
}

func (x *exchange) sendUp(up *upstream.Conn, b []byte) error {
	if len(b) > smallWrite {
		up.SetWriteDeadline(time.Now().Add(x.target.timeouts.Send))
	}
	n, err := up.Write(b)
	x.noteSent(int64(n))
	return err
}

// maxInterim is how many interim answers may come before the final one.
const maxInterim = 100

var errInterim = errors.New("too many interim answers")

// readAnswer reads the head of the final answer; interim ones are dropped.
func (x *exchange) readAnswer(up *upstream.Conn) error {
	for range maxInterim {
		head, err := up.Reader.Head(true)
		x.noteReceived(len(head), 0)
		if err == nil {
			err = x.call.res.Parse(head, x.sends("HEAD"))
		}
		if err != nil {
			if failed := x.clientFailed(); failed != nil {
				return failed
			}
			failed := newCallError(err, true)
			failed.answered = errors.Is(err, http1.ErrMalformed) || errors.Is(err, http1.ErrHeadTooLarge)
			return failed
		}
		if s := x.call.res.Status; s >= 200 || s == 101 {
			up.Reader.SetBody(x.call.res.Length)
			return nil
		}
		up.Reader.Next()
	}
	return newCallError(errInterim, true)
}
