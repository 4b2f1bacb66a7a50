package invoke

import (
	"sync"
	"time"

	"millrace/whisk/runtime"
)

// turnTime is how long calls of another action wait for memory before a busy
// action has to give up an instance, and how long the only instance of an
// action then serves before it is given up.
const turnTime = 50 * time.Millisecond

// pool places calls on instances. One lock, held for well under a microsecond,
// guards all of it; instances are started, run and closed outside it.
//
// Memory: an instance is charged its action's whole limit while it runs a call
// and a quarter of it while idle. Stem cells are not charged. When the budget is
// used up, idle instances go, the one idle the longest first; when there are
// none, calls wait, and namespaces take turns, first come first served within
// each. A call whose action has no instance at all is never passed over: after
// turnTime busy actions yield instances to it.
type pool struct {
	mu     sync.Mutex
	groups map[groupKey]*group
	lines  map[string]*line
	// ring holds the lines with calls that wait; turn is whose turn it is.
	ring    []*line
	turn    int
	waiting int // calls in all queues

	idle                   workerList
	budget, used, idleUsed int // megabytes
	// starved is the group that has no instance for want of memory and is the
	// next to get one; nil if there is none.
	starved *group

	launching, maxLaunching int // starts from nothing under way
	cpu                     capacity
	live                    map[*worker]struct{}
	shelves                 map[string]*shelf // stem cells by kind

	ticking bool
	kick    chan struct{} // wakes scale
	refill  chan struct{} // wakes keepStems
	closed  bool
	closing sync.WaitGroup // instances being closed
}

func newPool(budgetMB, cores int, shelves map[string]*shelf) *pool {
	return &pool{
		groups: map[groupKey]*group{}, lines: map[string]*line{}, live: map[*worker]struct{}{},
		budget: budgetMB, maxLaunching: max(2, cores), cpu: newCapacity(cores),
		shelves: shelves, kick: make(chan struct{}, 1), refill: make(chan struct{}, 1),
	}
}

// take answers the group of a call and a worker for it: a warm one, or one that
// the call has to start; or else a waiter that will be given one. All are nil
// if the pool is closed.
func (p *pool) take(c *Call, now time.Time) (*group, *worker, *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, nil
	}
	g := p.groupOf(c)
	g.used = now
	if g.queue.first == nil && (p.starved == nil || g.spare()) {
		if w := p.claim(g); w != nil {
			return g, w, nil
		}
	}
	wt := &waiter{given: make(chan *worker, 1), since: now}
	p.enqueue(g, wt)
	if g.wakes() || g.wants(now, &p.cpu) {
		p.dispatch(now)
	}
	select {
	case w := <-wt.given:
		return g, w, nil
	default:
		return g, nil, wt
	}
}

// groupOf answers the group of a call, made if there is none. A new revision
// retires the older ones.
func (p *pool) groupOf(c *Call) *group {
	key := keyOf(c)
	if g := p.groups[key]; g != nil {
		return g
	}
	l := p.lines[key.caller]
	if l == nil {
		l = &line{namespace: key.caller}
		p.lines[key.caller] = l
	}
	l.groups++
	g := newGroup(key, c, l)
	for k, other := range p.groups {
		if !k.sameAction(&key) {
			continue
		}
		if k.revision < key.revision {
			p.retire(other)
		} else if k.revision > key.revision {
			g.retired = true // a call accepted before the action changed
		}
	}
	p.groups[key] = g
	return g
}

func (p *pool) retire(g *group) {
	g.retired = true
	for i := len(g.avail) - 1; i >= 0; i-- {
		if w := g.avail[i]; w.running == 0 {
			p.remove(w)
		}
	}
}

// claim takes a warm worker of g that can take one more call, or nil.
func (p *pool) claim(g *group) *worker {
	for n := len(g.avail); n > 0; n = len(g.avail) {
		w := g.avail[n-1]
		if gone(w.inst) {
			p.spoil(w)
			continue
		}
		if w.running == 0 && !p.wake(w) {
			return nil
		}
		w.running++
		if w.running == g.concurrency {
			g.unlist(w)
		}
		return w
	}
	return nil
}

// wake charges an idle worker as busy, if memory allows.
func (p *pool) wake(w *worker) bool {
	p.leaveIdle(w)
	if p.reserve(w.group.key.memoryMB) {
		return true
	}
	p.enterIdle(w, w.idleSince)
	return false
}

func (p *pool) enterIdle(w *worker, now time.Time) {
	w.idle, w.idleSince = true, now
	p.idle.push(w)
	p.used += idleCharge(w)
	p.idleUsed += idleCharge(w)
}

func (p *pool) leaveIdle(w *worker) {
	w.idle = false
	p.idle.remove(w)
	p.used -= idleCharge(w)
	p.idleUsed -= idleCharge(w)
}

func idleCharge(w *worker) int { return w.group.key.memoryMB / 4 }

// reserve charges memory, evicting idle workers as needed. An action larger than
// the whole budget may run alone.
func (p *pool) reserve(mb int) bool {
	busy := p.used - p.idleUsed
	if busy > 0 && busy+mb > p.budget {
		return false
	}
	for p.used+mb > p.budget && p.idle.first != nil {
		p.remove(p.idle.first)
	}
	p.used += mb
	return true
}

