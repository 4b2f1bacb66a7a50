package upstream

import (
	"sync"
	"sync/atomic"

	"millrace/gateway/upstream/check"
	"millrace/resource"
)

// shared is what is known of the nodes of a configured upstream. It is found by
// the upstream's key, so that it outlives changes of the configuration.
type shared struct {
	key string
	// The pool guards how many compiled upstreams use it, and the one compiled last.
	refs   int
	newest *Upstream

	mu      sync.Mutex
	states  map[string]*state // by Addr
	checker *check.Checker    // nil without health checks
	latest  uint64            // serial of the newest upstream in use
	closed  bool
}

// state is what balancers have to know of a node.
type state struct {
	active  atomic.Int64 // requests in flight, under least_conn
	latency latency
}

// share gives u what is shared under its key, which may be empty.
func (p *Pool) share(u *Upstream, key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shared[key]
	if s == nil {
		s = &shared{key: key, states: map[string]*state{}}
		if key != "" {
			p.shared[key] = s
		}
	}
	p.serial++
	u.shared, u.serial = s, p.serial
	s.refs++
	s.newest = u
}

// unshare undoes share. What is left of the health checks is for the newest upstream
// with the key; the last one ends them.
func (p *Pool) unshare(s *shared) {
	p.mu.Lock()
	s.refs--
	last, newest := s.refs == 0, s.newest
	if last && s.key != "" {
		delete(p.shared, s.key)
	}
	p.mu.Unlock()
	if !last {
		newest.takeOver()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.checker != nil {
		s.checker.Stop()
		s.checker = nil
	}
}

// takeOver goes on with the checks of an upstream that had the key before: else those
// would go on as they were until a request uses this one.
func (u *Upstream) takeOver() {
	if u.closed.Load() || u.rotation.Load() != nil {
		return
	}
	u.shared.mu.Lock()
	checked := u.shared.checker != nil
	u.shared.mu.Unlock()
	if checked {
		u.rotate(nil)
	}
}

// keep answers the states of nodes and forgets those of others that are idle.
func (s *shared) keep(nodes []*Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		current[n.Addr] = true
		if n.state = s.states[n.Addr]; n.state == nil {
			n.state = &state{}
			s.states[n.Addr] = n.state
		}
	}
	for addr, st := range s.states {
		if !current[addr] && st.active.Load() == 0 {
			delete(s.states, addr)
		}
	}
}

// watch begins or goes on to check nodes, as the newest upstream that is in use
// says, and answers the checker; nil if there is none.
func (s *shared) watch(u *Upstream, checks *resource.Checks, nodes []*Node) *check.Checker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || u.serial < s.latest {
		return s.checker
	}
	s.latest = u.serial
	if checks == nil {
		if s.checker != nil {
			s.checker.Stop()
			s.checker = nil
		}
		return nil
	}
	if s.checker == nil {
		s.checker = u.pool.scheduler.NewChecker(s.key)
	}
	list := make([]check.Node, len(nodes))
	for i, n := range nodes {
		list[i] = check.Node{Addr: n.Addr, Host: n.host, Port: n.port}
	}
	if u.HostMode == PassFixedHost && checks.Active.Host == "" {
		own := *checks
		own.Active.Host = u.FixedHost
		checks = &own
	}
	if err := s.checker.Set(checks, list); err != nil {
		u.pool.log.Error("setting up health checks", "upstream", s.key, "err", err)
	}
	return s.checker
}
