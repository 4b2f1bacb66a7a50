// Package route finds the route of a request: an immutable table that answers
// in APISIX's candidate order (spec/gateway.md section 5) without allocating,
// and of which an edit makes a changed copy that shares all the rest.
//
// Hosts and paths stand in radix trees. Under the default router a request asks
// the group of its exact host, then those of wildcard hosts from the longest
// to the shortest, then the routes without host; inside a group first the
// routes whose path is exactly the request's, then prefixes from the longest to
// the shortest, and among equals by priority and age.
package route

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"millrace/internal/expr"
)

// Spec is what a route matches on, and what it leads to.
type Spec[V any] struct {
	ID      string
	URIs    []string
	Hosts   []string
	Methods []string
	Addrs   []string // addresses or CIDR blocks of clients
	// Vars and Filter are conditions on variables; nil always holds. Params tells
	// that ":name" in a path is a parameter, as under radixtree_uri_with_parameter.
	Vars     *expr.Expr
	Filter   func(q *Query) bool
	Params   bool
	Priority int
	Created  int64 // orders routes of equal priority: smaller first
	Value    V
}

// Rule is a Spec made ready for a Table. One goroutine at a time adds it.
type Rule[V any] struct {
	// What is read to match a plain route stands together, its path too: among many
	// routes each step to another place in memory is a wait.
	path    [1]pathPattern // what paths refers to if the route has one
	methods methodSet      // 0 means every method
	value   V
	addrs   []netip.Prefix
	hosts   []hostPattern
	vars    *expr.Expr
	filter  func(q *Query) bool
	// home is the first slot that the rule is put into where there is none: mostly its
	// only one. Once used it is not used again, since older tables may refer to it.
	home   slot[V]
	housed bool

	paths    []pathPattern
	id       string
	priority int
	created  int64
}

// Compile checks a Spec.
func Compile[V any](s Spec[V]) (*Rule[V], error) {
	r := &Rule[V]{value: s.Value, filter: s.Filter, id: s.ID, priority: s.Priority, created: s.Created}
	if s.Vars != nil && !s.Vars.Always() {
		r.vars = s.Vars
	}
	for _, m := range s.Methods {
		bit := methodBit([]byte(m))
		if bit == 0 {
			return nil, fmt.Errorf("unknown method %q", m)
		}
		r.methods |= bit
	}
	for _, a := range s.Addrs {
		p, err := parseAddrs(a)
		if err != nil {
			return nil, err
		}
		r.addrs = append(r.addrs, p)
	}
	for _, h := range s.Hosts {
		r.hosts = append(r.hosts, parseHost(h))
	}
	r.paths = r.path[:0]
	for _, u := range s.URIs {
		r.paths = append(r.paths, parsePath(u, s.Params))
	}
	return r, nil
}

