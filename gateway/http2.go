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
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"millrace/gateway/http1"
)

// HTTP/2 frames are the library's; each stream's request is then carried through
// the same engine as any other, as one of HTTP/1.1 on a connection of its own that
// exists in memory only: stream. So it is matched, limited, rewritten and logged by
// the very same code.

// prefaceHead begins an HTTP/2 connection, and looks like the head of a request.
var prefaceHead = []byte("PRI * HTTP/2.0\r\n\r\n")

// Bounds of HTTP/2 connections.
const (
	maxStreams    = 128
	maxHeadersH2  = 32 << 10
	windowOfConn  = 1 << 20
	windowOfSteam = 256 << 10
)

// newHTTP2 makes what serves the HTTP/2 connections of a listener. Its Shutdown
// tells clients to begin no more requests.
func newHTTP2(l *listener) (*http.Server, *http2.Server) {
	base := &http.Server{
		MaxHeaderBytes: maxHeadersH2, IdleTimeout: l.g.conf.KeepaliveTimeout, ReadHeaderTimeout: l.g.conf.HeaderTimeout,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // faults of clients
	}
	frames := &http2.Server{
		MaxConcurrentStreams: maxStreams, IdleTimeout: max(l.g.conf.KeepaliveTimeout, time.Second),
		MaxUploadBufferPerConnection: windowOfConn, MaxUploadBufferPerStream: windowOfSteam,
	}
	if err := http2.ConfigureServer(base, frames); err != nil {
		l.g.conf.Log.Error("setting up HTTP/2", "err", err)
	}
	return base, frames
}

// serveHTTP2 serves a connection whose client speaks HTTP/2, until it ends.
func (l *listener) serveHTTP2(conn net.Conn, s *security) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.serveStream(conn, s, w, r) })
	l.frames.ServeConn(conn, &http2.ServeConnOpts{Context: l.g.ctx, BaseConfig: l.base, Handler: handler})
}

// serveStream carries one request through the engine.
func (l *listener) serveStream(conn net.Conn, s *security, w http.ResponseWriter, r *http.Request) {
	head, ok := requestHead(r)
	if !ok {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	st := &stream{conn: conn, w: w, r: r, control: http.NewResponseController(w), head: head}
	c := newConn(l, st)
	c.security, c.peer.Proto = s, "HTTP/2.0"
	if s != nil {
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

	head   []byte // what comes before the rest of the body
	ended  bool   // the whole body has been read
	closed atomic.Bool

	answer wireAnswer
}

var errStreamClosed = os.ErrDeadlineExceeded

func (s *stream) Read(p []byte) (int, error) {
	if s.closed.Load() {
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
	if t.IsZero() || t.After(time.Now()) {
		return nil
	}
	s.closed.Store(true)
	return errors.Join(s.control.SetReadDeadline(t), s.control.SetWriteDeadline(t))
}

func (s *stream) SetReadDeadline(t time.Time) error  { return s.SetDeadline(t) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.SetDeadline(t) }

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
