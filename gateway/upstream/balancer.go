package upstream

// Balancer picks nodes of one priority. It may be used by many requests at once.
type Balancer interface {
	// Pick answers a node that is not among those tried, nil if there is none.
	Pick(tried Tried) *Node
}

// balancers are the types that an upstream may name.
var balancers = map[string]func([]*Node) Balancer{
	"":           newRoundRobin,
	"roundrobin": newRoundRobin,
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
