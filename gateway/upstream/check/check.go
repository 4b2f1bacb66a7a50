// Package check finds out which nodes of an upstream are well: by probing them
// (active checks) and from what becomes of the requests of clients (passive ones).
//
// A Checker belongs to one upstream and has a Target for each of its nodes. All
// checkers of a process share a Scheduler, whose one goroutine starts the probes.
package check

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"millrace/resource"
)

// Node is what a checker has to know of a node.
type Node struct {
	Addr string // host:port as configured; it names the node
	Host string // name or address, without brackets
	Port int
}

// Checker checks the nodes of one upstream. Its methods may be called at once.
type Checker struct {
	name      string
	scheduler *Scheduler
	log       *slog.Logger
	// version grows when a node becomes usable or stops to be.
	version atomic.Uint64

	mu      sync.Mutex
	conf    *conf
	targets map[string]*Target
	order   []*Target
	stopped bool
	running int       // probes
	waiting []*Target // for a probe to end
}

// NewChecker makes a checker without nodes; name is what the Control API calls it.
func (s *Scheduler) NewChecker(name string) *Checker {
	c := &Checker{name: name, scheduler: s, log: s.log, targets: map[string]*Target{}}
	s.mu.Lock()
	s.checkers[c] = struct{}{}
	s.mu.Unlock()
	return c
}

// Set says how which nodes are checked from now on. What is known of a node that
// was there before stays known. Nodes that are new are probed after startDelay.
func (c *Checker) Set(checks *resource.Checks, nodes []Node) error {
	conf, err := compile(checks)
	if err != nil {
		return err
	}
	c.scheduler.add(c.set(conf, nodes))
	return nil
}

// set takes over what is to be checked and answers the targets that are new.
func (c *Checker) set(conf *conf, nodes []Node) (fresh []*Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	old := c.targets
	c.conf, c.targets, c.order = conf, make(map[string]*Target, len(nodes)), nil
	for _, n := range nodes {
		t := old[n.Addr]
		if t == nil {
			t = &Target{Node: n, checker: c}
			fresh = append(fresh, t)
		}
		delete(old, n.Addr)
		t.conf.Store(conf)
		c.targets[n.Addr] = t
		c.order = append(c.order, t)
	}
	for _, t := range old {
		t.gone.Store(true)
	}
	c.version.Add(1)
	return fresh
}

// Stop ends the checks for good.
func (c *Checker) Stop() {
	c.mu.Lock()
	c.stopped = true
	for _, t := range c.order {
		t.gone.Store(true)
	}
	c.mu.Unlock()
	c.scheduler.mu.Lock()
	delete(c.scheduler.checkers, c)
	c.scheduler.mu.Unlock()
}

// Target answers the target of a node, nil if it is not among those checked.
func (c *Checker) Target(addr string) *Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.targets[addr]
}

// Version changes whenever another set of nodes is usable.
func (c *Checker) Version() uint64 { return c.version.Load() }

// Health answers the present state.
func (c *Checker) Health() resource.Checker {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := resource.Checker{Name: c.name, Nodes: []resource.CheckedNode{}}
	if c.conf != nil {
		h.Type = c.conf.probe.kind
	}
	for _, t := range c.order {
		h.Nodes = append(h.Nodes, t.health(c.conf))
	}
	return h
}

// Health answers the state of all checkers, ordered by name.
func (s *Scheduler) Health() []resource.Checker {
	s.mu.Lock()
	checkers := make([]*Checker, 0, len(s.checkers))
	for c := range s.checkers {
		checkers = append(checkers, c)
	}
	s.mu.Unlock()
	all := make([]resource.Checker, 0, len(checkers))
	for _, c := range checkers {
		all = append(all, c.Health())
	}
	slices.SortFunc(all, func(a, b resource.Checker) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// compile makes checks ready to run.
func compile(checks *resource.Checks) (*conf, error) {
	p, err := newProbe(&checks.Active)
	if err != nil {
		return nil, fmt.Errorf("reading active checks: %w", err)
	}
	a := &checks.Active
	c := &conf{
		probe:       p,
		concurrency: max(1, a.Concurrency),
		healthy:     seconds(float64(max(1, a.Healthy.Interval))),
		unhealthy:   seconds(float64(max(1, a.Unhealthy.Interval))),
		active: limits{
			good: statuses(a.Healthy.HTTPStatuses), bad: statuses(a.Unhealthy.HTTPStatuses),
			CheckCounter: resource.CheckCounter{
				Success: a.Healthy.Successes, HTTPFailure: a.Unhealthy.HTTPFailures,
				TCPFailure: a.Unhealthy.TCPFailures, TimeoutFailure: a.Unhealthy.Timeouts,
			},
		},
	}
	if p := checks.Passive; p != nil {
		c.passive = &limits{
			good: statuses(p.Healthy.HTTPStatuses), bad: statuses(p.Unhealthy.HTTPStatuses),
			CheckCounter: resource.CheckCounter{
				Success: p.Healthy.Successes, HTTPFailure: p.Unhealthy.HTTPFailures,
				TCPFailure: p.Unhealthy.TCPFailures, TimeoutFailure: p.Unhealthy.Timeouts,
			},
		}
	}
	return c, nil
}
