package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"millrace/gateway/upstream/check"
	"millrace/gateway/upstream/discovery"
	"millrace/gateway/upstream/resolver"
	"millrace/resource"
)

// Keepalive bounds the idle connections of an endpoint.
type Keepalive struct {
	Size     int           // idle connections kept; none below 0
	Idle     time.Duration // how long one is kept
	Requests int           // requests that one connection serves
}

// DefaultKeepalive holds where an upstream has no keepalive_pool.
var DefaultKeepalive = Keepalive{Size: 320, Idle: 60 * time.Second, Requests: 1000}

// over answers k with def for what it leaves out.
func (k Keepalive) over(def Keepalive) Keepalive {
	return Keepalive{cmp.Or(k.Size, def.Size), cmp.Or(k.Idle, def.Idle), cmp.Or(k.Requests, def.Requests)}
}

// Key tells endpoints apart: connections are shared between all upstreams that
// agree in it.
type Key struct {
	Addr                  string // IP:port
	TLS                   bool
	ServerName            string
	Protocol              string // asked for by ALPN; empty for HTTP/1.1
	ClientCert, ClientKey string // PEM
	Keep                  Keepalive
}

// sweepEvery is how often idle connections are looked through.
const sweepEvery = 5 * time.Second

// forgetAfter is how long an unused endpoint is remembered.
const forgetAfter = 5 * time.Minute

// maxNamed is from how many endpoints on no more are remembered for a name that a
// request asked of a TLS upstream: clients can make up any number of names.
const maxNamed = 4096

// Settings are what a Pool is made of; all may be left out.
type Settings struct {
	Log *slog.Logger
	// Keepalive holds for upstreams without a keepalive_pool, over DefaultKeepalive.
	Keepalive Keepalive
	// Resolver finds the addresses of nodes that are names; nil is one with the
	// system's settings.
	Resolver *resolver.Resolver
	// Registries are where upstreams with a service_name find their nodes.
	Registries *discovery.Registries
	// NoChecks: the health of no node is checked.
	NoChecks bool
}

// Pool holds what outlives upstreams: the endpoints and their idle connections,
// the health of nodes and the counters of balancers.
type Pool struct {
	log        *slog.Logger
	keep       Keepalive // where an upstream says nothing else
	resolver   *resolver.Resolver
	registries *discovery.Registries
	scheduler  *check.Scheduler
	usual      [2]Key // of upstreams with nothing of their own, without and with TLS
	unchecked  bool   // the health of no node is checked

	mu        sync.Mutex
	endpoints map[Key]*Endpoint
	shared    map[string]*shared
	serial    uint64
	closed    bool
}

// NewPool returns an empty pool. Run keeps it tidy and checks nodes.
func NewPool(s Settings) *Pool {
	p := &Pool{
		log: s.Log, keep: s.Keepalive.over(DefaultKeepalive), resolver: s.Resolver,
		registries: s.Registries, unchecked: s.NoChecks,
		endpoints: map[Key]*Endpoint{}, shared: map[string]*shared{},
	}
	p.usual = [2]Key{{Keep: p.keep}, {TLS: true, Keep: p.keep}}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.resolver == nil {
		p.resolver = resolver.New(resolver.Config{})
	}
	p.scheduler = check.NewScheduler(p.log, p.resolver.One)
	return p
}

// Health answers the state of all checked nodes, by the keys of their upstreams.
func (p *Pool) Health() []resource.Checker { return p.scheduler.Health() }

// Run checks nodes, follows registries and closes connections that are idle for
// too long or were closed by their server, until ctx is done; then it closes all
// idle ones, and the pool keeps no more.
func (p *Pool) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { p.scheduler.Run(ctx) })
	running.Go(func() { p.registries.Run(ctx) })
	defer running.Wait()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.close()
			return
		case now := <-tick.C:
			p.sweep(now)
		}
	}
}

func (p *Pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, e := range p.endpoints {
		e.close()
	}
	clear(p.endpoints)
}

func (p *Pool) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, e := range p.endpoints {
		if e.sweep(now) {
			delete(p.endpoints, key)
		}
	}
}

