package catalog

import (
	"cmp"
	"slices"

	"millrace/whisk"
)

// collection is entities that are listed together: those of one type, or the
// actions of one package.
type collection struct {
	typ entityType
	pkg string // empty for the whole namespace
}

// namespace is what one namespace holds: by path, as lists show it, and its rules
// by the name of their trigger, so that firing need not search.
type namespace struct {
	entries     map[path]*entry
	collections map[collection]*order
	rules       map[string][]*entry // sorted by name
}

func newNamespace() *namespace {
	return &namespace{
		entries:     map[path]*entry{},
		collections: map[collection]*order{},
		rules:       map[string][]*entry{},
	}
}

// collections says where an entity is listed.
func (e *entry) collections() []collection {
	if e.pkg == "" {
		return []collection{{e.typ, ""}}
	}
	return []collection{{e.typ, ""}, {e.typ, e.pkg}}
}

func (n *namespace) insert(e *entry) {
	n.remove(e.path)
	n.entries[e.path] = e
	for _, c := range e.collections() {
		o := n.collections[c]
		if o == nil {
			o = new(order)
			n.collections[c] = o
		}
		o.insert(e)
	}
	if r, ok := e.value.(*whisk.Rule); ok {
		l := n.rules[r.Trigger.Name]
		i, _ := slices.BinarySearchFunc(l, e, byName)
		n.rules[r.Trigger.Name] = slices.Insert(l, i, e)
	}
}

func (n *namespace) remove(p path) {
	e := n.entries[p]
	if e == nil {
		return
	}
	delete(n.entries, p)
	e.removed = true
	for _, c := range e.collections() {
		o := n.collections[c]
		if o.noteRemoved(); o.len() == 0 {
			delete(n.collections, c)
		}
	}
	if r, ok := e.value.(*whisk.Rule); ok {
		n.removeRule(r.Trigger.Name, e)
	}
	e.value = nil // it may stand in an order for long
}

func (n *namespace) removeRule(trigger string, e *entry) {
	l := n.rules[trigger]
	if i, ok := slices.BinarySearchFunc(l, e, byName); ok {
		l = slices.Delete(l, i, i+1)
	}
	if len(l) == 0 {
		delete(n.rules, trigger)
		return
	}
	n.rules[trigger] = l
}

func byName(a, b *entry) int { return cmp.Compare(a.name, b.name) }
