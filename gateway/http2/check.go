package http2

import (
	"slices"
	"time"
)

// Check ends what takes too long. It is called now and then.
func (c *Conn) Check(nowMS int64) {
	c.mu.Lock()
	if c.active || c.activeMS == 0 || len(c.serving) > 0 {
		c.active, c.activeMS = false, nowMS
	}
	quiet := time.Duration(nowMS-c.activeMS) * time.Millisecond
	switch {
	case c.isStalled(nowMS):
		c.close()
	case c.shutting || c.last:
		c.sayGoodbye(nowMS)
	case len(c.serving) == 0 && quiet > c.idleLimit():
		c.shutting, c.last = true, true
		c.sayGoodbye(nowMS)
	case len(c.serving) == 0 && quiet > keepWorkers:
		c.dismiss()
		if c.spare = nil; len(c.out) == 0 {
			c.out = nil
		}
	}
	if c.budgetMS != 0 {
		c.budget.give(int(min(1000, nowMS-c.budgetMS)) * budgetSecond / 1000)
	}
	c.budgetMS = nowMS
	workers := slices.Clone(c.serving)
	c.mu.Unlock()
	for _, w := range workers {
		w.Check(nowMS)
	}
}

// idleLimit is how long the connection may have no request; mu is held.
func (c *Conn) idleLimit() time.Duration {
	if c.begun {
		return c.conf.Idle
	}
	return c.conf.First
}

// keepWorkers is how long workers and room wait for another request.
const keepWorkers = 2 * time.Second

// isStalled says that the client has not read anything for long; mu is held.
func (c *Conn) isStalled(nowMS int64) bool {
	if !c.writing || c.stalledAt != c.writes {
		c.stalledAt, c.stalledMS = c.writes, nowMS
		return false
	}
	return time.Duration(nowMS-c.stalledMS)*time.Millisecond > c.conf.Stalled
}

// sayGoodbye goes on with Shutdown: when clients have had the time to learn of it, no
// more streams are taken; mu is held.
func (c *Conn) sayGoodbye(nowMS int64) {
	if c.shutMS == 0 {
		c.shutMS = nowMS
	}
	if !c.last && time.Duration(nowMS-c.shutMS)*time.Millisecond < c.conf.LastCall {
		return
	}
	c.last = true
	if !c.saidGoodbye {
		c.saidGoodbye, c.refusing = true, true
		c.sendGoAway(c.maxID, codeNo)
		_ = c.flushAside()
	}
	if len(c.serving) == 0 && !c.writing && len(c.out) == 0 {
		c.close()
	}
}

// Shutdown tells the client to begin no more requests, and ends the connection when
// those under way are answered. It does not wait.
func (c *Conn) Shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shutting {
		c.shutting = true
		c.sendGoAway(maxWindow, codeNo)
		_ = c.flushAside()
	}
}

// Shed ends the connection to make room for others, if it has answered a request and
// has none; false if not. Its client is told, and can ask again elsewhere what it is
// about to ask.
func (c *Conn) Shed(nowMS int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun || !c.idling() {
		return false
	}
	c.shutting, c.last = true, true
	c.sayGoodbye(nowMS)
	return true
}
