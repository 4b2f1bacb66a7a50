// Package invoke carries one call of an action from request to record: throttle,
// merge of parameters, placement on an instance, run, record. A sequence or a
// composition is a walk over the calls of its components.
//
// Accepted calls wait in the activation log (backlog), are tried again, become dead
// letters and tell of their end as their actions' annotations say. What the log
// keeps of them is in an encoding of this package: see acceptedCall.
package invoke

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"millrace/activation"
	"millrace/blob"
	"millrace/whisk"
	wruntime "millrace/whisk/runtime"
)

// Config says what an Invoker works with. Log, Launchers, Blobs and Activations
// are needed, the rest has defaults.
type Config struct {
	Log         *slog.Logger
	Launchers   []wruntime.Launcher
	Blobs       blob.Store
	Activations activation.Log

	// MemoryMB bounds all instances together: each counts its action's memory
	// limit while it runs a call and a quarter of it while idle. 0: three times
	// the machine's memory, since limits are seldom used up.
	MemoryMB int
	// StemCells is how many are kept of a kind in use, where it is not what the
	// launcher advises.
	StemCells map[string]int
	// WarmKinds have stem cells from the start. Nil: the first default kind.
	WarmKinds []string
	// IdleTimeout is when an idle instance goes (0: 10 minutes).
	IdleTimeout time.Duration
	// MaxResultBytes bounds what a call may answer (0: 1 MB).
	MaxResultBytes int
	// APIHost is __OW_API_HOST for the actions, such as http://127.0.0.1:3233.
	APIHost string
	// Limits are what stored actions are held to when they run; nil: nothing.
	Limits *whisk.SystemLimits
	// Owner answers the identity of a namespace, for accepted calls after a
	// restart: they are stored without the secret. nil: the namespace is gone.
	Owner func(namespace string) *whisk.Identity
	// Sealer keeps the keys that calls have among their arguments out of the log in
	// clear. nil: they are kept as they are.
	Sealer Sealer
	// Refuse tells whether a webhook may not be called at an address, beside those
	// that none may be: the platform's own. nil: no other is refused.
	Refuse func(netip.AddrPort) bool
	// Actions finds the components of sequences and compositions. nil: there are
	// none.
	Actions Resolver
}

// Resolver finds actions.
type Resolver interface {
	// Resolve finds the action that caller means by n and may call. Errors are
	// *whisk.Error: 403, 404 or 409.
	Resolve(caller *whisk.Identity, n whisk.FullName) (*whisk.Resolved, error)
}

// Invoker carries out calls. Run must be running for calls to get more than one
// instance.
type Invoker struct {
	cfg      Config
	throttle throttle
	pool     *pool
	shelves  map[string]*shelf
	// backlog is the accepted calls, deliveries the webhooks to call.
	backlog, deliveries *backlog
	webhooks            *webhooks
	graves              *graveyard
	// interrupted and damaged are accepted calls found at the start.
	interrupted []item
	damaged     []activation.Accepted

	// base is done when Run ends: it stops what is being launched.
	base context.Context
	stop context.CancelFunc
	live calls
}

// New makes an Invoker and reads the calls accepted before a restart, which Run
// then carries out.
func New(cfg Config) (*Invoker, error) {
	if cfg.MemoryMB <= 0 {
		cfg.MemoryMB = 3 * machineMemoryMB()
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 10 * time.Minute
	}
	if cfg.MaxResultBytes <= 0 {
		cfg.MaxResultBytes = 1 << 20
	}
	v := &Invoker{cfg: cfg, webhooks: newWebhooks(cfg.Refuse), graves: newGraveyard(), shelves: shelvesOf(&cfg), live: calls{zero: make(chan struct{}, 1)}}
	v.pool = newPool(cfg.MemoryMB, runtime.GOMAXPROCS(0), v.shelves)
	v.base, v.stop = context.WithCancel(context.Background())
	v.backlog = newBacklog(queueBounds, v.resume)
	v.deliveries = newBacklog(deliveryBounds, v.deliver)
	if err := v.readPending(); err != nil {
		return nil, fmt.Errorf("reading the accepted calls: %w", err)
	}
	return v, nil
}

