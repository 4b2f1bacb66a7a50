package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// ErrUnresolved says that a node's name has no address; its requests are
// answered with 503.
var ErrUnresolved = errors.New("name not resolved")

// How long the addresses of a name are used, and how long a look-up may take.
const (
	resolveTTL     = 5 * time.Second
	resolveTimeout = 5 * time.Second
)

// Node is one server of an upstream.
type Node struct {
	// Addr is host:port as configured, HostField what the server is sent as
	// Host under pass_host node.
	Addr, HostField  string
	Weight, Priority int

	upstream *Upstream
	host     string
	port     int
	fixed    bool // host is an address

	mu       sync.Mutex // held while resolving
	resolved atomic.Pointer[resolved]
}

// resolved are the endpoints of a node and until when they hold.
type resolved struct {
	endpoints []*Endpoint
	until     time.Time
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
		key := e.key
		key.ServerName = serverName
		return n.upstream.pool.Endpoint(key), nil
	}
	return e, nil
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
	addrs := []string{n.host}
	if !n.fixed {
		var err error
		if addrs, err = lookup(ctx, n.host); err != nil {
			return nil, err
		}
	}
	r := &resolved{until: time.Now().Add(resolveTTL)}
	for _, a := range addrs {
		key := n.upstream.key
		key.Addr = net.JoinHostPort(a, strconv.Itoa(n.port))
		r.endpoints = append(r.endpoints, n.upstream.pool.Endpoint(key))
	}
	n.resolved.Store(r)
	return r, nil
}

// lookup answers the IPv4 addresses of a name, or its IPv6 ones if it has none.
func lookup(ctx context.Context, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnresolved, err)
	}
	var v4, v6 []string
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			v4 = append(v4, ip.String())
		} else {
			v6 = append(v6, ip.String())
		}
	}
	if len(v4) > 0 {
		return v4, nil
	}
	if len(v6) > 0 {
		return v6, nil
	}
	return nil, ErrUnresolved
}
