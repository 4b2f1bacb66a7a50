// Package gateway is the data plane: it reads requests, finds their route, runs
// the route's plugins, passes them on to an upstream and sends the answer back.
//
// What is configured is compiled into a snapshot, a table of routes (follow.go),
// that is swapped as a whole; a request finishes with the route it was matched
// to. The steps of a request are in this file, in the order in which it takes them.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/http2"
	"millrace/gateway/ocsp"
	"millrace/gateway/route"
	"millrace/gateway/secret"
	"millrace/gateway/sni"
	"millrace/gateway/upstream"
	"millrace/internal/calmlog"
	"millrace/internal/serving"
	"millrace/plugin"
	"millrace/plugin/snippet"
)

// Gateway is the data plane of one process. Run follows the configuration,
// Serve answers requests; both may run at once, Serve for several listeners.
type Gateway struct {
	conf    Config
	log     *slog.Logger // for what goes wrong with requests
	server  string       // value of the Server header
	trusted peers
	realIP  peers
	// realIPKind is that of the header which names the client.
	realIPKind http1.Kind
	pool       *upstream.Pool
	secrets    *secret.Resolver
	snapshot   atomic.Pointer[snapshot]
	consumers  consumers
	merged     mergedChains
	upstreams  sync.Map // *sharedUpstream by id, as the follower knows them
	// clientCerts are the ssl objects of type client: *resource.SSL by id.
	clientCerts sync.Map
	// tls is for all TLS connections, as the keys of session tickets are in it.
	tls *tls.Config
	// certificates are those that clients of TLS listeners are shown.
	certificates atomic.Pointer[sni.Table]
	applied      progress
	counters     counters
	http2        *http2.Config
	clock        clock
	showPlugins  atomic.Bool

	serving *serving.Group[*listener]
	ctx     context.Context // ends when the gateway is stopped for good
	open    atomic.Int64    // connections of clients, from their acceptance to their end
	// http3Ports are the UDP ports that TLS listeners announce; mu guards them.
	http3Ports []int
	mu         sync.Mutex
	// lastRequest is the constant of that name, unless a test has more patience.
	lastRequest time.Duration
	// parkAfter likewise, in ms.
	parkAfter atomic.Int64
}

// New makes a gateway, which serves nothing before Run.
func New(conf Config) (*Gateway, error) {
	conf.fillDefaults()
	conf.TLS.Stapler = ocsp.New(conf.Log)
	conf.TLS.NextProtos = []string{"http/1.1"}
	if conf.HTTP2 {
		conf.TLS.NextProtos = []string{protoHTTP2, "http/1.1"}
	}
	g := &Gateway{
		conf: conf, log: calmlog.New(conf.Log, "route"), server: "millrace/" + conf.Version,
		pool: upstream.NewPool(conf.Upstreams), secrets: secret.New(conf.Secrets), serving: serving.New[*listener](conf.DrainTimeout),
		lastRequest: lastRequest,
	}
	g.http2 = http2Config(&g.conf)
	if conf.HideVersion {
		g.server = "millrace"
	}
	switch conf.Router {
	case "", "radixtree_host_uri", "radixtree_uri", "radixtree_uri_with_parameter":
	default:
		return nil, fmt.Errorf("router %q is not served", conf.Router)
	}
	var err error
	if g.trusted, err = parsePeers(conf.TrustedAddresses); err != nil {
		return nil, err
	}
	if g.realIP, err = parsePeers(conf.RealIPFrom); err != nil {
		return nil, err
	}
	g.realIPKind = http1.KindOf([]byte(conf.RealIPHeader))
	g.ctx = g.serving.Context()
	g.snapshot.Store(&snapshot{table: route.New[*servedRoute](strings.HasPrefix(conf.Router, "radixtree_uri")), global: hold(plugin.Merge(conf.Always))})
	env := *conf.Env
	env.Services = append(slices.Clip(env.Services), g, snippet.NewSharedData())
	g.conf.Env = &env
	g.certificates.Store(sni.NewTable(nil, conf.TLS))
	g.tls = &tls.Config{GetConfigForClient: g.configFor}
	g.applied.init()
	g.parkAfter.Store(parkAfter.Milliseconds())
	g.clock.tick()
	return g, nil
}

