package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// HTTP/2 frames are the library's; each stream's request is then carried through
// the same engine as any other, as one of HTTP/1.1 on a connection of its own that
// exists in memory only: stream. So it is matched, limited, rewritten and logged by
// the very same code.

// prefaceHead begins an HTTP/2 connection, and looks like the head of a request.
var prefaceHead = []byte("PRI * HTTP/2.0\r\n\r\n")

// protoHTTP2 is its name in ALPN.
const protoHTTP2 = "h2"

// Bounds of HTTP/2 connections.
const (
	maxStreams     = 128
	maxHeadersH2   = 32 << 10
	windowOfConn   = 1 << 20
	windowOfStream = 256 << 10
)

// http2Server serves the connections of a listener whose clients speak HTTP/2. The
// library's server is given them one by one, as from a listener.
type http2Server struct {
	l      *listener
	server *http.Server
	conns  chan net.Conn
	closed chan struct{}
	close  func()

	mu      sync.Mutex
	serving map[net.Conn]*http2Conn
}

// http2Conn is a connection with what TLS has settled for it.
type http2Conn = streamConn

type http2ConnKey struct{}

func newHTTP2(l *listener) *http2Server {
	h := &http2Server{l: l, conns: make(chan net.Conn), closed: make(chan struct{}), serving: map[net.Conn]*http2Conn{}}
	h.close = sync.OnceFunc(func() { close(h.closed) })
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	h.server = &http.Server{
		Protocols: protocols, MaxHeaderBytes: maxHeadersH2,
		IdleTimeout: max(l.g.conf.KeepaliveTimeout, time.Second), ReadHeaderTimeout: l.g.conf.HeaderTimeout,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: windowOfConn, MaxReceiveBufferPerStream: windowOfStream},
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // faults of clients
		BaseContext: func(net.Listener) context.Context { return l.g.ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, http2ConnKey{}, h.find(conn))
		},
		ConnState: h.noteState,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l.serveStream(r.Context().Value(http2ConnKey{}).(*http2Conn), w, r)
		}),
	}
	return h
}

// run serves until shutdown.
func (h *http2Server) run() {
	_ = h.server.Serve(h) // ends with http.ErrServerClosed
}

// shutdown tells clients to begin no more requests. It waits for nobody.
func (h *http2Server) shutdown() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.server.Shutdown(ended)
	h.close()
}

// Accept, Close and Addr make it the listener of its own server.
func (h *http2Server) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (h *http2Server) Close() error { h.close(); return nil }

// Addr is that of the listener.
func (h *http2Server) Addr() net.Addr { return h.l.ln.Addr() }

func (h *http2Server) find(conn net.Conn) *http2Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.serving[conn]
}

func (h *http2Server) noteState(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.serving[conn]; c != nil {
		delete(h.serving, conn)
		close(c.done)
	}
}

// serve serves a connection whose client speaks HTTP/2, until it ends.
func (h *http2Server) serve(conn net.Conn, s *security) {
	c := &http2Conn{Conn: conn, security: s, done: make(chan struct{})}
	h.mu.Lock()
	h.serving[conn] = c
	h.mu.Unlock()
	select {
	case h.conns <- conn:
		<-c.done
	case <-h.closed:
		h.noteState(conn, http.StateClosed)
		conn.Close()
	}
}

// prefixed is a connection of which some bytes have been read already.
type prefixed struct {
	net.Conn
	before []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.before) > 0 {
		n := copy(b, p.before)
		p.before = p.before[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
