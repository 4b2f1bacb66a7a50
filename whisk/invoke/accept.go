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

// recovering is how many calls found at the start are carried out at once.
const recovering = 256

// acceptedCall is the head of activation.Accepted.Call, as JSON after its length
// (a varint); the payload follows, byte for byte. The caller's secret is left
// out: it must not be on disk in clear.
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
}

func encodeAccepted(r *request) ([]byte, error) {
	head, err := json.Marshal(acceptedCall{
		TransactionID: r.TransactionID, Subject: r.Caller.Subject, UUID: r.Caller.UUID, Limits: r.Caller.Limits,
		Action: r.Action, Revision: r.Action.Revision, Inherited: r.Inherited, Binding: r.Binding, Cause: r.Cause,
		Received: r.received.UnixMilli(),
	})
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, binary.MaxVarintLen64+len(head)+len(r.Payload))
	out = binary.AppendUvarint(out, uint64(len(head)))
	return append(append(out, head...), r.Payload...), nil
}

var errDamaged = errors.New("damaged accepted call")

func decodeAccepted(a *activation.Accepted) (*Call, time.Time, error) {
	size, n := binary.Uvarint(a.Call)
	if n <= 0 || size > uint64(len(a.Call)-n) {
		return nil, time.Time{}, errDamaged
	}
	head, payload := a.Call[n:n+int(size)], a.Call[n+int(size):]
	var h acceptedCall
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, time.Time{}, err
	}
	if h.Action == nil {
		return nil, time.Time{}, errDamaged
	}
	h.Action.Revision = h.Revision
	return &Call{
		ID: a.ID, TransactionID: h.TransactionID,
		Caller: &whisk.Identity{Subject: h.Subject, Namespace: a.Namespace, UUID: h.UUID, Limits: h.Limits},
		Action: h.Action, Inherited: h.Inherited, Binding: h.Binding, Cause: h.Cause, Payload: payload,
	}, time.UnixMilli(h.Received), nil
}

// AcceptAll queues calls as Invoke queues one that is not blocking, and puts
// records with them, in one durable write. The calls were admitted before; they
// are counted as in flight, but not refused. The error is a *whisk.Error.
func (v *Invoker) AcceptAll(ctx context.Context, calls []*Call, records ...*whisk.Activation) error {
	requests := make([]*request, len(calls))
	for i, c := range calls {
		requests[i] = v.begin(c)
	}
	return v.accept(ctx, requests, records...)
}

// accept queues calls durably and carries them out in the background.
func (v *Invoker) accept(ctx context.Context, requests []*request, records ...*whisk.Activation) error {
	if err := v.write(ctx, requests, records); err != nil {
		for _, r := range requests {
			v.end(r)
		}
		return &whisk.Error{Status: http.StatusInternalServerError, Msg: whisk.MsgInternal, Err: err}
	}
	for _, r := range requests {
		r.durable = true
		r.Payload = bytes.Clone(r.Payload)
		v.announce(r)
		go v.background(r)
	}
	return nil
}

func (v *Invoker) write(ctx context.Context, requests []*request, records []*whisk.Activation) error {
	calls := make([]activation.Accepted, len(requests))
	for i, r := range requests {
		call, err := encodeAccepted(r)
		if err != nil {
			return err
		}
		calls[i] = activation.Accepted{ID: r.ID, Namespace: r.Caller.Namespace, Call: call}
	}
	// A client that goes away now does not know whether the calls were accepted.
	return v.cfg.Activations.Accept(context.WithoutCancel(ctx), calls, records...)
}

// background carries out an accepted call. If the platform stops before the
// call starts, the log keeps it for the next start.
func (v *Invoker) background(r *request) {
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
	if err := v.cfg.Activations.Started(r.ID); err != nil {
		v.cfg.Log.Error("noting that an accepted call started", "activation", r.ID, "error", err)
	}
	v.carry(r, w)
}

// recover carries out the calls that were accepted before a restart, and ends
// those that had started: they must not run twice.
func (v *Invoker) recover(ctx context.Context) {
	slots := make(chan struct{}, recovering)
	for i := range v.pending {
		a := &v.pending[i]
		c, received, err := decodeAccepted(a)
		if err != nil {
			v.cfg.Log.Error("recovering an accepted call", "activation", a.ID, "error", err)
			v.abandon(a)
			continue
		}
		v.giveKey(c.Caller)
		r := v.begin(c)
		r.received, r.durable = received, true
		if a.Started {
			v.recordOnly(r, failed(whisk.WhiskError, msgInterrupted))
			continue
		}
		v.announce(r)
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			v.end(r)
			return
		}
		go func() {
			defer func() { <-slots }()
			v.background(r)
		}()
	}
	v.pending = nil
}

func (v *Invoker) giveKey(id *whisk.Identity) {
	if v.cfg.Owner == nil {
		return
	}
	if owner := v.cfg.Owner(id.Namespace); owner != nil {
		id.UUID, id.Secret = owner.UUID, owner.Secret
	}
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
