package check

import (
	"sync"
	"sync/atomic"
	"time"

	"millrace/resource"
)

// Status is what is thought of a node. The middle two say that results speak
// against it, but not yet enough of them.
type Status uint8

// Every node is healthy to begin with.
const (
	Healthy Status = iota
	MostlyHealthy
	MostlyUnhealthy
	Unhealthy
)

var statusNames = [...]string{"healthy", "mostly_healthy", "mostly_unhealthy", "unhealthy"}

// Result is what came of a request or a probe.
type Result struct {
	Kind   Kind
	Status int // of an Answered request
}

// Kind is the kind of a result.
type Kind uint8

// The kinds of results. Connected is enough for a probe of type tcp.
const (
	Answered Kind = iota
	Connected
	Failed // could not connect, or the connection broke
	TimedOut
)

// conf is how a checker checks.
type conf struct {
	probe              *probe
	concurrency        int
	healthy, unhealthy time.Duration // between two probes
	active             limits
	passive            *limits // nil if there are no passive checks
}

// limits say how many results of a kind change the status; 0 means that they
// are not counted.
type limits struct {
	resource.CheckCounter
	good, bad statusSet
}

// statusSet is a set of HTTP statuses below 640.
type statusSet [10]uint64

func statuses(list []int) (s statusSet) {
	for _, n := range list {
		if n >= 0 && n < 64*len(s) {
			s[n/64] |= 1 << (n % 64)
		}
	}
	return s
}

func (s *statusSet) has(n int) bool {
	return n >= 0 && n < 64*len(s) && s[n/64]&(1<<(n%64)) != 0
}

// Target is a node that is checked.
type Target struct {
	Node
	checker *Checker
	conf    atomic.Pointer[conf]
	down    atomic.Bool // not usable
	gone    atomic.Bool // no longer checked

	mu       sync.Mutex
	status   Status
	counters resource.CheckCounter
	ip       string // where it was probed last
}

// Usable says whether the node should be sent requests.
func (t *Target) Usable() bool { return !t.down.Load() }

// Report takes in what came of a client's request.
func (t *Target) Report(r Result) {
	if conf := t.conf.Load(); conf.passive != nil && !t.gone.Load() {
		t.count(conf.passive, r)
	}
}

// count takes in a result. A success undoes the failures before it and the other
// way round; what agrees with a firm status is not counted.
func (t *Target) count(l *limits, r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, limit, good := t.counter(l, r)
	if limit == 0 || good && t.status == Healthy || !good && t.status == Unhealthy {
		return
	}
	*n++
	if good {
		t.counters = resource.CheckCounter{Success: *n}
	} else {
		t.counters.Success = 0
	}
	switch {
	case *n >= limit && good:
		t.become(Healthy)
	case *n >= limit:
		t.become(Unhealthy)
	case t.status == Healthy:
		t.become(MostlyHealthy)
	case t.status == Unhealthy:
		t.become(MostlyUnhealthy)
	}
}

// counter finds what a result counts for; limit 0 if for nothing.
func (t *Target) counter(l *limits, r Result) (n *int, limit int, good bool) {
	c := &t.counters
	switch {
	case r.Kind == Failed:
		return &c.TCPFailure, l.TCPFailure, false
	case r.Kind == TimedOut:
		return &c.TimeoutFailure, l.TimeoutFailure, false
	case r.Kind == Connected, l.good.has(r.Status):
		return &c.Success, l.Success, true
	case l.bad.has(r.Status):
		return &c.HTTPFailure, l.HTTPFailure, false
	}
	return nil, 0, false
}

// become changes the status; mu is held.
func (t *Target) become(s Status) {
	t.status = s
	down := s >= MostlyUnhealthy
	if t.down.Swap(down) == down {
		return
	}
	t.checker.version.Add(1)
	level := t.checker.log.Info
	if down {
		level = t.checker.log.Warn
	}
	level("health of a node has changed", "upstream", t.checker.name, "node", t.Addr, "status", statusNames[s])
}

// interval is the time to the next probe.
func (t *Target) interval(c *conf) time.Duration {
	if t.Usable() {
		return c.healthy
	}
	return c.unhealthy
}

func (t *Target) health(c *conf) resource.CheckedNode {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := resource.CheckedNode{IP: t.ip, Port: t.Port, Hostname: t.Host, Status: statusNames[t.status], Counter: t.counters}
	if h.IP == "" {
		h.IP = t.Host
	}
	if c.probe.port != 0 {
		h.Port = c.probe.port
	}
	if c.probe.host != "" {
		h.Hostname = c.probe.host
	}
	return h
}

// Usable says whether a node with this status is sent requests.
func Usable(status string) bool {
	return status == statusNames[Healthy] || status == statusNames[MostlyHealthy]
}
