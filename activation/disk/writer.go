package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/activation"
	"millrace/activation/internal/index"
	"millrace/whisk"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// linger is how long the writer lets records come together.
	linger = 5 * time.Millisecond
	// batchBytes are worth a batch of their own at once. Pebble uses the memory
	// of batches up to 1 MiB again, and writes much larger ones another way.
	batchBytes = 512 << 10
	// queueBytes may wait; then Put waits.
	queueBytes = 16 << 20
	// syncEvery is the longest time for which written records stay unsynced.
	syncEvery = time.Second
)

// entry is a finished record on its way to disk.
type entry struct {
	rec   *whisk.Activation
	call  uint64 // number of the accepted call that it ends, or 0
	fresh bool   // no other record of this id can be on disk
}

// writer is what waits for the goroutine that writes. All fields but the
// channels are locked by Log.mu.
type writer struct {
	queue   []entry
	bytes   int // in queue
	writing int // bytes taken out of queue and not yet written
	room    *sync.Cond
	syncers []chan error // wait until all before them is synced
	failure error        // why nothing is written any more
	closing bool

	wake   chan struct{} // has room for one: something waits
	urgent chan struct{} // has room for one: don't linger
	done   chan struct{} // closed when the goroutine has ended
}

func (w *writer) init(mu sync.Locker) {
	w.room = sync.NewCond(mu)
	w.wake = make(chan struct{}, 1)
	w.urgent = make(chan struct{}, 1)
	w.done = make(chan struct{})
}

// refuses answers why records are not taken.
func (w *writer) refuses() error {
	if w.closing {
		return activation.ErrClosed
	}
	return w.failure
}

func (w *writer) waitForRoom() {
	for w.bytes+w.writing > queueBytes && w.refuses() == nil {
		w.room.Wait()
	}
}

func (w *writer) add(e entry) {
	if len(w.queue) == 0 {
		signal(w.wake)
	}
	w.queue = append(w.queue, e)
	w.bytes += index.Size(e.rec)
	if w.bytes > batchBytes {
		signal(w.urgent)
	}
}

// syncRequest answers a channel that tells when all that was added is synced.
func (w *writer) syncRequest() <-chan error {
	done := make(chan error, 1)
	if err := w.refuses(); err != nil {
		done <- err
		return done
	}
	w.syncers = append(w.syncers, done)
	signal(w.urgent)
	return done
}

func (w *writer) close() {
	w.closing = true
	w.room.Broadcast()
	signal(w.urgent)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes until the log is closed.
func (l *Log) run() {
	w := &l.writer
	defer close(w.done)
	overdue := time.NewTimer(syncEvery)
	overdue.Stop()
	dirty := false // something is written and not synced
	for closing := false; !closing; {
		late := w.wait(overdue.C)
		var queue []entry
		var syncers []chan error
		queue, syncers, closing = l.take()
		err := l.write(queue)
		if len(queue) > 0 && !dirty {
			dirty = true
			overdue.Reset(syncEvery)
		}
		if err == nil && dirty && (late || closing || len(syncers) > 0) {
			err = l.db.Sync()
			dirty = false
			overdue.Stop()
		}
		l.written(queue, syncers, err)
	}
}

// wait returns when there is something to do; it tells if that is a late sync.
func (w *writer) wait(overdue <-chan time.Time) (late bool) {
	select {
	case <-w.urgent:
	case <-overdue:
		return true
	case <-w.wake:
		select {
		case <-w.urgent:
		case <-time.After(linger):
		}
	}
	return false
}

// take empties the queue.
func (l *Log) take() (queue []entry, syncers []chan error, closing bool) {
	w := &l.writer
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, syncers = w.queue, w.syncers
	w.writing = w.bytes
	w.queue, w.syncers, w.bytes = nil, nil, 0
	if w.failure != nil {
		queue = nil
	}
	return queue, syncers, w.closing
}

// written wakes those who waited. The first error ends all writing.
func (l *Log) written(queue []entry, syncers []chan error, err error) {
	w := &l.writer
	l.mu.Lock()
	w.writing = 0
	if err != nil && w.failure == nil {
		w.failure = fmt.Errorf("writing activation records: %w", err)
		l.log.Error("activation records can no longer be written and are dropped", "error", err)
		l.memory.Remove(records(queue))
	}
	err = w.failure
	w.room.Broadcast()
	l.mu.Unlock()
	for _, done := range syncers {
		done <- err
	}
}

func records(queue []entry) []*whisk.Activation {
	recs := make([]*whisk.Activation, len(queue))
	for i := range queue {
		recs[i] = queue[i].rec
	}
	return recs
}

// write moves records from memory to disk, not yet synced.
func (l *Log) write(queue []entry) error {
	for len(queue) > 0 {
		n, bytes := 0, 0
		for ; n < len(queue) && bytes < batchBytes; n++ {
			bytes += index.Size(queue[n].rec)
		}
		if err := l.writeBatch(queue[:n]); err != nil {
			return err
		}
		queue = queue[n:]
	}
	return nil
}

func (l *Log) writeBatch(queue []entry) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	b := batch{Batch: l.db.NewBatch(), db: l.db.DB, tally: tally{}}
	for _, e := range queue {
		if err := b.add(e, l.current(e.rec)); err != nil {
			b.Close()
			return err
		}
	}
	if err := errors.Join(b.putAll(), b.tally.write(b.Batch)); err != nil {
		b.Close()
		return err
	}
	l.settle.Lock()
	defer l.settle.Unlock()
	if err := l.db.Commit(b.Batch, false); err != nil {
		return err
	}
	l.mu.Lock()
	l.memory.Remove(records(queue))
	l.mu.Unlock()
	return nil
}

