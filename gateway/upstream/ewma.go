package upstream

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// ewma picks the faster of two nodes taken at random. Weights do not count.
type ewma struct {
	nodes []*Node
}

func newEWMA(_ *hashKey, _, usable []*Node) Balancer { return &ewma{nodes: usable} }

// Pick implements Balancer.
func (b *ewma) Pick(tried Tried, _ Vars) *Node {
	nodes := b.nodes
	if len(tried) > 0 {
		nodes = nil
		for _, n := range b.nodes {
			if !tried.Has(n) {
				nodes = append(nodes, n)
			}
		}
	}
	switch len(nodes) {
	case 0:
		return nil
	case 1:
		return nodes[0]
	}
	i, j := rand.IntN(len(nodes)), rand.IntN(len(nodes)-1)
	if j >= i {
		j++
	}
	now := time.Now()
	if nodes[i].state.latency.at(now) > nodes[j].state.latency.at(now) {
		return nodes[j]
	}
	return nodes[i]
}

// decay is the time in which an old latency loses its weight to a new one.
const decay = 10 * time.Second

// latency is a mean of response times in which the latest count most.
type latency struct {
	mu      sync.Mutex
	mean    float64 // seconds
	touched time.Time
}

// at is the mean as it has faded by now.
func (l *latency) at(now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mean * l.fading(now)
}

// add takes in a response time.
func (l *latency) add(rtt time.Duration, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fading(now)
	l.mean, l.touched = l.mean*f+rtt.Seconds()*(1-f), now
}

func (l *latency) fading(now time.Time) float64 {
	return math.Exp(-max(0, now.Sub(l.touched)).Seconds() / decay.Seconds())
}
