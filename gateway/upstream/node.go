package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/upstream/check"
)

// ErrUnresolved says that a node's name has no address, so that it is passed over.
var ErrUnresolved = errors.New("name not resolved")

// retryAfter is how long name servers are left alone that have failed.
const retryAfter = time.Second

// Node is one server of an upstream.
type Node struct {
	// Addr is host:port as configured, HostField what the server is sent as
	// Host under pass_host node.
	Addr, HostField  string
	Weight, Priority int

	upstream *Upstream
	host     string
	port     int
	fixed    bool          // host is an address
	state    *state        // nil unless the balancer needs it
	target   *check.Target // nil without health checks

	mu       sync.Mutex // held while resolving
	resolved atomic.Pointer[resolved]
}

// resolved are the endpoints of a node and until when they hold.
type resolved struct {
	endpoints []*Endpoint
	until     time.Time
	last      atomic.Pointer[Endpoint] // that was asked for by a server name
}

// Endpoint answers where the node is reached; serverName is the name asked of a
// TLS upstream. A name with several addresses gives one of them at random.
func (n *Node) Endpoint(ctx context.Context, serverName string) (*Endpoint, error) {
	r := n.resolved.Load()
	if r == nil || !n.fixed && time.Now().After(r.until) {
		var err error
		if r, err = n.refresh(ctx, r); err != nil {
			return nil, err
		}
	}
	e := r.endpoints[0]
	if len(r.endpoints) > 1 {
		e = r.endpoints[rand.IntN(len(r.endpoints))]
	}
	if n.upstream.TLS && e.key.ServerName != serverName {
		return r.asked(e, serverName), nil
	}
	return e, nil
}

// asked answers the endpoint at e's address for a server name. The one asked for
// last is at hand, since most requests of an upstream ask for the same.
func (r *resolved) asked(e *Endpoint, serverName string) *Endpoint {
	if last := r.last.Load(); last != nil && last.key.ServerName == serverName && last.key.Addr == e.key.Addr {
		return last
	}
	key := e.key
	key.ServerName = serverName
	named := e.pool.Endpoint(key)
	r.last.Store(named)
	return named
}

// refresh resolves the node's name. While one request does, others go on with
// the addresses known before.
func (n *Node) refresh(ctx context.Context, old *resolved) (*resolved, error) {
	if old != nil && !n.mu.TryLock() {
		return old, nil
	}
	if old == nil {
		n.mu.Lock()
	}
	defer n.mu.Unlock()
	if r := n.resolved.Load(); r != old {
		return r, nil
	}
	answer, err := n.upstream.pool.resolver.Lookup(ctx, n.host)
	if err != nil {
		if old != nil { // the last good addresses; others need not ask at once again
			kept := &resolved{endpoints: old.endpoints, until: time.Now().Add(retryAfter)}
			n.resolved.Store(kept)
			return kept, nil
		}
		return nil, fmt.Errorf("%w: %w", ErrUnresolved, err)
	}
	r := &resolved{until: answer.Until}
	for _, a := range answer.Addrs {
		key := *n.upstream.key
		key.Addr = netip.AddrPortFrom(a, uint16(n.port)).String()
		r.endpoints = append(r.endpoints, n.upstream.pool.Endpoint(key))
	}
	n.resolved.Store(r)
	return r, nil
}
