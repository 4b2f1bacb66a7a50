package stream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/upstream"
	"millrace/plugin"
)

// session is one connection, or what one client of a UDP listener sends and gets.
type session struct {
	s        *Server
	l        *listener
	ctx      plugin.Context
	info     plugin.Stream
	response response
	// life ends when the session is to end.
	life  context.Context
	abort context.CancelFunc
	// remote is the client, local where it came to.
	remote, local netip.AddrPort
	carrier       carrier

	route     *route
	target    *target
	node      *upstream.Node
	connected time.Time
	took      time.Duration // to connect
	broken    bool          // the node was found not to be there later

	count counter
	began time.Time
	// moved is when bytes came last, as the time since began.
	moved atomic.Int64
	mu    sync.Mutex
	timer *time.Timer // of the idle time; nil before the relay
	// opening is that of hurry before the relay.
	opening *time.Timer
}

// carrier is how the bytes of a session travel.
type carrier interface {
	plugin.Peeker
	// call opens the way to a node, which has until ctx ends to take it.
	call(ctx context.Context, e *upstream.Endpoint, timeout time.Duration) (node netip.AddrPort, err error)
	// relay passes bytes on until an end. It returns soon after life has ended.
	relay()
}

// The protocols beneath TLS and what else is spoken.
const (
	protocolTCP = "TCP"
	protocolUDP = "UDP"
)

// newSession makes a session of a client.
func (l *listener) newSession(remote, local netip.AddrPort, protocol string) *session {
	x := &session{s: l.s, l: l, remote: unmap(remote), local: unmap(local), began: time.Now()}
	x.life, x.abort = context.WithCancel(l.s.serving.Context())
	x.info = plugin.Stream{Protocol: protocol, Listener: l.addr}
	x.ctx.Request, x.ctx.Response, x.ctx.Stream, x.ctx.Started = request{x.life}, &x.response, &x.info, x.began
	x.ctx.Conn = plugin.Conn{
		RemoteAddr: x.remote.Addr().String(), RemotePort: int(x.remote.Port()),
		ServerAddr: x.local.Addr().String(), ServerPort: int(x.local.Port()),
	}
	return x
}

func (x *session) carry(c carrier) { x.carrier, x.info.Client = c, c }

// setRemote takes the client's address from a PROXY head.
func (x *session) setRemote(remote netip.AddrPort) {
	x.remote = unmap(remote)
	x.ctx.Conn.RemoteAddr, x.ctx.Conn.RemotePort = x.remote.Addr().String(), int(x.remote.Port())
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// addrPort is the address of one end of a connection; the zero value for what is
// neither TCP nor UDP.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}

// call opens the way to a node. What goes wrong is held against it.
func (x *session) call(node *upstream.Node) error {
	x.noteAttempt(node)
	e, err := node.Endpoint(x.life, x.serverName(node))
	began := time.Now()
	var addr netip.AddrPort
	if err == nil {
		addr, err = x.carrier.call(x.life, e, x.target.upstream.Timeouts.Connect)
	}
	if err != nil {
		timedOut := isTimeout(err)
		x.done(node, upstream.Result{TimedOut: timedOut, Broken: !timedOut && x.life.Err() == nil})
		return err
	}
	x.connected, x.took = time.Now(), time.Since(began)
	u := &x.ctx.Upstream
	u.ConnectTime, u.IP, u.Port = x.took, addr.Addr().Unmap().String(), int(addr.Port())
	return nil
}

// serverName is the name that a node is asked for by TLS: the client's own wish, as
// in APISIX, else the node's name.
func (x *session) serverName(node *upstream.Node) string {
	if !x.target.upstream.TLS || x.info.ServerName != "" {
		return x.info.ServerName
	}
	host, _, _ := net.SplitHostPort(node.Addr)
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}

// noteAttempt begins what plugins are told of a call to a node.
func (x *session) noteAttempt(node *upstream.Node) {
	before := &x.ctx.Upstream
	next := plugin.Upstream{Addr: node.Addr, Scheme: x.target.upstream.Scheme}
	next.UnresolvedHost, _, _ = net.SplitHostPort(node.Addr)
	if before.Addr != "" {
		next.Addr, next.Earlier = before.Addr+", "+node.Addr, append(before.Earlier, before.Attempt)
	}
	*before = next
}

// left tells the upstream that the session with its node is over.
func (x *session) left() {
	if x.node == nil {
		return
	}
	r := upstream.Result{Broken: x.broken}
	if !x.broken && x.target.upstream.Timed() {
		r.Status, r.Took = 200, x.took
	}
	x.done(x.node, r)
}

func (x *session) done(node *upstream.Node, r upstream.Result) {
	if u := x.target.upstream; u.Watched() {
		u.Done(node, r)
	}
}

func (x *session) sinceConnected() time.Duration {
	if x.connected.IsZero() {
		return 0
	}
	return time.Since(x.connected)
}

// touch notes that bytes have come.
func (x *session) touch() { x.moved.Store(int64(time.Since(x.began))) }

// watchIdle ends the session when nothing has come for its idle time; preset is
// that of upstreams that do not say. The result stops it.
func (x *session) watchIdle(preset time.Duration) (stop func()) {
	idle := preset
	if x.target.idle > 0 {
		idle = x.target.idle
	}
	x.touch()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.opening != nil {
		x.opening.Stop()
	}
	x.timer = time.AfterFunc(idle, func() { x.checkIdle(idle) })
	if x.l.draining.Load() {
		x.timer.Reset(0)
	}
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.timer.Stop()
		x.timer = nil
	}
}

func (x *session) checkIdle(idle time.Duration) {
	if x.l.draining.Load() {
		idle = min(idle, x.s.lastQuiet)
	}
	quiet := time.Since(x.began) - time.Duration(x.moved.Load())
	if quiet >= idle {
		x.abort()
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.timer != nil {
		x.timer.Reset(idle - quiet)
	}
}

// hurry has the idle time checked at once, as the server stops. What has no node yet
// has to have one soon.
func (x *session) hurry() {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.timer != nil:
		x.timer.Reset(0)
	case x.opening == nil:
		x.opening = time.AfterFunc(x.s.lastQuiet, x.abort)
	}
}

// counter counts the bytes of a session.
type counter struct{ fromClient, toClient, fromNode, toNode atomic.Int64 }

func (c *counter) bytes() plugin.StreamBytes {
	return plugin.StreamBytes{
		FromClient: c.fromClient.Load(), ToClient: c.toClient.Load(), FromNode: c.fromNode.Load(), ToNode: c.toNode.Load(),
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded)
}
