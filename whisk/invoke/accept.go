package invoke

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"millrace/activation"
	"millrace/whisk"
)

// acceptedCall is the head of activation.Accepted.Call, as JSON after its length
// (a varint); the payload follows, byte for byte or sealed. The caller's secret is
// left out: it must not be on disk in clear.
type acceptedCall struct {
	TransactionID string                `json:"transactionId"`
	Subject       string                `json:"subject"`
	UUID          string                `json:"uuid"`
	Limits        whisk.NamespaceLimits `json:"limits"`
	Action        *whisk.Action         `json:"action"`
	Revision      int64                 `json:"revision"`
	Inherited     whisk.KeyValues       `json:"inherited,omitempty"`
	Binding       string                `json:"binding,omitempty"`
	Cause         string                `json:"cause,omitempty"`
	Received      int64                 `json:"received"` // ms since 1970
	// Attempts have failed before, and the next may not begin before Due (ms
	// since 1970).
	Attempts int   `json:"attempts,omitempty"`
	Due      int64 `json:"due,omitempty"`
	// Completion: it tells of the end of another call, so nothing tells of its own.
	Completion bool `json:"completion,omitempty"`
	// Sealed: the payload is not in clear, see seal.go.
	Sealed bool `json:"sealed,omitempty"`
	// Delivery: the call has ended, and its webhook is still to be told so. There
	// is nothing else then.
	Delivery *delivery `json:"delivery,omitempty"`

	named bool // Action is a name only, see reference.go
}

// head is what the log keeps of a request beside its payload.
func (r *request) head() *acceptedCall {
	return &acceptedCall{
		TransactionID: r.TransactionID, Subject: r.Caller.Subject, UUID: r.Caller.UUID, Limits: r.Caller.Limits,
		Action: r.Action, Revision: r.Action.Revision, Inherited: r.Inherited, Binding: r.Binding, Cause: r.Cause,
		Received: r.received.UnixMilli(), Attempts: r.attempts, Due: r.due, Completion: r.completion,
	}
}

func encodeHead(h *acceptedCall, payload []byte) ([]byte, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, binary.MaxVarintLen64+len(head)+len(payload))
	out = binary.AppendUvarint(out, uint64(len(head)))
	return append(append(out, head...), payload...), nil
}

var errDamaged = errors.New("damaged accepted call")

// decodeHead reads what encodeHead or encodeReference wrote.
func decodeHead(data []byte) (h *acceptedCall, payload []byte, err error) {
	if len(data) > 0 && data[0] == 0 {
		return decodeReference(data)
	}
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return nil, nil, errDamaged
	}
	h = new(acceptedCall)
	if err := json.Unmarshal(data[n:n+int(size)], h); err != nil {
		return nil, nil, err
	}
	if h.Delivery != nil {
		return h, nil, nil
	}
	if h.Action == nil {
		return nil, nil, errDamaged
	}
	h.Action.Revision = h.Revision
	return h, data[n+int(size):], nil
}

// request makes the call again that a head and a payload tell of.
func (v *Invoker) request(it item, h *acceptedCall, payload []byte) *request {
	caller := &whisk.Identity{Subject: h.Subject, Namespace: it.namespace, UUID: h.UUID, Limits: h.Limits}
	v.giveKey(caller)
	r := &request{
		Call: Call{
			ID: it.id, TransactionID: h.TransactionID, Caller: caller,
			Action: h.Action, Inherited: h.Inherited, Binding: h.Binding, Cause: h.Cause, Payload: payload,
		},
		received: time.UnixMilli(h.Received), usage: v.throttle.of(it.namespace),
		durable: true, size: it.bytes, attempts: h.Attempts, due: h.Due, completion: h.Completion,
	}
	if h.named {
		v.find(r)
	}
	return r
}

// giveKey makes an identity of the log what its namespace is now.
func (v *Invoker) giveKey(id *whisk.Identity) {
	if v.cfg.Owner == nil {
		return
	}
	if owner := v.cfg.Owner(id.Namespace); owner != nil {
		subject := id.Subject
		*id = *owner
		id.Subject = subject
	}
}

// AcceptAll queues calls as Invoke queues one that is not blocking, and puts
// records with them, in one durable write. The calls were admitted before; they
// are counted as in flight, but not refused for that. They are refused when too
// much waits already: all or none. The error is a *whisk.Error.
func (v *Invoker) AcceptAll(ctx context.Context, calls []*Call, records ...*whisk.Activation) error {
	requests := make([]*request, len(calls))
	for i, c := range calls {
		requests[i] = v.begin(c)
	}
	return v.accept(ctx, requests, records...)
}

