// Package mem is the store.Store that keeps everything in memory and nothing
// after Close: for --ephemeral and for tests of whatever needs a store.
package mem

import (
	"slices"
	"strings"
	"sync"

	"millrace/store"
	"millrace/store/internal/ledger"
)

// Store is an empty store.Store when new.
type Store struct {
	*ledger.Ledger
}

// New makes an empty store whose revision is 0. It starts no goroutine; each
// Watch has one that ends with its context or with Close.
func New() *Store {
	return &Store{ledger.New(&table{items: map[string]ledger.Item{}}, 0, nil)}
}

// table holds the items, and their keys in order for List.
type table struct {
	mu       sync.RWMutex
	revision int64
	items    map[string]ledger.Item
	keys     []string
}

func (t *table) Get(key string) (ledger.Item, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	it, ok := t.items[key]
	if !ok {
		return ledger.Item{}, store.ErrNotFound
	}
	return it, nil
}

func (t *table) List(prefix string) ([]store.Entry, int64, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	from, _ := slices.BinarySearch(t.keys, prefix)
	var entries []store.Entry
	for _, key := range t.keys[from:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		entries = append(entries, t.items[key].Entry)
	}
	return entries, t.revision, nil
}

func (t *table) Apply(changes []ledger.Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range changes {
		c := &changes[i]
		at, exists := slices.BinarySearch(t.keys, c.Key)
		switch {
		case c.Deleted:
			delete(t.items, c.Key)
			t.keys = slices.Delete(t.keys, at, at+1)
		default:
			t.items[c.Key] = ledger.Item{Entry: c.Entry, Expires: c.Expires}
			if !exists {
				t.keys = slices.Insert(t.keys, at, c.Key)
			}
		}
		t.revision = c.ModRevision
	}
	return nil
}

func (t *table) Close() error { return nil }
