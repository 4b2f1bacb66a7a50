package tenant

import (
	"hash/maphash"
	"maps"
	"sync/atomic"
)

// index is a map for any number of readers, which never wait, and one writer at
// a time. It is kept in parts, each of them immutable: a change copies one part,
// so that it stays cheap with many entries.
type index[V any] struct {
	seed  maphash.Seed
	parts [256]atomic.Pointer[map[string]V]
}

func (x *index[V]) init() {
	x.seed = maphash.MakeSeed()
	for i := range x.parts {
		x.parts[i].Store(&map[string]V{})
	}
}

func (x *index[V]) part(key string) *atomic.Pointer[map[string]V] {
	return &x.parts[maphash.String(x.seed, key)%uint64(len(x.parts))]
}

func (x *index[V]) get(key string) (V, bool) {
	v, ok := (*x.part(key).Load())[key]
	return v, ok
}

func (x *index[V]) set(key string, v V) {
	p := x.part(key)
	next := maps.Clone(*p.Load())
	next[key] = v
	p.Store(&next)
}

func (x *index[V]) remove(key string) {
	p := x.part(key)
	next := maps.Clone(*p.Load())
	delete(next, key)
	p.Store(&next)
}

// all calls fn with every entry, in no order, until it answers false.
func (x *index[V]) all(fn func(key string, v V) bool) {
	for i := range x.parts {
		for k, v := range *x.parts[i].Load() {
			if !fn(k, v) {
				return
			}
		}
	}
}
