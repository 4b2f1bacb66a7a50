// Package stream passes connections on as they are: TCP, TLS that it terminates,
// and UDP, by the stream routes of the configuration. It stands beside the gateway,
// with which it shares the pool of upstreams, and follows the store on its own.
//
// What is configured is compiled into a table (follow.go, compile.go, table.go) that
// is swapped as a whole: connections that are open keep the route they were matched
// to. The steps of a connection are in this file, in the order in which it takes them.
package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/secret"
	"millrace/gateway/sni"
	"millrace/gateway/upstream"
	"millrace/internal/calmlog"
	"millrace/internal/fieldcrypt"
	"millrace/internal/serving"
	"millrace/internal/watermark"
	"millrace/plugin"
	"millrace/store"
)

// Config is what a Server is made of. Log, Store, Env and Pool are needed.
type Config struct {
	Log   *slog.Logger
	Store store.Store
	Env   *plugin.Env
	// Keyring decrypts secret fields of stored resources; nil leaves them.
	Keyring *fieldcrypt.Keyring
	// Check tells why a stored resource cannot be used; nil: those who write to Store
	// have checked it.
	Check func(key string, value []byte) error
	// Secrets is how references to secrets kept elsewhere are resolved; its Log is
	// that of the server.
	Secrets secret.Settings
	// Pool is where upstreams are compiled. Somebody else runs it.
	Pool *upstream.Pool
	// TLS is for the listeners whose clients speak it.
	TLS sni.Settings

	// ProxyProtocol makes clients of TCP listeners begin with a PROXY head. The
	// client that it names counts if Trusts says so of its peer; nil trusts nobody.
	ProxyProtocol bool
	Trusts        func(netip.Addr) bool
	// ProxyToNodes begins each connection to a node with a PROXY head.
	ProxyToNodes bool

	// MaxConnections and MaxSessions bound what is open at once, over TCP and over
	// UDP; more are turned away. 0 stands for 16,384.
	MaxConnections, MaxSessions int
	// OpenTimeout bounds the steps before a node is called: PROXY head, TLS handshake
	// and what plugins look ahead for. 0 stands for 30 s.
	OpenTimeout time.Duration
	// AccessLog hears of every connection when it has ended, those without a route too;
	// nil if nobody does.
	AccessLog plugin.StreamLogger
	// DrainTimeout bounds how long Serve waits for connections when its context
	// ends. 0 stands for 30 s.
	DrainTimeout time.Duration
}

// These hold where an upstream has no timeout, as in nginx for TCP: a connection
// over which nothing has come for so long is ended.
const (
	idleTCP = 10 * time.Minute
	idleUDP = time.Minute
)

// lastQuiet is how long a session may be silent when the server stops: it may be a
// client that waits for nothing, or one whose answer takes its time.
const lastQuiet = 5 * time.Second

// Server passes connections on. Run follows the configuration, ServeTCP and ServeUDP
// serve; all may run at once.
type Server struct {
	conf         Config
	log          *slog.Logger // for what goes wrong with connections
	table        atomic.Pointer[table]
	metadata     atomic.Pointer[plugin.Metadata]
	certificates atomic.Pointer[sni.Table]
	upstreams    sync.Map // *target by id, as the follower knows them
	clientCerts  map[string]clientCert
	secrets      *secret.Resolver
	applied      *watermark.Mark // the store's revision

	connections, sessions atomic.Int64
	// lastQuiet is the constant of that name, unless a test has less patience.
	lastQuiet time.Duration

	serving *serving.Group[*listener]
}

// New makes a server, which serves nothing before Run.
func New(conf Config) *Server {
	for _, n := range []*int{&conf.MaxConnections, &conf.MaxSessions} {
		if *n == 0 {
			*n = 16384
		}
	}
	for _, d := range []*time.Duration{&conf.OpenTimeout, &conf.DrainTimeout} {
		if *d == 0 {
			*d = 30 * time.Second
		}
	}
	if conf.Trusts == nil {
		conf.Trusts = func(netip.Addr) bool { return false }
	}
	conf.Secrets.Log = conf.Log
	s := &Server{
		conf: conf, secrets: secret.New(conf.Secrets), log: calmlog.New(conf.Log, "route"), clientCerts: map[string]clientCert{},
		applied: watermark.New(-1), serving: serving.New[*listener](conf.DrainTimeout), lastQuiet: lastQuiet,
	}
	env := *conf.Env
	env.Services = append(slices.Clip(env.Services), s)
	s.conf.Env = &env
	s.table.Store(newTable(nil))
	s.metadata.Store(&plugin.Metadata{})
	s.certificates.Store(sni.NewTable(nil, conf.TLS))
	return s
}

