package gateway

import (
	"time"

	"millrace/gateway/upstream"
)

// watchAttempt begins what the upstream is told of a call to a node, if it wants
// to know: for its health or for its balancer.
func (x *exchange) watchAttempt(node *upstream.Node) {
	u := x.target.upstream
	if !u.Watched() {
		return
	}
	x.call.watched = node
	if u.Timed() {
		x.call.since = time.Now()
	}
}

// endAttempt tells the upstream what came of the call: failed, or the answer that
// was read; nothing is held against a node that neither befell.
func (x *exchange) endAttempt(failed *callError) {
	node := x.call.watched
	if node == nil {
		return
	}
	x.call.watched = nil
	u := x.target.upstream
	r := upstream.Result{}
	switch n := x.call.attempts; {
	case failed != nil:
		r.TimedOut, r.Broken = failed.status == 504, failed.status != 504
	case len(x.call.statuses) == n:
		r.Status = x.call.statuses[n-1]
	}
	if u.Timed() {
		r.Took = time.Since(x.call.since)
	}
	u.Done(node, r)
}
