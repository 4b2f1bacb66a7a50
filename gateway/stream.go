package gateway

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"millrace/gateway/http1"
)

// streamConn is the connection of a stream, with what TLS has settled for it.
type streamConn struct {
	net.Conn
	origin   origin
	security *security
}

// serveStream answers a request whose stream is a library's.
func (l *listener) serveStream(conn *streamConn, w http.ResponseWriter, r *http.Request) {
	st := &stream{Conn: conn.Conn, w: w, r: r, control: http.NewResponseController(w)}
	c := newStreamConn(l, st)
	c.front = st
	c.origin, c.security, c.peer.Proto = conn.origin, conn.security, r.Proto
	if conn.security != nil {
		c.peer.Scheme = "https"
	}
	defer l.join(c)()
	aborted := make(chan struct{})
	stop := context.AfterFunc(r.Context(), func() {
		defer close(aborted)
		c.abort()
	})
	defer func() {
		if !stop() {
			<-aborted // the library's writer must not be touched any more
		}
	}()
	func() {
		defer c.rescue()
		c.requests.Add(1)
		c.serveStream(st, st.fill)
	}()
	r.Body.Close()
	if !st.ended {
		panic(http.ErrAbortHandler) // resets the stream: the answer is not whole
	}
}

// newStreamConn makes what serves the requests of streams, one after the other; at
// is where they come from.
func newStreamConn(l *listener, at net.Conn) *clientConn {
	c := newConn(l, at)
	c.reader, c.out = http1.NewReader(nil, 0), make([]byte, 0, outBuffer)
	return c
}

// serveStream answers the one request that came on a stream; fill gives its head.
func (c *clientConn) serveStream(f front, fill func(*http1.Request) error) {
	c.reader.Reset(f)
	c.x.handleStream(fill)
}

// stream is a request and its answer as net/http has them.
type stream struct {
	net.Conn // where it came from
	w        http.ResponseWriter
	r        *http.Request
	control  *http.ResponseController

	// unreadable: no more is read; closed: no more is written.
	unreadable, closed atomic.Bool

	status      int
	sent, ended bool
}

var _ front = (*stream)(nil)

// fill makes the head of the request.
func (s *stream) fill(head *http1.Request) error {
	r := s.r
	head.Fields = head.Fields[:0]
	for name, values := range r.Header {
		switch name {
		case "Transfer-Encoding", "Connection", "Upgrade", "Keep-Alive", "Proxy-Connection":
			continue
		}
		for _, v := range values {
			head.Fields = append(head.Fields, http1.Field{Name: []byte(name), Value: []byte(v)})
		}
	}
	return head.Assemble([]byte(r.Method), []byte(r.RequestURI), []byte(r.Host), r.ContentLength)
}

// Trailers implements front.
func (s *stream) Trailers() (trailers []http1.Field) { return fieldsOf(s.r.Trailer) }

// fieldsOf are headers as fields.
func fieldsOf(h http.Header) (list []http1.Field) {
	for name, values := range h {
		n := []byte(name)
		kind := http1.KindOf(n)
		for _, v := range values {
			list = append(list, http1.Field{Name: n, Value: []byte(v), Kind: kind})
		}
	}
	return list
}

func (s *stream) Read(p []byte) (int, error) {
	if s.unreadable.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return s.r.Body.Read(p)
}

// Begin implements front.
func (s *stream) Begin(status int) { s.status = status }

// Field implements front.
func (s *stream) Field(name, value []byte) { s.w.Header().Add(string(name), string(value)) }

func (s *stream) Write(p []byte) (int, error) { return len(p), s.Send(p, false) }

// Send implements front.
func (s *stream) Send(part []byte, last bool) error {
	if s.closed.Load() {
		return os.ErrDeadlineExceeded
	}
	s.sendHead(last && len(part) == 0)
	if len(part) > 0 {
		if _, err := s.w.Write(part); err != nil {
			return err
		}
	}
	if s.ended = last; last {
		return nil
	}
	return s.control.Flush()
}

func (s *stream) sendHead(bodyless bool) {
	if s.sent {
		return
	}
	s.sent = true
	h := s.w.Header()
	for _, name := range []string{"Date", "Content-Type"} {
		if h.Get(name) == "" {
			h[name] = nil // the library adds none of its own
		}
	}
	if _, ok := h["Content-Length"]; !ok && bodyless && s.r.Method != http.MethodHead && s.status != 204 && s.status != 304 {
		h["Content-Length"] = []string{strconv.Itoa(0)}
	}
	s.w.WriteHeader(s.status)
}

// End implements front.
func (s *stream) End(trailers []http1.Field) error {
	for _, f := range trailers {
		s.w.Header().Add(http.TrailerPrefix+string(f.Name), string(f.Value))
	}
	s.ended = true
	return nil
}

// SetDeadline implements front.
func (s *stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
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
