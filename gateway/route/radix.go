package route

import (
	"bytes"
	"strings"
)

// node is a node of an immutable radix tree: an edit copies the nodes on the way
// to what it changes and shares the rest with the tree before. A node that this
// edit made itself is changed in place, so that building a large tree copies
// nothing twice. The zero P means that a node has no value.
type node[P comparable] struct {
	edit  uint64
	label string
	index []byte // first bytes of the kids' labels, in the order of kids
	kids  []*node[P]
	val   P
}

// own answers n if this edit may change it, else a copy that it may.
func (n *node[P]) own(edit uint64) *node[P] {
	if n.edit == edit {
		return n
	}
	return &node[P]{
		edit:  edit,
		label: n.label,
		index: bytes.Clone(n.index),
		kids:  append([]*node[P](nil), n.kids...),
		val:   n.val,
	}
}

// update answers the tree n with the value at key replaced by what fn makes of
// it; the zero value removes the key.
func (n *node[P]) update(key string, edit uint64, fn func(P) P) *node[P] {
	n = n.own(edit)
	if key == "" {
		n.val = fn(n.val)
		return n
	}
	i := bytes.IndexByte(n.index, key[0])
	if i < 0 {
		n.index = append(n.index, key[0])
		n.kids = append(n.kids, &node[P]{edit: edit, label: key})
		i = len(n.kids) - 1
		n.kids[i].val = fn(n.kids[i].val)
	} else {
		kid := n.kids[i]
		p := commonPrefix(kid.label, key)
		if p < len(kid.label) {
			kid = kid.split(p, edit)
		}
		n.kids[i] = kid.update(key[p:], edit, fn)
	}
	n.prune(i, edit)
	return n
}

// split puts a node for the first p bytes of n's label above n.
func (n *node[P]) split(p int, edit uint64) *node[P] {
	top := &node[P]{edit: edit, label: n.label[:p], index: []byte{n.label[p]}}
	n = n.own(edit)
	n.label = n.label[p:]
	top.kids = []*node[P]{n}
	return top
}

// prune drops kid i if it holds nothing, or joins it with its only kid.
func (n *node[P]) prune(i int, edit uint64) {
	var none P
	kid := n.kids[i]
	if kid.val != none {
		return
	}
	switch len(kid.kids) {
	case 0:
		last := len(n.kids) - 1
		n.kids[i], n.index[i] = n.kids[last], n.index[last]
		n.kids, n.index = n.kids[:last], n.index[:last]
	case 1:
		only := kid.kids[0].own(edit)
		only.label = kid.label + only.label
		n.kids[i] = only
	}
}

// next answers the kid whose whole label begins key, or nil.
func (n *node[P]) next(key []byte) *node[P] {
	if len(key) == 0 {
		return nil
	}
	i := bytes.IndexByte(n.index, key[0])
	if i < 0 {
		return nil
	}
	kid := n.kids[i]
	if len(key) < len(kid.label) || string(key[:len(kid.label)]) != kid.label {
		return nil
	}
	return kid
}

// get answers the value at key.
func (n *node[P]) get(key []byte) (val P) {
	for len(key) > 0 {
		kid := n.next(key)
		if kid == nil {
			return val
		}
		n, key = kid, key[len(kid.label):]
	}
	return n.val
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func reverse(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := len(s) - 1; i >= 0; i-- {
		b.WriteByte(s[i])
	}
	return b.String()
}
