// Package mem is the activation.Log that keeps records and accepted calls in
// memory only: for --ephemeral and for tests of whatever needs a log.
package mem

import (
	"context"
	"slices"
	"sync"

	"millrace/activation"
	"millrace/activation/internal/index"
	"millrace/whisk"
)

// keepBytes bounds what finished records take, roughly; the oldest go first.
const keepBytes = 64 << 20

// Log is an activation.Log.
type Log struct {
	mu       sync.RWMutex
	closed   bool
	index    *index.Index
	finished []*whisk.Activation // in the order in which they ended
	bytes    int                 // of finished
	accepted []activation.Accepted
}

var _ activation.Log = (*Log)(nil)

// New makes an empty log.
func New() *Log { return &Log{index: index.New()} }

// Put makes a record visible.
func (l *Log) Put(rec *whisk.Activation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(rec)
}

func (l *Log) put(rec *whisk.Activation) {
	if l.closed {
		return
	}
	if rec.Response.Status == whisk.Running {
		old := l.index.Get(rec.Namespace, rec.ID)
		if old == nil || old.Response.Status == whisk.Running {
			l.index.Put(rec)
		}
		return
	}
	l.index.Put(rec)
	l.finished = append(l.finished, rec)
	l.bytes += index.Size(rec)
	drop := 0
	for ; l.bytes > keepBytes && drop < len(l.finished)-1; drop++ {
		l.bytes -= index.Size(l.finished[drop])
	}
	if drop > 0 {
		l.index.Remove(l.finished[:drop])
		clear(l.finished[:drop]) // the array lives on; let go of the records
		l.finished = l.finished[drop:]
	}
}

// Get answers one record, or activation.ErrNotFound.
func (l *Log) Get(ctx context.Context, namespace, id string) (*whisk.Activation, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	rec := l.index.Get(namespace, id)
	if rec == nil {
		return nil, activation.ErrNotFound
	}
	return rec, nil
}

// usable answers why a call cannot be served. The caller holds mu.
func (l *Log) usable(ctx context.Context) error {
	if l.closed {
		return activation.ErrClosed
	}
	return ctx.Err()
}

// List answers the records that q selects.
func (l *Log) List(ctx context.Context, namespace string, q activation.Query) ([]*whisk.Activation, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	var recs []*whisk.Activation
	skip := q.Skip
	l.index.Walk(namespace, q, func(rec *whisk.Activation) bool {
		if skip > 0 {
			skip--
			return true
		}
		recs = append(recs, rec)
		return q.Limit <= 0 || len(recs) < q.Limit
	})
	return recs, nil
}

// Count answers how many records q selects.
func (l *Log) Count(ctx context.Context, namespace string, q activation.Query) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	n := -max(q.Skip, 0)
	l.index.Walk(namespace, q, func(*whisk.Activation) bool {
		n++
		return true
	})
	return max(n, 0), nil
}

// Accept queues a call.
func (l *Log) Accept(ctx context.Context, calls []activation.Accepted, records ...*whisk.Activation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(ctx); err != nil {
		return err
	}
	for _, call := range calls {
		if at := l.find(call.ID); at >= 0 {
			l.accepted[at] = call
			continue
		}
		l.accepted = append(l.accepted, call)
	}
	for _, rec := range records {
		l.put(rec)
	}
	return nil
}

// find answers the place of an accepted call, or -1.
func (l *Log) find(id string) int {
	return slices.IndexFunc(l.accepted, func(a activation.Accepted) bool { return a.ID == id })
}

// Started notes that an accepted call runs.
func (l *Log) Started(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return activation.ErrClosed
	}
	at := l.find(id)
	if at < 0 {
		return activation.ErrNotFound
	}
	l.accepted[at].Started = true
	return nil
}

// Finish puts the record and forgets the accepted call.
func (l *Log) Finish(id string, rec *whisk.Activation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return activation.ErrClosed
	}
	if at := l.find(id); at >= 0 {
		l.accepted = slices.Delete(l.accepted, at, at+1)
	}
	l.put(rec)
	return nil
}

// Pending answers the calls accepted and not finished, oldest first.
func (l *Log) Pending(ctx context.Context) ([]activation.Accepted, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(l.accepted), nil
}

// Sync has nothing to wait for.
func (l *Log) Sync(ctx context.Context) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.usable(ctx)
}

// Close forgets everything. Closing again does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.index, l.finished, l.accepted = index.New(), nil, nil
	return nil
}
