package ledger

import (
	"errors"
	"fmt"

	"millrace/store"
)

// write is a Put or Delete on its way. Its outcome may be read once done is
// closed.
type write struct {
	key     string
	value   []byte
	expires int64
	delete  bool
	expect  int64

	done   chan struct{}
	change Change
	err    error
}

func (w *write) finish(err error) {
	w.err = err
	close(w.done)
}

// commit carries out writes and answers the first error among them. Callers
// that arrive during a commit wait together; one of them then commits for all,
// so that any number of concurrent writers share one disk sync.
func (l *Ledger) commit(writes ...*write) error {
	for _, w := range writes {
		w.done = make(chan struct{})
	}
	l.queueMu.Lock()
	if l.shut {
		l.queueMu.Unlock()
		return store.ErrUnavailable
	}
	l.queue = append(l.queue, writes...)
	l.queueMu.Unlock()

	last := writes[len(writes)-1] // writes of one caller are taken together
	select {
	case <-last.done:
	case l.lead <- struct{}{}:
		l.commitQueue()
		<-l.lead
		<-last.done // by us, or by an earlier leader
	}
	for _, w := range writes {
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// take empties the queue.
func (l *Ledger) take() []*write {
	l.queueMu.Lock()
	defer l.queueMu.Unlock()
	q := l.queue
	l.queue = nil
	return q
}

// commitQueue commits all that waits. The caller holds lead.
func (l *Ledger) commitQueue() {
	writes := l.take()
	if len(writes) == 0 {
		return
	}
	if l.broken != nil {
		for _, w := range writes {
			w.finish(l.broken)
		}
		return
	}
	changes, accepted := l.decide(writes)
	if len(changes) == 0 {
		return
	}
	if err := l.table.Apply(changes); err != nil {
		// What is on disk now is unknown: going on could give a revision twice.
		l.broken = fmt.Errorf("%w: an earlier write failed: %v", store.ErrUnavailable, err)
		for _, w := range accepted {
			w.finish(fmt.Errorf("%w: %v", store.ErrUnavailable, err))
		}
		return
	}
	l.revision += int64(len(changes))
	for i := range changes {
		l.deadline.set(changes[i].Key, changes[i].ModRevision, changes[i].Expires)
	}
	l.deadline.arm()
	l.history.add(changes)
	for _, w := range accepted {
		w.finish(nil)
	}
}

// decide checks writes in their order, each against the outcome of those
// before it, and gives revisions to those that may happen. The others are
// finished with their error.
func (l *Ledger) decide(writes []*write) (changes []Change, accepted []*write) {
	next := l.revision + 1
	pending := map[string]*Change{} // newest change of a key in this commit
	for _, w := range writes {
		old, err := l.current(w.key, pending)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			err = w.decide(old, err == nil, next)
		}
		if err != nil {
			w.finish(err)
			continue
		}
		next++
		changes = append(changes, w.change)
		accepted = append(accepted, w)
		pending[w.key] = &w.change
	}
	return changes, accepted
}

// current is the item of a key after the changes of this commit so far.
func (l *Ledger) current(key string, pending map[string]*Change) (Item, error) {
	c, ok := pending[key]
	if !ok {
		return l.table.Get(key)
	}
	if c.Deleted {
		return Item{}, store.ErrNotFound
	}
	return Item{Entry: c.Entry, Expires: c.Expires}, nil
}

// decide fills in the change, or answers why the write must not happen.
func (w *write) decide(old Item, exists bool, revision int64) error {
	switch {
	case w.delete && !exists:
		return store.ErrNotFound
	case w.expect == store.Any:
	case w.expect == store.Absent && !exists:
	case w.expect > 0 && exists && old.ModRevision == w.expect:
	default:
		return store.ErrConflict
	}
	w.change = Change{
		Event: store.Event{
			Entry:   store.Entry{Key: w.key, Value: w.value, CreateRevision: revision, ModRevision: revision},
			Deleted: w.delete,
		},
		Expires:    w.expires,
		OldExpires: old.Expires,
	}
	if exists {
		w.change.CreateRevision = old.CreateRevision
	}
	return nil
}
