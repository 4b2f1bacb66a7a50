package invoke

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"millrace/whisk"
)

// throttle counts what each namespace invokes. Namespaces come from checked
// identities, so there are never more entries than namespaces with a key.
type throttle struct {
	namespaces sync.Map // namespace → *usage
}

// usage is what one namespace has asked for.
type usage struct {
	calls, fires perMinute
	inFlight     atomic.Int64
}

// perMinute holds a wall-clock minute in its upper half and what was asked for in
// that minute in its lower half, so that both change in one step.
type perMinute struct{ atomic.Uint64 }

func (t *throttle) of(namespace string) *usage {
	if u, ok := t.namespaces.Load(namespace); ok {
		return u.(*usage)
	}
	u, _ := t.namespaces.LoadOrStore(namespace, new(usage))
	return u.(*usage)
}

// count adds one to the minute of now and answers how many it then has.
func (p *perMinute) count(now time.Time) int {
	minute := uint64(now.UnixMilli()/60000) << 32
	for {
		old := p.Load()
		next := old + 1
		if old>>32 != minute>>32 {
			next = minute + 1
		}
		if p.CompareAndSwap(old, next) {
			return int(next & 0xffffffff)
		}
	}
}

// Admit counts a call against the rate of id's namespace and checks the rate,
// then the calls in flight. Calls that are refused count for the rate too. The
// error is a *whisk.Error with status 429.
func (v *Invoker) Admit(id *whisk.Identity) error { return v.AdmitAlso(id, 0) }

// AdmitAlso is Admit for a call that will be accepted in one step with others
// that have been admitted before, and are not in flight yet.
func (v *Invoker) AdmitAlso(id *whisk.Identity, others int) error {
	u := v.throttle.of(id.Namespace)
	if n := u.calls.count(time.Now()); n > id.Limits.InvocationsPerMinute {
		return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgRate(n, id.Limits.InvocationsPerMinute)}
	}
	if n := int(u.inFlight.Load()) + others; n >= id.Limits.ConcurrentInvocations {
		return tooManyAtOnce(n, id.Limits.ConcurrentInvocations)
	}
	return nil
}

// AdmitFire counts a trigger that is fired against the rate of id's namespace and
// checks the rate. The error is a *whisk.Error with status 429.
func (v *Invoker) AdmitFire(id *whisk.Identity) error {
	n := v.throttle.of(id.Namespace).fires.count(time.Now())
	if n > id.Limits.FiresPerMinute {
		return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgRate(n, id.Limits.FiresPerMinute)}
	}
	return nil
}

func tooManyAtOnce(n, limit int) error {
	return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgConcurrent(n, limit)}
}
