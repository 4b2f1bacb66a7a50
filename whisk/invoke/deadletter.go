package invoke

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"millrace/activation"
	"millrace/whisk"
)

// What a namespace may keep of dead letters: the oldest go first. The bounds are
// looked at every letterLook letters of a namespace.
const (
	maxLetters     = 1000
	maxLetterBytes = 64 << 20
	maxLetterAge   = 14 * 24 * time.Hour
	letterLook     = 50
	// shownError bounds what a letter's summary shows of the error.
	shownError = 1 << 10
)

// graveyard counts the dead letters that came since their bounds were looked at.
type graveyard struct {
	most  load // of one namespace
	mu    sync.Mutex
	fresh map[string]int // by namespace
}

func newGraveyard() *graveyard {
	return &graveyard{most: load{maxLetters, maxLetterBytes}, fresh: map[string]int{}}
}

// bury adds the dead letter of a call to change.
func (v *Invoker) bury(change *activation.Change, r *request, rec *whisk.Activation) {
	if r.received.UnixMilli() < v.madeAt(r.Caller.Namespace) {
		return
	}
	head := *r.head()
	head.Attempts, head.Due = 0, 0
	call, err := v.encodeCall(r.Caller.Namespace, &head, r.Payload)
	if err != nil {
		v.cfg.Log.Error("keeping a dead letter", "activation", r.ID, "error", err)
		return
	}
	now := time.Now().UnixMilli()
	change.Bury = append(change.Bury, activation.Letter{
		LetterKey: activation.LetterKey{Namespace: r.Caller.Namespace, ID: r.ID},
		At:        now, About: aboutLetter(r, rec, now), Call: call,
	})
}

// aboutLetter is a dead letter as lists show it.
func aboutLetter(r *request, rec *whisk.Activation, now int64) []byte {
	b := whisk.AppendString([]byte(`{"accepted":`+strconv.FormatInt(r.received.UnixMilli(), 10)+`,"action":`), r.Action.Path())
	b = whisk.AppendString(append(b, `,"activationId":`...), r.ID)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(r.attempts+1), 10)
	if r.Binding != "" {
		b = whisk.AppendString(append(b, `,"binding":`...), r.Binding)
	}
	result := rec.Response.Result
	if len(result) > shownError {
		result = nil
	}
	b = strconv.AppendInt(append(b, `,"failed":`...), now, 10)
	b = whisk.AppendString(append(b, `,"name":`...), r.Action.Name)
	b = whisk.AppendString(append(b, `,"namespace":`...), r.Caller.Namespace)
	if len(result) > 0 {
		b = append(append(b, `,"result":`...), result...)
	}
	b = strconv.AppendInt(append(b, `,"size":`...), int64(len(r.Payload)), 10)
	b = whisk.AppendString(append(b, `,"status":`...), rec.Response.Status.String())
	return append(b, '}')
}

// buried looks at the bounds of a namespace now and then.
func (v *Invoker) buried(namespace string) {
	g := v.graves
	g.mu.Lock()
	n := g.fresh[namespace]
	g.fresh[namespace] = (n + 1) % letterLook
	g.mu.Unlock()
	if n == 0 {
		v.tidyLetters(v.base, namespace)
	}
}

// sweepLetters removes dead letters that have become too old, until ctx is done.
func (v *Invoker) sweepLetters(ctx context.Context) {
	for rest(ctx, time.Hour, nil) {
		v.tidyLetters(ctx, "")
	}
}

// tidyLetters removes the dead letters of a namespace, or of all if it is empty,
// that are too many, too large together or too old.
func (v *Invoker) tidyLetters(ctx context.Context, namespace string) {
	var kept load
	var excess []activation.LetterKey
	aged := time.Now().Add(-maxLetterAge).UnixMilli()
	of, oldest := "", int64(0)
	err := v.cfg.Activations.Letters(ctx, namespace, func(l *activation.Letter) bool {
		if l.Namespace != of {
			of, kept, oldest = l.Namespace, load{}, max(aged, v.madeAt(l.Namespace))
		}
		kept.add(1, int(l.Size))
		if kept.calls > v.graves.most.calls || kept.bytes > v.graves.most.bytes || l.At < oldest {
			excess = append(excess, l.LetterKey)
		}
		return true
	})
	for _, key := range excess {
		if err != nil {
			break
		}
		err = v.cfg.Activations.Apply(ctx, activation.Change{Exhume: []activation.LetterKey{key}})
		if errors.Is(err, activation.ErrNotFound) { // somebody else took it
			err = nil
		}
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, activation.ErrClosed) {
		v.cfg.Log.Error("removing dead letters", "error", err)
	}
}

