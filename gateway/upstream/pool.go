package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/gateway/http1"
	"millrace/internal/rawio"
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

// Pool holds the endpoints and their idle connections.
type Pool struct {
	keep Keepalive // where an upstream says nothing else

	mu        sync.Mutex
	endpoints map[Key]*Endpoint
	closed    bool
}

// NewPool returns an empty pool; keep holds for upstreams without a
// keepalive_pool, over DefaultKeepalive. Run keeps the pool tidy.
func NewPool(keep Keepalive) *Pool {
	return &Pool{keep: keep.over(DefaultKeepalive), endpoints: map[Key]*Endpoint{}}
}

// Run closes connections that are idle for too long or were closed by their
// server, until ctx is done; then it closes all idle ones, and the pool keeps no
// more.
func (p *Pool) Run(ctx context.Context) {
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
			e.tls = &tls.Config{
				// APISIX does not verify the certificates of upstreams.
				InsecureSkipVerify: true,
				ServerName:         key.ServerName,
				ClientSessionCache: tls.NewLRUClientSessionCache(8),
			}
		}
		if !unknown {
			p.endpoints[key] = e
		}
	}
	return e
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
	tls  *tls.Config

	mu        sync.Mutex
	idle      []*Conn // the newest last
	used      time.Time
	forgotten bool // no longer in the pool
}

// Addr is the endpoint's IP:port.
func (e *Endpoint) Addr() string { return e.key.Addr }

// Take answers the idle connection used last, or nil.
func (e *Endpoint) Take() *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.idle)
	if n == 0 {
		return nil
	}
	c := e.idle[n-1]
	e.idle[n-1] = nil
	e.idle = e.idle[:n-1]
	return c
}

// Dial opens a connection.
func (e *Endpoint) Dial(ctx context.Context, timeout time.Duration) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var d net.Dialer
	dialled, err := d.DialContext(ctx, "tcp", e.key.Addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", e.key.Addr, err)
	}
	raw := rawio.NewConn(dialled)
	c := &Conn{Conn: raw, raw: raw, endpoint: e}
	if e.tls != nil {
		if err := c.handshake(ctx, e); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS with %s: %w", e.key.Addr, err)
		}
	}
	c.Reader = http1.NewReader(c.Conn, readBuffer)
	return c, nil
}

// readBuffer holds a usual answer, head and body.
const readBuffer = 4 << 10

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
	return e.forgotten
}

// Conn is a connection to an endpoint.
type Conn struct {
	net.Conn
	Reader *http1.Reader

	raw      net.Conn
	timed    atomic.Bool // a deadline is set
	endpoint *Endpoint
	served   int
	since    time.Time // idle since
}

// handshake speaks TLS over the connection.
func (c *Conn) handshake(ctx context.Context, e *Endpoint) error {
	conf := e.tls
	if e.key.ClientCert != "" {
		cert, err := tls.X509KeyPair([]byte(e.key.ClientCert), []byte(e.key.ClientKey))
		if err != nil {
			return err
		}
		conf = conf.Clone()
		conf.Certificates = []tls.Certificate{cert}
	}
	t := tls.Client(c.raw, conf)
	c.Conn = t
	return t.HandshakeContext(ctx)
}

// Fresh says that the connection has served no request yet.
func (c *Conn) Fresh() bool { return c.served == 0 }

// SetDeadline sets both deadlines, which also a kept-alive connection keeps.
func (c *Conn) SetDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is SetDeadline for reads.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is SetDeadline for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.timed.Store(true)
	return c.Conn.SetWriteDeadline(t)
}

// NoDeadline takes deadlines away if any may be set.
func (c *Conn) NoDeadline() {
	if c.timed.Load() {
		c.timed.Store(false)
		c.Conn.SetDeadline(time.Time{})
	}
}

// Release ends an exchange. The connection is kept for the next one if reusable
// is true and its settings allow it, else closed.
func (c *Conn) Release(reusable bool) {
	c.served++
	keep := c.endpoint.key.Keep
	if !reusable || keep.Size < 0 || c.served >= keep.Requests || c.Reader.Buffered() > 0 {
		c.Conn.Close()
		return
	}
	c.Reader.Next()
	c.endpoint.put(c)
}

// Alive looks whether the server has closed an idle connection. An idle server
// that sends something has lost the count of its answers and is dead as well.
func (c *Conn) Alive() bool {
	pending, open := Pending(c.raw)
	return open && !pending
}

// Pending looks into a connection without waiting: whether received bytes are
// waiting, and whether the peer has kept it open.
func Pending(conn net.Conn) (pending, open bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false, true
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false, false
	}
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		pending = n > 0
		open = n > 0 || err == syscall.EAGAIN || err == syscall.EINTR
	})
	return pending, open && err == nil
}