func parseAddrs(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("reading remote address block: %w", err)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("reading remote address: %w", err)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// hostPattern is a host of a route. A suffix pattern matches hosts that are
// longer than or, if plain, equal to the suffix.
type hostPattern struct {
	text   string // lower case, without the leading *
	suffix bool
	port   bool // text holds a port: compared with the whole Host field
}

func parseHost(h string) hostPattern {
	p := hostPattern{text: strings.ToLower(h)}
	if strings.HasPrefix(p.text, "*") {
		p.text, p.suffix = p.text[1:], true
	}
	if i := strings.LastIndexByte(p.text, ':'); i >= 0 && !strings.HasSuffix(p.text, "]") {
		p.port = true
	}
	return p
}

func (p *hostPattern) match(q *Query) bool {
	host := q.Host
	if p.port {
		host = q.HostPort
	}
	if !p.suffix {
		return string(host) == p.text
	}
	return len(host) >= len(p.text) && string(host[len(host)-len(p.text):]) == p.text &&
		!(len(host) == len(p.text) && strings.HasPrefix(p.text, "."))
}

// key is the pattern's place in the tree of hosts: reversed, without port.
func (p *hostPattern) key() string {
	name := p.text
	if p.port {
		name = name[:strings.LastIndexByte(name, ':')]
	}
	return reverse(name)
}

// pathPattern is a path of a route. For an exact path prefix is the whole of it,
// else what stands before the first *.
type pathPattern struct {
	prefix string
	exact  bool
	*inner // nil unless there is more to it than a * at the end
}

// inner is what few paths have behind their prefix: the texts after each * of which
// not all are at the end, or what stands from the first parameter on.
type inner struct {
	rest   []string
	tokens []token
}

func parsePath(uri string, params bool) pathPattern {
	if params {
		if begin, tokens := parseParams(uri); tokens != nil {
			return pathPattern{prefix: uri[:begin], inner: &inner{tokens: tokens}}
		}
	}
	i := strings.IndexByte(uri, '*')
	if i < 0 {
		return pathPattern{prefix: uri, exact: true}
	}
	p := pathPattern{prefix: uri[:i]}
	if i < len(uri)-1 {
		p.inner = &inner{rest: strings.Split(uri[i+1:], "*")}
	}
	return p
}

// match checks what the tree does not: the texts after an inner *. It answers
// what the trailing * stood for.
func (p *pathPattern) match(q *Query) (ext []byte, ok bool) {
	q.Params = q.Params[:0]
	if p.exact {
		return nil, true
	}
	rest := q.Path[len(p.prefix):]
	if p.inner == nil {
		return rest, true
	}
	if p.tokens != nil {
		return matchTokens(p.tokens, rest, q)
	}
	last := len(p.rest) - 1
	for _, text := range p.rest[:last] {
		i := indexString(rest, text)
		if i < 0 {
			return nil, false
		}
		rest = rest[i+len(text):]
	}
	end := p.rest[last]
	if len(rest) < len(end) || string(rest[len(rest)-len(end):]) != end {
		return nil, false
	}
	if end == "" {
		return rest, true
	}
	return nil, true
}

func indexString(b []byte, s string) int {
	for i := 0; i+len(s) <= len(b); i++ {
		if string(b[i:i+len(s)]) == s {
			return i
		}
	}
	return -1
}

// methodSet is a set of the methods that a route may name.
type methodSet uint16

func methodBit(m []byte) methodSet {
	switch string(m) {
	case "GET":
		return 1
	case "POST":
		return 1 << 1
	case "PUT":
		return 1 << 2
	case "DELETE":
		return 1 << 3
	case "PATCH":
		return 1 << 4
	case "HEAD":
		return 1 << 5
	case "OPTIONS":
		return 1 << 6
	case "CONNECT":
		return 1 << 7
	case "TRACE":
		return 1 << 8
	case "PURGE":
		return 1 << 9
	}
	return 0
}

// candidate is one path of one rule in a list.
type candidate[V any] struct {
	rule *Rule[V]
	path *pathPattern
}

// before is the order of candidates in a list.
func (c candidate[V]) before(d candidate[V]) bool {
	a, b := c.rule, d.rule
	switch {
	case a.priority != b.priority:
		return a.priority > b.priority
	case a.created != b.created:
		return a.created < b.created
	case a.id != b.id:
		return a.id < b.id
	}
	return false
}

// slot holds the candidates at one place of a tree of paths.
type slot[V any] struct {
	edit          uint64
	exact, prefix []candidate[V]
	// room is for the only candidate that most slots have.
	room [1]candidate[V]
}

// newSlot makes the slot of an edit for the first candidate in it.
func (c candidate[V]) newSlot(edit uint64) *slot[V] {
	s := &c.rule.home
	if c.rule.housed {
		s = &slot[V]{}
	}
	s.edit, c.rule.housed = edit, true
	return s
}

func (s *slot[V]) own(edit uint64) *slot[V] {
	if s.edit == edit {
		return s
	}
	return &slot[V]{edit: edit, exact: slices.Clone(s.exact), prefix: slices.Clone(s.prefix)}
}

func (s *slot[V]) add(c candidate[V], edit uint64) *slot[V] {
	if s == nil {
		s = c.newSlot(edit)
	} else {
		s = s.own(edit)
	}
	list := s.list(c)
	if len(s.exact)+len(s.prefix) == 0 {
		*list = s.room[:0]
	}
	i, _ := slices.BinarySearchFunc(*list, c, func(e, c candidate[V]) int {
		if c.before(e) {
			return 1
		}
		return -1
	})
	*list = slices.Insert(*list, i, c)
	return s
}

func (s *slot[V]) remove(c candidate[V], edit uint64) *slot[V] {
	if s == nil {
		return nil
	}
	s = s.own(edit)
	list := s.list(c)
	*list = slices.DeleteFunc(*list, func(e candidate[V]) bool { return e == c })
	if len(s.exact)+len(s.prefix) == 0 {
		return nil
	}
	return s
}

func (s *slot[V]) list(c candidate[V]) *[]candidate[V] {
	if c.path.exact {
		return &s.exact
	}
	return &s.prefix
}