// exchange is one request with its answer. It belongs to a connection and is
// used for one request after another.
type exchange struct {
	g     *Gateway
	conn  *clientConn
	ctx   plugin.Context
	req   request
	res   response
	query route.Query
	path  []byte // room for a path that must be decoded
	lower []byte // room for a host that must be lowered
	kept  []byte // upstream headers that plugins may look at

	lifecycle
	addr    netip.Addr // the client, after X-Real-IP
	trusted bool       // the client's X-Forwarded-* pass through
	call    call
	// close: the connection ends after this answer. dropped: there is none.
	close, dropped bool
}

// handle answers the request whose head is given and says whether the
// connection may serve another. handleStream (front.go) does so for HTTP/2 and HTTP/3.
func (x *exchange) handle(head []byte) (keep bool) {
	c := x.conn
	x.begin()
	defer x.end()
	if err := x.read(head); err != nil {
		c.refuse(err)
		return false
	}
	x.serve()
	return !x.close && c.discard()
}

// serve answers the request that has been read. What a client may not send, what an
// authority asks and what the Admin API serves is no matter of routes.
func (x *exchange) serve() {
	x.conn.relax()
	switch {
	case x.g.conf.MaxBody > 0 && x.req.head.Length > x.g.conf.MaxBody:
		x.exit(413, nil)
	case x.conn.security.refuses(x):
		x.exit(400, nil)
	case x.answersChallenge():
	case x.isLocal():
		x.serveLocal()
	default:
		x.walk()
		return
	}
	x.logUnrouted()
}

// walk takes a request through the steps:
//
//	match       finds the route and holds on to what the request needs of it  lifecycle.go
//	plugins     rewrite and access of the global rules, then of the route     lifecycle.go
//	choose      settles which upstream is called                              lifecycle.go
//	prepare     reads a short body whole                                      proxy.go
//	dispatch    calls one node after another until one answers                proxy.go, rpc.go
//	relay       runs the filters and passes the answer on                     relay.go, tunnel.go
//	logPhase    runs the loggers                                              lifecycle.go
//
// A step that makes an answer of the gateway's own returns plugin.ErrExit; exit
// (answer.go) then sends it through the same filters.
func (x *exchange) walk() {
	x.match()
	defer x.letGo()
	if x.plain {
		x.respond()
		return
	}
	x.respondGuarded()
	x.logGuarded()
}

// respond runs the phases up to the answer's end.
func (x *exchange) respond() {
	err := x.plugins()
	if err == nil {
		err = x.proxy()
	}
	if err != nil {
		x.answerError(err)
	}
}

// proxy chooses a node, calls it and passes its answer on.
func (x *exchange) proxy() error {
	if err := x.choose(); err != nil {
		return err
	}
	if err := x.prepare(); err != nil {
		return err
	}
	if err := x.dispatch(); err != nil {
		return err
	}
	return x.relay()
}

// answerError ends a request whose phases ended with err.
func (x *exchange) answerError(err error) {
	status, body, ok := x.ctx.Exited()
	switch {
	case err == plugin.ErrExit && ok:
		x.exit(status, body)
	case errors.Is(err, plugin.ErrDrop), errors.Is(err, errClientGone):
		x.dropped, x.close = true, true
		x.res.status = 499 // for logs; the client gets nothing
	case errors.Is(err, errSlowClient):
		x.close = true
		x.exit(408, nil)
	case errors.Is(err, plugin.ErrBodyTooLarge):
		x.exit(413, nil)
	case errors.Is(err, http1.ErrMalformed):
		x.exit(400, nil)
	default:
		x.g.log.Error("answering a request", "route", x.routeID(), "err", err)
		x.exit(500, nil)
	}
}

// routeID names the route in the log.
func (x *exchange) routeID() string {
	if x.route == nil {
		return ""
	}
	return x.route.id()
}

// notFound is the body for a request without route.
var notFound = []byte("{\"error_msg\":\"404 Route Not Found\"}\n")
