package upstream

import "sync"

// roundRobin walks the nodes again and again and picks those whose weight is at
// least the current weight, which falls by the greatest common divisor of all
// weights at each end of the list. So over Σweight/gcd picks each node is picked
// weight/gcd times, heavy nodes spread among the light.
type roundRobin struct {
	nodes    []*Node
	gcd, max int

	mu      sync.Mutex
	next    int
	current int
}

func newRoundRobin(nodes []*Node) Balancer {
	b := &roundRobin{next: randomStart(len(nodes))}
	for _, n := range nodes {
		if n.Weight > 0 {
			b.nodes = append(b.nodes, n)
		}
		b.gcd = gcd(b.gcd, n.Weight)
		b.max = max(b.max, n.Weight)
	}
	if b.max == 0 { // all weights are 0: all are equal
		b.nodes = nodes
	}
	b.next %= len(b.nodes)
	b.current = b.max
	return b
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Pick implements Balancer.
func (b *roundRobin) Pick(tried Tried) *Node {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 4*len(b.nodes) + 64 {
		if n := b.step(); n != nil && !tried.Has(n) {
			return n
		}
	}
	// The untried nodes are so light that the walk would be long.
	for _, n := range b.nodes {
		if !tried.Has(n) {
			return n
		}
	}
	return nil
}

// step looks at one node of the walk; nil if its weight is below the current.
func (b *roundRobin) step() *Node {
	n := b.nodes[b.next]
	chosen := n.Weight >= b.current
	if b.next++; b.next == len(b.nodes) {
		b.next = 0
		if b.current -= b.gcd; b.current <= 0 {
			b.current = b.max
		}
	}
	if !chosen {
		return nil
	}
	return n
}
