package invoke

import (
	"context"
	"sync/atomic"
)

// calls counts the calls in progress. Unlike a WaitGroup it may be waited for
// while new calls begin.
type calls struct {
	n       atomic.Int64
	waiting atomic.Int32
	zero    chan struct{} // has room for one
}

func (c *calls) add() { c.n.Add(1) }

func (c *calls) done() {
	if c.n.Add(-1) == 0 && c.waiting.Load() > 0 {
		c.signal()
	}
}

func (c *calls) signal() {
	select {
	case c.zero <- struct{}{}:
	default:
	}
}

// wait returns when there is no call, or with ctx's error.
func (c *calls) wait(ctx context.Context) error {
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	for c.n.Load() > 0 {
		select {
		case <-c.zero:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.signal() // another one may wait too
	return nil
}
