package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway/http1"
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
type http2Conn struct {
	net.Conn
	security *security
	done     chan struct{} // closed when it has ended
}

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

// serveStream carries one request through the engine.
func (l *listener) serveStream(conn *http2Conn, w http.ResponseWriter, r *http.Request) {
	head, ok := requestHead(r)
	if !ok {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	st := &stream{conn: conn, w: w, r: r, control: http.NewResponseController(w), head: head}
	c := newConn(l, st)
	c.security, c.peer.Proto = conn.security, r.Proto
	if conn.security != nil {
		c.peer.Scheme = "https"
	}
	defer l.join(c)()
	stop := context.AfterFunc(r.Context(), c.abort)
	defer stop()
	c.serveRequests()
	st.Close()
	if !st.complete() {
		panic(http.ErrAbortHandler) // resets the stream: the answer is not whole
	}
}

// requestHead writes a request as HTTP/1.1 does; false if it cannot be one. The
// library has refused line breaks in what comes here.
func requestHead(r *http.Request) ([]byte, bool) {
	if strings.ContainsAny(r.RequestURI, " \t\r\n\x00") || strings.ContainsAny(r.Host, " \t\r\n\x00") {
		return nil, false
	}
	b := make([]byte, 0, 512)
	b = append(append(append(append(b, r.Method...), ' '), r.RequestURI...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\nConnection: close\r\n"...)
	for name, values := range r.Header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Connection", "Te", "Upgrade", "Keep-Alive", "Proxy-Connection", "Host", "Expect":
			continue
		}
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	switch {
	case r.ContentLength > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	case r.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...), true
}

// stream is the connection in memory: what is read from it is the request, what is
// written to it the answer.
type stream struct {
	conn    net.Conn
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController

	head  []byte // what comes before the rest of the body
	ended bool   // the whole body has been read
	// unreadable: no more is read; closed: no more is written.
	unreadable, closed atomic.Bool

	answer wireAnswer
}

var errStreamClosed = os.ErrDeadlineExceeded

func (s *stream) Read(p []byte) (int, error) {
	if s.unreadable.Load() {
		return 0, errStreamClosed
	}
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	if s.r.ContentLength >= 0 {
		return s.r.Body.Read(p)
	}
	return s.readChunk(p)
}

// chunkFrame is room for the length before a chunk and the line end behind it.
const chunkFrame = 16

// readChunk frames the body of a request whose length is not known.
func (s *stream) readChunk(p []byte) (int, error) {
	if s.ended {
		return 0, io.EOF
	}
	if len(p) <= 2*chunkFrame {
		return s.readSmall(p)
	}
	n, err := s.r.Body.Read(p[chunkFrame : len(p)-2])
	var frame []byte
	if n > 0 {
		frame = append(strconv.AppendInt(frame, int64(n), 16), "\r\n"...)
		copy(p[len(frame):], p[chunkFrame:chunkFrame+n])
		copy(p, frame)
		n = len(frame) + n + copy(p[len(frame)+n:], "\r\n")
	}
	if err == io.EOF {
		s.ended, err = true, nil
		s.head = []byte("0\r\n\r\n")
		if n == 0 {
			n = copy(p, s.head)
			s.head = s.head[n:]
		}
	}
	return n, err
}

// readSmall is readChunk for a reader with little room.
func (s *stream) readSmall(p []byte) (int, error) {
	var room [256]byte
	n, err := s.readChunk(room[:])
	s.head = append(append([]byte(nil), room[:n]...), s.head...)
	if len(s.head) == 0 {
		return 0, err
	}
	n = copy(p, s.head)
	s.head = s.head[n:]
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, errStreamClosed
	}
	if err := s.answer.take(s, p); err != nil {
		return 0, err
	}
	if s.answer.state != answerDone {
		if err := s.control.Flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (s *stream) complete() bool {
	return s.answer.state == answerDone || s.answer.state == answerToEnd && !s.closed.Load()
}

func (s *stream) Close() error {
	s.r.Body.Close()
	return nil
}

func (s *stream) LocalAddr() net.Addr  { return s.conn.LocalAddr() }
func (s *stream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// SetDeadline with a time that is over ends the stream, as it ends what waits on a
// connection. The engine knows no other deadlines.
func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline ends what reads the body: the engine stops an upload in this way
// when the answer has come before its end.
func (s *stream) SetReadDeadline(t time.Time) error {
	over := isOver(t)
	if s.unreadable.Store(over); !over {
		return nil
	}
	return s.control.SetReadDeadline(t)
}

// SetWriteDeadline ends what writes the answer.
func (s *stream) SetWriteDeadline(t time.Time) error {
	if !isOver(t) {
		return nil
	}
	s.closed.Store(true)
	return s.control.SetWriteDeadline(t)
}

func isOver(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }

// wireAnswer reads the answer that the engine writes.
type wireAnswer struct {
	state answerState
	head  []byte
	left  int64 // of the body or chunk
	line  []byte
}

type answerState int

const (
	answerHead  answerState = iota
	answerSized             // left bytes follow
	answerToEnd             // all that follows
	answerChunkLine
	answerChunk
	answerChunkEnd
	answerTrailer
	answerDone
)

var errAnswer = errors.New("the engine's answer cannot be read")

func (a *wireAnswer) take(s *stream, p []byte) error {
	for len(p) > 0 && a.state != answerDone {
		n, err := a.step(s, p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// step takes some of p and says how much.
func (a *wireAnswer) step(s *stream, p []byte) (int, error) {
	switch a.state {
	case answerHead:
		return a.takeHead(s, p)
	case answerToEnd:
		return s.w.Write(p)
	case answerSized, answerChunk:
		n, err := s.w.Write(p[:min(int64(len(p)), a.left)])
		if a.left -= int64(n); a.left == 0 && a.state == answerSized {
			a.state = answerDone
		} else if a.left == 0 {
			a.state = answerChunkEnd
		}
		return n, err
	}
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		a.line = append(a.line, p...)
		return len(p), nil
	}
	a.line = append(a.line, p[:i]...)
	line := strings.TrimSpace(string(a.line))
	a.line = a.line[:0]
	return i + 1, a.takeLine(line)
}

// takeLine takes a line of the framing of chunks.
func (a *wireAnswer) takeLine(line string) error {
	switch {
	case a.state == answerChunkEnd:
		a.state = answerChunkLine
	case a.state == answerTrailer && line == "":
		a.state = answerDone
	case a.state == answerChunkLine:
		n, err := strconv.ParseInt(line, 16, 64)
		if err != nil {
			return errAnswer
		}
		if a.left, a.state = n, answerChunk; n == 0 {
			a.state = answerTrailer
		}
	}
	return nil
}

func (a *wireAnswer) takeHead(s *stream, p []byte) (int, error) {
	before := len(a.head)
	a.head = append(a.head, p...)
	end := bytes.Index(a.head[max(0, before-3):], []byte("\r\n\r\n"))
	if end < 0 {
		if len(a.head) > http1.MaxHead {
			return 0, errAnswer
		}
		return len(p), nil
	}
	end += max(0, before-3) + 4
	used := end - before
	lines := strings.Split(strings.TrimSuffix(string(a.head[:end]), "\r\n\r\n"), "\r\n")
	a.head = a.head[:0]
	return used, a.begin(s, lines)
}

// begin sends the status and the headers.
func (a *wireAnswer) begin(s *stream, lines []string) error {
	parts := strings.SplitN(lines[0], " ", 3)
	if len(parts) < 2 {
		return errAnswer
	}
	status, err := strconv.Atoi(parts[1])
	if err != nil {
		return errAnswer
	}
	if status >= 100 && status < 200 {
		return nil // 100 Continue is the library's to send
	}
	h := s.w.Header()
	length, chunked := int64(-1), false
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch http.CanonicalHeaderKey(name) {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade":
			continue
		case "Transfer-Encoding":
			chunked = true
			continue
		case "Content-Length":
			length, _ = strconv.ParseInt(value, 10, 64)
		}
		h.Add(name, value)
	}
	for _, name := range []string{"Date", "Content-Type"} {
		if h.Get(name) == "" {
			h[name] = nil // the library adds none of its own
		}
	}
	switch {
	case s.r.Method == http.MethodHead || status == 204 || status == 304 || length == 0:
		a.state = answerDone
	case chunked:
		a.state = answerChunkLine
	case length > 0:
		a.state, a.left = answerSized, length
	default:
		a.state = answerToEnd
	}
	s.w.WriteHeader(status)
	return nil
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
