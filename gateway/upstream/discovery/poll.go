package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/resource"
)

// name is what a registry calls a service by.
type name struct {
	service string
	Args
}

// services are those that upstreams ask for, with what is known of them.
type services struct {
	mu     sync.Mutex
	byName map[name]*subscription
}

// subscription is a service that upstreams ask for.
type subscription struct {
	services *services
	name     name
	refs     int // guarded by services.mu
	list     atomic.Pointer[List]
	asked    chan struct{} // closed when the registry has been asked once
	once     sync.Once
	err      atomic.Pointer[error]
}

// get answers the subscription of a service; fresh says that it is new.
func (s *services) get(n name) (sub *subscription, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[name]*subscription{}
	}
	if sub = s.byName[n]; sub == nil {
		sub, fresh = &subscription{services: s, name: n, asked: make(chan struct{})}, true
		s.byName[n] = sub
	}
	sub.refs++
	return sub, fresh
}

// all answers the subscriptions there are.
func (s *services) all() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*subscription, 0, len(s.byName))
	for _, sub := range s.byName {
		list = append(list, sub)
	}
	return list
}

// dump answers what is known.
func (s *services) dump() map[string]*List {
	known := map[string]*List{}
	for _, sub := range s.all() {
		if l := sub.list.Load(); l != nil {
			known[sub.name.service] = l
		}
	}
	return known
}

// Close implements Service.
func (s *subscription) Close() {
	s.services.mu.Lock()
	defer s.services.mu.Unlock()
	if s.refs--; s.refs == 0 {
		delete(s.services.byName, s.name)
	}
}

// firstWait bounds the wait for a registry that has not been asked yet.
const firstWait = 5 * time.Second

var errNotAsked = errors.New("the registry has not answered yet")

// Nodes implements Service.
func (s *subscription) Nodes(ctx context.Context) (*List, error) {
	if l := s.list.Load(); l != nil {
		return l, nil
	}
	timer := time.NewTimer(firstWait)
	defer timer.Stop()
	select {
	case <-s.asked:
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l := s.list.Load(); l != nil {
		return l, nil
	}
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return nil, errNotAsked
}

// set takes over what a registry said. The same nodes stay the same list.
func (s *subscription) set(nodes []resource.Node) {
	if old := s.list.Load(); old == nil || !slices.Equal(old.Nodes, nodes) {
		s.list.Store(&List{Nodes: nodes})
	}
	s.once.Do(func() { close(s.asked) })
}

// fail notes that the registry could not be asked. What it said before stays.
func (s *subscription) fail(err error) {
	s.err.Store(&err)
	s.once.Do(func() { close(s.asked) })
}

// poller asks a registry again and again for all services that upstreams want.
type poller struct {
	services
	kind     string
	log      *slog.Logger
	interval time.Duration
	// fetch answers the nodes of those wanted services that the registry knows.
	fetch func(ctx context.Context, wanted []name) (map[name][]resource.Node, error)
	// everything answers the nodes of all services; nil for a registry that cannot
	// tell them.
	everything func(ctx context.Context) (map[name][]resource.Node, error)
	wake       chan struct{} // has room for one
}

// The wait after a failure grows from minRetry to maxRetry, unless the registry
// is asked more seldom anyway.
const (
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

func newPoller(kind string, log *slog.Logger, interval time.Duration) *poller {
	return &poller{kind: kind, log: log, interval: interval, wake: make(chan struct{}, 1)}
}

// service implements registry.
func (p *poller) service(service string, args Args) (Service, error) {
	sub, fresh := p.get(name{service, args})
	if fresh {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return sub, nil
}

// dumpTime bounds how long a registry is asked for all its services.
const dumpTime = 10 * time.Second

// dump implements registry: what upstreams ask for, and all else that there is.
func (p *poller) dump() map[string]*List {
	known := p.services.dump()
	if p.everything == nil {
		return known
	}
	ctx, cancel := context.WithTimeout(context.Background(), dumpTime)
	defer cancel()
	all, err := p.everything(ctx)
	if err != nil {
		p.log.Warn("asking a registry for all its services", "registry", p.kind, "err", err)
	}
	for n, nodes := range all {
		known[n.service] = &List{Nodes: nodes}
	}
	return known
}

// run implements registry.
func (p *poller) run(ctx context.Context) {
	retry := minRetry
	for {
		wait := p.interval
		if err := p.poll(ctx); err == nil {
			retry = minRetry
		} else if ctx.Err() == nil {
			p.log.Warn("asking a registry; what it said before stays", "registry", p.kind, "err", err)
			wait = retry
			retry = min(2*retry, max(maxRetry, p.interval))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-p.wake:
			timer.Stop()
		}
	}
}

// poll asks once.
func (p *poller) poll(ctx context.Context) error {
	subs := p.all()
	if len(subs) == 0 {
		return nil
	}
	wanted := make([]name, len(subs))
	for i, s := range subs {
		wanted[i] = s.name
	}
	found, err := p.fetch(ctx, wanted)
	for _, s := range subs {
		switch nodes, ok := found[s.name]; {
		case ok:
			s.set(nodes)
		case err == nil:
			s.set(nil)
		default:
			s.fail(fmt.Errorf("asking %s: %w", p.kind, err))
		}
	}
	return err
}
