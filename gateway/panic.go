package gateway

import "runtime/debug"

// respondGuarded is respond where plugins run. If one of them panics, the request is
// answered with 500, or cut off if its answer has begun.
func (x *exchange) respondGuarded() {
	defer func() {
		reason := recover()
		if reason == nil {
			return
		}
		x.notePanic(reason)
		x.close = true
		if up := x.call.conn; up != nil {
			x.call.conn = nil
			x.hangUp(up)
		}
		if x.sent > 0 || x.conn.streams() && x.begun {
			x.dropped = true
			return
		}
		x.failPlainly()
	}()
	x.respond()
}

// failPlainly answers 500 without the filters of plugins, of which one may have
// failed.
func (x *exchange) failPlainly() {
	x.plan.Reset()
	x.res.fields = x.res.fields[:0]
	x.plain = true
	x.exit(500, nil)
	x.plain = false // the log phase runs
}

// logGuarded is logPhase, in which a plugin may panic.
func (x *exchange) logGuarded() {
	defer func() {
		if reason := recover(); reason != nil {
			x.notePanic(reason)
			x.close = true
		}
	}()
	x.logPhase()
}

func (x *exchange) notePanic(reason any) {
	x.g.log.Error("a panic while answering a request", "route", x.routeID(), "panic", reason, "stack", string(debug.Stack()))
}
