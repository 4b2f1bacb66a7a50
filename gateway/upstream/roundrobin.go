package upstream

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// roundRobin walks the nodes again and again and picks those whose weight is at
// least the current weight, which falls by the greatest common divisor of all
// weights at each end of the list. So over Σweight/gcd picks each node is picked
// weight/gcd times, heavy nodes spread among the light.
type roundRobin struct {
	nodes []*Node
	// cycle is what one turn of the walk picks, if it is not too long.
	cycle []*Node
	at    atomic.Uint64 // in cycle

	mu   sync.Mutex // held for the walk of a longer one
	walk walk
}

// walk is a place in the walk over nodes.
type walk struct {
	nodes         []*Node
	gcd, max      int
	next, current int
}

// maxCycle bounds the memory for a cycle.
const maxCycle = 1024

func newRoundRobin(_ *hashKey, _, usable []*Node) Balancer {
	nodes := weighted(usable)
	// Where it begins spreads the first picks of many processes over the nodes.
	return newRoundRobinAfter(nodes, rand.IntN(len(nodes)))
}

// newRoundRobinAfter begins behind a node, as if that had been picked last.
func newRoundRobinAfter(nodes []*Node, last int) *roundRobin {
	b := &roundRobin{nodes: nodes, walk: walk{nodes: nodes, next: last}}
	total := 0
	for _, n := range nodes {
		b.walk.gcd = gcd(b.walk.gcd, n.weight())
		b.walk.max = max(b.walk.max, n.weight())
		total += n.weight()
	}
	b.walk.current = b.walk.max
	b.walk.advance()
	if n := total / b.walk.gcd; n <= maxCycle {
		for range n {
			b.cycle = append(b.cycle, b.walk.pick())
		}
	}
	return b
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Pick implements Balancer.
func (b *roundRobin) Pick(tried Tried, _ Vars) *Node {
	if len(b.cycle) == 0 {
		return b.pickLong(tried)
	}
	for range len(b.cycle) {
		n := b.cycle[(b.at.Add(1)-1)%uint64(len(b.cycle))]
		if len(tried) == 0 || !tried.Has(n) {
			return n
		}
	}
	return untried(b.nodes, tried) // others have taken the steps to it
}

func (b *roundRobin) pickLong(tried Tried) *Node {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range len(tried) + 1 {
		if n := b.walk.pick(); !tried.Has(n) {
			return n
		}
	}
	return untried(b.nodes, tried) // those left are so light that the walk would be long
}

func untried(nodes []*Node, tried Tried) *Node {
	for _, n := range nodes {
		if !tried.Has(n) {
			return n
		}
	}
	return nil
}

// pick goes on to the next node that is heavy enough.
func (w *walk) pick() *Node {
	for {
		n := w.nodes[w.next]
		chosen := n.weight() >= w.current
		w.advance()
		if chosen {
			return n
		}
	}
}

// advance takes one step.
func (w *walk) advance() {
	if w.next++; w.next == len(w.nodes) {
		w.next = 0
		if w.current -= w.gcd; w.current <= 0 {
			w.current = w.max
		}
	}
}