// request is one call on its way.
type request struct {
	Call
	received time.Time
	usage    *usage
	inFlight int // of its namespace when it began, itself included
	group    *group
	// durable: the log keeps it until it has a record.
	durable bool
	// plain: a conductor is called itself, not its composition.
	plain bool
	// Of a durable one: its size in the log, how many attempts have failed before,
	// when this one was due (ms since 1970), and whether it tells of the end of
	// another call.
	size       int
	attempts   int
	due        int64
	completion bool
	removed    bool // its action is there no more
	tail       tail
}

func (r *request) composite() bool { return !r.plain && isComposite(r.Action) }

// Invoke carries out a call. A blocking call answers its finished record, or
// nil if Wait or ctx is over first: the call then runs on and its record
// appears in the log. A non-blocking call answers nil as soon as it is safely
// queued. The throttle is Admit, before it; Invoke counts the call in flight and
// refuses it with the same error if others were admitted at the same moment and
// were faster. Components of a sequence (Cause) are not refused.
//
// A sequence or a conductor is called like any action: with its components it is
// one call, in one place among those in flight. Its error may also be the 403
// for components that its caller may not call.
//
// What c points to must not change; Payload may, once Invoke has returned. The
// error is a *whisk.Error.
func (v *Invoker) Invoke(ctx context.Context, c *Call) (*whisk.Activation, error) {
	r := v.begin(c)
	if limit := c.Caller.Limits.ConcurrentInvocations; r.inFlight > limit && c.Cause == "" {
		v.end(r)
		return nil, tooManyAtOnce(r.inFlight-1, limit)
	}
	var k *walk
	if r.composite() {
		var err error
		if k, err = v.newWalk(r); err != nil {
			v.end(r)
			return nil, err
		}
	}
	if !c.Blocking {
		return nil, v.accept(ctx, []*request{r})
	}
	if k != nil {
		return k.attended(ctx), nil
	}
	return v.blocking(ctx, r)
}

// blocking carries out a call that has begun, and waits for its end.
func (v *Invoker) blocking(ctx context.Context, r *request) (*whisk.Activation, error) {
	p, err := v.place(r)
	if err != nil {
		return nil, err
	}
	return v.settle(ctx, r, p)
}

// placed is a call that has a worker, or waits for one, or has ended at once.
type placed struct {
	w   *worker
	wt  *waiter
	rec *whisk.Activation
}

// place takes a worker for a call. With an error, the call has ended.
func (v *Invoker) place(r *request) (p placed, err error) {
	if o, bad := v.refuse(&r.Call); bad {
		p.rec = v.recordOnly(r, o)
		return p, nil
	}
	r.group, p.w, p.wt = v.pool.take(&r.Call, r.received)
	if r.group == nil {
		v.end(r)
		return p, unavailable()
	}
	return p, nil
}

// settle carries out a call that has been placed, and waits for its end.
func (v *Invoker) settle(ctx context.Context, r *request, p placed) (*whisk.Activation, error) {
	if p.rec != nil {
		return p.rec, nil
	}
	if v.endsInTime(ctx, r, p.w) {
		return v.carry(r, p.w), nil
	}
	return v.await(ctx, r, p.w, p.wt)
}

func (v *Invoker) begin(c *Call) *request {
	r := &request{Call: *c, received: time.Now()}
	r.usage, r.inFlight = v.throttle.enter(c.Caller.Namespace)
	v.live.add()
	return r
}

func (v *Invoker) end(r *request) {
	if r.usage != nil { // a component has no place of its own
		r.usage.inFlight.Add(-1)
	}
	v.live.done()
}

