package admin

import (
	"cmp"
	"context"
	"errors"
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
// asked and follows the store from then on: what happened since is taken in with
// the next question. No goroutine of its own runs; the watch ends with the store.
type index struct {
	store store.Store
	ring  *fieldcrypt.Keyring
	// written is the newest revision written through this API: an answer includes
	// it.
	written atomic.Int64

	mu       sync.Mutex
	changes  <-chan []store.Event // nil while nothing is followed
	stop     context.CancelFunc
	revision int64
	known    map[string]facts // by store key
	users    map[resource.Reference]keySet
	holders  map[resource.Claim]keySet
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

// follow takes in what has changed.
func (x *index) follow(ctx context.Context) error {
	if x.changes == nil {
		return x.rebuild(ctx)
	}
	for {
		events, open, err := x.next(ctx)
		switch {
		case err != nil:
			return err
		case !open:
			x.stop()
			return x.rebuild(ctx)
		case events == nil:
			return nil
		}
		for i := range events {
			x.take(&events[i])
		}
	}
}

// next answers the next changes, none if all are taken in that there are.
func (x *index) next(ctx context.Context) (events []store.Event, open bool, err error) {
	if x.revision >= x.written.Load() {
		select {
		case events, open = <-x.changes:
			return events, open, nil
		default:
			return nil, true, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	select {
	case events, open = <-x.changes:
		return events, open, nil
	case <-ctx.Done():
		return nil, true, fmt.Errorf("waiting for changes of the configuration: %w", errors.Join(store.ErrUnavailable, ctx.Err()))
	}
}

// rebuild reads everything and watches from there.
func (x *index) rebuild(ctx context.Context) error {
	x.changes = nil
	entries, revision, err := x.store.List(ctx, resource.Prefix)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	changes, err := x.store.Watch(watching, resource.Prefix, revision)
	if err != nil {
		stop()
		return err
	}
	x.known, x.users, x.holders = map[string]facts{}, map[resource.Reference]keySet{}, map[resource.Claim]keySet{}
	for _, e := range entries {
		x.add(e.Key, e.Value)
	}
	x.changes, x.stop, x.revision = changes, stop, revision
	return nil
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
