package invoke

import (
	"time"

	"millrace/whisk/runtime"
)

// worker is an instance and its place in the pool. The pool's lock guards it;
// inst is set once, by the call that starts the worker.
type worker struct {
	group *group
	inst  runtime.Instance // nil while it is launched
	// running calls now; a starting worker runs the call that starts it.
	running int
	warm    bool // initialised: it may take calls of its group
	// launching: it holds one of the launch slots.
	launching bool
	// listed: it stands in group.avail.
	listed bool
	// idle: it stands in the pool's list of idle workers.
	idle bool
	// spoiled: it takes no more calls and goes when none is running.
	spoiled bool

	warmSince, idleSince time.Time
	prev, next           *worker // in the idle list
}

// gone tells whether an instance has died by itself.
func gone(inst runtime.Instance) bool {
	select {
	case <-inst.Done():
		return true
	default:
		return false
	}
}

// workerList is a doubly linked list: the one idle the longest is first.
type workerList struct{ first, last *worker }

func (l *workerList) push(w *worker) {
	w.prev, w.next = l.last, nil
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
}

func (l *workerList) remove(w *worker) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.prev, w.next = nil, nil
}