// accept queues calls durably and carries them out in the background.
func (v *Invoker) accept(ctx context.Context, requests []*request, records ...*whisk.Activation) error {
	return v.acceptWith(ctx, activation.Change{Records: records}, requests)
}

// acceptWith is accept in one write with a change.
func (v *Invoker) acceptWith(ctx context.Context, change activation.Change, requests []*request) error {
	if err := v.queue(ctx, &change, requests); err != nil {
		for _, r := range requests {
			v.end(r)
		}
		return err
	}
	for _, r := range requests {
		r.durable = true
		if !v.backlog.hold(r.item()) {
			v.live.done() // the log has it; it goes on being in flight
			continue
		}
		r.Payload = bytes.Clone(r.Payload)
		v.announce(r)
		go v.background(r)
	}
	return nil
}

// queue writes requests to the log, with a change, if there is room for all.
func (v *Invoker) queue(ctx context.Context, change *activation.Change, requests []*request) error {
	for _, r := range requests {
		call := v.encodeReference(r)
		if call == nil {
			var err error
			if call, err = v.encodeCall(r.Caller.Namespace, r.head(), r.Payload); err != nil {
				return &whisk.Error{Status: http.StatusInternalServerError, Msg: whisk.MsgInternal, Err: err}
			}
		}
		r.size = len(call)
		change.Accept = append(change.Accept, activation.Accepted{ID: r.ID, Namespace: r.Caller.Namespace, Call: call})
	}
	if err := v.enter(requests); err != nil {
		return err
	}
	// A client that goes away now does not know whether the calls were accepted.
	err := v.cfg.Activations.Apply(context.WithoutCancel(ctx), *change)
	if err == nil {
		return nil
	}
	v.leave(requests)
	if errors.Is(err, activation.ErrNotFound) {
		return whisk.NotFound()
	}
	return &whisk.Error{Status: http.StatusInternalServerError, Msg: whisk.MsgInternal, Err: err}
}

// enter makes room for requests in the backlog, for all or none.
func (v *Invoker) enter(requests []*request) error {
	for i, r := range requests {
		if err := v.backlog.enter(r.Caller.Namespace, load{1, r.size}); err != nil {
			v.leave(requests[:i])
			return err
		}
	}
	return nil
}

func (v *Invoker) leave(requests []*request) {
	for _, r := range requests {
		v.backlog.leave(r.Caller.Namespace, load{1, r.size})
	}
}

// item is the request as the backlog knows it.
func (r *request) item() item {
	return item{id: r.ID, namespace: r.Caller.Namespace, bytes: r.size}
}

// background carries out an accepted call. If the platform stops before the
// call starts, the log keeps it for the next start.
func (v *Invoker) background(r *request) {
	if o, barred := v.bar(r); barred {
		v.recordOnly(r, o)
		return
	}
	if r.removed {
		v.recordOnly(r, failed(whisk.ApplicationError, msgRemoved))
		return
	}
	if r.composite() {
		v.walkAccepted(r)
		return
	}
	if o, bad := v.refuse(&r.Call); bad {
		v.recordOnly(r, o)
		return
	}
	g, w, wt := v.pool.take(&r.Call, time.Now())
	if wt != nil {
		w = <-wt.given
	}
	if w == nil {
		v.end(r)
		return
	}
	r.group = g
	if !v.started(r) {
		v.pool.release(w, w.warm, -1, time.Now())
		v.end(r)
		return
	}
	v.carry(r, w)
}

// walkAccepted carries out an accepted composite call. It has started when its
// first component has an instance to run on.
func (v *Invoker) walkAccepted(r *request) {
	k, err := v.newWalk(r)
	if err != nil {
		var denied *whisk.Error
		errors.As(err, &denied)
		v.recordOnly(r, failed(whisk.ApplicationError, denied.Msg))
		return
	}
	k.begin()
	c := k.next()
	if c == nil {
		return
	}
	p, err := v.place(c)
	if err == nil && p.wt != nil && p.w == nil {
		if p.w = <-p.wt.given; p.w == nil {
			v.end(c)
			err = unavailable()
		}
	}
	if err != nil {
		v.end(r) // it stays accepted, for the next start
		return
	}
	if !v.started(r) {
		if p.w != nil {
			v.pool.release(p.w, p.w.warm, -1, time.Now())
			v.end(c)
		}
		v.end(r)
		return
	}
	rec := p.rec
	if rec == nil {
		rec = v.carry(c, p.w)
	}
	k.ended(c, rec, nil)
	k.rest()
}

