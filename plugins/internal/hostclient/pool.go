package hostclient

import (
	"sync"
	"time"
)

const (
	// surplusTime is how long a connection beyond the configured number stays
	// idle. Requests come in bursts: without it a pool of five would close and
	// reopen most of thirty connections a thousand times a second.
	surplusTime = time.Second
	// maxSurplus bounds how many there may be of these.
	maxSurplus = 1024
)

// pool keeps idle connections, the latest used at the end, and hands that one
// out first, so that those which are not needed grow old.
type pool struct {
	maxIdle     int
	idleTimeout time.Duration

	mu     sync.Mutex
	idle   []*conn
	closed bool
	// timer runs trim at wake; a zero wake means it is not set.
	timer *time.Timer
	wake  time.Time
}

func (p *pool) init(maxIdle int, idleTimeout time.Duration) {
	p.maxIdle, p.idleTimeout = maxIdle, idleTimeout
}

// get takes an idle connection, or answers nil.
func (p *pool) get(now time.Time) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 || now.Sub(p.idle[last].idleSince) >= p.idleTimeout {
		return nil // trim closes what has expired
	}
	cn := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return cn
}

// put gives a connection back, or closes it.
func (p *pool) put(cn *conn) {
	cn.used, cn.idleSince = true, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.maxIdle == 0 || len(p.idle) >= p.maxIdle+maxSurplus {
		cn.Close()
		return
	}
	p.idle = append(p.idle, cn)
	p.schedule()
}

// schedule sets the timer for the first connection to expire.
func (p *pool) schedule() {
	if len(p.idle) == 0 {
		return
	}
	limit := p.idleTimeout
	if len(p.idle) > p.maxIdle {
		limit = min(limit, surplusTime)
	}
	at := p.idle[0].idleSince.Add(limit)
	if !p.wake.IsZero() && !at.Before(p.wake) {
		return
	}
	p.wake = at
	if p.timer == nil {
		p.timer = time.AfterFunc(time.Until(at), p.trim)
		return
	}
	p.timer.Reset(time.Until(at))
}

// trim closes the connections whose time is over.
func (p *pool) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	kept := p.idle[:0]
	for i, cn := range p.idle {
		limit := p.idleTimeout
		if i < len(p.idle)-p.maxIdle {
			limit = min(limit, surplusTime)
		}
		if now.Sub(cn.idleSince) >= limit {
			cn.Close()
			continue
		}
		kept = append(kept, cn)
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.wake = time.Time{}
	p.schedule()
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	for _, cn := range p.idle {
		cn.Close()
	}
	p.idle = nil
}
