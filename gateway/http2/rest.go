package http2

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// rest is how a connection on which nothing happens comes to rest.
type rest struct {
	// awaiting: the reader waits for a frame to begin. asked: it is asked to rest.
	// Each looks at the other's word after it has given its own.
	awaiting, asked atomic.Bool
	hasRested       bool
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Rest makes Serve return if there has been no request for so long. What a connection
// keeps while nobody serves it is little more than the state of its compression.
func (c *Conn) Rest(nowMS int64, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rest.asked.Load() || c.active || !c.quiet() || time.Duration(nowMS-c.activeMS)*time.Millisecond < after {
		return
	}
	c.rest.asked.Store(true)
	if c.rest.awaiting.Load() {
		c.nc.SetReadDeadline(past)
	} else {
		c.rest.asked.Store(false)
	}
}

// IdleUntil is when the connection has had no request for too long.
func (c *Conn) IdleUntil() (ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.activeMS + c.idleLimit().Milliseconds()
}

// idling says that the connection has no request, and need not end; mu is held.
func (c *Conn) idling() bool { return len(c.serving) == 0 && !c.shutting && !c.last && !c.closed }

// quiet says that nothing is to be sent either; mu is held.
func (c *Conn) quiet() bool { return c.idling() && !c.writing && len(c.out) == 0 }

// await waits for a frame to begin.
func (c *Conn) await() (rests bool, err error) {
	for c.frames.empty() {
		c.rest.awaiting.Store(true)
		err := c.frames.fill(1)
		c.rest.awaiting.Store(false)
		disturbed := c.rest.asked.Load() && c.endAsking(err)
		switch {
		case disturbed && c.settle():
			return true, nil
		case err != nil && !disturbed:
			return false, err
		}
	}
	return false, nil
}

// endAsking undoes Rest, and says whether reading ended with err because of it.
func (c *Conn) endAsking(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest.asked.Store(false)
	c.nc.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// settle gives up what a resting connection does not need; false if it cannot rest.
func (c *Conn) settle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.quiet() || c.headID != 0 {
		return false
	}
	c.dismiss()
	c.rest.hasRested = true
	// The decoder holds on to what it has read last, which was among the frames.
	_, _ = c.decoder.Write(harmlessField)
	_ = c.decoder.Close()
	c.out, c.spare, c.serving, c.streams, c.newWorker = nil, nil, nil, nil, nil
	c.head, c.frames = requestHead{}, frameReader{src: c.nc}
	return true
}

// harmlessField is ":method: GET" by its index, which changes nothing in a decoder.
var harmlessField = []byte{0x82}
