package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"millrace/whisk"
)

// Sequences and compositions each have a budget, but one for each composition in
// a sequence and for each sequence in a composition. So mixtures of both could go
// on for ever, and are bounded in depth and in the calls of all together.
const maxDepth = 256

func maxCalls(sequenceLength int) int { return 4 * sequenceLength * sequenceLength }

// componentGrace is by how much a component may outlast its time limit, for
// waiting for an instance and initialising it, before its composite gives it up.
const componentGrace = time.Minute

// isComposite tells whether an action is carried out as calls of others: a
// sequence, or a conductor, which makes a composition.
func isComposite(a *whisk.Action) bool { return isSequence(a) || isConductor(a) }

func isSequence(a *whisk.Action) bool { return a.Exec.Kind == whisk.KindSequence }

func isConductor(a *whisk.Action) bool {
	return !isSequence(a) && whisk.Truthy(a.Annotations.Find("conductor"))
}

// script decides what a composite calls.
type script interface {
	// next hears how the call before ended, nil at first, and answers the next.
	next(last *report) step
}

// step is a call to make, or the end of the composite.
type step struct {
	target  *whisk.Resolved // nil: the end
	payload json.RawMessage
	// plain calls a conductor itself, not its composition.
	plain bool
	end   whisk.Response
}

func endWith(status whisk.Status, text string) step {
	return step{end: failed(status, text).response()}
}

func (o outcome) response() whisk.Response {
	return whisk.Response{Status: o.status, Result: o.result}
}

// report is how a component's call ended: its record, or why there is none.
type report struct {
	id  string
	rec *whisk.Activation
	err error // errLate, or that of a platform that stops
}

var errLate = errors.New("the component has not ended in time")

// walk is a composite call on its way, with the composites within it. They stand
// on a stack of their own: nesting costs no goroutines, and another goroutine can
// go on with the walk between two calls. All components run in the one place
// among its namespace's calls in flight that the whole call has.
type walk struct {
	v     *Invoker
	top   *request
	stack []*frame // the innermost is the last
	heard report
	last  *report // heard, or nil
	calls int     // made so far, of composites too
	// record is the whole call's, once the walk is over.
	record *whisk.Activation
}

// newWalk makes the walk of a composite call. The error, a *whisk.Error with
// status 403, names components of a sequence that its caller may not call.
func (v *Invoker) newWalk(r *request) (*walk, error) {
	k := &walk{v: v, top: r}
	s := k.script(whisk.Resolved{Action: r.Action, Inherited: r.Inherited, Binding: r.Binding}, r.Payload)
	k.stack = []*frame{{call: &r.Call, script: s}}
	if s, ok := s.(*sequence); ok {
		return k, s.denied()
	}
	return k, nil
}

// script makes the script of a composite that the innermost one calls.
func (k *walk) script(target whisk.Resolved, payload json.RawMessage) script {
	var outer script
	if n := len(k.stack); n > 0 {
		outer = k.stack[n-1].script
	}
	if isSequence(target.Action) {
		return newSequence(k.v, k.top.Caller, target.Action, payload, outer)
	}
	return newComposition(k.v, k.top.Caller, target, payload, outer)
}

// begin makes the call visible.
func (k *walk) begin() {
	now := time.Now()
	k.show(k.stack[0], now, now.Sub(k.top.received))
}

func (k *walk) show(f *frame, now time.Time, waited time.Duration) {
	f.open(now, waited)
	f.running.Tail = &f.tail
	k.v.cfg.Activations.Put(f.running)
}

// next answers the next call of an action that is no composite, or nil when the
// walk is over.
func (k *walk) next() *request {
	for len(k.stack) > 0 {
		f := k.stack[len(k.stack)-1]
		s := f.script.next(k.last)
		k.last = nil
		switch {
		case s.target == nil:
			k.pop(s.end)
		case k.calls >= maxCalls(k.v.sequenceLength()):
			k.pop(f.tooLong())
		case s.plain || !isComposite(s.target.Action):
			return k.request(f, &s)
		default:
			k.push(f, &s)
		}
	}
	return nil
}