// blocked says why start could not start a worker.
type blocked int

const (
	started blocked = iota
	noMemory
	noSlot
)

// start makes a worker for one waiting call of g. The call has to launch its
// instance unless it got a stem cell, and to initialise it.
func (p *pool) start(g *group, now time.Time) (*worker, blocked) {
	inst := p.stem(g.key.kind, now)
	if inst == nil && p.launching >= p.maxLaunching {
		return nil, noSlot
	}
	if !p.reserve(g.key.memoryMB) {
		p.shelve(g.key.kind, inst)
		return nil, noMemory
	}
	w := &worker{group: g, inst: inst, running: 1}
	if inst == nil {
		w.launching = true
		p.launching++
	}
	p.live[w] = struct{}{}
	g.size++
	g.starting++
	return w, started
}

// launched gives w its instance and back its launch slot. False: the pool was
// closed meanwhile, and the instance is the caller's to close.
func (p *pool) launched(w *worker, inst runtime.Instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLaunch(w, time.Now())
	if !p.closed {
		w.inst = inst
	}
	return !p.closed
}

func (p *pool) endLaunch(w *worker, now time.Time) {
	if w.launching {
		w.launching = false
		p.launching--
		p.dispatch(now)
	}
}

// warmed notes that w is initialised, which took this long, and offers what it
// can do besides the call that started it.
func (p *pool) warmed(w *worker, took time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.warm, w.warmSince = true, now
	w.group.starting--
	w.group.observeStart(took)
	p.offer(w, now)
}

// release ends a call on w that ran for this long (negative: it did not run).
// keep: the instance may serve again.
func (p *pool) release(w *worker, keep bool, ran time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := w.group
	w.running--
	if ran >= 0 {
		g.observe(ran, now)
	}
	if !w.warm {
		g.starting--
		p.endLaunch(w, now)
	}
	if !keep || w.spoiled || p.closed || g.retired && g.queue.first == nil || p.mustYield(w, now) || p.sheds(g) {
		p.spoil(w)
		p.dispatch(now)
		return
	}
	p.offer(w, now)
	if p.waiting > 0 && (p.starved != nil || g.handoffs >= standingQueue) {
		p.dispatch(now)
	}
}

// mustYield tells whether w has to make room for an action that has no instance
// and waits for memory.
func (p *pool) mustYield(w *worker, now time.Time) bool {
	return p.starved != nil && p.starved != w.group && now.Sub(p.starved.queue.first.since) >= turnTime &&
		(w.group.size > 1 || now.Sub(w.warmSince) >= turnTime)
}

// sheds tells whether g has more instances than serve its short calls well, now
// that there is no core to spare: each turn to another instance finds its memory
// out of the caches. One goes at a time, and the next after another look.
func (p *pool) sheds(g *group) bool {
	if p.cpu.state != saturated || !p.cpu.shed || !g.short() || g.size <= p.cpu.cores || g.queue.first == nil {
		return false
	}
	p.cpu.shed = false
	return true
}

// offer gives w to calls that wait for it, or makes it available.
func (p *pool) offer(w *worker, now time.Time) {
	g := w.group
	for w.running < g.concurrency && g.queue.first != nil && !w.spoiled {
		w.running++
		g.handoffs++
		p.dequeue(g).given <- w
	}
	if g.queue.first == nil {
		g.handoffs = 0
	}
	if w.running < g.concurrency && !w.spoiled {
		g.list(w)
	} else {
		g.unlist(w)
	}
	if w.running == 0 {
		p.used -= g.key.memoryMB
		p.enterIdle(w, now)
	}
}

// spoil takes w out of service: at once if it runs nothing, else after its last
// call.
func (p *pool) spoil(w *worker) {
	w.spoiled = true
	w.group.unlist(w)
	if w.running == 0 {
		p.remove(w)
	}
}

// remove forgets a worker that runs nothing and closes its instance.
func (p *pool) remove(w *worker) {
	g := w.group
	if _, ok := p.live[w]; !ok {
		return
	}
	delete(p.live, w)
	if w.idle {
		p.leaveIdle(w)
	} else {
		p.used -= g.key.memoryMB
	}
	g.unlist(w)
	g.size--
	p.close(w.inst)
}

// close ends an instance in the background: that takes a while.
func (p *pool) close(inst runtime.Instance) {
	if inst != nil {
		p.closing.Go(func() { _ = inst.Close() })
	}
}

// renew replaces w, whose instance was dead before a call reached it, by a
// worker that this call has to start, in the same memory; nil if the pool is
// closed.
func (p *pool) renew(w *worker, now time.Time) *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := w.group
	if p.closed {
		return nil
	}
	w.running--
	p.spoil(w)
	p.used += g.key.memoryMB
	fresh := &worker{group: g, inst: p.stem(g.key.kind, now), running: 1}
	p.live[fresh] = struct{}{}
	g.size++
	g.starting++
	return fresh
}
