package invoke

import (
	"math"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"millrace/whisk"
)

// throttle counts what each namespace invokes. sweep drops what it knows of
// namespaces that do nothing, so it holds no more than those of the last minutes.
type throttle struct {
	namespaces sync.Map // namespace → *usage
}

// usage is what one namespace has asked for.
type usage struct {
	calls, fires perMinute
	// inFlight is far below 0 while sweep makes sure that nobody needs it.
	inFlight atomic.Int64
}

// dropping is added to the calls in flight of a usage that is to be dropped.
const dropping = math.MinInt64 / 2

func callsOf(u *usage) *perMinute { return &u.calls }
func firesOf(u *usage) *perMinute { return &u.fires }

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

// count adds one to a rate of a namespace and answers how many it then has.
func (t *throttle) count(namespace string, rate func(*usage) *perMinute) (*usage, int) {
	for {
		u := t.of(namespace)
		n := rate(u).count(time.Now())
		if t.stays(namespace, u) {
			return u, n
		}
	}
}

// enter adds a call in flight and answers how many there are then. It ends with
// usage.inFlight.Add(-1).
func (t *throttle) enter(namespace string) (*usage, int) {
	for {
		u := t.of(namespace)
		if n := u.inFlight.Add(1); n > 0 {
			return u, int(n)
		}
		u.inFlight.Add(-1)
		t.stays(namespace, u)
	}
}

// stays tells whether u is still what counts; what was added to one that is
// dropped is lost.
func (t *throttle) stays(namespace string, u *usage) bool {
	for u.inFlight.Load() < 0 {
		if now, ok := t.namespaces.Load(namespace); !ok || now != u {
			return false
		}
		runtime.Gosched() // sweep is about to decide
	}
	return true
}

// sweep drops the usages that are as if they were new.
func (t *throttle) sweep(now time.Time) {
	minute := uint64(now.UnixMilli() / 60000)
	t.namespaces.Range(func(namespace, value any) bool {
		u := value.(*usage)
		idle := func() bool { return u.calls.Load()>>32 < minute && u.fires.Load()>>32 < minute }
		if idle() && u.inFlight.CompareAndSwap(0, dropping) {
			if idle() {
				t.namespaces.Delete(namespace)
			} else {
				u.inFlight.Add(-dropping)
			}
		}
		return true
	})
}

// Admit counts a call against the rate of id's namespace and checks the rate,
// then the calls in flight. Calls that are refused count for the rate too. The
// error is a *whisk.Error with status 429.
func (v *Invoker) Admit(id *whisk.Identity) error { return v.AdmitAlso(id, 0) }

// AdmitAlso is Admit for a call that will be accepted in one step with others
// that have been admitted before, and are not in flight yet.
func (v *Invoker) AdmitAlso(id *whisk.Identity, others int) error {
	u, n := v.throttle.count(id.Namespace, callsOf)
	if n > id.Limits.InvocationsPerMinute {
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
	if _, n := v.throttle.count(id.Namespace, firesOf); n > id.Limits.FiresPerMinute {
		return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgRate(n, id.Limits.FiresPerMinute)}
	}
	return nil
}

func tooManyAtOnce(n, limit int) error {
	return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgConcurrent(n, limit)}
}
