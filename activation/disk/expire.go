package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/activation"
	"millrace/internal/pebbledb"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// expireStep is how many records go at once, while the writer waits.
	expireStep = 256
	// expireRest lets the writer and the readers have the cores between steps.
	expireRest = 2 * time.Millisecond
)

// Expire removes what keep does not let stay.
func (l *Log) Expire(ctx context.Context, now time.Time, keep func(namespace string) activation.Retention) (int, error) {
	namespaces, err := l.parts(ctx, []byte{bodyPrefix})
	removed := 0
	for _, namespace := range namespaces {
		var n int
		if n, err = l.expire(ctx, namespace, now, keep(namespace)); err != nil {
			break
		}
		removed += n
	}
	if err != nil {
		return removed, fmt.Errorf("removing old activation records: %w", err)
	}
	return removed, nil
}

// parts answers the different texts that follow prefix in keys.
func (l *Log) parts(ctx context.Context, prefix []byte) ([]string, error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: pebbledb.After(prefix)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var found []string
	for ok := it.First(); ok; {
		part, ok2 := cutPart(it.Key()[len(prefix):])
		if !ok2 {
			return nil, errDamaged
		}
		found = append(found, part)
		ok = it.SeekGE(pebbledb.After(appendPart(prefix[:len(prefix):len(prefix)], part)))
	}
	return found, it.Error()
}

// expire removes the records of one namespace that may not stay.
func (l *Log) expire(ctx context.Context, namespace string, now time.Time, keep activation.Retention) (int, error) {
	cutoff, err := l.cutoff(ctx, namespace, now, keep)
	if err != nil || cutoff == 0 {
		return 0, err
	}
	names, err := l.parts(ctx, appendPart([]byte{namePrefix}, namespace))
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, name := range names {
		for n := expireStep; n == expireStep; removed += n {
			if n, err = l.expireSome(ctx, namespace, name, cutoff); err != nil {
				return removed, err
			}
			if n > 0 {
				time.Sleep(expireRest)
			}
		}
	}
	return removed, l.dropTotals(ctx, namespace, cutoff)
}

// cutoff answers the start, at the beginning of a minute, before which records
// go; 0: none goes.
func (l *Log) cutoff(ctx context.Context, namespace string, now time.Time, keep activation.Retention) (int64, error) {
	var oldest int64
	if keep.MaxAge > 0 {
		oldest = floorDiv(now.Add(-keep.MaxAge).UnixMilli(), minute) * minute
	}
	if keep.MaxBytes > 0 {
		bySize, err := l.cutoffBySize(ctx, namespace, keep.MaxBytes)
		if err != nil {
			return 0, err
		}
		oldest = max(oldest, bySize)
	}
	return max(0, min(oldest, floorDiv(now.UnixMilli(), minute)*minute)), nil
}

// cutoffBySize adds up minutes from the newest on.
func (l *Log) cutoffBySize(ctx context.Context, namespace string, maxBytes int64) (int64, error) {
	done, err := l.use(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	lower, upper := counterBounds(namespace, "", bytesLevel, forever/minute)
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	sum := int64(0)
	for ok := it.Last(); ok; ok = it.Prev() {
		n, err := counter(it.Value())
		if err != nil {
			return 0, err
		}
		if sum += n; sum > maxBytes {
			return (spanOf(it.Key()) + 1) * minute, nil
		}
	}
	return 0, it.Error()
}

// expireSome removes at most expireStep records of one name that started before
// cutoff. If that is the last of them, their counters go too.
func (l *Log) expireSome(ctx context.Context, namespace, name string, cutoff int64) (int, error) {
	done, err := l.use(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	l.changing.Lock()
	defer l.changing.Unlock()
	b := batch{Batch: l.db.NewBatch(), db: l.db.DB, tally: tally{}}
	n, err := b.expire(namespace, name, cutoff)
	if err == nil {
		err = b.tally.write(b.Batch)
	}
	if err == nil && n < expireStep && name != "" {
		err = b.dropCounters(namespace, name, cutoff)
	}
	if err != nil {
		b.Close()
		return 0, err
	}
	return n, l.db.Commit(b.Batch, false)
}

var errEnough = errors.New("enough")

func (b *batch) expire(namespace, name string, cutoff int64) (int, error) {
	prefix := appendPart(appendPart([]byte{namePrefix}, namespace), name)
	n := 0
	err := pebbledb.Scan(b.db, appendTime(prefix[:len(prefix):len(prefix)], cutoff-1), pebbledb.After(prefix), func(key, _ []byte) error {
		start, id := startOf(key[len(prefix):]), string(key[len(prefix)+timeLength:])
		b.tally.add(namespace, name, start, -1)
		if n++; n == expireStep {
			return errors.Join(b.forget(namespace, name, start, id), errEnough)
		}
		return b.forget(namespace, name, start, id)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return n, err
}

// forget deletes the keys of a record, but for its counters.
func (b *batch) forget(namespace, name string, start int64, id string) error {
	return errors.Join(
		b.Delete(bodyKey(nil, namespace, start, id), nil),
		b.Delete(nameKey(nil, namespace, name, start, id), nil),
		b.Delete(idKey(nil, namespace, id), nil),
	)
}

// dropCounters deletes the counters of the spans that end before cutoff, where
// no record is left.
func (b *batch) dropCounters(namespace, name string, cutoff int64) error {
	var errs []error
	for level, length := range countSpans {
		lower, upper := counterBounds(namespace, name, level, floorDiv(cutoff, length))
		errs = append(errs, b.DeleteRange(lower, upper, nil))
	}
	return errors.Join(errs...)
}

// dropTotals deletes the counters of the whole namespace, unless a record that
// started before cutoff was written in between: then the next Expire does it.
func (l *Log) dropTotals(ctx context.Context, namespace string, cutoff int64) error {
	done, err := l.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	l.changing.Lock()
	defer l.changing.Unlock()
	prefix := appendPart([]byte{bodyPrefix}, namespace)
	err = pebbledb.Scan(l.db, appendTime(prefix[:len(prefix):len(prefix)], cutoff-1), pebbledb.After(prefix), func(_, _ []byte) error {
		return errEnough
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err != nil {
		return err
	}
	b := batch{Batch: l.db.NewBatch(), db: l.db.DB}
	lower, upper := counterBounds(namespace, "", bytesLevel, floorDiv(cutoff, minute))
	if err := errors.Join(b.dropCounters(namespace, "", cutoff), b.DeleteRange(lower, upper, nil)); err != nil {
		b.Close()
		return err
	}
	return l.db.Commit(b.Batch, false)
}
