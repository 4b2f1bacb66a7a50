package gateway

import (
	"cmp"
	"net"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/http2"
)

// prefaceHead begins an HTTP/2 connection, and looks like the head of a request.
var prefaceHead = []byte(http2.Preface[:len("PRI * HTTP/2.0\r\n\r\n")])

// protoHTTP2 is its name in ALPN.
const protoHTTP2 = "h2"

// Bounds of connections that carry streams.
const (
	maxStreams     = 128
	maxHeadersH2   = http1.MaxHead
	windowOfConn   = 1 << 20
	windowOfStream = 256 << 10
)

// http2Config is what the HTTP/2 connections of a gateway have in common.
func http2Config(conf *Config) *http2.Config {
	return &http2.Config{
		MaxStreams: maxStreams, MaxHeader: cmp.Or(conf.MaxHeader, maxHeadersH2), StreamWindow: windowOfStream, ConnWindow: windowOfConn,
		Idle: max(conf.KeepaliveTimeout, time.Second), First: conf.HeaderTimeout, Stalled: conf.SendTimeout,
		LastCall: lastRequest,
	}
}

// serveHTTP2 serves a connection whose client speaks HTTP/2, until it ends or is parked.
func (c *clientConn) serveHTTP2(conn net.Conn) {
	h := http2.New(conn, c.l.g.http2)
	c.h2.Store(h)
	c.goOnHTTP2(h)
}

func (c *clientConn) goOnHTTP2(h *http2.Conn) {
	if c.l.draining.Load() {
		h.Shutdown()
	}
	for !c.parked && h.Serve(func() http2.Worker { return newStreamWorker(c) }) {
		c.l.park(c, h.IdleUntil())
	}
}

// streamWorker serves the streams of a connection, one at a time.
type streamWorker struct {
	*clientConn
	of *clientConn
}

func newStreamWorker(of *clientConn) *streamWorker {
	c := newStreamConn(of.l, of.Conn)
	c.origin, c.security, c.peer.Proto, c.peer.Scheme = of.origin, of.security, "HTTP/2.0", of.peer.Scheme
	return &streamWorker{c, of}
}

// Serve implements http2.Worker.
func (w *streamWorker) Serve(s *http2.Stream) {
	c := w.clientConn
	c.mu.Lock()
	c.front, c.Conn, c.raw = s, s, s
	c.streamID, c.aborted = s.ID(), false
	c.deadline.Store(0)
	c.mu.Unlock()
	if !s.GivenUp() {
		w.of.requests.Add(1)
		w.answer(s)
	}
	c.mu.Lock()
	c.streamID = 0
	c.mu.Unlock()
}

func (w *streamWorker) answer(s *http2.Stream) {
	defer w.rescue()
	w.serveStream(s, s.Head)
}

// Gone implements http2.Worker.
func (w *streamWorker) Gone(id uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streamID == id {
		w.endAll()
	}
}

// Check implements http2.Worker.
func (w *streamWorker) Check(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streamID == 0 {
		return
	}
	if dl := w.deadline.Load(); dl != 0 && now > dl {
		w.Conn.SetDeadline(past)
	}
	if dl := w.upTime.Load(); w.up != nil && dl != 0 && now > dl {
		w.up.SetReadDeadline(past)
	}
	if w.aborted {
		w.endAll() // once more: a deadline may have been taken away since
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

// CloseWrite passes on.
func (p *prefixed) CloseWrite() error {
	if w, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return net.ErrClosed
}
