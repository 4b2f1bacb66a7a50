package invoke

import (
	"container/heap"
	"context"
	"net/http"
	"sync"
	"time"

	"millrace/whisk"
)

// backlog is the durable queue as memory knows it. What waits is in the
// activation log; here stand its id and size. Some of it is held: in memory as a
// whole and on its way. The rest is parked, and read from the log when something
// of its namespace, or of another whose turn it is, has ended.
//
// So memory is bounded whatever clients queue: by bounds.heldCalls and heldBytes
// for what is held, and by about a hundred bytes for each parked call.
type backlog struct {
	bounds bounds
	// start carries out what was parked; it must not block. Its item is held, and
	// given back by done or postpone.
	start func(item)

	mu     sync.Mutex
	lines  map[string]*backlogLine
	ring   []*backlogLine // those with something parked
	turn   int
	total  load // queued, parked and postponed ones included
	held   load
	later  itemHeap
	paused bool // nothing parked is started
	kick   chan struct{}
}

// bounds are of one namespace and of all together.
type bounds struct {
	queued, heldCalls                int
	queuedOfOne, heldCallsOfOne      int
	queuedBytes, heldBytes           int
	queuedBytesOfOne, heldBytesOfOne int
}

// load is how many calls and how many bytes they take in the log.
type load struct{ calls, bytes int }

func (l *load) add(n, bytes int) { l.calls, l.bytes = l.calls+n, l.bytes+bytes }

// item is something in the backlog.
type item struct {
	id, namespace string
	bytes         int
	due           time.Time // of a postponed one
}

// backlogLine is what one namespace has in the backlog.
type backlogLine struct {
	namespace string
	queued    load
	held      load
	parked    []item // oldest first
}

func newBacklog(b bounds, start func(item)) *backlog {
	return &backlog{bounds: b, start: start, lines: map[string]*backlogLine{}, kick: make(chan struct{}, 1)}
}

// enter makes room for calls of a namespace, or answers the error for clients.
func (b *backlog) enter(namespace string, n load) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.line(namespace)
	switch {
	case l.queued.calls+n.calls > b.bounds.queuedOfOne, l.queued.bytes+n.bytes > b.bounds.queuedBytesOfOne:
		b.tidy(l)
		return &whisk.Error{Status: http.StatusTooManyRequests, Msg: msgQueueFull}
	case b.total.calls+n.calls > b.bounds.queued, b.total.bytes+n.bytes > b.bounds.queuedBytes:
		b.tidy(l)
		return unavailable()
	}
	l.queued.add(n.calls, n.bytes)
	b.total.add(n.calls, n.bytes)
	return nil
}

// force is enter without bounds, for what was accepted before a restart.
func (b *backlog) force(it item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line(it.namespace).queued.add(1, it.bytes)
	b.total.add(1, it.bytes)
}

// leave gives back the room of calls that have ended.
func (b *backlog) leave(namespace string, n load) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.line(namespace)
	l.queued.add(-n.calls, -n.bytes)
	b.total.add(-n.calls, -n.bytes)
	b.tidy(l)
}

// hold takes an entered item into memory, if its namespace has none that came
// before it and there is room; else it is parked.
func (b *backlog) hold(it item) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.line(it.namespace)
	if len(l.parked) > 0 || b.paused || !b.fits(l, it.bytes) {
		b.park(l, it)
		return false
	}
	b.take(l, it)
	return true
}

// seize is hold whatever the bounds are.
func (b *backlog) seize(it item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.take(b.line(it.namespace), it)
}

// done gives back the place of a held item, for those that wait.
func (b *backlog) done(it item) {
	b.mu.Lock()
	b.release(it)
	b.tidy(b.line(it.namespace))
	ready := b.next(nil)
	b.mu.Unlock()
	b.startAll(ready)
}

// postpone parks a held item until it is due.
func (b *backlog) postpone(it item, due time.Time) {
	it.due = due
	b.mu.Lock()
	b.release(it)
	heap.Push(&b.later, it)
	ready := b.next(nil)
	b.mu.Unlock()
	b.wake()
	b.startAll(ready)
}