// current tells whether no other record has taken the place of rec.
func (l *Log) current(rec *whisk.Activation) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.memory.Get(rec.Namespace, rec.ID) == rec
}

// batch is a set of records being written.
type batch struct {
	*pebble.Batch
	db         *pebble.DB
	tally      tally
	kept       []*whisk.Activation // the records to write, oldest first
	key, value []byte              // used again for each record
}

// accept writes accepted calls under their numbers, and records.
func (b *batch) accept(calls []activation.Accepted, numbers []uint64, records []*whisk.Activation) error {
	for i := range calls {
		if err := b.Set(callKey(numbers[i]), encodeCall(&calls[i]), nil); err != nil {
			return err
		}
	}
	for _, rec := range records {
		if err := b.add(entry{rec: rec}, true); err != nil {
			return err
		}
	}
	return errors.Join(b.putAll(), b.tally.write(b.Batch))
}

// add writes a record, if it is current, and forgets the accepted call.
func (b *batch) add(e entry, current bool) error {
	if e.call != 0 {
		if err := errors.Join(b.Delete(callKey(e.call), nil), b.Delete(startedKey(e.call), nil)); err != nil {
			return err
		}
	}
	if !current {
		return nil // the one in its place follows, or is running
	}
	if !e.fresh { // looking costs more than writing
		if err := b.removeOlder(e.rec); err != nil {
			return err
		}
	}
	b.kept = append(b.kept, e.rec)
	return nil
}

// putAll writes the records that were kept: all keys of one sort after another
// and, as far as that is free, in ascending order. The memtable finds the place of
// a key fast beside that of the key before it.
func (b *batch) putAll() error {
	for _, rec := range slices.Backward(b.kept) {
		b.key = bodyKey(b.key[:0], rec.Namespace, rec.Start, rec.ID)
		b.value = encodeRecord(b.value[:0], rec)
		b.tally.addBytes(rec.Namespace, rec.Start, int64(len(b.key)+len(b.value)))
		if err := b.Set(b.key, b.value, nil); err != nil {
			return err
		}
	}
	for _, rec := range slices.Backward(b.kept) {
		name := activation.FilterName(rec)
		b.tally.add(rec.Namespace, name, rec.Start, 1)
		b.key = nameKey(b.key[:0], rec.Namespace, name, rec.Start, rec.ID)
		if err := b.Set(b.key, nil, nil); err != nil {
			return err
		}
	}
	slices.SortFunc(b.kept, func(x, y *whisk.Activation) int { return strings.Compare(x.ID, y.ID) })
	for _, rec := range b.kept {
		b.key = idKey(b.key[:0], rec.Namespace, rec.ID)
		b.value = binary.BigEndian.AppendUint64(b.value[:0], uint64(rec.Start))
		if err := b.Set(b.key, b.value, nil); err != nil {
			return err
		}
	}
	return nil
}

// removeOlder deletes the record on disk whose place rec takes, if there is one.
func (b *batch) removeOlder(rec *whisk.Activation) error {
	old, err := stored(b.db, rec.Namespace, rec.ID)
	if err != nil || old == nil {
		return err
	}
	name := activation.FilterName(old)
	b.tally.add(old.Namespace, name, old.Start, -1)
	return errors.Join(
		b.Delete(bodyKey(nil, old.Namespace, old.Start, old.ID), nil),
		b.Delete(nameKey(nil, old.Namespace, name, old.Start, old.ID), nil),
	)
}
