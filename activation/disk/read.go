package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"millrace/activation"
	"millrace/activation/internal/index"
	"millrace/whisk"

	"github.com/cockroachdb/pebble/v2"
)

// Get answers one record, or activation.ErrNotFound.
func (l *Log) Get(ctx context.Context, namespace, id string) (*whisk.Activation, error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	l.mu.RLock()
	rec := l.memory.Get(namespace, id)
	l.mu.RUnlock()
	if rec != nil {
		return rec, nil
	}
	l.settle.RLock()
	defer l.settle.RUnlock()
	rec, err = stored(l.db, namespace, id)
	if err != nil {
		return nil, fmt.Errorf("reading activation %s: %w", id, err)
	}
	if rec == nil {
		return nil, activation.ErrNotFound
	}
	return rec, nil
}

// stored answers a record that is on disk, or nil.
func stored(r pebble.Reader, namespace, id string) (*whisk.Activation, error) {
	value, closer, err := r.Get(idKey(nil, namespace, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if len(value) != 8 {
		return nil, errDamaged
	}
	rec, err := body(r, bodyKey(nil, namespace, int64(binary.BigEndian.Uint64(value)), id), decodeRecord)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil // it expired in between
	}
	return rec, err
}

// body answers the record under a key that must be there.
func body(r pebble.Reader, key []byte, decode func([]byte) (*whisk.Activation, error)) (*whisk.Activation, error) {
	value, closer, err := r.Get(key)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return decode(value)
}

// view is the state at one moment: what is in memory and what is on disk. A
// record in memory hides the one on disk with the same id.
type view struct {
	recent   []*whisk.Activation          // of what a query selects in memory, in the order of a list
	memory   map[string]*whisk.Activation // all of the namespace in memory, by id
	snapshot *pebble.Snapshot
}

// view takes hold of the state. limit bounds recent unless it is 0.
func (l *Log) view(namespace string, q activation.Query, limit int) *view {
	v := &view{}
	l.settle.RLock()
	defer l.settle.RUnlock()
	l.mu.RLock()
	v.memory = l.memory.IDs(namespace)
	l.memory.Walk(namespace, q, func(rec *whisk.Activation) bool {
		v.recent = append(v.recent, rec)
		return limit <= 0 || len(v.recent) < limit
	})
	l.mu.RUnlock()
	v.snapshot = l.db.NewSnapshot()
	return v
}

// List answers the records that q selects.
func (l *Log) List(ctx context.Context, namespace string, q activation.Query) ([]*whisk.Activation, error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	q.Skip = max(q.Skip, 0)
	limit := q.Limit
	if limit > 0 {
		limit += q.Skip
	}
	v := l.view(namespace, q, limit)
	defer v.snapshot.Close()
	recs, err := v.list(ctx, namespace, q)
	if err != nil {
		return nil, fmt.Errorf("listing activations of %s: %w", namespace, err)
	}
	return recs, nil
}

// list merges what is in memory with what is on disk.
func (v *view) list(ctx context.Context, namespace string, q activation.Query) ([]*whisk.Activation, error) {
	c, err := v.cursor(namespace, q)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var recs []*whisk.Activation
	for n := 0; q.Limit <= 0 || len(recs) < q.Limit; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rec := v.nextRecent(c)
		if rec == nil {
			if !c.Valid() {
				return recs, c.Error()
			}
			if n >= q.Skip {
				if rec, err = c.load(); err != nil {
					return nil, err
				}
			}
			c.Next()
			c.locate()
		}
		if n >= q.Skip {
			recs = append(recs, rec)
		}
	}
	return recs, nil
}

// nextRecent takes the next record in memory if it comes before where c stands.
func (v *view) nextRecent(c *cursor) *whisk.Activation {
	if len(v.recent) == 0 || c.Valid() && index.Before(&c.at, v.recent[0]) {
		return nil
	}
	rec := v.recent[0]
	v.recent = v.recent[1:]
	return rec
}

// cursor goes through the keys of what a query selects on disk and memory does
// not hide.
type cursor struct {
	*pebble.Iterator
	view      *view
	namespace string
	name      string
	decode    func([]byte) (*whisk.Activation, error)
	prefix    int              // length of what comes before the time in a key
	at        whisk.Activation // ID and Start of where it stands
}

func (v *view) cursor(namespace string, q activation.Query) (*cursor, error) {
	prefix := listPrefix(namespace, q.Name)
	lower, upper := listBounds(prefix, q)
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	c := &cursor{Iterator: it, view: v, namespace: namespace, name: q.Name, decode: decodeRecord, prefix: len(prefix)}
	if q.Brief {
		c.decode = decodeBrief
	}
	it.First()
	c.locate()
	return c, nil
}

// locate passes over hidden records and notes where the cursor stands.
func (c *cursor) locate() {
	for ; c.Valid(); c.Next() {
		key := c.Key()[c.prefix:]
		c.at.Start = startOf(key)
		c.at.ID = string(key[timeLength:])
		if _, hidden := c.view.memory[c.at.ID]; !hidden {
			return
		}
	}
}

// load reads the record where the cursor stands.
func (c *cursor) load() (*whisk.Activation, error) {
	if c.name != "" {
		return body(c.view.snapshot, bodyKey(nil, c.namespace, c.at.Start, c.at.ID), c.decode)
	}
	value, err := c.ValueAndErr()
	if err != nil {
		return nil, err
	}
	return c.decode(value)
}

// Count answers how many records q selects, from counters.
func (l *Log) Count(ctx context.Context, namespace string, q activation.Query) (int, error) {
	done, err := l.use(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	v := l.view(namespace, q, 0)
	defer v.snapshot.Close()
	n, err := countStored(v.snapshot, namespace, q)
	if err == nil {
		var hidden int64
		hidden, err = v.hidden(namespace, q)
		n += int64(len(v.recent)) - hidden
	}
	if err != nil {
		return 0, fmt.Errorf("counting activations of %s: %w", namespace, err)
	}
	return int(max(n-int64(max(q.Skip, 0)), 0)), nil
}

// hidden counts the records on disk that q selects and memory hides: those that
// were put again and are not written again yet.
func (v *view) hidden(namespace string, q activation.Query) (int64, error) {
	var n int64
	for id := range v.memory {
		old, err := stored(v.snapshot, namespace, id)
		if err != nil {
			return 0, err
		}
		if old != nil && selects(q, old) {
			n++
		}
	}
	return n, nil
}

func selects(q activation.Query, rec *whisk.Activation) bool {
	return (q.Since <= 0 || rec.Start >= q.Since) && (q.Upto <= 0 || rec.Start <= q.Upto) &&
		(q.Name == "" || activation.FilterName(rec) == q.Name)
}
