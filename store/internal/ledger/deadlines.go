package ledger

import (
	"container/heap"
	"sync"
	"time"

	"millrace/store"
)

// deadlines knows which keys end when, and calls expire with those that are due.
type deadlines struct {
	expire func([]Item)

	mu      sync.Mutex
	queue   deadlineQueue
	byKey   map[string]*deadline
	timer   *time.Timer
	armed   int64 // when timer fires; 0 if it does not
	stopped bool
}

type deadline struct {
	key      string
	revision int64 // of the value that ends
	at       int64 // ms since 1970
	index    int   // in the queue
}

func newDeadlines(expire func([]Item)) *deadlines {
	return &deadlines{expire: expire, byKey: map[string]*deadline{}}
}

// set notes when the newest value of a key ends; at 0 it does not, or is gone.
func (d *deadlines) set(key string, revision, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.byKey[key]
	switch {
	case !ok && at == 0:
	case !ok:
		e = &deadline{key: key, revision: revision, at: at}
		d.byKey[key] = e
		heap.Push(&d.queue, e)
	case at == 0:
		heap.Remove(&d.queue, e.index)
		delete(d.byKey, key)
	default:
		e.revision, e.at = revision, at
		heap.Fix(&d.queue, e.index)
	}
}

// arm sets the timer to the first deadline.
func (d *deadlines) arm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped || len(d.queue) == 0 || d.queue[0].at == d.armed {
		return
	}
	d.armed = d.queue[0].at
	wait := time.Until(time.UnixMilli(d.armed))
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.fire)
		return
	}
	d.timer.Reset(wait)
}

// fire hands over what is due. The keys stay noted until their deletion is
// committed, which calls set.
func (d *deadlines) fire() {
	now := time.Now().UnixMilli()
	d.mu.Lock()
	d.armed = 0
	var due []Item
	for _, e := range d.queue {
		if e.at <= now {
			due = append(due, Item{Entry: store.Entry{Key: e.key, ModRevision: e.revision}, Expires: e.at})
		}
	}
	d.mu.Unlock()
	if len(due) == 0 {
		d.arm()
		return
	}
	d.expire(due)
}

func (d *deadlines) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// deadlineQueue is a heap, the earliest deadline first.
type deadlineQueue []*deadline

func (q deadlineQueue) Len() int           { return len(q) }
func (q deadlineQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q deadlineQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *deadlineQueue) Push(x any) {
	e := x.(*deadline)
	e.index = len(*q)
	*q = append(*q, e)
}
func (q *deadlineQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
