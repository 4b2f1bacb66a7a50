// Package disk is the embedded activation.Log, kept in a folder by Pebble.
//
// A record goes to memory first, where it is visible at once, and then to a
// writer in the background, which encodes and writes what has come together.
// Records of running calls are never written: after a crash they are gone, and
// what was accepted and not finished is answered by EachPending. A call whose running
// record was seen is taken to be new, so its final record is written without
// looking for an older one; any other record is looked up first. Written records
// survive kill -9 once the writer had them (some milliseconds after Put) and a
// power failure once they are synced (every second, or by Sync); accepted calls
// are synced before Apply returns. When the disk is slower than the calls, Put
// waits.
//
// Keys in the folder. Text in the middle of a key has its length in front
// (uvarint), numbers are 8 bytes, big-endian; ~start is the start of the record
// turned around so that the newest comes first.
//
//	b<namespace>~start id         a record (see codec.go)
//	i<namespace>id                its start
//	n<namespace><name>~start id   nothing: an index by activation.FilterName
//	c<namespace><name><level>span how many started in a span of time, and how
//	                              many bytes those take (see count.go); name is
//	                              empty for all
//	q<number>                     an accepted call
//	s<number>                     nothing: the call has been started
//	d<namespace>~time id          what a list shows of a dead letter
//	e<namespace>id                its time and its call
package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"

	"millrace/activation"
	"millrace/activation/internal/index"
	"millrace/internal/pebbledb"
	"millrace/whisk"
)

const format = "activations 2"

// memtableBytes spares a third of the processor time that 4 MiB would cost.
const memtableBytes = 16 << 20

// Log is an activation.Log in a folder.
type Log struct {
	db  *pebbledb.DB
	log *slog.Logger

	// open is held for reading by users of db, for writing by Close.
	open   sync.RWMutex
	closed bool

	// settle is held for writing while records move from memory to disk, for
	// reading while a reader takes hold of both: it then has each record once.
	settle sync.RWMutex

	// changing is held by whoever changes the records on disk: the writer and
	// Expire, in turns.
	changing sync.Mutex

	exhuming sync.Mutex // held by whoever takes out dead letters

	mu     sync.RWMutex
	memory *index.Index // records that are not on disk
	calls  map[string]uint64
	seq    uint64 // number of the newest accepted call
	writer writer
}

var _ activation.Log = (*Log)(nil)

// Open opens the log in a folder, which is made if it does not exist. A folder
// can be open once at a time. log receives what goes wrong in the background;
// nil is slog.Default.
func Open(dir string, log *slog.Logger) (*Log, error) {
	if log == nil {
		log = slog.Default()
	}
	db, err := pebbledb.Open(dir, pebbledb.Options{
		Format: format, Log: log, LargeValues: true, MemtableBytes: memtableBytes, Merger: countMerger,
	})
	if err != nil {
		return nil, err
	}
	l := &Log{db: db, log: log, memory: index.New(), calls: map[string]uint64{}}
	if err := l.readCalls(); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening data folder %s: %w", dir, err)
	}
	l.writer.init(&l.mu)
	go l.run()
	return l, nil
}

// Put makes a record visible and hands it to the writer unless it is running.
func (l *Log) Put(rec *whisk.Activation) {
	l.put(entry{rec: rec})
}

func (l *Log) put(e entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	running := e.rec.Response.Status == whisk.Running
	if !running {
		l.writer.waitForRoom()
	}
	if err := l.writer.refuses(); err != nil {
		l.forgetRunning(e.rec)
		return err
	}
	old := l.memory.Get(e.rec.Namespace, e.rec.ID)
	if running {
		if old == nil || old.Response.Status == whisk.Running {
			l.memory.Put(e.rec)
		}
		return nil
	}
	l.memory.Put(e.rec)
	e.fresh = old != nil && old.Response.Status == whisk.Running
	l.writer.add(e)
	return nil
}

// forgetRunning takes out the record of a call that has ended and whose final
// record is not taken: it would say for ever that the call runs.
func (l *Log) forgetRunning(rec *whisk.Activation) {
	old := l.memory.Get(rec.Namespace, rec.ID)
	if old != nil && old.Response.Status == whisk.Running {
		l.memory.Remove([]*whisk.Activation{old})
	}
}

// use answers why the folder cannot be used, or locks it until done is called.
func (l *Log) use(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.open.RLock()
	if l.closed {
		l.open.RUnlock()
		return nil, activation.ErrClosed
	}
	return l.open.RUnlock, nil
}

// number gives calls their numbers in the order of acceptance; one accepted before
// keeps its own.
func (l *Log) number(calls []activation.Accepted) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := make([]uint64, len(calls))
	for i := range calls {
		seq, again := l.calls[calls[i].ID]
		if !again {
			l.seq++
			seq = l.seq
			l.calls[calls[i].ID] = seq
		}
		numbers[i] = seq
	}
	return numbers
}

// Started notes, synced, that an accepted call runs.
func (l *Log) Started(id string) error {
	done, err := l.use(context.Background())
	if err != nil {
		return err
	}
	defer done()
	l.mu.RLock()
	seq, ok := l.calls[id]
	l.mu.RUnlock()
	if !ok {
		return activation.ErrNotFound
	}
	b := l.db.NewBatch()
	if err := b.Set(startedKey(seq), nil, nil); err != nil {
		b.Close()
		return fmt.Errorf("noting the start of %s: %w", id, err)
	}
	if err := l.db.Commit(b, true); err != nil {
		return fmt.Errorf("noting the start of %s: %w", id, err)
	}
	return nil
}

// Finish hands the record and the end of the accepted call to the writer, which
// writes both at once. After a crash before that the call is pending, started.
func (l *Log) Finish(id string, rec *whisk.Activation) error {
	l.mu.Lock()
	seq := l.calls[id]
	delete(l.calls, id)
	l.mu.Unlock()
	return l.put(entry{rec: rec, call: seq})
}

// readCalls fills in what is known of accepted calls. A number is not used
// again while a note of a start has it, which may outlive its call.
func (l *Log) readCalls() error {
	err := pebbledb.Scan(l.db, []byte{startedPrefix}, []byte{startedPrefix + 1}, func(key, _ []byte) error {
		l.seq = max(l.seq, binary.BigEndian.Uint64(key[1:]))
		return nil
	})
	if err != nil {
		return err
	}
	return l.eachCall(func(seq uint64, call activation.Accepted) error {
		l.calls[call.ID] = seq
		l.seq = max(l.seq, seq)
		return nil
	})
}

func (l *Log) eachCall(fn func(seq uint64, call activation.Accepted) error) error {
	started := map[uint64]bool{}
	err := pebbledb.Scan(l.db, []byte{startedPrefix}, []byte{startedPrefix + 1}, func(key, _ []byte) error {
		started[binary.BigEndian.Uint64(key[1:])] = true
		return nil
	})
	if err != nil {
		return err
	}
	return pebbledb.Scan(l.db, []byte{callPrefix}, []byte{callPrefix + 1}, func(key, value []byte) error {
		call, err := decodeCall(value)
		if err != nil {
			return err
		}
		seq := binary.BigEndian.Uint64(key[1:])
		call.Started = started[seq]
		return fn(seq, call)
	})
}

// Sync returns when all that was put before is on disk.
func (l *Log) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	done := l.writer.syncRequest()
	l.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes what is waiting, syncs and closes the folder. Closing again does
// nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	again := l.writer.closing
	l.writer.close()
	l.mu.Unlock()
	if again {
		return nil
	}
	<-l.writer.done

	l.open.Lock()
	defer l.open.Unlock()
	l.closed = true
	return l.db.Close()
}
