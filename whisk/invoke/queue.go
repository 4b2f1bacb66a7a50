package invoke

import (
	"context"
	"slices"
	"time"
)

// Instances are added for waiting calls at these ticks, beside arrivals and
// ends. The ticker sleeps when nothing has waited for a while.
const (
	tickTime   = 5 * time.Millisecond
	quietTicks = 20
)

func (p *pool) enqueue(g *group, wt *waiter) {
	if g.queue.first == nil {
		if len(g.line.waiting) == 0 {
			p.ring = append(p.ring, g.line)
		}
		g.line.waiting = append(g.line.waiting, g)
	}
	g.queue.push(wt)
	p.waiting++
	if !p.ticking {
		p.ticking = true
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
}

func (p *pool) dequeue(g *group) *waiter {
	wt := g.queue.pop()
	p.waiting--
	if g.queue.first != nil {
		return wt
	}
	l := g.line
	i := slices.Index(l.waiting, g)
	l.waiting = slices.Delete(l.waiting, i, i+1)
	if len(l.waiting) == 0 {
		i = slices.Index(p.ring, l)
		p.ring = slices.Delete(p.ring, i, i+1)
		if p.turn > i {
			p.turn--
		}
	}
	return wt
}

// dispatch gives memory and launch slots to calls that wait for an instance,
// one namespace after another, until no one wants or can get more.
func (p *pool) dispatch(now time.Time) {
	p.starved = nil
	for missed := 0; missed < len(p.ring) && !p.closed; {
		p.turn %= len(p.ring)
		g := p.ring[p.turn].pick(now, &p.cpu)
		if g == nil {
			p.turn++
			missed++
			continue
		}
		w, why := p.place(g, now)
		switch {
		case w != nil:
			p.turn++
			missed = 0
			p.dequeue(g).given <- w
		case why == noMemory && g.size == 0:
			// Its turn stays its own: what others free next is for this group.
			p.starved = g
			return
		default:
			p.turn++
			missed++
		}
	}
}

// place finds a worker for the first waiting call of g.
func (p *pool) place(g *group, now time.Time) (*worker, blocked) {
	if w := p.claim(g); w != nil {
		return w, started
	}
	if !g.wants(now, &p.cpu) {
		return nil, noMemory
	}
	w, why := p.start(g, now)
	if w != nil {
		g.handoffs = 0
		g.allowance = max(0, g.allowance-1)
	}
	return w, why
}

// tick lets every group with waiting calls double its instances, and tells
// whether any call waits.
func (p *pool) tick(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cpu.look(now)
	for _, l := range p.ring {
		for _, g := range l.waiting {
			g.allowance = max(1, g.size)
		}
	}
	p.dispatch(now)
	return p.waiting > 0
}

// scale ticks while calls wait, until ctx is done.
func (p *pool) scale(ctx context.Context) {
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
		}
		ticker.Reset(tickTime)
		for quiet := 0; quiet < quietTicks; quiet++ {
			select {
			case <-ctx.Done():
				return
			case now := <-ticker.C:
				if p.tick(now) {
					quiet = 0
				}
			}
		}
		p.mu.Lock()
		p.ticking = p.waiting > 0
		if p.ticking {
			p.kick <- struct{}{} // has room: only whoever sets ticking sends
		}
		p.mu.Unlock()
	}
}

// sweep drops what has been idle for longer than limit, and what has died.
func (p *pool) sweep(now time.Time, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := p.idle.first; w != nil; {
		next := w.next
		if now.Sub(w.idleSince) >= limit || gone(w.inst) {
			p.remove(w)
		}
		w = next
	}
	for key, g := range p.groups {
		if g.size > 0 || g.queue.first != nil || now.Sub(g.used) < limit && !g.retired {
			continue
		}
		delete(p.groups, key)
		if g.line.groups--; g.line.groups == 0 {
			delete(p.lines, key.caller)
		}
	}
	p.sweepStems(now, limit)
}

// shut ends the pool: calls that wait get nil, instances are closed, the busy
// ones too.
func (p *pool) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range slices.Clone(p.ring) {
		for _, g := range slices.Clone(l.waiting) {
			for g.queue.first != nil {
				p.dequeue(g).given <- nil
			}
		}
	}
	for w := range p.live {
		p.close(w.inst)
	}
	for _, sh := range p.shelves {
		p.drop(sh)
	}
}
