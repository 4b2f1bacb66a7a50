package api

import (
	"context"
	"sync"
)

// gate lets few in at once, who may take much memory. Those of one namespace wait
// for one another, so that they leave room for others.
type gate struct {
	ofOne int // how many of one namespace
	all   chan struct{}
	mu    sync.Mutex
	of    map[string]*turnstile
}

// turnstile is the gate of one namespace; it is forgotten when nobody uses it.
type turnstile struct {
	in    chan struct{}
	users int
}

func newGate(ofOne, all int) *gate {
	return &gate{ofOne: ofOne, all: make(chan struct{}, all), of: map[string]*turnstile{}}
}

// enter waits for its turn, until ctx ends. leave must be called after a success.
func (g *gate) enter(ctx context.Context, namespace string) (leave func(), err error) {
	t := g.use(namespace)
	select {
	case t.in <- struct{}{}:
	case <-ctx.Done():
		g.forget(namespace, t)
		return nil, ctx.Err()
	}
	select {
	case g.all <- struct{}{}:
	case <-ctx.Done():
		<-t.in
		g.forget(namespace, t)
		return nil, ctx.Err()
	}
	return func() {
		<-g.all
		<-t.in
		g.forget(namespace, t)
	}, nil
}

func (g *gate) use(namespace string) *turnstile {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of[namespace]
	if t == nil {
		t = &turnstile{in: make(chan struct{}, g.ofOne)}
		g.of[namespace] = t
	}
	t.users++
	return t
}

func (g *gate) forget(namespace string, t *turnstile) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(g.of, namespace)
	}
}
