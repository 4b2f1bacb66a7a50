package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/upstream"
)

// errSlowClient says that a client has not gone on with its request in time.
var errSlowClient = errors.New("client is too slow")

// shedAtOnce is how many idle connections are closed to make room for new ones.
const shedAtOnce = 32

func (c *Config) fillLimits() {
	c.MaxHeaderLine = cmp.Or(c.MaxHeaderLine, http1.MaxLine)
	c.MaxHeader = cmp.Or(c.MaxHeader, http1.MaxHead)
}

// lastRequest says whether a connection ends with its n-th request.
func (c *Config) lastRequest(n int64) bool {
	return c.KeepaliveRequests > 0 && n >= int64(c.KeepaliveRequests)
}

// admit counts a connection that has been accepted; false if there are too many. Idle
// ones make room first: their clients have to expect that they are closed.
func (l *listener) admit() bool {
	g := l.g
	open, limit := g.open.Add(1), int64(g.conf.MaxConns)
	if limit <= 0 || open <= limit || l.shed() > 0 {
		return true
	}
	g.open.Add(-1)
	g.log.Warn("a client is sent away: there are as many connections as may be", "limit", limit)
	return false
}

// shed closes some idle connections and answers how many.
func (l *listener) shed() (n int) {
	if n = l.shedParked(); n > 0 {
		return n
	}
	l.each(func(c *clientConn) {
		if n < shedAtOnce && c.shed() {
			n++
		}
	})
	return n
}

// shed closes the connection if it has served a request and waits for another.
func (c *clientConn) shed() bool {
	if h := c.h2.Load(); h != nil {
		return h.Shed(c.l.g.clock.ms.Load())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idle.Load() || c.begun.Load() || c.aborted || c.shut || c.requests.Load() == 0 {
		return false
	}
	if pending, _ := upstream.Pending(c.raw); pending {
		return false
	}
	c.shut = true
	c.Conn.SetReadDeadline(past)
	return true
}

// expire ends what takes too long, unless that is over meanwhile.
func (c *clientConn) expire(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if dl := c.deadline.Load(); dl != 0 && now > dl {
		c.Conn.SetDeadline(past)
	}
}

// tooSlow says whether reading ended with err because the client took too long. If so,
// it can be told.
func (c *clientConn) tooSlow(err error) bool {
	if !isTimeout(err) || c.streams() || !c.timedOut() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relax()
	return !c.aborted && c.Conn.SetDeadline(time.Time{}) == nil
}

// bodyError says how reading a request's body failed.
func (c *clientConn) bodyError(err error) error {
	switch {
	case errors.Is(err, http1.ErrMalformed), err == io.EOF:
		return err
	case c.tooSlow(err):
		return errSlowClient
	}
	return fmt.Errorf("%w: %w", errClientGone, err)
}
