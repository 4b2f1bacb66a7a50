// Package index keeps activation records in memory in the order in which they
// are listed. The memory engine holds all its records in one, the disk engine
// those that are not on disk.
package index

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"millrace/activation"
	"millrace/whisk"
)

// Index holds at most one record for each namespace and id. Its owner locks it.
type Index struct {
	spaces map[string]*space
}

// space is the part of one namespace: its records by id, and oldest first.
type space struct {
	byID  map[string]*whisk.Activation
	order []*whisk.Activation
}

// New makes an empty index.
func New() *Index { return &Index{spaces: map[string]*space{}} }

// Before tells whether a comes before b in a list: newest start first, and ids
// in their order where the start is the same.
func Before(a, b *whisk.Activation) bool { return compare(b, a) < 0 }

// compare orders oldest first, the reverse of a list.
func compare(a, b *whisk.Activation) int {
	if c := cmp.Compare(a.Start, b.Start); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}

// Put adds a record in place of the one with the same id, which it answers, or
// nil.
func (x *Index) Put(rec *whisk.Activation) *whisk.Activation {
	sp := x.spaces[rec.Namespace]
	if sp == nil {
		sp = &space{byID: map[string]*whisk.Activation{}}
		x.spaces[rec.Namespace] = sp
	}
	old := sp.byID[rec.ID]
	sp.byID[rec.ID] = rec
	if old != nil {
		at, _ := slices.BinarySearchFunc(sp.order, old, compare)
		if old.Start == rec.Start {
			sp.order[at] = rec
			return old
		}
		sp.order = slices.Delete(sp.order, at, at+1)
	}
	at, _ := slices.BinarySearchFunc(sp.order, rec, compare)
	sp.order = slices.Insert(sp.order, at, rec)
	return old
}

// Get answers the record of an id, or nil.
func (x *Index) Get(namespace, id string) *whisk.Activation {
	sp := x.spaces[namespace]
	if sp == nil {
		return nil
	}
	return sp.byID[id]
}

// IDs answers the records of a namespace by id. The map is the caller's.
func (x *Index) IDs(namespace string) map[string]*whisk.Activation {
	sp := x.spaces[namespace]
	if sp == nil {
		return nil
	}
	return maps.Clone(sp.byID)
}

// Namespaces answers the namespaces that have records, in no order.
func (x *Index) Namespaces() []string { return slices.Collect(maps.Keys(x.spaces)) }

// Remove takes records out, unless others have taken their place.
func (x *Index) Remove(recs []*whisk.Activation) {
	removed := map[*space]*stretch{}
	for _, rec := range recs {
		sp := x.spaces[rec.Namespace]
		if sp == nil || sp.byID[rec.ID] != rec {
			continue
		}
		delete(sp.byID, rec.ID)
		if len(sp.byID) == 0 {
			delete(x.spaces, rec.Namespace)
		}
		if removed[sp] == nil {
			removed[sp] = &stretch{oldest: rec, newest: rec}
		}
		removed[sp].add(rec)
	}
	for sp, s := range removed {
		sp.compact(s)
	}
}

// stretch is the part of a space's order in which records were removed.
type stretch struct{ oldest, newest *whisk.Activation }

func (s *stretch) add(rec *whisk.Activation) {
	if compare(rec, s.oldest) < 0 {
		s.oldest = rec
	}
	if compare(rec, s.newest) > 0 {
		s.newest = rec
	}
}

// compact closes the gaps in a stretch towards its end, since records mostly go
// in the order in which they came: the rest need not move.
func (sp *space) compact(s *stretch) {
	from, _ := slices.BinarySearchFunc(sp.order, s.oldest, compare)
	to, _ := slices.BinarySearchFunc(sp.order, s.newest, compare)
	kept := to + 1
	for i := to; i >= from; i-- {
		if rec := sp.order[i]; sp.byID[rec.ID] == rec {
			kept--
			sp.order[kept] = rec
		}
	}
	if from > 0 {
		sp.order = slices.Delete(sp.order, from, kept)
		return
	}
	clear(sp.order[:kept]) // the array lives on; let go of the records
	sp.order = sp.order[kept:]
}

// Walk calls fn with the records that q selects, its Skip and Limit ignored, in
// the order of a list, until fn answers false.
func (x *Index) Walk(namespace string, q activation.Query, fn func(*whisk.Activation) bool) {
	sp := x.spaces[namespace]
	if sp == nil {
		return
	}
	end := len(sp.order)
	if q.Upto > 0 {
		end, _ = slices.BinarySearchFunc(sp.order, q.Upto+1, compareStart)
	}
	for i := end - 1; i >= 0 && (q.Since <= 0 || sp.order[i].Start >= q.Since); i-- {
		rec := sp.order[i]
		if q.Ended && rec.Response.Status == whisk.Running || q.Name != "" && activation.FilterName(rec) != q.Name {
			continue
		}
		if !fn(rec) {
			return
		}
	}
}

func compareStart(rec *whisk.Activation, start int64) int { return cmp.Compare(rec.Start, start) }

// Size is about how many bytes of memory a record takes.
func Size(rec *whisk.Activation) int {
	n := 512 + len(rec.Response.Result)
	for _, line := range rec.Logs {
		n += len(line) + 16
	}
	for i := range rec.Annotations {
		n += len(rec.Annotations[i].Key) + len(rec.Annotations[i].Value) + 64
	}
	return n
}
