// Package resolver finds the addresses of names, by the hosts file and DNS, and
// keeps them for as long as their records say.
package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// ErrNotFound says that a name has no address.
var ErrNotFound = errors.New("name not found")

// Config says how a Resolver asks; zero values stand for the system's settings.
type Config struct {
	// Servers are name servers, address or address:port.
	Servers []string
	// Valid is how long an answer is used; 0 is as long as its records say.
	Valid time.Duration
	// Timeout bounds a look-up; 0 is five seconds.
	Timeout time.Duration
	// HostsFile and ResolvConf are /etc/hosts and /etc/resolv.conf if empty.
	HostsFile, ResolvConf string
	// NoSearch leaves the search domains of ResolvConf alone.
	NoSearch bool
}

// Bounds of how long an answer is used, and how long it is remembered that there
// was none.
const (
	minValid    = time.Second
	maxValid    = time.Hour
	missedValid = time.Second
	fileValid   = 5 * time.Second // of the hosts file
	maxNames    = 16 << 10        // that are remembered
)

// Resolver looks names up. It may be used by many goroutines at once.
type Resolver struct {
	conf  Config
	hosts hostsFile
	dns   client

	mu    sync.Mutex
	names map[string]*entry
}

// Answer is the addresses of a name, at least one, and until when they hold.
type Answer struct {
	Addrs []netip.Addr
	Until time.Time
}

// entry is a name that is known or being looked up.
type entry struct {
	done   chan struct{} // closed when what follows is set
	answer Answer
	err    error
}

// New makes a resolver.
func New(conf Config) *Resolver {
	conf.Timeout = cmp.Or(conf.Timeout, 5*time.Second)
	conf.HostsFile = cmp.Or(conf.HostsFile, "/etc/hosts")
	conf.ResolvConf = cmp.Or(conf.ResolvConf, "/etc/resolv.conf")
	return &Resolver{
		conf: conf, names: map[string]*entry{},
		hosts: hostsFile{path: conf.HostsFile},
		dns:   client{conf: conf},
	}
}

// One answers an address of a name, any of them if it has several.
func (r *Resolver) One(ctx context.Context, name string) (netip.Addr, error) {
	a, err := r.Lookup(ctx, name)
	if err != nil {
		return netip.Addr{}, err
	}
	return a.Addrs[rand.IntN(len(a.Addrs))], nil
}

// Lookup answers the addresses of a name: its IPv4 addresses, or the IPv6 ones if
// it has no other. An address is its own answer.
func (r *Resolver) Lookup(ctx context.Context, name string) (Answer, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return Answer{Addrs: []netip.Addr{addr}, Until: time.Now().Add(maxValid)}, nil
	}
	name = strings.ToLower(name)
	now := time.Now()
	r.mu.Lock()
	e := r.names[name]
	if e == nil || e.stale(now) {
		e = &entry{done: make(chan struct{})}
		r.remember(name, e, now)
		go r.fill(name, e)
	}
	r.mu.Unlock()
	select {
	case <-e.done:
		return e.answer, e.err
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("looking up %s: %w", name, ctx.Err())
	}
}

// stale says that an entry is of no more use.
func (e *entry) stale(now time.Time) bool {
	select {
	case <-e.done:
		return now.After(e.answer.Until)
	default:
		return false
	}
}

// remember enters a name; mu is held. When there are too many, the stale ones go,
// or all.
func (r *Resolver) remember(name string, e *entry, now time.Time) {
	if len(r.names) >= maxNames {
		for n, old := range r.names {
			if old.stale(now) {
				delete(r.names, n)
			}
		}
		if len(r.names) >= maxNames {
			clear(r.names)
		}
	}
	r.names[name] = e
}

// fill looks a name up. It is no request's own work: others wait for it too.
func (r *Resolver) fill(name string, e *entry) {
	defer close(e.done)
	ctx, cancel := context.WithTimeout(context.Background(), r.conf.Timeout)
	defer cancel()
	var valid time.Duration
	e.answer.Addrs, valid, e.err = r.find(ctx, name)
	e.answer.Until = time.Now().Add(valid)
}

func (r *Resolver) find(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	if addrs := r.hosts.lookup(name); len(addrs) > 0 {
		return addrs, fileValid, nil
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, maxValid, nil
	}
	addrs, ttl, err := r.dns.addrs(ctx, name)
	if err != nil {
		return nil, missedValid, fmt.Errorf("looking up %s: %w", name, err)
	}
	return addrs, r.conf.valid(ttl), nil
}

// valid is how long records of a TTL are used.
func (c *Config) valid(ttl time.Duration) time.Duration {
	if c.Valid > 0 {
		return c.Valid
	}
	return min(max(ttl, minValid), maxValid)
}
