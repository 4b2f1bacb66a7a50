// Package serving serves the listeners of a server side by side, and stops them
// together: they take nothing new, what they have taken may end, and what is left
// when the time for that is over is aborted.
package serving

import (
	"context"
	"sync"
	"time"
)

// Listener is one that is served.
type Listener interface {
	comparable
	// Accept takes what comes until Drain is called or it cannot go on, and answers why
	// it could not.
	Accept() error
	// Drain makes Accept end soon, and asks what is idle to end.
	Drain()
	// Wait returns when all that was taken has ended.
	Wait()
	// Abort ends what is left. It is called until Wait has returned.
	Abort()
}

// abortEvery is how often what is left is aborted: it may be at a step that does not
// notice.
const abortEvery = 100 * time.Millisecond

// Group is the listeners of a server.
type Group[L Listener] struct {
	drainTimeout time.Duration

	ctx       context.Context // ends when the server is stopped for good
	stop      context.CancelFunc
	draining  chan struct{} // closed by Shutdown
	mu        sync.Mutex    // held to close draining and to add to serving and listeners
	serving   sync.WaitGroup
	listeners map[L]struct{}
}

// New makes a group without listeners. drainTimeout bounds how long Serve waits for what
// was taken when its context ends.
func New[L Listener](drainTimeout time.Duration) *Group[L] {
	g := &Group[L]{drainTimeout: drainTimeout, draining: make(chan struct{}), listeners: map[L]struct{}{}}
	g.ctx, g.stop = context.WithCancel(context.Background())
	return g
}

// Context ends when the group is stopped for good: after Shutdown has returned, or its
// own context has ended.
func (g *Group[L]) Context() context.Context { return g.ctx }

// Draining is closed when Shutdown is called.
func (g *Group[L]) Draining() <-chan struct{} { return g.draining }

// Stopping tells whether Shutdown has been called.
func (g *Group[L]) Stopping() bool {
	select {
	case <-g.draining:
		return true
	default:
		return false
	}
}

// Each calls fn for each listener that is being served.
func (g *Group[L]) Each(fn func(L)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range g.listeners {
		fn(l)
	}
}

// Serve serves a listener until ctx ends or Shutdown is called, drains it and returns nil
// when all that it took has ended; or the error with which Accept ended. After Shutdown it
// does nothing.
func (g *Group[L]) Serve(ctx context.Context, l L) error {
	if !g.enter(l) {
		return nil
	}
	defer g.leave(l)
	accepted := make(chan error, 1)
	go func() { accepted <- l.Accept() }()
	err, accepting := error(nil), true
	select {
	case err = <-accepted:
		accepting = false
	case <-ctx.Done():
	case <-g.draining:
	}
	l.Drain()
	if accepting {
		err = <-accepted
	}
	g.finish(ctx, l)
	if ctx.Err() != nil || g.Stopping() {
		return nil
	}
	return err
}

// enter adds a listener, unless the group is stopping.
func (g *Group[L]) enter(l L) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Stopping() {
		return false
	}
	g.serving.Add(1)
	g.listeners[l] = struct{}{}
	return true
}

func (g *Group[L]) leave(l L) {
	g.mu.Lock()
	delete(g.listeners, l)
	g.mu.Unlock()
	g.serving.Done()
}

// finish waits for what a listener has taken, and aborts it when the time is over.
func (g *Group[L]) finish(ctx context.Context, l L) {
	ended := make(chan struct{})
	go func() {
		l.Wait()
		close(ended)
	}()
	var limit <-chan time.Time
	if ctx.Err() != nil {
		t := time.NewTimer(g.drainTimeout)
		defer t.Stop()
		limit = t.C
	}
	select {
	case <-ended:
		return
	case <-limit:
	case <-g.ctx.Done():
	}
	for {
		l.Abort()
		select {
		case <-ended:
			return
		case <-time.After(abortEvery):
		}
	}
}

// Shutdown makes all Serve calls drain and waits for them. When ctx ends first, what is
// left is aborted.
func (g *Group[L]) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	if !g.Stopping() {
		close(g.draining)
	}
	g.mu.Unlock()
	defer g.stop()
	served := make(chan struct{})
	go func() {
		g.serving.Wait()
		close(served)
	}()
	select {
	case <-served:
		return nil
	case <-ctx.Done():
		g.stop()
		<-served
		return ctx.Err()
	}
}
