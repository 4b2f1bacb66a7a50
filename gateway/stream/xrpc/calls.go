package xrpc

import (
	"errors"
	"maps"
	"slices"
	"sync"
)

const (
	// maxWaiting bounds the calls of a connection that have no answer, in bytes of
	// memory; a client that makes more of them waits.
	maxWaiting = 8 << 20
	// callSize is what one of them takes besides its text, about.
	callSize = 200
)

// ErrClosed says that the conversation has been closed.
var ErrClosed = errors.New("the conversation has been closed")

// calls are those of a connection that wait for answers, by their ids.
type calls struct {
	mu     sync.Mutex
	room   sync.Cond
	by     map[uint64]*Call
	size   int
	closed bool
}

func newCalls() *calls {
	c := &calls{by: map[uint64]*Call{}}
	c.room.L = &c.mu
	return c
}

func (c *Call) size() int { return callSize + len(c.Line) }

// add enters a call, when there is room for it. One of the same id is replaced.
func (c *calls) add(id uint64, call *Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.size >= maxWaiting && !c.closed {
		c.room.Wait()
	}
	if c.closed {
		return ErrClosed
	}
	c.remove(id)
	c.by[id] = call
	c.size += call.size()
	return nil
}

// find answers the call of an id, nil if there is none.
func (c *calls) find(id uint64) *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[id]
}

// take answers the call of an id, which no longer waits; nil if there is none.
func (c *calls) take(id uint64) *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remove(id)
}

func (c *calls) remove(id uint64) *Call {
	call := c.by[id]
	if call != nil {
		delete(c.by, id)
		c.size -= call.size()
		c.room.Signal()
	}
	return call
}

// Unanswered implements Conversation.
func (c *calls) Unanswered() []*Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Call
	for _, id := range slices.Sorted(maps.Keys(c.by)) {
		all = append(all, c.by[id])
	}
	clear(c.by)
	return all
}

// Close implements Conversation.
func (c *calls) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.room.Broadcast()
}
