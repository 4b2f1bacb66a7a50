package catalog

import (
	"cmp"
	"iter"
	"slices"
)

// entry is an entity in memory.
type entry struct {
	path
	typ               entityType
	updated, revision int64
	value             any  // *whisk.Action, Package, Trigger or Rule
	removed           bool // it is in no namespace any more
}

// byAge orders entries as lists show them, from the end: by time of update, then
// by revision, which is unique.
func byAge(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.updated, b.updated), cmp.Compare(a.revision, b.revision))
}

// order is entries, oldest first. What is written becomes the newest, so that
// inserting is appending; removed entries stay where they are until they are as
// many as the others, so that a change costs the same in a list of any length.
type order struct {
	entries []*entry
	removed int
}

func (o *order) insert(e *entry) {
	i := len(o.entries)
	if i > 0 && byAge(o.entries[i-1], e) > 0 {
		i, _ = slices.BinarySearchFunc(o.entries, e, byAge)
	}
	o.entries = slices.Insert(o.entries, i, e)
}

// noteRemoved counts an entry that has been marked as removed.
func (o *order) noteRemoved() {
	if o.removed++; o.removed > len(o.entries)/2 {
		o.entries = slices.DeleteFunc(o.entries, func(e *entry) bool { return e.removed })
		o.removed = 0
	}
}

// len answers 0 for nil.
func (o *order) len() int {
	if o == nil {
		return 0
	}
	return len(o.entries) - o.removed
}

// newestFirst walks o, which may be nil.
func (o *order) newestFirst() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		if o == nil {
			return
		}
		for _, e := range slices.Backward(o.entries) {
			if !e.removed && !yield(e) {
				return
			}
		}
	}
}