// lateness is by how much a reply may come after its wait was over, to spare
// calls whose wait is as long as their time limit a goroutine each.
const lateness = 100 * time.Millisecond

// endsInTime tells whether the call surely ends before its wait does, so that
// it can run in the goroutine of its caller. A caller that goes away, which ends
// ctx without a deadline, is not waited for by anyone and may wait itself.
func (v *Invoker) endsInTime(ctx context.Context, r *request, w *worker) bool {
	return endsBefore(ctx, w, r.Action, r.received.Add(r.Wait))
}

// endsBefore tells whether a call of a that starts now on w surely ends before
// the time given and before ctx does.
func endsBefore(ctx context.Context, w *worker, a *whisk.Action, until time.Time) bool {
	if w == nil || !w.warm {
		return false
	}
	ends := time.Now().Add(timeout(a) - lateness)
	if ends.After(until) {
		return false
	}
	deadline, ok := ctx.Deadline()
	return !ok || !ends.After(deadline)
}

// await carries out a call in another goroutine, since it may outlast its wait.
func (v *Invoker) await(ctx context.Context, r *request, w *worker, wt *waiter) (*whisk.Activation, error) {
	timer := time.NewTimer(time.Until(r.received.Add(r.Wait)))
	defer timer.Stop()
	if w == nil {
		select {
		case w = <-wt.given:
		case <-timer.C:
			v.detach(r, wt)
			return nil, nil
		case <-ctx.Done():
			v.detach(r, wt)
			return nil, nil
		}
		if w == nil {
			v.end(r)
			return nil, unavailable()
		}
		if v.endsInTime(ctx, r, w) {
			return v.carry(r, w), nil
		}
	}
	r.Payload = bytes.Clone(r.Payload)
	if !w.warm {
		v.announce(r) // the wait may be over before the instance has been launched
	}
	ended := make(chan *whisk.Activation, 1)
	go func() { ended <- v.carry(r, w) }()
	select {
	case rec := <-ended:
		return rec, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, nil
}

// announce makes a call visible that waits for its turn: who knows its id finds
// a record from then on.
func (v *Invoker) announce(r *request) {
	v.cfg.Activations.Put(queuedRecord(r))
}

// detach lets a call go on waiting without its caller.
func (v *Invoker) detach(r *request, wt *waiter) {
	r.Payload = bytes.Clone(r.Payload)
	v.announce(r)
	go func() {
		if w := <-wt.given; w != nil {
			v.carry(r, w)
			return
		}
		v.recordOnly(r, failed(whisk.WhiskError, msgStopped))
	}()
}

// carry runs a call on its worker, releases the worker and keeps the record.
func (v *Invoker) carry(r *request, w *worker) *whisk.Activation {
	launchErr := v.launch(w)
	start := time.Now()
	rec := openRecord(&r.group.facts, &r.Call, start, start.Sub(r.received))
	rec.running.Tail = &r.tail
	v.cfg.Activations.Put(rec.running)
	var o outcome
	initTime := time.Duration(-1)
	if launchErr == nil {
		o, initTime = v.run(r, w)
	} else {
		o = v.unprovided(r, launchErr)
		v.pool.release(w, false, -1, start)
	}
	end := time.Now()
	o.logs = logsOf(o.logs, r.Action, o.status, end)
	ended := rec.close(&o, end.Sub(start), initTime)
	v.keep(r, ended)
	v.end(r)
	return ended
}

// keep puts the record of an ended call.
func (v *Invoker) keep(r *request, rec *whisk.Activation) {
	if r.durable {
		v.conclude(r, rec)
	} else {
		v.cfg.Activations.Put(rec)
	}
	r.tail.end()
}

// recordOnly ends a call that does not run.
func (v *Invoker) recordOnly(r *request, o outcome) *whisk.Activation {
	rec := unrunRecord(r, &o)
	v.keep(r, rec)
	v.end(r)
	return rec
}

// refuse tells whether a call cannot be run at all, and its outcome.
func (v *Invoker) refuse(c *Call) (outcome, bool) {
	l, max := &c.Action.Limits, v.limits(c)
	if max != nil && (l.TimeoutMS > max.TimeoutMS.Max || l.MemoryMB > max.MemoryMB.Max ||
		l.LogsMB > max.LogsMB.Max || l.Concurrency > max.Concurrency.Max) {
		return failed(whisk.ApplicationError, msgSystemLimit), true
	}
	if v.shelves[c.Action.Exec.Kind] == nil {
		return failed(whisk.WhiskError, msgProvision), true
	}
	return outcome{}, false
}

// limits are what a call's action is held to: those of its owner, or nil.
func (v *Invoker) limits(c *Call) *whisk.SystemLimits {
	owner := c.Caller
	if c.Action.Namespace != owner.Namespace && v.cfg.Owner != nil {
		if id := v.cfg.Owner(c.Action.Namespace); id != nil {
			owner = id
		}
	}
	return owner.SystemLimits(v.cfg.Limits)
}

// bar tells whether an accepted call must not start any more because of what
// became of its namespace, and its outcome.
func (v *Invoker) bar(r *request) (outcome, bool) {
	if v.cfg.Owner == nil {
		return outcome{}, false
	}
	switch owner := v.cfg.Owner(r.Caller.Namespace); {
	case owner == nil, r.received.UnixMilli() < owner.Created:
		return failed(whisk.ApplicationError, msgBlocked), true
	case owner.Limits.ConcurrentInvocations <= 0:
		return failed(whisk.ApplicationError, msgNothingAllowed), true
	}
	return outcome{}, false
}

// resolve finds a component of a sequence or composition.
func (v *Invoker) resolve(caller *whisk.Identity, n whisk.FullName) (*whisk.Resolved, error) {
	if v.cfg.Actions == nil {
		return nil, whisk.NotFound()
	}
	return v.cfg.Actions.Resolve(caller, n)
}

// sequenceLength is how many actions a sequence or composition may call.
func (v *Invoker) sequenceLength() int {
	if v.cfg.Limits == nil {
		return 50
	}
	return v.cfg.Limits.SequenceLength
}

func unavailable() error {
	return &whisk.Error{Status: http.StatusServiceUnavailable, Msg: msgUnavailable}
}

// Run keeps stem cells, scales groups, drops idle instances and carries out the
// calls accepted before a restart, until ctx is done. Then calls that still run
// are ended with their instances (Drain before avoids that), and it returns when
// all goroutines and instances are gone. Accepted calls that have not started
// stay in the log for the next start.
func (v *Invoker) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	tasks.Go(func() { v.pool.scale(ctx) })
	tasks.Go(func() { v.pool.keepStems(v.base, v.cfg.Log) })
	tasks.Go(func() { v.sweep(ctx) })
	v.recover(ctx)
	tasks.Go(func() { v.backlog.run(ctx) })
	tasks.Go(func() { v.deliveries.run(ctx) })
	tasks.Go(func() { v.sweepLetters(ctx) })
	<-ctx.Done()
	v.stop()
	v.pool.shut()
	tasks.Wait()
	v.live.wait(context.Background())
	v.pool.closing.Wait()
	v.webhooks.close()
	return nil
}

func (v *Invoker) sweep(ctx context.Context) {
	every := min(max(v.cfg.IdleTimeout/10, 10*time.Millisecond), 30*time.Second)
	for rest(ctx, every, nil) {
		v.pool.sweep(time.Now(), v.cfg.IdleTimeout)
		v.throttle.sweep(time.Now())
	}
}

// Drain returns when no call is in progress, or with ctx's error. It keeps no
// one from making new ones: components of sequences still need to run.
//
// Accepted calls that have not come into memory yet stay in the log.
func (v *Invoker) Drain(ctx context.Context) error {
	v.backlog.pause(true)
	v.deliveries.pause(true)
	return v.live.wait(ctx)
}
