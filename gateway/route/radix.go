package route

import (
	"bytes"
	"slices"
	"strings"
)

// node is a node of an immutable radix tree: an edit copies the nodes on the way
// to what it changes and shares the rest with the tree before. A node that this
// edit made itself is changed in place, so that building a large tree copies
// nothing twice. The zero P means that a node has no value.
//
// Among many routes a walk waits for memory and for little else, so a node has at
// hand what it needs of its label and its index, which are elsewhere.
type node[P comparable] struct {
	label string
	text  [24]byte // what label begins with
	kids  []*node[P]
	val   P
	first [16]byte // what index begins with
	index []byte   // first bytes of the kids' labels, in the order of kids
	edit  uint64
}

// newNode makes a node of an edit.
func newNode[P comparable](label string, edit uint64) *node[P] {
	n := &node[P]{edit: edit}
	n.setLabel(label)
	return n
}

func (n *node[P]) setLabel(label string) {
	n.label = label
	copy(n.text[:], label)
}

// setKids enters the kids and the first bytes of their labels.
func (n *node[P]) setKids(kids []*node[P], index []byte) {
	n.kids, n.index = kids, index
	copy(n.first[:], index)
}

// own answers n if this edit may change it, else a copy that it may.
func (n *node[P]) own(edit uint64) *node[P] {
	if n.edit == edit {
		return n
	}
	c := *n
	c.edit, c.index, c.kids = edit, slices.Clone(n.index), slices.Clone(n.kids)
	return &c
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
		kid := newNode[P](key, edit)
		kid.val = fn(kid.val)
		i = len(n.kids)
		n.setKids(append(n.kids, kid), append(n.index, key[0]))
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
	top := newNode[P](n.label[:p], edit)
	n = n.own(edit)
	n.setLabel(n.label[p:])
	top.setKids([]*node[P]{n}, []byte{n.label[0]})
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
		n.setKids(n.kids[:last], n.index[:last])
	case 1:
		only := kid.kids[0].own(edit)
		only.setLabel(kid.label + only.label)
		n.kids[i] = only
	}
}

// next answers the kid whose whole label begins key, or nil.
func (n *node[P]) next(key []byte) *node[P] {
	if len(key) == 0 {
		return nil
	}
	i := n.find(key[0])
	if i < 0 {
		return nil
	}
	kid := n.kids[i]
	switch size := len(kid.label); {
	case len(key) < size:
		return nil
	case size <= len(kid.text):
		if string(key[:size]) != string(kid.text[:size]) {
			return nil
		}
	case string(key[:size]) != kid.label:
		return nil
	}
	return kid
}

// find answers which kid's label begins with b, -1 if none does.
func (n *node[P]) find(b byte) int {
	if i := bytes.IndexByte(n.first[:min(len(n.kids), len(n.first))], b); i >= 0 || len(n.kids) <= len(n.first) {
		return i
	}
	return bytes.IndexByte(n.index, b)
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
