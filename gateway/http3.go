package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// QUIC and the frames of HTTP/3 are the library's; each request is then carried
// through the engine as one of HTTP/2 is: see serveStream.

// Bounds of a UDP port and its connections.
const (
	// manyHandshakes is from how many unfinished handshakes on clients must first
	// prove that they are where their packets say.
	manyHandshakes = 128
	// maxConnsHTTP3 is how many connections a port has at once: as many as nginx
	// has by default. Nothing else would bound them, as they need no file each.
	maxConnsHTTP3 = 10620
	// maxUniStreams: HTTP/3 needs three from the client.
	maxUniStreams = 8
	handshakeTime = 10 * time.Second
)

// http3Front serves the QUIC connections of one UDP port. It is the net.Listener of
// its listener, whose Accept answers no connections: their requests come to
// serveStream by themselves.
type http3Front struct {
	l         *listener
	socket    net.PacketConn
	transport *quic.Transport
	accepting *quic.Listener
	server    *http3.Server
	// accept serves, once; whoever calls it waits until nothing more is accepted.
	accept, close func()

	conns, handshakes atomic.Int64
}

// ServeHTTP3 is ServeTLS for clients that speak HTTP/3 to a UDP port, which it
// closes.
func (g *Gateway) ServeHTTP3(ctx context.Context, socket net.PacketConn) error {
	h, err := g.openHTTP3(socket)
	if err != nil {
		socket.Close()
		return fmt.Errorf("serving HTTP/3 on %v: %w", socket.LocalAddr(), err)
	}
	return g.serveHTTP3(ctx, h)
}

func (g *Gateway) serveHTTP3(ctx context.Context, h *http3Front) error {
	defer h.l.done.Wait()
	return g.serveListener(ctx, h.l)
}

func (g *Gateway) openHTTP3(socket net.PacketConn) (h *http3Front, err error) {
	l := &listener{g: g, conns: map[*clientConn]struct{}{}, tls: true, altSvc: g.altSvc(socket.LocalAddr())}
	h = &http3Front{l: l, socket: socket}
	l.accepting, h.close = g.acceptor(h), sync.OnceFunc(h.drain)
	h.accept = sync.OnceFunc(func() { _ = h.server.ServeListener(h.accepting) }) // ends with http.ErrServerClosed
	h.transport = &quic.Transport{
		Conn: socket, ConnContext: h.greet,
		VerifySourceAddress: func(net.Addr) bool { return h.handshakes.Load() >= manyHandshakes },
	}
	h.accepting, err = h.transport.Listen(&tls.Config{GetConfigForClient: h.configFor}, &quic.Config{
		MaxIncomingStreams: maxStreams, MaxIncomingUniStreams: maxUniStreams,
		InitialStreamReceiveWindow: windowOfStream, MaxStreamReceiveWindow: windowOfStream,
		InitialConnectionReceiveWindow: windowOfConn, MaxConnectionReceiveWindow: windowOfConn,
		HandshakeIdleTimeout: min(handshakeTime, g.conf.HeaderTimeout),
		MaxIdleTimeout:       max(g.conf.KeepaliveTimeout, time.Second),
	})
	h.server = &http3.Server{
		Handler: http.HandlerFunc(h.serve), MaxHeaderBytes: h.l.g.conf.MaxHeader,
		ConnContext: h.begin, Logger: slog.New(slog.DiscardHandler), // faults of clients
	}
	return h, err
}

// Announce makes the TLS listeners of a port tell their clients that HTTP/3 is
// spoken there too. It is called before they are served.
func (g *Gateway) Announce(port int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.http3Ports = append(g.http3Ports, port)
}

// altSvc is the header line that announces HTTP/3, "" where there is none.
func (g *Gateway) altSvc(addr net.Addr) string {
	_, _, port := splitAddr(asTCP(addr))
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.http3Ports {
		if p == port {
			return "Alt-Svc: h3=\":" + strconv.Itoa(port) + "\"; ma=86400\r\n"
		}
	}
	return ""
}

// announces says whether an answer with this status carries Alt-Svc: those to which
// nginx adds headers.
func announces(status int) bool {
	switch status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return false
}

// Accept serves until Close.
func (h *http3Front) Accept() (net.Conn, error) {
	h.accept()
	return nil, net.ErrClosed
}

// Close accepts no more connections, and ends those there are when their requests
// are answered. It waits for nobody; the listener is done when they are gone.
func (h *http3Front) Close() error { h.close(); return nil }

// Addr is that of the UDP port.
func (h *http3Front) Addr() net.Addr { return h.socket.LocalAddr() }

func (h *http3Front) drain() {
	h.l.done.Add(1)
	h.accepting.Close()
	go func() {
		defer h.l.done.Done()
		h.accept()
		h.endConns()
		h.transport.Close()
		h.socket.Close()
	}()
}

