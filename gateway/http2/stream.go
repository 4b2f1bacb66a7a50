package http2

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"millrace/gateway/http1"
)

// Stream is a request with its answer. It is a connection whose bytes are the
// request's body one way and the answer's the other. Deadlines that are over end what
// waits on it; there are no others.
//
// Its worker's goroutines use it, and no longer than Serve runs.
type Stream struct {
	c      *Conn
	worker *worker
	id     uint32
	head   requestHead

	block    []byte // coded head of the answer, until it is sent
	sentHead bool

	// The rest is guarded by c.mu; changed is signalled when any of it changes.
	changed *sync.Cond

	body     []byte // received and not yet read, from off on
	off      int
	received int64
	unread   int // bytes read that the client has not been told of
	// recvEnd: the request has come whole. sentEnd: the answer has gone whole.
	recvEnd, sentEnd bool
	reset            bool
	noRead, noWrite  bool // by deadlines
	window           int  // what the client takes
	trailers         []http1.Field
}

var _ net.Conn = (*Stream)(nil)

func (s *Stream) begin(id uint32, window int) {
	*s = Stream{
		c: s.c, worker: s.worker, id: id, head: s.head, block: s.block[:0], changed: s.changed,
		body: s.body[:0], window: window, trailers: s.trailers[:0],
	}
}

// ID is the stream's number.
func (s *Stream) ID() uint32 { return s.id }

// GivenUp says that the client does not wait for the answer any more.
func (s *Stream) GivenUp() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.reset || s.c.closed
}

// Head makes the request's head.
func (s *Stream) Head(r *http1.Request) error {
	h := &s.head
	if h.tooLarge {
		r.Method = h.method
		return http1.ErrHeadTooLarge
	}
	length := h.length
	if length < 0 {
		s.c.mu.Lock()
		if s.recvEnd && s.received == 0 {
			length = 0
		}
		s.c.mu.Unlock()
	}
	r.Fields = append(r.Fields[:0], h.fields...)
	return r.Assemble(h.method, h.path, h.authority, length)
}

// Trailers answers the request's trailers, once its body has been read.
func (s *Stream) Trailers() []http1.Field {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.trailers
}

// Read reads the request's body.
func (s *Stream) Read(p []byte) (int, error) {
	c := s.c
	c.mu.Lock()
	for s.off == len(s.body) {
		switch {
		case s.reset || c.closed:
			c.mu.Unlock()
			return 0, io.ErrUnexpectedEOF
		case s.recvEnd:
			c.mu.Unlock()
			return 0, io.EOF
		case s.noRead:
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
	n := copy(p, s.body[s.off:])
	if s.off += n; s.off == len(s.body) {
		s.body, s.off = s.body[:0], 0
	}
	c.consumed(s, n)
	c.unlock()
	return n, nil
}

// Begin begins the head of the answer.
func (s *Stream) Begin(status int) { s.block = appendStatus(s.block[:0], status) }

// Field adds a header, which is copied.
func (s *Stream) Field(name, value []byte) { s.block = appendField(s.block, name, value) }

// Write sends a part of the answer's body.
func (s *Stream) Write(p []byte) (int, error) {
	if err := s.Send(p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Send sends the head if it has not been sent yet, then part; last ends the answer.
// It waits until the client takes it.
func (s *Stream) Send(part []byte, last bool) error {
	c := s.c
	c.mu.Lock()
	if !s.sentHead {
		s.sentHead = true
		if err := s.sendBlock(last && len(part) == 0); err != nil {
			c.unlock()
			return err
		}
	}
	for len(part) > 0 || last && !s.sentEnd {
		n, err := s.mayN(len(part))
		if err != nil {
			c.unlock()
			return err
		}
		end := last && n == len(part)
		flags := uint8(0)
		if end {
			flags = flagEndStream
			s.sentEnd = true
		}
		c.out = appendFrameHead(c.out, n, frameData, flags, s.id)
		c.out = append(c.out, part[:n]...)
		if part = part[n:]; len(part) == 0 || n >= smallWindow {
			c.budget.give(budgetAnswer)
		}
		s.window -= n
		c.window -= n
	}
	c.unlock()
	return nil
}

// mayN waits until some of n bytes may be sent, and says how many.
func (s *Stream) mayN(n int) (int, error) {
	c := s.c
	for {
		if err := s.waitRoom(); err != nil || n == 0 {
			return 0, err
		}
		if s.window > 0 && c.window > 0 {
			return min(n, s.window, c.window, maxFrame), nil
		}
		if !c.flush() {
			s.changed.Wait()
		}
	}
}

// waitRoom waits until the client has taken enough of what is queued.
func (s *Stream) waitRoom() error {
	c := s.c
	for {
		switch {
		case s.reset || c.closed:
			return io.ErrClosedPipe
		case s.noWrite:
			return os.ErrDeadlineExceeded
		case len(c.out) <= maxQueue:
			return nil
		}
		c.full = true
		if !c.flush() {
			s.changed.Wait()
		}
	}
}

// sendBlock sends the coded fields.
func (s *Stream) sendBlock(end bool) error {
	c := s.c
	if err := s.waitRoom(); err != nil {
		return err
	}
	kind, flags := frameHeaders, uint8(0)
	if end {
		flags, s.sentEnd = flagEndStream, true
	}
	block := c.tables.begin(s.block)
	for {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		c.out = appendFrameHead(c.out, n, kind, flags, s.id)
		c.out = append(c.out, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			break
		}
		kind, flags = frameContinuation, 0
	}
	c.budget.give(budgetAnswer)
	return nil
}

// End ends the answer with trailers.
func (s *Stream) End(trailers []http1.Field) error {
	c := s.c
	if !s.sentHead {
		if err := s.Send(nil, false); err != nil {
			return err
		}
	}
	s.block = s.block[:0]
	for _, f := range trailers {
		s.block = appendField(s.block, f.Name, f.Value)
	}
	c.mu.Lock()
	err := s.sendBlock(true)
	c.unlock()
	return err
}

// Close implements net.Conn; Serve's return ends the stream.
func (s *Stream) Close() error { return nil }

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return s.c.nc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return s.c.nc.RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error {
	over := isOver(t)
	s.c.mu.Lock()
	s.noRead, s.noWrite = over, over
	s.changed.Broadcast()
	s.c.mu.Unlock()
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.c.mu.Lock()
	s.noRead = isOver(t)
	s.changed.Broadcast()
	s.c.mu.Unlock()
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.c.mu.Lock()
	s.noWrite = isOver(t)
	s.changed.Broadcast()
	s.c.mu.Unlock()
	return nil
}

func isOver(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }
