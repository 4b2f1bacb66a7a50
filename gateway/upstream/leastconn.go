package upstream

import "sync"

// leastConn picks the node with the fewest requests in flight for its weight, one
// more being counted for each. Of equals the one behind the last pick is taken.
type leastConn struct {
	nodes []*Node

	mu   sync.Mutex
	last int
}

func newLeastConn(_ *hashKey, _, usable []*Node) Balancer {
	return &leastConn{nodes: weighted(usable)}
}

// Pick implements Balancer.
func (b *leastConn) Pick(tried Tried, _ Vars) *Node {
	b.mu.Lock()
	defer b.mu.Unlock()
	var best *Node
	var load int64
	at := b.last
	for range b.nodes {
		if at++; at >= len(b.nodes) {
			at = 0
		}
		n := b.nodes[at]
		if tried.Has(n) {
			continue
		}
		// (1 + active)/weight, compared without fractions.
		active := 1 + n.state.active.Load()
		if best == nil || active*int64(best.weight()) < load*int64(n.weight()) {
			best, load, b.last = n, active, at
		}
	}
	if best != nil {
		best.state.active.Add(1)
	}
	return best
}