// endConns tells clients to begin no more requests, and waits until they have left.
// A connection that its client leaves open although it is idle is closed.
func (h *http3Front) endConns() {
	ctx, cancel := context.WithCancel(h.l.g.ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		t := time.NewTicker(h.l.g.lastRequest)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if h.l.isIdle() {
				cancel()
			}
		}
	})
	_ = h.server.Shutdown(ctx) // says that ctx has ended
}

// isIdle says that no request is being served.
func (l *listener) isIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns) == 0
}

// http3Conn is a connection with what TLS has settled for it.
type http3Conn struct {
	security security
	settled  func() // called when the handshake is over, however it ended
	conn     *quic.Conn
	origin   origin
	requests atomic.Int64

	mu     sync.Mutex
	active int         // requests being served
	idle   *time.Timer // ends the connection when there are none for long
}

type http3ConnKey struct{}

// errTooManyConns refuses a connection; its client is told no more than that.
var errTooManyConns = errors.New("too many connections")

// greet counts a connection that begins.
func (h *http3Front) greet(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	g := h.l.g
	if most := int64(g.conf.MaxConns); h.conns.Load() >= maxConnsHTTP3 || most > 0 && g.open.Load() >= most {
		return nil, errTooManyConns
	}
	h.conns.Add(1)
	g.open.Add(1)
	h.handshakes.Add(1)
	c := &http3Conn{settled: sync.OnceFunc(func() { h.handshakes.Add(-1) })}
	context.AfterFunc(ctx, func() {
		c.settled()
		h.conns.Add(-1)
		g.open.Add(-1)
	})
	return context.WithValue(ctx, http3ConnKey{}, c), nil
}

// configFor chooses the certificate as on TCP.
func (h *http3Front) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	e, err := h.l.g.certificates.Load().Choose(hello)
	if err != nil {
		return nil, err
	}
	hello.Context().Value(http3ConnKey{}).(*http3Conn).security.entry = e
	return e.QUIC(), nil
}

// begin takes a connection whose handshake is done.
func (h *http3Front) begin(ctx context.Context, conn *quic.Conn) context.Context {
	c := ctx.Value(http3ConnKey{}).(*http3Conn)
	c.settled()
	c.conn, c.security.state = conn, conn.ConnectionState().TLS
	c.idle = time.AfterFunc(h.l.g.conf.HeaderTimeout, func() {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "idle")
	})
	context.AfterFunc(ctx, func() { c.idle.Stop() })
	c.origin = origin{serial: h.l.g.counters.accepted.Add(1), opened: h.l.g.clock.ms.Load(), requests: &c.requests}
	return ctx
}

// note counts the requests being served. Streams that bring no whole request don't
// count: a client cannot keep its connection with those.
func (c *http3Conn) note(n int, idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active += n; c.active > 0 {
		c.idle.Stop()
	} else if c.conn.Context().Err() == nil {
		c.idle.Reset(idle)
	}
}

// serve carries one request through the engine.
func (h *http3Front) serve(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(http3ConnKey{}).(*http3Conn)
	idle := max(h.l.g.conf.KeepaliveTimeout, time.Second)
	c.note(1, idle)
	defer c.note(-1, idle)
	if !h.settleBody(w, r) {
		panic(http.ErrAbortHandler)
	}
	// The addresses are those of now: a client may move.
	at := &packetConn{local: asTCP(c.conn.LocalAddr()), remote: asTCP(c.conn.RemoteAddr())}
	c.requests.Add(1)
	h.l.serveStream(&streamConn{Conn: at, origin: c.origin, security: &c.security}, w, r)
}

// settleBody finds out whether a request that announces no length has a body, which
// the library does not say; false if that has not come in time. Methods that most
// often have one may begin before the client knows its first bytes.
func (h *http3Front) settleBody(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength >= 0 {
		return true
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(h.l.g.conf.HeaderTimeout)) != nil {
		return false
	}
	var first [1]byte
	n, err := io.ReadFull(r.Body, first[:])
	switch {
	case err == io.EOF:
		r.ContentLength, r.Body = 0, http.NoBody
	case n == 0:
		return false
	default:
		r.Body = &prefixedBody{Reader: io.MultiReader(bytes.NewReader(first[:]), r.Body), Closer: r.Body}
	}
	return control.SetReadDeadline(time.Time{}) == nil
}

// prefixedBody is a body of which some bytes have been read already.
type prefixedBody struct {
	io.Reader
	io.Closer
}

// packetConn is where a request came from; nothing is read from it or written to it.
type packetConn struct {
	net.Conn
	local, remote net.Addr
}

func (p *packetConn) LocalAddr() net.Addr  { return p.local }
func (p *packetConn) RemoteAddr() net.Addr { return p.remote }

// asTCP is a UDP address as the rest of the gateway knows addresses.
func asTCP(a net.Addr) net.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return net.TCPAddrFromAddrPort(u.AddrPort())
	}
	return a
}
