// Package ledger is what the embedded engines of store.Store have in common:
// it gives every write its revision, checks expectations, lets writers that
// come at the same time share one commit, keeps recent history, feeds watchers
// and deletes values whose time is over. The engines differ only in the Table
// that holds the entries.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"millrace/store"
)

// Item is an entry and when it ends.
type Item struct {
	store.Entry
	// Expires is in milliseconds since 1970; 0 is never.
	Expires int64
}

// Change is one write as a Table applies it.
type Change struct {
	store.Event
	// Expires is the end of the new value, OldExpires that of the value it
	// replaces or deletes; 0 is none.
	Expires, OldExpires int64
}

// Table holds entries. Apply is never called by two goroutines at once; the
// other methods may be called at any time between New and Close.
type Table interface {
	// Get answers an entry, or store.ErrNotFound.
	Get(key string) (Item, error)
	// List answers the entries with a prefix in key order, and the revision of
	// the newest change that they show.
	List(prefix string) ([]store.Entry, int64, error)
	// Apply makes all changes, or none and answers why. Their revisions follow
	// one another and the last Apply. They are durable when it returns, and not
	// to be seen by Get and List before.
	Apply(changes []Change) error
	Close() error
}

// Ledger implements store.Store on a Table.
type Ledger struct {
	table    Table
	history  *history
	deadline *deadlines

	// lead holds a token while one writer commits for all that are waiting.
	lead     chan struct{}
	revision int64 // of the newest write; owned by who holds lead
	broken   error // why no more writes are possible; owned by who holds lead

	queueMu sync.Mutex
	queue   []*write
	shut    bool // no more writes are taken

	// open is held for reading by readers of the table, for writing by Close.
	open   sync.RWMutex
	closed bool
}

var _ store.Store = (*Ledger)(nil)

// New makes a ledger over a table whose newest revision is given, with those of
// its items that expire.
func New(table Table, revision int64, expiring []Item) *Ledger {
	l := &Ledger{
		table:    table,
		history:  newHistory(revision),
		lead:     make(chan struct{}, 1),
		revision: revision,
	}
	l.deadline = newDeadlines(l.expire)
	for _, it := range expiring {
		l.deadline.set(it.Key, it.ModRevision, it.Expires)
	}
	l.deadline.arm()
	return l
}

// Get answers the entry of a key.
func (l *Ledger) Get(ctx context.Context, key string) (store.Entry, error) {
	if err := ctx.Err(); err != nil {
		return store.Entry{}, err
	}
	l.open.RLock()
	defer l.open.RUnlock()
	if l.closed {
		return store.Entry{}, store.ErrUnavailable
	}
	it, err := l.table.Get(key)
	return it.Entry, err
}

// List answers the entries with a prefix and the store's revision.
func (l *Ledger) List(ctx context.Context, prefix string) ([]store.Entry, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	l.open.RLock()
	defer l.open.RUnlock()
	if l.closed {
		return nil, 0, store.ErrUnavailable
	}
	return l.table.List(prefix)
}

// Put writes a value.
func (l *Ledger) Put(ctx context.Context, key string, value []byte, o store.PutOptions) (store.Entry, error) {
	if value == nil {
		value = []byte{} // nil says deletion in an event
	}
	w := &write{key: key, value: value, expect: o.If}
	if o.TTL > 0 {
		w.expires = time.Now().Add(o.TTL).UnixMilli()
	}
	if err := ctx.Err(); err != nil {
		return store.Entry{}, err
	}
	if err := l.commit(w); err != nil {
		return store.Entry{}, fmt.Errorf("writing %s: %w", key, err)
	}
	return w.change.Entry, nil
}

// Delete removes a key.
func (l *Ledger) Delete(ctx context.Context, key string, expect int64) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	w := &write{key: key, delete: true, expect: expect}
	if err := l.commit(w); err != nil {
		return 0, fmt.Errorf("deleting %s: %w", key, err)
	}
	return w.change.ModRevision, nil
}

// Watch follows the changes under a prefix.
func (l *Ledger) Watch(ctx context.Context, prefix string, after int64) (<-chan []store.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return l.history.watch(ctx, prefix, after)
}

// Close ends watchers, waits for the commit in progress and closes the table.
// Closing again does nothing.
func (l *Ledger) Close() error {
	l.queueMu.Lock()
	again := l.shut
	l.shut = true
	l.queueMu.Unlock()
	if again {
		return nil
	}
	l.deadline.stop()
	l.history.close()
	l.lead <- struct{}{}
	for _, w := range l.take() {
		w.finish(store.ErrUnavailable)
	}
	<-l.lead

	l.open.Lock()
	defer l.open.Unlock()
	l.closed = true
	return l.table.Close()
}

// expire deletes what is due, unless it was written or deleted meanwhile.
func (l *Ledger) expire(due []Item) {
	writes := make([]*write, len(due))
	for i, it := range due {
		writes[i] = &write{key: it.Key, delete: true, expect: it.ModRevision}
	}
	if l.commit(writes...) != nil {
		for _, w := range writes {
			if w.err != nil && !errors.Is(w.err, store.ErrConflict) && !errors.Is(w.err, store.ErrNotFound) {
				return // the table fails: trying again at once would never end
			}
		}
	}
	l.deadline.arm()
}
