package upstream

import "millrace/internal/expr"

// Balancer picks nodes of one priority. It may be used by many requests at once.
type Balancer interface {
	// Pick answers a node that is not among those tried, nil if there is none.
	Pick(tried Tried, vars Vars) *Node
}

// Vars are the variables of a request (plugin.Context), by which chash picks.
type Vars interface {
	Var(name string) expr.Value
}

// algorithm is how a type of upstream balances.
type algorithm struct {
	// new makes the balancer of a group of nodes; usable are those of them that
	// may be picked, at least one.
	new func(key *hashKey, group, usable []*Node) Balancer
	// counts says that it needs the number of requests at each node, times that
	// it needs how long they take, always that it is asked for one node too.
	counts, times, always bool
}

// algorithms are the types that an upstream may name.
var algorithms = map[string]*algorithm{
	"":           {new: newRoundRobin},
	"roundrobin": {new: newRoundRobin},
	"chash":      {new: newCHash},
	"least_conn": {new: newLeastConn, counts: true, always: true},
	"ewma":       {new: newEWMA, times: true},
}

// Tried are the nodes that one request has been sent to.
type Tried []*Node

// Has says whether n has been tried.
func (t Tried) Has(n *Node) bool {
	for _, m := range t {
		if m == n {
			return true
		}
	}
	return false
}

// weighted leaves out nodes of weight 0, unless all are.
func weighted(nodes []*Node) []*Node {
	heavy := make([]*Node, 0, len(nodes))
	for _, n := range nodes {
		if n.Weight > 0 {
			heavy = append(heavy, n)
		}
	}
	if len(heavy) == 0 {
		return nodes
	}
	return heavy
}

// weight is what a node counts for: nodes that are all of weight 0 are equal.
func (n *Node) weight() int { return max(1, n.Weight) }