// parkUntil puts an item that was entered behind the others of its namespace, at once
// or when it is due.
func (b *backlog) parkUntil(it item, due time.Time) {
	b.mu.Lock()
	if due.After(time.Now()) {
		it.due = due
		heap.Push(&b.later, it)
	} else {
		b.park(b.line(it.namespace), it)
	}
	b.mu.Unlock()
	b.wake()
}

// run starts what is parked and what becomes due until ctx is done.
func (b *backlog) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			b.pause(true)
			return
		case <-b.kick:
		case <-timer.C:
		}
		wait := b.look(time.Now())
		timer.Reset(wait)
	}
}

// look starts what can be started and answers how long nothing else becomes due.
func (b *backlog) look(now time.Time) time.Duration {
	b.mu.Lock()
	for len(b.later) > 0 && !b.later[0].due.After(now) {
		it := heap.Pop(&b.later).(item)
		b.park(b.line(it.namespace), it)
	}
	wait := time.Hour
	if len(b.later) > 0 {
		wait = b.later[0].due.Sub(now)
	}
	ready := b.next(nil)
	b.mu.Unlock()
	b.startAll(ready)
	return wait
}

func (b *backlog) wake() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// pause keeps what is parked where it is, or lets it go on.
func (b *backlog) pause(on bool) {
	b.mu.Lock()
	b.paused = on
	b.mu.Unlock()
	b.wake()
}

// next takes what can be started into ready, one namespace after another.
func (b *backlog) next(ready []item) []item {
	for missed := 0; missed < len(b.ring) && !b.paused; {
		b.turn %= len(b.ring)
		l := b.ring[b.turn]
		it := l.parked[0]
		if !b.fits(l, it.bytes) {
			b.turn++
			missed++
			continue
		}
		missed = 0
		b.take(l, it)
		ready = append(ready, it)
		if l.parked = l.parked[1:]; len(l.parked) > 0 {
			b.turn++
			continue
		}
		l.parked = nil
		b.ring = append(b.ring[:b.turn], b.ring[b.turn+1:]...)
	}
	return ready
}

func (b *backlog) startAll(ready []item) {
	for _, it := range ready {
		b.start(it)
	}
}

// fits: there is room for one more; what is larger than all room may be alone.
func (b *backlog) fits(l *backlogLine, bytes int) bool {
	return l.held.calls < b.bounds.heldCallsOfOne && b.held.calls < b.bounds.heldCalls &&
		(l.held.calls == 0 || l.held.bytes+bytes <= b.bounds.heldBytesOfOne) &&
		(b.held.calls == 0 || b.held.bytes+bytes <= b.bounds.heldBytes)
}

func (b *backlog) take(l *backlogLine, it item) {
	l.held.add(1, it.bytes)
	b.held.add(1, it.bytes)
}

func (b *backlog) release(it item) {
	b.line(it.namespace).held.add(-1, -it.bytes)
	b.held.add(-1, -it.bytes)
}

func (b *backlog) park(l *backlogLine, it item) {
	if len(l.parked) == 0 {
		b.ring = append(b.ring, l)
	}
	l.parked = append(l.parked, it)
}

func (b *backlog) line(namespace string) *backlogLine {
	l := b.lines[namespace]
	if l == nil {
		l = &backlogLine{namespace: namespace}
		b.lines[namespace] = l
	}
	return l
}

// tidy forgets a namespace that has nothing here.
func (b *backlog) tidy(l *backlogLine) {
	if l.queued.calls == 0 && l.held.calls == 0 {
		delete(b.lines, l.namespace)
	}
}

// itemHeap has the item that is due first on top.
type itemHeap []item

func (h itemHeap) Len() int           { return len(h) }
func (h itemHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h itemHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *itemHeap) Push(x any)        { *h = append(*h, x.(item)) }
func (h *itemHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = item{}
	*h = old[:len(old)-1]
	return it
}
