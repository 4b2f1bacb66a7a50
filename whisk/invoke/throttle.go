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

// usage is what one namespace has invoked.
type usage struct {
	// minute holds the wall-clock minute in its upper half and the calls asked
	// for in that minute in its lower half, so that both change in one step.
	minute   atomic.Uint64
	inFlight atomic.Int64
}

func (t *throttle) of(namespace string) *usage {
	if u, ok := t.namespaces.Load(namespace); ok {
		return u.(*usage)
	}
	u, _ := t.namespaces.LoadOrStore(namespace, new(usage))
	return u.(*usage)
}

// count adds one call to the minute of now and answers how many it then has.
func (u *usage) count(now time.Time) int {
	minute := uint64(now.UnixMilli()/60000) << 32
	for {
		old := u.minute.Load()
		next := old + 1
		if old>>32 != minute>>32 {
			next = minute + 1
		}
		if u.minute.CompareAndSwap(old, next) {
			return int(next & 0xffffffff)
		}
	}
}

// Admit counts a call against the rate of id's namespace and checks the rate,
// then the calls in flight. Calls that are refused count for the rate too. The
// error is a *whisk.Error with status 429.
func (v *Invoker) Admit(id *whisk.Identity) error {
	u := v.throttle.of(id.Namespace)
	if n := u.count(time.Now()); n > id.Limits.InvocationsPerMinute {
		return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgRate(n, id.Limits.InvocationsPerMinute)}
	}
	if n := int(u.inFlight.Load()); n >= id.Limits.ConcurrentInvocations {
		return tooManyAtOnce(n, id.Limits.ConcurrentInvocations)
	}
	return nil
}

func tooManyAtOnce(n, limit int) error {
	return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgConcurrent(n, limit)}
}
