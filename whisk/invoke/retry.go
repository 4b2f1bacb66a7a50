package invoke

import (
	"context"
	"strconv"
	"time"

	"millrace/activation"
	"millrace/whisk"
)

// Bounds of the backlog of accepted calls. A parked call costs about a hundred
// bytes of memory and its size on disk; a held one its size in memory, a record
// and a goroutine.
var queueBounds = bounds{
	queued: 500_000, queuedBytes: 2 << 30,
	queuedOfOne: 200_000, queuedBytesOfOne: 512 << 20,
	heldCalls: 4096, heldBytes: 128 << 20,
	heldCallsOfOne: 1024, heldBytesOfOne: 32 << 20,
}

// conclude ends an attempt of an accepted call: with another one to come, or with
// the call's record and what its action's annotations ask for besides.
func (v *Invoker) conclude(r *request, rec *whisk.Activation) {
	p, _ := policyOf(r.Action.Annotations)
	if p.retries > 0 {
		rec.Annotations = append(rec.Annotations, whisk.KeyValue{Key: "attempt", Value: strconv.AppendInt(nil, int64(r.attempts+1), 10)})
	}
	if p.triesAgain(r.attempts+1, rec) && v.retry(r, rec, &p) {
		return
	}
	v.finish(r, rec, &p)
	v.finished(r.item())
}

// retry puts the record of a failed attempt under an id of its own and queues
// the call again, in one write. False: that could not be written.
func (v *Invoker) retry(r *request, rec *whisk.Activation, p *policy) bool {
	failed := *rec
	failed.ID, failed.Cause = NewID(), r.ID
	due := time.Now().Add(p.pause(r.attempts + 1))
	next := *r.head()
	next.Attempts, next.Due = r.attempts+1, due.UnixMilli()
	call, err := v.encodeCall(r.Caller.Namespace, &next, r.Payload)
	if err == nil {
		err = v.cfg.Activations.Apply(context.Background(), activation.Change{
			Accept:  []activation.Accepted{{ID: r.ID, Namespace: r.Caller.Namespace, Call: call}},
			Records: []*whisk.Activation{&failed},
		})
	}
	if err != nil {
		v.cfg.Log.Error("queueing a call again", "activation", r.ID, "error", err)
		return false
	}
	v.backlog.postpone(r.item(), due)
	return true
}

// finish puts the record of a call that has ended.
func (v *Invoker) finish(r *request, rec *whisk.Activation, p *policy) {
	if r.completion {
		p.completion = "" // or two actions could tell each other for ever
	}
	dead := p.deadLetter && rec.Response.Status != whisk.Success
	if p.completion == "" && !dead {
		v.finishPlainly(rec)
		return
	}
	change := activation.Change{Records: []*whisk.Activation{rec}, Forget: []string{r.ID}}
	if dead {
		v.bury(&change, r, rec)
	}
	if err := v.complete(change, r, rec, p.completion); err != nil {
		v.cfg.Log.Error("finishing an accepted call", "activation", rec.ID, "error", err)
		v.finishPlainly(rec)
		return
	}
	if len(change.Bury) > 0 {
		v.buried(r.Caller.Namespace)
	}
}

func (v *Invoker) finishPlainly(rec *whisk.Activation) {
	if err := v.cfg.Activations.Finish(rec.ID, rec); err != nil {
		v.cfg.Log.Error("finishing an accepted call", "activation", rec.ID, "error", err)
		v.cfg.Activations.Put(rec)
	}
}

// complete writes the end of a call, and what tells of it: a delivery in place of
// the call, or a call of another action.
func (v *Invoker) complete(change activation.Change, r *request, rec *whisk.Activation, target string) error {
	switch {
	case target == "":
		return v.cfg.Activations.Apply(context.Background(), change)
	case target[0] != '/':
		return v.enqueueDelivery(change, rec, target)
	}
	told, err := v.completionCall(r, rec, target)
	if err == nil {
		err = v.acceptWith(context.Background(), change, []*request{told})
	}
	if err != nil {
		v.cfg.Log.Warn("an action cannot be told of the end of a call", "activation", rec.ID, "action", target, "error", err)
		return v.cfg.Activations.Apply(context.Background(), change)
	}
	return nil
}

// completionCall makes the call that gives an action the record of another.
func (v *Invoker) completionCall(r *request, rec *whisk.Activation, target string) (*request, error) {
	name, err := whisk.ParseFullName(target, r.Caller.Namespace)
	if err != nil {
		return nil, err
	}
	found, err := v.resolve(r.Caller, name)
	if err != nil {
		return nil, err
	}
	told := v.begin(&Call{
		ID: NewID(), TransactionID: r.TransactionID, Caller: r.Caller,
		Action: found.Action, Inherited: found.Inherited, Binding: found.Binding,
		Payload: rec.AppendJSON(nil, nil),
	})
	told.completion = true
	return told, nil
}
