package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much garbage is worth a collection, in percent of the live heap. At the
// default of 100 a small heap would be collected many times a second under load; at
// 400 a heap that large requests have made large would take five times its size.
const (
	leastGarbage = 100
	mostGarbage  = 400
	// worthwhile is so much garbage, in bytes, that more need not come together.
	worthwhile = 256 << 20
)

// collection sets how much garbage the next one waits for, at the end of each.
type collection struct {
	percent int
	live    []metrics.Sample
}

// tuneCollector keeps the garbage in proportion to the live heap, for as long as
// the process lives.
func tuneCollector() {
	debug.SetGCPercent(mostGarbage)
	c := &collection{percent: mostGarbage, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	runtime.SetFinalizer(c, (*collection).ended)
}

// ended is called by the collector, and asks for it again.
func (c *collection) ended() {
	metrics.Read(c.live)
	if p := garbagePercent(c.live[0].Value.Uint64()); p != c.percent {
		c.percent = p
		debug.SetGCPercent(p)
	}
	runtime.SetFinalizer(c, (*collection).ended)
}

// garbagePercent answers how much garbage to wait for beside a live heap of so many
// bytes. It changes in steps, since a change stops the world.
func garbagePercent(live uint64) int {
	p := mostGarbage
	for p > leastGarbage && live*uint64(p)/100 > worthwhile {
		p /= 2
	}
	return p
}