// walk takes a connection that has been opened through all the steps. It returns
// when the connection has ended.
func (x *session) walk() {
	defer x.rescue()
	if log := x.s.conf.AccessLog; log != nil {
		defer log.LogStream(&x.ctx)
	}
	if !x.match() {
		x.response.status = 500
		x.s.log.Info("closing a connection that no stream route matches", "listener", x.l.addr, "client", x.ctx.Conn.RemoteAddr)
		return
	}
	defer x.route.release()
	defer x.route.chain.LogStream(&x.ctx)
	x.run()
	x.ctx.Upstream.ResponseTime = x.sinceConnected()
	x.ctx.Stream.Bytes = x.count.bytes()
}

// run asks the plugins, calls a node and passes bytes on until the end.
func (x *session) run() {
	if err := x.route.chain.Preread(&x.ctx); err != nil {
		x.refuse(err)
		return
	}
	if err := x.connect(); err != nil {
		x.s.log.Warn("closing a connection", "route", x.route.id, "listener", x.l.addr, "err", err)
		return
	}
	x.response.status = 200
	x.carrier.relay()
	x.left()
}

// match finds the route; false if there is none.
func (x *session) match() bool {
	for {
		r := x.s.table.Load().match(x.info.ServerName, x.remote.Addr(), x.local.Addr(), x.ctx.Conn.ServerPort)
		if r == nil {
			return false
		}
		if r.acquire() { // else a newer table is there
			x.route, x.ctx.Matched = r, r.matched
			x.ctx.Metadata = *x.s.metadata.Load()
			return true
		}
	}
}

// refuse notes why a plugin has ended the connection.
func (x *session) refuse(err error) {
	status, _, exited := x.ctx.Exited()
	switch {
	case errors.Is(err, plugin.ErrExit) && exited:
		x.response.status = status
		x.s.log.Warn("a plugin refuses a connection", "route", x.route.id, "client", x.ctx.Conn.RemoteAddr, "status", status)
	case errors.Is(err, plugin.ErrDrop):
		x.response.status = 200
	default:
		x.response.status = 500
		x.s.log.Error("opening a connection", "route", x.route.id, "err", err)
	}
}

// connect calls one node after another until one is there.
func (x *session) connect() error {
	x.response.status = 502
	if x.route.protocol != nil && x.info.Protocol == protocolUDP {
		return errDatagrams
	}
	t := x.route.target
	if chosen, ok := x.ctx.ChosenUpstream().(chooser); ok {
		t = chosen.choose()
	}
	if t.err != nil {
		return t.err
	}
	if err := t.upstream.Ready(x.life); err != nil {
		return err
	}
	x.target = t
	err, started := errNoNode, time.Now()
	var tried upstream.Tried
	for range t.upstream.Retries() + 1 {
		if limit := t.upstream.RetryTimeout; len(tried) > 0 && limit > 0 && time.Since(started) > limit {
			break
		}
		node := t.upstream.Pick(tried, &x.ctx)
		if node == nil {
			break
		}
		tried = append(tried, node)
		if err = x.call(node); err == nil {
			x.node = node
			return nil
		}
		if x.life.Err() != nil {
			return fmt.Errorf("ended while calling node %s: %w", node.Addr, err)
		}
		x.s.log.Warn("calling a node", "route", x.route.id, "node", node.Addr, "err", err)
	}
	return err
}

var (
	errNoNode    = errors.New("the upstream has no node")
	errDatagrams = errors.New("its route's protocol is not spoken over UDP")
)

// rescue keeps a plugin that panics from ending the process.
func (x *session) rescue() {
	if reason := recover(); reason != nil {
		x.s.conf.Log.Error("a panic while passing a connection on", "listener", x.l.addr, "panic", reason, "stack", string(debug.Stack()))
	}
}
