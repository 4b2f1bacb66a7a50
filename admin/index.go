package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"millrace/internal/fieldcrypt"
	"millrace/resource"
	"millrace/store"
)

// index knows which resources mention which, and what only one may have, so that
// a deletion need not look through all of them. It is built when it is first
// asked and follows the store from then on, in a goroutine that ends with the
// store's watch. What others wrote a moment ago may be missing in an answer.
type index struct {
	store store.Store
	ring  *fieldcrypt.Keyring
	// written is the newest revision written through this API: an answer includes
	// it.
	written atomic.Int64

	mu        sync.Mutex
	following bool
	revision  int64
	grown     chan struct{}    // closed when revision grows or following ends
	known     map[string]facts // by store key
	users     map[resource.Reference]keySet
	holders   map[resource.Claim]keySet
}

// facts are what the index has to forget when a resource changes.
type facts struct {
	references []resource.Reference
	claims     []resource.Claim
}

type keySet map[string]struct{}

func newIndex(s store.Store, ring *fieldcrypt.Keyring) *index {
	return &index{store: s, ring: ring}
}

// wrote notes a write of this API.
func (x *index) wrote(revision int64) {
	for {
		old := x.written.Load()
		if old >= revision || x.written.CompareAndSwap(old, revision) {
			return
		}
	}
}

// usersOf answers the store keys of what mentions a resource, in order.
func (x *index) usersOf(ctx context.Context, r resource.Reference) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.follow(ctx); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(x.users[r])), nil
}

// holdersOf answers the store keys of what holds a claim, in order.
func (x *index) holdersOf(ctx context.Context, c resource.Claim) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.follow(ctx); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(x.holders[c])), nil
}

// follow makes sure that the index includes what this API wrote. It is called, and
// returns, with mu held.
func (x *index) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	for {
		if !x.following {
			return x.rebuild(ctx)
		}
		if x.revision >= x.written.Load() {
			return nil
		}
		grown := x.grown
		x.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
		}
		x.mu.Lock()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for changes of the configuration: %w", err)
		}
	}
}

// rebuild reads everything and follows from there.
func (x *index) rebuild(ctx context.Context) error {
	entries, revision, err := x.store.List(ctx, resource.Prefix)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(context.Background()) // the request ends before
	changes, err := x.store.Watch(watching, resource.Prefix, revision)
	if err != nil {
		stop()
		return err
	}
	x.known, x.users, x.holders = map[string]facts{}, map[resource.Reference]keySet{}, map[resource.Claim]keySet{}
	for _, e := range entries {
		x.add(e.Key, e.Value)
	}
	x.following, x.revision, x.grown = true, revision, make(chan struct{})
	if w := x.written.Load(); w > revision { // the store has lost its data, and counts again
		x.written.CompareAndSwap(w, revision)
	}
	go func() {
		defer stop()
		x.run(changes)
	}()
	return nil
}

// run takes in changes until the watch ends: with the store, or because it could
// not keep up. The next question then starts again.
func (x *index) run(changes <-chan []store.Event) {
	for events := range changes {
		x.mu.Lock()
		for i := range events {
			x.take(&events[i])
		}
		close(x.grown)
		x.grown = make(chan struct{})
		x.mu.Unlock()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.following = false
	close(x.grown)
}

func (x *index) take(e *store.Event) {
	old := x.known[e.Key]
	delete(x.known, e.Key)
	for _, r := range old.references {
		remove(x.users, r, e.Key)
	}
	for _, c := range old.claims {
		remove(x.holders, c, e.Key)
	}
	if !e.Deleted {
		x.add(e.Key, e.Value)
	}
	x.revision = max(x.revision, e.ModRevision)
}

func (x *index) add(key string, value []byte) {
	if _, _, ok := resource.SplitKey(key); !ok {
		return
	}
	f := facts{resource.References(value), resource.Claims(key, value, x.ring)}
	if f.references == nil && f.claims == nil {
		return
	}
	x.known[key] = f
	for _, r := range f.references {
		insert(x.users, r, key)
	}
	for _, c := range f.claims {
		insert(x.holders, c, key)
	}
}

func insert[K comparable](sets map[K]keySet, k K, key string) {
	if sets[k] == nil {
		sets[k] = keySet{}
	}
	sets[k][key] = struct{}{}
}

func remove[K comparable](sets map[K]keySet, k K, key string) {
	if delete(sets[k], key); len(sets[k]) == 0 {
		delete(sets, k)
	}
}

// user is one that a guard of a deletion found.
type user struct {
	word, id string
	byPlugin bool
}

// firstUser finds what keeps the resource with a key from being deleted, by the
// order of words; nil if nothing does.
func (x *index) firstUser(ctx context.Context, folder, id, key string, words []userWord) (*user, error) {
	for _, byPlugin := range []bool{true, false} {
		keys, err := x.usersOf(ctx, resource.Reference{Folder: folder, ID: id, ByPlugin: byPlugin})
		if err != nil {
			return nil, err
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == key })
		if u := firstOf(keys, words); u != nil {
			u.byPlugin = byPlugin
			return u, nil
		}
	}
	return nil, nil
}

func firstOf(keys []string, words []userWord) *user {
	place := func(key string) int {
		folder, _, _ := resource.SplitKey(key)
		return slices.IndexFunc(words, func(w userWord) bool { return w.folder == folder })
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return place(key) < 0 })
	if len(keys) == 0 {
		return nil
	}
	first := slices.MinFunc(keys, func(a, b string) int { return cmp.Or(place(a)-place(b), strings.Compare(a, b)) })
	_, id, _ := resource.SplitKey(first)
	return &user{word: words[place(first)].word, id: id}
}
