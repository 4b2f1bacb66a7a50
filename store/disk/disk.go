// Package disk is the embedded store.Store, kept in a folder by Pebble.
//
// Every write is synced before it is acknowledged; writers that come together
// share one sync. Readers see only what is synced. The history for watchers is
// in memory (see ledger): after a restart, watching from an earlier revision
// than the newest answers store.ErrCompacted.
//
// Keys in the folder, numbers big-endian:
//
//	e<key>              an entry: create revision, mod revision, end of life in
//	                    milliseconds since 1970 or 0 (uvarints), then the value
//	x<8 bytes end><key> an entry with an end of life: its mod revision (uvarint)
//	r                   the newest revision (8 bytes)
package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"millrace/internal/pebbledb"
	"millrace/store"
	"millrace/store/internal/ledger"

	"github.com/cockroachdb/pebble/v2"
)

const format = "store 1"

var revisionKey = []byte("r")

// Store is a store.Store in a folder.
type Store struct {
	*ledger.Ledger
}

// Open opens the store in a folder, which is made if it does not exist. A
// folder can be open once at a time. log receives what goes wrong in the
// background; nil is slog.Default.
func Open(dir string, log *slog.Logger) (*Store, error) {
	db, err := pebbledb.Open(dir, pebbledb.Options{Format: format, Log: log})
	if err != nil {
		return nil, err
	}
	t := &table{db: db}
	revision, err := t.readRevision()
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("opening data folder %s: %w", dir, err)
	}
	t.view = &view{snapshot: db.NewSnapshot(), revision: revision}
	expiring, err := t.expiring()
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("opening data folder %s: %w", dir, err)
	}
	return &Store{ledger.New(t, revision, expiring)}, nil
}

// table is the ledger's table.
type table struct {
	db *pebbledb.DB

	mu   sync.Mutex
	view *view // what readers see
}

// view is the folder after a synced commit. Pebble shows a commit to readers
// before it is synced; snapshots taken afterwards keep them from seeing what a
// power failure could take back.
type view struct {
	snapshot *pebble.Snapshot
	revision int64
	readers  int // under table.mu
}

func (t *table) acquire() *view {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view.readers++
	return t.view
}

func (t *table) release(v *view) {
	t.mu.Lock()
	v.readers--
	last := v.readers == 0 && v != t.view
	t.mu.Unlock()
	if last {
		v.snapshot.Close()
	}
}

// renew lets readers see what has been committed.
func (t *table) renew(revision int64) {
	next := &view{snapshot: t.db.NewSnapshot(), revision: revision}
	t.mu.Lock()
	old := t.view
	t.view = next
	unused := old.readers == 0
	t.mu.Unlock()
	if unused {
		old.snapshot.Close()
	}
}

func (t *table) Get(key string) (ledger.Item, error) {
	v := t.acquire()
	defer t.release(v)
	value, closer, err := v.snapshot.Get(entryKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return ledger.Item{}, store.ErrNotFound
	}
	if err != nil {
		return ledger.Item{}, fmt.Errorf("reading %s: %w", key, err)
	}
	defer closer.Close()
	return decode(key, value)
}

func (t *table) List(prefix string) ([]store.Entry, int64, error) {
	v := t.acquire()
	defer t.release(v)
	lower := entryKey(prefix)
	var entries []store.Entry
	err := scan(v.snapshot, lower, func(key, value []byte) error {
		it, err := decode(string(key[1:]), value)
		entries = append(entries, it.Entry)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("listing %s: %w", prefix, err)
	}
	return entries, v.revision, nil
}

// scan calls fn with all keys that begin with prefix, in order.
func scan(r pebble.Reader, prefix []byte, fn func(key, value []byte) error) error {
	return pebbledb.Scan(r, prefix, pebbledb.After(prefix), fn)
}

func (t *table) Apply(changes []ledger.Change) error {
	b := t.db.NewBatch()
	for i := range changes {
		if err := apply(b, &changes[i]); err != nil {
			b.Close()
			return err
		}
	}
	revision := changes[len(changes)-1].ModRevision
	if err := b.Set(revisionKey, binary.BigEndian.AppendUint64(nil, uint64(revision)), nil); err != nil {
		b.Close()
		return err
	}
	if err := t.db.Commit(b, true); err != nil {
		return err
	}
	t.renew(revision)
	return nil
}

func apply(b *pebble.Batch, c *ledger.Change) error {
	if c.OldExpires > 0 {
		if err := b.Delete(expiryKey(c.OldExpires, c.Key), nil); err != nil {
			return err
		}
	}
	if c.Deleted {
		return b.Delete(entryKey(c.Key), nil)
	}
	if c.Expires > 0 {
		revision := binary.AppendUvarint(nil, uint64(c.ModRevision))
		if err := b.Set(expiryKey(c.Expires, c.Key), revision, nil); err != nil {
			return err
		}
	}
	return b.Set(entryKey(c.Key), encode(c), nil)
}

func (t *table) Close() error {
	t.view.snapshot.Close()
	return t.db.Close()
}

func (t *table) readRevision() (int64, error) {
	value, closer, err := t.db.Get(revisionKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, errors.New("the revision is damaged")
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// expiring reads which keys have an end of life.
func (t *table) expiring() ([]ledger.Item, error) {
	var items []ledger.Item
	err := scan(t.db, []byte("x"), func(key, value []byte) error {
		revision, n := binary.Uvarint(value)
		if len(key) < 9 || n <= 0 {
			return errors.New("the index of ends of life is damaged")
		}
		items = append(items, ledger.Item{
			Entry:   store.Entry{Key: string(key[9:]), ModRevision: int64(revision)},
			Expires: int64(binary.BigEndian.Uint64(key[1:])),
		})
		return nil
	})
	return items, err
}

func entryKey(key string) []byte { return append([]byte("e"), key...) }

func expiryKey(expires int64, key string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte("x"), uint64(expires)), key...)
}

func encode(c *ledger.Change) []byte {
	b := make([]byte, 0, 3*binary.MaxVarintLen64+len(c.Value))
	b = binary.AppendUvarint(b, uint64(c.CreateRevision))
	b = binary.AppendUvarint(b, uint64(c.ModRevision))
	b = binary.AppendUvarint(b, uint64(c.Expires))
	return append(b, c.Value...)
}

func decode(key string, b []byte) (ledger.Item, error) {
	var head [3]int64
	for i := range head {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return ledger.Item{}, fmt.Errorf("the entry of %s is damaged", key)
		}
		head[i], b = int64(v), b[n:]
	}
	value := slices.Clone(b)
	if value == nil {
		value = []byte{}
	}
	return ledger.Item{
		Entry:   store.Entry{Key: key, Value: value, CreateRevision: head[0], ModRevision: head[1]},
		Expires: head[2],
	}, nil
}