// started notes that an accepted call runs from now on. One that is not noted
// must not run: after a crash it would run again.
func (v *Invoker) started(r *request) bool {
	err := v.cfg.Activations.Started(r.ID)
	if err != nil && !errors.Is(err, activation.ErrClosed) {
		v.cfg.Log.Error("noting that an accepted call started", "activation", r.ID, "error", err)
	}
	return err == nil
}

// resume carries out a call that was parked; its place in the backlog is held.
func (v *Invoker) resume(it item) {
	v.live.add()
	go func() {
		a, err := v.cfg.Activations.Call(v.base, it.id)
		if err != nil {
			v.live.done()
			v.backlog.done(it)
			if v.base.Err() == nil {
				v.cfg.Log.Error("reading an accepted call", "activation", it.id, "error", err)
			}
			return
		}
		h, payload, err := v.decodeCall(a.Namespace, a.Call)
		if err != nil || h.Delivery != nil {
			v.abandon(&a)
			v.live.done()
			v.finished(it)
			return
		}
		r := v.request(it, h, payload)
		if r.attempts > 0 { // in flight again
			r.usage, _ = v.throttle.enter(it.namespace)
		}
		v.announce(r)
		v.background(r)
	}()
}

// finished takes a call that was held out of the backlog.
func (v *Invoker) finished(it item) {
	v.backlog.leave(it.namespace, load{1, it.bytes})
	v.backlog.done(it)
}

// readPending puts the calls accepted before a restart into the backlog. Those
// that had started must not run again; they are ended when Run begins.
func (v *Invoker) readPending() error {
	return v.cfg.Activations.EachPending(context.Background(), func(a activation.Accepted) error {
		it := item{id: a.ID, namespace: a.Namespace}
		h, _, err := decodeHead(a.Call)
		switch {
		case err != nil:
			a.Call = nil
			v.damaged = append(v.damaged, a)
			v.cfg.Log.Error("reading an accepted call", "activation", a.ID, "error", err)
			return nil
		case h.Delivery != nil:
			v.deliveries.force(it)
			v.deliveries.parkUntil(it, time.UnixMilli(h.Delivery.Due))
			return nil
		}
		it.bytes = len(a.Call)
		v.backlog.force(it)
		if a.Started {
			v.interrupted = append(v.interrupted, it)
			return nil
		}
		if h.Attempts == 0 { // those in back-off are not in flight
			v.throttle.enter(a.Namespace)
		}
		v.backlog.parkUntil(it, time.UnixMilli(h.Due))
		return nil
	})
}

// recover ends the calls that ran when the platform was killed, and those that
// cannot be read.
func (v *Invoker) recover(ctx context.Context) {
	for i := range v.damaged {
		v.abandon(&v.damaged[i])
	}
	for _, it := range v.interrupted {
		a, err := v.cfg.Activations.Call(ctx, it.id)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			v.cfg.Log.Error("reading an interrupted call", "activation", it.id, "error", err)
			continue
		}
		h, payload, err := v.decodeCall(a.Namespace, a.Call)
		if err != nil {
			v.abandon(&a)
			continue
		}
		r := v.request(it, h, payload)
		r.usage, _ = v.throttle.enter(it.namespace)
		v.live.add()
		v.backlog.seize(it)
		v.recordOnly(r, failed(whisk.WhiskError, msgInterrupted))
	}
	v.damaged, v.interrupted = nil, nil
}

// abandon ends an accepted call that cannot be read.
func (v *Invoker) abandon(a *activation.Accepted) {
	o := failed(whisk.WhiskError, msgIncompatible)
	now := time.Now().UnixMilli()
	rec := &whisk.Activation{
		Namespace: a.Namespace, ID: a.ID, Start: now, End: now,
		Response: whisk.Response{Status: o.status, Result: o.result},
	}
	if err := v.cfg.Activations.Finish(a.ID, rec); err != nil {
		v.cfg.Log.Error("ending a damaged accepted call", "activation", a.ID, "error", err)
	}
}

// Queued answers the record of an accepted call that is known to the log only,
// or activation.ErrNotFound: those that run, or will in a moment, are among the
// activations.
func (v *Invoker) Queued(ctx context.Context, namespace, id string) (*whisk.Activation, error) {
	a, err := v.cfg.Activations.Call(ctx, id)
	if err != nil {
		return nil, err
	}
	h, _, err := decodeHead(a.Call)
	if err != nil || h.Delivery != nil || a.Namespace != namespace {
		return nil, activation.ErrNotFound
	}
	r := &request{Call: Call{
		ID: id, Caller: &whisk.Identity{Namespace: namespace, Subject: h.Subject},
		Action: h.Action, Binding: h.Binding, Cause: h.Cause,
	}, received: time.UnixMilli(h.Received)}
	if h.named {
		v.find(r)
	}
	return queuedRecord(r), nil
}