// fill makes c a call that f makes.
func (k *walk) fill(c *Call, f *frame, s *step) {
	k.calls++
	c.ID, c.TransactionID, c.Caller = NewID(), k.top.TransactionID, k.top.Caller
	c.Action, c.Inherited, c.Binding = s.target.Action, s.target.Inherited, s.target.Binding
	c.Payload, c.Cause = s.payload, f.call.ID
	c.Blocking, c.Wait = true, timeout(c.Action)+componentGrace
}

func (k *walk) request(f *frame, s *step) *request {
	k.v.live.add()
	r := &request{received: time.Now(), plain: s.plain}
	k.fill(&r.Call, f, s)
	return r
}

func (k *walk) push(f *frame, s *step) {
	c := new(Call)
	k.fill(c, f, s)
	inner := &frame{call: c, script: k.script(*s.target, s.payload)}
	k.show(inner, time.Now(), 0)
	k.stack = append(k.stack, inner)
	if len(k.stack) > maxDepth {
		k.pop(inner.tooLong())
	}
}

// pop ends the innermost composite, and the walk if it was the last.
func (k *walk) pop(end whisk.Response) {
	n := len(k.stack) - 1
	f := k.stack[n]
	k.stack[n] = nil
	k.stack = k.stack[:n]
	rec := f.close(end)
	if n == 0 {
		k.record = rec
		k.v.keep(k.top, rec)
		f.tail.end()
		k.v.end(k.top)
		return
	}
	k.v.cfg.Activations.Put(rec)
	f.tail.end()
	k.hear(rec.ID, f.memoryMB, rec, nil)
}

// hear notes how a call of the innermost composite ended: with rec, or nil if
// it was given up.
func (k *walk) hear(id string, memoryMB int, rec *whisk.Activation, err error) {
	if rec == nil && err == nil {
		err = errLate
	}
	k.heard = report{id: id, rec: rec, err: err}
	k.last = &k.heard
	k.stack[len(k.stack)-1].note(k.last, memoryMB)
}

func (k *walk) ended(c *request, rec *whisk.Activation, err error) {
	k.hear(c.ID, c.Action.Limits.MemoryMB, rec, err)
}

// attended carries out a blocking call: in the goroutine of its caller as long as
// every component surely ends before the caller's wait does, else in one of its
// own. It answers nil if the wait is over first.
func (k *walk) attended(ctx context.Context) *whisk.Activation {
	k.begin()
	until := k.top.received.Add(k.top.Wait)
	for c := k.next(); c != nil; c = k.next() {
		p, err := k.v.place(c)
		if err == nil && p.rec == nil {
			if !endsBefore(ctx, p.w, c.Action, until) {
				return k.leave(ctx, c, p)
			}
			p.rec = k.v.carry(c, p.w)
		}
		k.ended(c, p.rec, err)
	}
	return k.record
}

// leave goes on with a walk, whose next call has been placed, in another
// goroutine. It answers nil if the caller's wait is over first.
func (k *walk) leave(ctx context.Context, c *request, p placed) *whisk.Activation {
	timer := time.NewTimer(time.Until(k.top.received.Add(k.top.Wait)))
	defer timer.Stop()
	c.Payload = bytes.Clone(c.Payload) // at first it is the caller's
	over := make(chan struct{})
	go func() {
		defer close(over)
		rec, err := k.v.settle(context.Background(), c, p)
		k.ended(c, rec, err)
		k.rest()
	}()
	select {
	case <-over:
		return k.record
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// rest goes on with a walk to its end.
func (k *walk) rest() {
	for c := k.next(); c != nil; c = k.next() {
		rec, err := k.v.blocking(context.Background(), c)
		k.ended(c, rec, err)
	}
}
