package invoke

import (
	"slices"
	"sync/atomic"
	"time"
)

// The scale-out policy of one group, in figures. See group.wants.
const (
	// minPatience is the least time that a call waits for a warm instance
	// before another one may be started for it.
	minPatience = 5 * time.Millisecond
	maxPatience = 500 * time.Millisecond
	// A call that takes less than shortRun is over sooner than an instance is
	// started; one that takes longRun is worth an instance at once.
	shortRun = 2 * time.Millisecond
	longRun  = 20 * time.Millisecond
	// stallFactor times the patience without the end of a call says that calls
	// known to be short block after all. Less may be the scheduler's doing.
	stallFactor = 8
	// saturatedStallFactor is the same where no core is to spare.
	saturatedStallFactor = 32
	// standingQueue is after how many calls handed from one to the next, with
	// the queue never empty, even short calls get one more instance.
	standingQueue = 64
)

// groupKey says which calls may share instances.
type groupKey struct {
	caller                string // the invoking namespace
	namespace, pkg, name  string
	kind                  string
	revision              int64
	memoryMB, concurrency int
}

func keyOf(c *Call) groupKey {
	a := c.Action
	return groupKey{
		caller: c.Caller.Namespace, namespace: a.Namespace, pkg: a.Package, name: a.Name,
		kind: a.Exec.Kind, revision: a.Revision, memoryMB: a.Limits.MemoryMB, concurrency: a.Limits.Concurrency,
	}
}

// sameAction tells whether two groups differ in no more than the revision.
func (k *groupKey) sameAction(other *groupKey) bool {
	return k.name == other.name && k.pkg == other.pkg &&
		k.namespace == other.namespace && k.caller == other.caller
}

// group is the instances of one action revision for one namespace, and the
// calls that wait for one. The pool's lock guards it, except facts and params.
type group struct {
	key   groupKey
	facts facts
	// params are those of the newest call; compared before use.
	params atomic.Pointer[params]
	line   *line

	concurrency int // calls at once in one instance
	cap         int // instances at once; 0: no cap
	size        int // instances, those that start included
	starting    int
	avail       []*worker // those that can take one more call, newest use last
	queue       waiters   // not empty: the group stands in its line
	retired     bool      // there is a newer revision
	used        time.Time

	// What scaling out is decided by.
	best      time.Duration // shortest run lately; 0: unknown
	runs      int           // runs seen
	startCost time.Duration // what starting took lately
	moved     time.Time     // newest end of a call
	handoffs  int           // since the queue was last empty or an instance was added
	allowance int           // instances that this tick may still add
}

func newGroup(key groupKey, c *Call, l *line) *group {
	g := &group{key: key, facts: factsOf(c.Action), line: l, concurrency: max(1, c.Action.Limits.Concurrency)}
	if n := c.Action.Limits.Instances; n != nil {
		g.cap = *n
	}
	return g
}

// paramsOf answers the encoded parameters for a call of this group.
func (g *group) paramsOf(c *Call) *params {
	p := g.params.Load()
	if p == nil || !p.madeOf(c.Inherited, c.Action.Parameters) {
		p = encodeParams(c.Inherited, c.Action.Parameters)
		g.params.Store(p)
	}
	return p
}

// wants tells whether one more instance is worth its price for the calls that
// wait. An instance helps if calls wait for something else than a core; if cores
// are what is scarce, it only takes from the others. So:
//
//   - With no instance there is no choice.
//   - Calls known to be long (they sleep or compute): one instance a waiting
//     call, at once, while there are cores to spare.
//   - A queue that stands for long although the calls are short: one more, while
//     there are cores to spare, and in any case one a core.
//   - Else after some patience, doubling with every tick; but for short calls, and
//     when no core is to spare, only if nothing ends for a while: calls that are
//     short in general may block for once. Without a core to spare it is one
//     instance at a time.
func (g *group) wants(now time.Time, cpu *capacity) bool {
	switch {
	case g.queue.first == nil, g.cap > 0 && g.size >= g.cap:
		return false
	case g.size == 0:
		return true
	case g.runs >= 2 && g.best >= longRun && cpu.state != saturated:
		return true
	case g.handoffs >= standingQueue && (g.size < cpu.cores || cpu.state == idle):
		return true
	case g.allowance == 0:
		return false
	}
	age, patience := now.Sub(g.queue.first.since), g.patience()
	if g.size == g.starting { // none has served yet: perhaps the first one is all it takes
		return age >= patience<<min(g.starting, 6)
	}
	if cpu.state == saturated { // what stalls is the cores' doing first of all, and a start takes some 30 ms of one
		return g.starting == 0 && age >= patience && now.Sub(g.moved) >= saturatedStallFactor*patience
	}
	if g.short() {
		return age >= patience && now.Sub(g.moved) >= stallFactor*patience
	}
	return age >= patience
}

// short: a call takes less time than it takes to start an instance.
func (g *group) short() bool { return g.best > 0 && g.best < shortRun }

func (g *group) patience() time.Duration {
	return min(max(minPatience, 2*g.startCost), maxPatience)
}

// observe notes the end of a run. best falls at once and rises slowly: it
// estimates what a call takes when it has a core to itself.
func (g *group) observe(ran time.Duration, now time.Time) {
	g.runs++
	g.moved = now
	if g.best == 0 || ran < g.best {
		g.best = max(ran, 1)
		return
	}
	g.best += (ran - g.best) / 64
}

func (g *group) observeStart(took time.Duration) {
	if g.startCost == 0 {
		g.startCost = took
	}
	g.startCost += (took - g.startCost) / 4
}

func (g *group) list(w *worker) {
	if !w.listed {
		w.listed = true
		g.avail = append(g.avail, w)
	}
}

func (g *group) unlist(w *worker) {
	if w.listed {
		w.listed = false
		i := slices.Index(g.avail, w)
		g.avail = slices.Delete(g.avail, i, i+1)
	}
}

// waiter is a call that waits for an instance. The channel has room for one, so
// giving never blocks; nil says that the pool is closed.
type waiter struct {
	given chan *worker
	since time.Time
	next  *waiter
}

// waiters is a first-in, first-out queue.
type waiters struct{ first, last *waiter }

func (q *waiters) push(wt *waiter) {
	if q.last != nil {
		q.last.next = wt
	} else {
		q.first = wt
	}
	q.last = wt
}

func (q *waiters) pop() *waiter {
	wt := q.first
	q.first = wt.next
	if q.first == nil {
		q.last = nil
	}
	wt.next = nil
	return wt
}

// line is one namespace's groups with calls that wait, for taking turns.
type line struct {
	namespace string
	waiting   []*group
	groups    int // all groups of the namespace
}

// pick answers the group whose turn it is among those that can use an instance:
// one that has none before those that have, else the one whose first call has
// waited the longest. Nil if there is no such group.
func (l *line) pick(now time.Time, cpu *capacity) *group {
	var found *group
	for _, g := range l.waiting {
		if (found == nil || g.before(found)) && (g.wakes() || g.wants(now, cpu)) {
			found = g
		}
	}
	return found
}

func (g *group) before(other *group) bool {
	if (g.size == 0) != (other.size == 0) {
		return g.size == 0
	}
	return g.queue.first.since.Before(other.queue.first.since)
}

// wakes: a warm instance stands idle while calls wait, for want of memory.
func (g *group) wakes() bool { return len(g.avail) > 0 }

// spare: an instance that runs already can take one more call.
func (g *group) spare() bool { return g.wakes() && g.avail[len(g.avail)-1].running > 0 }
