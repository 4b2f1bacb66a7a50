package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"millrace/gateway/upstream/check"
	"millrace/gateway/upstream/discovery"
)

// ErrNoNodes says that a registry knows no node of a service; its requests are
// answered with 503.
var ErrNoNodes = errors.New("no nodes")

// rotation is the nodes of an upstream as they stand, in balancers. It never
// changes; there is a new one when nodes come, go, fall ill or recover.
type rotation struct {
	list    *discovery.List // that the nodes are from; nil if they are configured
	nodes   []*Node
	checker *check.Checker // nil if the nodes are not checked
	version uint64         // of the checker
	single  *Node          // the only node, if it needs no balancer
	groups  []Balancer     // by descending priority
}

// Ready makes sure that the nodes are known. It waits if they are to be learnt
// from a registry that has not answered yet, and fails if that does not know any.
func (u *Upstream) Ready(ctx context.Context) error {
	if u.service == nil {
		return nil
	}
	list, err := u.service.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("discovering service %s: %w", u.serviceName, err)
	}
	if len(list.Nodes) == 0 {
		return fmt.Errorf("discovering service %s: %w", u.serviceName, ErrNoNodes)
	}
	if r := u.rotation.Load(); r == nil || r.list != list {
		u.rotate(list)
	}
	return nil
}

// Pick answers a node that is not among those tried, nil if there is none. A
// group of lower priority is used when all of the higher have been tried or are
// not well. vars are the request's; only chash looks at them.
//
// Each node that is picked is given back with Done.
func (u *Upstream) Pick(tried Tried, vars Vars) *Node {
	r := u.rotation.Load()
	if r == nil || r.checker != nil && r.checker.Version() != r.version {
		if r = u.rotate(nil); r == nil {
			return nil
		}
	}
	if r.single != nil {
		if tried.Has(r.single) {
			return nil
		}
		return r.single
	}
	for _, g := range r.groups {
		if n := g.Pick(tried, vars); n != nil {
			return n
		}
	}
	return nil
}

// rotate makes a new rotation: of a new list of nodes, or of those there are if
// list is nil.
func (u *Upstream) rotate(list *discovery.List) *rotation {
	u.mu.Lock()
	defer u.mu.Unlock()
	old := u.rotation.Load()
	r := &rotation{list: list}
	switch {
	case list == nil && old == nil && u.service != nil:
		return nil // Ready has not succeeded
	case old == nil && list == nil:
		r.nodes = u.nodes
	case old != nil && (list == nil || list == old.list):
		r.list, r.nodes, r.checker = old.list, old.nodes, old.checker
	default:
		r.nodes = u.makeNodes(list.Nodes)
	}
	if old == nil || r.list != old.list {
		u.admit(r)
	}
	if r.checker != nil {
		r.version = r.checker.Version()
	}
	u.balance(r)
	u.rotation.Store(r)
	return r
}

// admit finds out what is known of the nodes of a rotation.
func (u *Upstream) admit(r *rotation) {
	if u.shared == nil {
		return
	}
	if u.algorithm.counts || u.algorithm.times {
		u.shared.keep(r.nodes)
	}
	r.checker = u.shared.watch(u, u.checks, r.nodes)
	for _, n := range r.nodes {
		if r.checker != nil {
			n.target = r.checker.Target(n.Addr)
		}
	}
}

// balance makes the balancers. If no node is well, all are used.
func (u *Upstream) balance(r *rotation) {
	if len(r.nodes) == 1 && !u.algorithm.always {
		r.single = r.nodes[0]
		return
	}
	well := func(n *Node) bool { return n.target == nil || n.target.Usable() }
	if !slices.ContainsFunc(r.nodes, well) {
		well = func(*Node) bool { return true }
	}
	byPriority := map[int][]*Node{}
	var priorities []int
	for _, n := range r.nodes {
		if byPriority[n.Priority] == nil {
			priorities = append(priorities, n.Priority)
		}
		byPriority[n.Priority] = append(byPriority[n.Priority], n)
	}
	slices.Sort(priorities)
	slices.Reverse(priorities)
	for _, p := range priorities {
		group, usable := byPriority[p], []*Node(nil)
		for _, n := range group {
			if well(n) {
				usable = append(usable, n)
			}
		}
		if len(usable) > 0 {
			r.groups = append(r.groups, u.algorithm.new(u.hashKey, group, usable))
		}
	}
}