// Endpoint answers the endpoint of a key, a new one if it is not known.
func (p *Pool) Endpoint(key Key) *Endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.endpoints[key]
	if e == nil {
		unknown := p.closed || p.full(key)
		e = &Endpoint{key: key, pool: p, used: time.Now(), forgotten: unknown}
		if key.TLS {
			e.tls, e.certErr = key.tls()
		}
		if !unknown {
			p.endpoints[key] = e
		}
	}
	return e
}

// common answers a key that is not changed, one for all upstreams that have nothing
// of their own: it is large, and they are many.
func (p *Pool) common(key Key) *Key {
	for i := range p.usual {
		if p.usual[i] == key {
			return &p.usual[i]
		}
	}
	return &key
}

// tls is how TLS is spoken. The error is that of a client certificate.
func (k *Key) tls() (*tls.Config, error) {
	conf := &tls.Config{
		// APISIX does not verify the certificates of upstreams.
		InsecureSkipVerify: true,
		ServerName:         k.ServerName,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if k.Protocol != "" {
		conf.NextProtos = []string{k.Protocol}
	}
	if k.ClientCert == "" {
		return conf, nil
	}
	cert, err := tls.X509KeyPair([]byte(k.ClientCert), []byte(k.ClientKey))
	if err != nil {
		return conf, fmt.Errorf("reading the client certificate: %w", err)
	}
	conf.Certificates = []tls.Certificate{cert}
	return conf, nil
}

// full says that there is no room for another endpoint like this; mu is held.
func (p *Pool) full(key Key) bool { return key.ServerName != "" && len(p.endpoints) >= maxNamed }

// revive enters a forgotten endpoint again, unless another has its place.
func (p *Pool) revive(e *Endpoint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.full(e.key) || p.endpoints[e.key] != nil {
		return false
	}
	e.mu.Lock()
	e.forgotten = false
	e.mu.Unlock()
	p.endpoints[e.key] = e
	return true
}

// Endpoint is one address with its idle connections.
type Endpoint struct {
	key  Key
	pool *Pool
	tls  *tls.Config // nil without TLS
	// certErr is why there can be no handshake.
	certErr error

	mu        sync.Mutex
	idle      []*Conn         // the newest last
	h2        *http.Transport // nil until it is called by HTTP/2
	used      time.Time
	forgotten bool // no longer in the pool
}

// Addr is the endpoint's IP:port.
func (e *Endpoint) Addr() string { return e.key.Addr }

// Take answers the idle connection used last, or nil. Those that have been idle for
// too long are left to sweep.
func (e *Endpoint) Take() *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.idle)
	if n == 0 {
		return nil
	}
	c := e.idle[n-1]
	if c.rested = time.Since(c.since); c.rested >= e.key.Keep.Idle {
		return nil
	}
	e.idle[n-1] = nil
	e.idle = e.idle[:n-1]
	return c
}

// put keeps an idle connection, or closes it.
func (e *Endpoint) put(c *Conn) {
	now := time.Now()
	e.mu.Lock()
	e.used = now
	if e.forgotten {
		e.mu.Unlock()
		if !e.pool.revive(e) {
			c.Conn.Close()
			return
		}
		e.mu.Lock()
	}
	if len(e.idle) >= e.key.Keep.Size {
		oldest := e.idle[0]
		e.idle = append(e.idle[:0], e.idle[1:]...)
		defer oldest.Conn.Close()
	}
	c.since = now
	e.idle = append(e.idle, c)
	e.mu.Unlock()
}

func (e *Endpoint) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.idle {
		c.Conn.Close()
	}
	e.idle, e.forgotten = nil, true
	e.closeHTTP2()
}

// sweep closes what should not be kept and says whether the endpoint itself may
// be forgotten.
func (e *Endpoint) sweep(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.idle[:0]
	for _, c := range e.idle {
		if now.Sub(c.since) >= e.key.Keep.Idle || !c.Alive() {
			c.Conn.Close()
			continue
		}
		kept = append(kept, c)
	}
	clear(e.idle[len(kept):])
	e.idle = kept
	e.forgotten = len(kept) == 0 && now.Sub(e.used) > forgetAfter
	if e.forgotten {
		e.closeHTTP2()
	}
	return e.forgotten
}

// closeHTTP2 closes the HTTP/2 connections that no request uses; mu is held.
func (e *Endpoint) closeHTTP2() {
	if e.h2 != nil {
		e.h2.CloseIdleConnections()
		e.h2 = nil
	}
}
