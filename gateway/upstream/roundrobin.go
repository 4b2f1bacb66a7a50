package upstream

import (
	"math/rand/v2"
	"sync"
)

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

func newRoundRobin(_ *hashKey, _, usable []*Node) Balancer {
	b := &roundRobin{nodes: weighted(usable)}
	for _, n := range b.nodes {
		b.gcd = gcd(b.gcd, n.weight())
		b.max = max(b.max, n.weight())
	}
	b.startAfter(rand.IntN(len(b.nodes)))
	return b
}

// startAfter begins the walk behind a node, as if that had been picked last; it
// spreads the first picks of many processes over the nodes.
func (b *roundRobin) startAfter(i int) {
	b.next, b.current = i, b.max
	b.advance()
}

func (b *roundRobin) advance() {
	if b.next++; b.next == len(b.nodes) {
		b.next = 0
		if b.current -= b.gcd; b.current <= 0 {
			b.current = b.max
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Pick implements Balancer.
func (b *roundRobin) Pick(tried Tried, _ Vars) *Node {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 4*len(b.nodes) + 64 {
		n := b.nodes[b.next]
		chosen := n.weight() >= b.current
		b.advance()
		if chosen && !tried.Has(n) {
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
