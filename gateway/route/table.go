package route

import (
	"net/netip"

	"millrace/internal/expr"
)

// Query is what a request is matched by. Host is its host in lower case without
// port, HostPort the same with the port if one was sent.
type Query struct {
	Host, HostPort []byte
	Path           []byte
	Method         []byte
	Addr           netip.Addr
	// Vars answers the variables of the request; nil if there are none.
	Vars expr.Lookup
	// Asker is who asks; filters know what it is.
	Asker any
	// Params are the path parameters of the route that was found, if it has any.
	Params []Param

	method methodSet
}

// Table finds routes. It never changes: Edit makes another.
type Table[V any] struct {
	edit   uint64
	byURI  bool
	any    *node[*slot[V]]     // routes without host, or all of them under byURI
	hosts  *node[*hostSlot[V]] // by reversed host
	hosted int                 // number of host patterns in hosts
}

// hostSlot holds the groups at one place of the tree of hosts: of the host that
// ends here, and of the hosts that go on.
type hostSlot[V any] struct {
	exact, suffix *node[*slot[V]]
}

// maxHost is the longest host that is matched, more than DNS allows.
const maxHost = 256

// New returns an empty table. byURI makes it the router radixtree_uri, in which
// the host is a condition; otherwise it is radixtree_host_uri.
func New[V any](byURI bool) *Table[V] {
	return &Table[V]{byURI: byURI, any: &node[*slot[V]]{}, hosts: &node[*hostSlot[V]]{}}
}

// Match answers the value of the route that q leads to and what the trailing *
// of its path stood for; ok is false if there is none.
func (t *Table[V]) Match(q *Query) (value V, ext []byte, ok bool) {
	q.method = methodBit(q.Method)
	if t.hosted > 0 && len(q.Host) > 0 && len(q.Host) <= maxHost {
		var reversed [maxHost]byte
		n := len(q.Host)
		for i, c := range q.Host {
			reversed[n-1-i] = c
		}
		if r, ext := matchHost(t.hosts, reversed[:n], q); r != nil {
			return r.value, ext, true
		}
	}
	if r, ext := matchGroup(t.any, q); r != nil {
		return r.value, ext, true
	}
	return value, nil, false
}

// matchHost asks the group of the exact host at the end of the walk first, then
// on the way back the groups of suffixes, so the longest comes first.
func matchHost[V any](n *node[*hostSlot[V]], host []byte, q *Query) (*Rule[V], []byte) {
	if len(host) == 0 && n.val != nil && n.val.exact != nil {
		if r, ext := matchGroup(n.val.exact, q); r != nil {
			return r, ext
		}
	}
	if kid := n.next(host); kid != nil {
		if r, ext := matchHost(kid, host[len(kid.label):], q); r != nil {
			return r, ext
		}
	}
	if n.val != nil && n.val.suffix != nil {
		return matchGroup(n.val.suffix, q)
	}
	return nil, nil
}

func matchGroup[V any](root *node[*slot[V]], q *Query) (*Rule[V], []byte) {
	if s := root.get(q.Path); s != nil {
		if r, ext := firstOf(s.exact, q); r != nil {
			return r, ext
		}
	}
	return matchPrefix(root, q.Path, q)
}

func matchPrefix[V any](n *node[*slot[V]], path []byte, q *Query) (*Rule[V], []byte) {
	if kid := n.next(path); kid != nil {
		if r, ext := matchPrefix(kid, path[len(kid.label):], q); r != nil {
			return r, ext
		}
	}
	if n.val == nil {
		return nil, nil
	}
	return firstOf(n.val.prefix, q)
}

func firstOf[V any](list []candidate[V], q *Query) (*Rule[V], []byte) {
	for i := range list {
		c := &list[i]
		if ext, ok := c.path.match(q); ok && c.rule.holds(q) {
			return c.rule, ext
		}
	}
	return nil, nil
}

// holds checks the conditions in APISIX's order: methods, addresses, hosts,
// variables.
func (r *Rule[V]) holds(q *Query) bool {
	if r.methods != 0 && r.methods&q.method == 0 {
		return false
	}
	if len(r.addrs) > 0 && !containsAddr(r.addrs, q.Addr) {
		return false
	}
	if len(r.hosts) > 0 && !r.isFor(q) {
		return false
	}
	if r.vars != nil && !r.vars.Holds(q.Vars) {
		return false
	}
	return r.filter == nil || r.filter(q)
}

// isFor tells whether one of the hosts is the request's.
func (r *Rule[V]) isFor(q *Query) bool {
	for i := range r.hosts {
		if r.hosts[i].match(q) {
			return true
		}
	}
	return false
}

func containsAddr(blocks []netip.Prefix, a netip.Addr) bool {
	for _, b := range blocks {
		if b.Contains(a) {
			return true
		}
	}
	return false
}

// Editor makes a table that differs from another by some rules.
type Editor[V any] struct{ t Table[V] }

// Edit begins a change of t, which itself stays as it is.
func (t *Table[V]) Edit() *Editor[V] {
	e := &Editor[V]{*t}
	e.t.edit++
	return e
}

// Table ends the edit; the editor must not be used again.
func (e *Editor[V]) Table() *Table[V] {
	t := e.t
	return &t
}

// Add puts a rule into the table.
func (e *Editor[V]) Add(r *Rule[V]) {
	e.each(r, (*slot[V]).add)
	if !e.t.byURI {
		e.t.hosted += len(r.hosts)
	}
}

// Remove takes out a rule that was added, the same pointer.
func (e *Editor[V]) Remove(r *Rule[V]) {
	e.each(r, (*slot[V]).remove)
	if !e.t.byURI {
		e.t.hosted -= len(r.hosts)
	}
}

// each changes the slots of all hosts and paths of a rule.
func (e *Editor[V]) each(r *Rule[V], change func(*slot[V], candidate[V], uint64) *slot[V]) {
	group := func(root *node[*slot[V]]) *node[*slot[V]] {
		if root == nil {
			root = &node[*slot[V]]{edit: e.t.edit}
		}
		for i := range r.paths {
			c := candidate[V]{r, &r.paths[i]}
			root = root.update(c.path.prefix, e.t.edit, func(s *slot[V]) *slot[V] {
				return change(s, c, e.t.edit)
			})
		}
		if root.val == nil && len(root.kids) == 0 {
			return nil
		}
		return root
	}
	if len(r.hosts) == 0 || e.t.byURI {
		if e.t.any = group(e.t.any); e.t.any == nil {
			e.t.any = &node[*slot[V]]{edit: e.t.edit}
		}
		return
	}
	for i := range r.hosts {
		h := &r.hosts[i]
		e.t.hosts = e.t.hosts.update(h.key(), e.t.edit, func(s *hostSlot[V]) *hostSlot[V] {
			return s.with(h.suffix, group)
		})
	}
}

// with answers a copy of s with one of its groups changed; nil if none is left.
func (s *hostSlot[V]) with(suffix bool, group func(*node[*slot[V]]) *node[*slot[V]]) *hostSlot[V] {
	var c hostSlot[V]
	if s != nil {
		c = *s
	}
	if suffix {
		c.suffix = group(c.suffix)
	} else {
		c.exact = group(c.exact)
	}
	if c.exact == nil && c.suffix == nil {
		return nil
	}
	return &c
}
