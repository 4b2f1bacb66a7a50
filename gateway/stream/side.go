package stream

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"millrace/internal/rawio"
)

// bufferSize is how much is read at once.
const bufferSize = 16 << 10

// buffers and datagrams are used while bytes pass. A session over which none do has
// none of them.
var (
	buffers   = sync.Pool{New: func() any { return newBuffer(bufferSize) }}
	datagrams = sync.Pool{New: func() any { return newBuffer(maxDatagram) }}
)

func newBuffer(size int) *[]byte { b := make([]byte, size); return &b }

// reader reads from a socket into buffers that it takes when there is something.
type reader struct {
	raw  syscall.RawConn
	from *sync.Pool

	// What take has read.
	buf   *[]byte
	n     int
	errno syscall.Errno
	take  func(fd uintptr) bool
}

func newReader(conn syscall.Conn, buffers *sync.Pool) (*reader, error) {
	raw, err := conn.SyscallConn()
	r := &reader{raw: raw, from: buffers}
	r.take = r.read
	return r, err
}

// next waits for bytes and answers them in a buffer, which the caller gives back;
// it is nil on an error.
func (r *reader) next() (buf *[]byte, n int, err error) {
	r.buf, r.n, r.errno = nil, 0, 0
	if err = r.raw.Read(r.take); err == nil && r.errno != 0 {
		err = r.errno
	}
	if err != nil && r.buf != nil {
		r.from.Put(r.buf)
		r.buf = nil
	}
	return r.buf, r.n, err
}

// read reads what is there; false if that is nothing.
func (r *reader) read(fd uintptr) bool {
	r.buf = r.from.Get().(*[]byte)
	for {
		if r.n, r.errno = rawio.Read(fd, *r.buf); r.errno != syscall.EINTR {
			break
		}
	}
	if r.errno == syscall.EAGAIN {
		r.from.Put(r.buf)
		r.buf = nil
		return false
	}
	return true
}

// side is one side of a connection that is passed on.
type side struct {
	net.Conn
	// plain is the connection without TLS, nil with.
	plain  *net.TCPConn
	reader *reader // of plain
}

func newSide(conn net.Conn) *side {
	s := &side{Conn: conn}
	if t, ok := conn.(*net.TCPConn); ok {
		if r, err := newReader(t, &buffers); err == nil {
			s.plain, s.reader, s.Conn = t, r, rawio.NewConn(t)
		}
	}
	return s
}

// next waits for bytes and answers them in a buffer of buffers, which the caller
// gives back; it may be nil on an error.
func (s *side) next() (buf *[]byte, n int, err error) {
	if s.reader == nil {
		buf = buffers.Get().(*[]byte)
		n, err = s.Conn.Read(*buf)
		return buf, n, err
	}
	if buf, n, err = s.reader.next(); err == nil && n == 0 {
		err = io.EOF
	}
	return buf, n, err
}

// closeWrite tells the other end that no more comes.
func (s *side) closeWrite() error {
	half, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

const (
	// spliceSize is how much the kernel passes on by itself until this is noted,
	// spliceWait how long it waits for that.
	spliceSize = 1 << 20
	spliceWait = time.Second
)

// splice has the kernel pass on what comes, without the bytes ever being here. It is
// for senders whose bytes fill the buffers: the pipe that it needs is not for those
// which send now and then.
func (p *pump) splice() error {
	if p.from.plain == nil || p.to.plain == nil {
		return nil
	}
	for {
		p.from.plain.SetReadDeadline(time.Now().Add(spliceWait))
		n, err := io.CopyN(p.to.plain, p.from.plain, spliceSize)
		p.read.Add(n)
		p.written.Add(n)
		if n > 0 {
			p.x.touch()
		}
		if p.x.life.Err() != nil {
			return net.ErrClosed
		}
		if err == nil {
			continue
		}
		p.from.plain.SetReadDeadline(time.Time{})
		if p.x.life.Err() != nil { // it ended while the deadline was taken away
			p.from.plain.SetReadDeadline(past)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF):
			return nil // the end shows again
		case n < spliceSize && isWriteError(err):
			return errSending
		}
		return err
	}
}

// isWriteError tells whether an error is of the side that bytes go to.
func isWriteError(err error) bool {
	return errors.Is(err, syscall.EPIPE)
}
