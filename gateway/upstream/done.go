package upstream

import (
	"time"

	"millrace/gateway/upstream/check"
)

// Result is what came of an attempt at a node.
type Result struct {
	// Status is that of the node's answer, 0 if there was none.
	Status int
	// TimedOut says that the node did not answer in time, Broken that it could not
	// be reached or its connection broke. With neither and no Status the attempt
	// says nothing about the node, such as when the client went away.
	TimedOut, Broken bool
	// Took is the time from the attempt's start to the end of the answer. Only an
	// upstream that is Timed needs it.
	Took time.Duration
}

// Watched says whether Done has anything to do.
func (u *Upstream) Watched() bool {
	return u.algorithm.counts || u.algorithm.times || u.checks != nil
}

// Timed says whether Done needs to know how long a request took.
func (u *Upstream) Timed() bool { return u.algorithm.times }

// Done tells what came of an attempt at a picked node. It is called once for each
// Pick, when the answer has ended.
func (u *Upstream) Done(n *Node, r Result) {
	if n.state != nil {
		if u.algorithm.counts {
			n.state.active.Add(-1)
		}
		if u.algorithm.times && r.Status != 0 {
			n.state.latency.add(r.Took, time.Now())
		}
	}
	if n.target == nil {
		return
	}
	switch {
	case r.TimedOut:
		n.target.Report(check.Result{Kind: check.TimedOut})
	case r.Broken:
		n.target.Report(check.Result{Kind: check.Failed})
	case r.Status != 0:
		n.target.Report(check.Result{Status: r.Status})
	}
}