// madeAt is when the namespace that has this name now was made (ms since 1970).
// What is older was another tenant's. Nobody's is all of a namespace that is gone.
func (v *Invoker) madeAt(namespace string) int64 {
	if v.cfg.Owner == nil {
		return 0
	}
	if owner := v.cfg.Owner(namespace); owner != nil {
		return owner.Created
	}
	return math.MaxInt64
}

// Letters answers the dead letters of a namespace as JSON objects, newest first:
// those after the first skip, at most limit; and how many there are in all.
func (v *Invoker) Letters(ctx context.Context, namespace string, skip, limit int) (page [][]byte, total int, err error) {
	made := v.madeAt(namespace)
	err = v.cfg.Activations.Letters(ctx, namespace, func(l *activation.Letter) bool {
		if l.At < made {
			return false // they are in order
		}
		if total >= skip && len(page) < limit {
			page = append(page, l.About)
		}
		total++
		return true
	})
	return page, total, err
}

// Letter answers a dead letter as a JSON object, with its payload. The error is a
// *whisk.Error 404, or a failure of our own.
func (v *Invoker) Letter(ctx context.Context, namespace, id string) ([]byte, error) {
	l, _, payload, err := v.letter(ctx, activation.LetterKey{Namespace: namespace, ID: id})
	if err != nil {
		return nil, err
	}
	b := append(l.About[:len(l.About)-1:len(l.About)-1], `,"payload":`...)
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	return append(append(b, payload...), '}'), nil
}

func (v *Invoker) letter(ctx context.Context, key activation.LetterKey) (*activation.Letter, *acceptedCall, []byte, error) {
	l, err := v.cfg.Activations.Letter(ctx, key)
	if errors.Is(err, activation.ErrNotFound) || err == nil && l.At < v.madeAt(key.Namespace) {
		return nil, nil, nil, whisk.NotFound()
	}
	if err != nil {
		return nil, nil, nil, err
	}
	h, payload, err := v.decodeCall(key.Namespace, l.Call)
	return l, h, payload, err
}

// DeleteLetter removes a dead letter. The error is a *whisk.Error 404, or a
// failure of our own.
func (v *Invoker) DeleteLetter(ctx context.Context, namespace, id string) error {
	key := activation.LetterKey{Namespace: namespace, ID: id}
	if _, _, _, err := v.letter(ctx, key); err != nil {
		return err
	}
	err := v.cfg.Activations.Apply(ctx, activation.Change{Exhume: []activation.LetterKey{key}})
	if errors.Is(err, activation.ErrNotFound) {
		return whisk.NotFound()
	}
	return err
}

// Redrive accepts the call of a dead letter of caller's namespace again, as a new
// call of the action as it is now, and removes the letter in the same write. It
// answers the activation id. The call was admitted before. The error is a
// *whisk.Error, or a failure of our own.
func (v *Invoker) Redrive(ctx context.Context, caller *whisk.Identity, id, transactionID string) (string, error) {
	key := activation.LetterKey{Namespace: caller.Namespace, ID: id}
	_, h, payload, err := v.letter(ctx, key)
	if err != nil {
		return "", err
	}
	found, err := v.resolve(caller, reachedAs(h))
	if err != nil {
		return "", err
	}
	r := v.begin(&Call{
		ID: NewID(), TransactionID: transactionID, Caller: caller,
		Action: found.Action, Inherited: found.Inherited, Binding: found.Binding, Payload: payload, Cause: h.Cause,
	})
	r.completion = h.Completion
	if limit := caller.Limits.ConcurrentInvocations; r.inFlight > limit {
		v.end(r)
		return "", tooManyAtOnce(r.inFlight-1, limit)
	}
	if o, bad := v.refuse(&r.Call); bad && !isComposite(r.Action) {
		v.end(r)
		return "", &whisk.Error{Status: http.StatusConflict, Msg: msgNotRedriven(o.result)}
	}
	return r.ID, v.acceptWith(ctx, activation.Change{Exhume: []activation.LetterKey{key}}, []*request{r})
}

// reachedAs is the name by which a call reached its action.
func reachedAs(h *acceptedCall) whisk.FullName {
	n := whisk.FullName{Namespace: h.Action.Namespace, Package: h.Action.Package, Name: h.Action.Name}
	if h.Binding != "" {
		if bound, err := whisk.ParseFullName(h.Binding, ""); err == nil {
			n.Namespace, n.Package = bound.Namespace, bound.Name
		}
	}
	return n
}
