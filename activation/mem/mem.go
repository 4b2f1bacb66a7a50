// Package mem is the activation.Log that keeps records and accepted calls in
// memory only: for --ephemeral and for tests of whatever needs a log.
package mem

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

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
	accepted map[string]*accepted
	seq      int // number of the newest accepted call
	letters  map[activation.LetterKey]*activation.Letter
}

// accepted is an accepted call with its place among all of them.
type accepted struct {
	activation.Accepted
	seq int
}

var _ activation.Log = (*Log)(nil)

// New makes an empty log.
func New() *Log { return &Log{index: index.New(), accepted: map[string]*accepted{}} }

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

// accept queues calls. The caller holds mu.
func (l *Log) accept(calls []activation.Accepted) {
	for _, call := range calls {
		l.seq++
		seq := l.seq
		if again := l.accepted[call.ID]; again != nil {
			seq = again.seq
		}
		l.accepted[call.ID] = &accepted{call, seq}
	}
}

// Started notes that an accepted call runs.
func (l *Log) Started(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return activation.ErrClosed
	}
	call := l.accepted[id]
	if call == nil {
		return activation.ErrNotFound
	}
	call.Started = true
	return nil
}

// Finish puts the record and forgets the accepted call.
func (l *Log) Finish(id string, rec *whisk.Activation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return activation.ErrClosed
	}
	delete(l.accepted, id)
	l.put(rec)
	return nil
}

// Expire removes what keep does not let stay.
func (l *Log) Expire(ctx context.Context, now time.Time, keep func(namespace string) activation.Retention) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	expired := map[*whisk.Activation]bool{}
	for _, namespace := range l.index.Namespaces() {
		l.expired(namespace, now, keep(namespace), expired)
	}
	l.index.Remove(slices.Collect(maps.Keys(expired)))
	l.finished = slices.DeleteFunc(l.finished, func(rec *whisk.Activation) bool {
		if expired[rec] {
			l.bytes -= index.Size(rec)
		}
		return expired[rec]
	})
	return len(expired), nil
}

// expired adds to found the records of a namespace that may not stay.
func (l *Log) expired(namespace string, now time.Time, keep activation.Retention, found map[*whisk.Activation]bool) {
	const minute = 60_000
	oldest, newest := int64(0), now.UnixMilli()/minute*minute
	if keep.MaxAge > 0 {
		oldest = now.Add(-keep.MaxAge).UnixMilli() / minute * minute
	}
	bytes := int64(0)
	l.index.Walk(namespace, activation.Query{}, func(rec *whisk.Activation) bool {
		if rec.Response.Status == whisk.Running {
			return true
		}
		bytes += int64(index.Size(rec))
		if keep.MaxBytes > 0 && bytes > keep.MaxBytes {
			oldest = max(oldest, min(newest, rec.Start/minute*minute+minute))
		}
		if rec.Start < min(oldest, newest) {
			found[rec] = true
		}
		return true
	})
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
	l.index, l.finished, l.accepted, l.letters = index.New(), nil, map[string]*accepted{}, nil
	return nil
}
