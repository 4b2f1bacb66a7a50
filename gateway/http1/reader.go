package http1

import (
	"bytes"
	"io"
)

// bodyRoom is the least room that a read of body bytes is given.
const bodyRoom = 2 << 10

// Reader reads messages from one connection. The slices of the head it read
// last stay valid while the body of that message is read, until Next.
type Reader struct {
	src io.Reader
	buf []byte
	// base is the end of the current head; unread bytes are buf[r:w].
	base, r, w int
	// maxLine and maxHead bound the heads.
	maxLine, maxHead int

	body bodyState
}

// NewReader returns a Reader of src with a buffer of size bytes, which grows
// when a head needs more.
func NewReader(src io.Reader, size int) *Reader {
	return &Reader{src: src, buf: make([]byte, size), maxLine: MaxLine, maxHead: MaxHead}
}

// SetLimits bounds the lines of heads, with their ends, and whole heads, in bytes.
func (r *Reader) SetLimits(line, head int) { r.maxLine, r.maxHead = line, head }

// Reset makes r read from src, and forget what it has read.
func (r *Reader) Reset(src io.Reader) {
	*r = Reader{src: src, buf: r.buf, maxLine: r.maxLine, maxHead: r.maxHead}
}

// Buffered is the number of bytes received and not yet read.
func (r *Reader) Buffered() int { return r.w - r.r }

// Peek waits until at least one byte has been received.
func (r *Reader) Peek() error {
	if r.w > r.r {
		return nil
	}
	return r.fill()
}

// Next ends the message read last: its slices are no longer valid.
func (r *Reader) Next() {
	if r.r == r.w {
		r.r, r.w = 0, 0
	} else if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	r.base = 0
	r.body = bodyState{}
}

// Head answers the next message head with its final empty line, waiting for
// more bytes as needed. A clean end of the connection before its first byte is
// io.EOF. lenient allows LF alone as line end.
func (r *Reader) Head(lenient bool) ([]byte, error) {
	scanned := 0
	for {
		r.skipEmptyLines(scanned)
		data := r.buf[r.r:r.w]
		if n := headEnd(data, scanned, lenient); n > 0 {
			if n > r.maxHead {
				return nil, r.tooLong(data)
			}
			r.r += n
			r.base = r.r
			return data[:n], nil
		}
		scanned = max(0, len(data)-3)
		if err := r.checkGrowth(data); err != nil {
			return nil, err
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && len(data) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// skipEmptyLines drops CRLF pairs before a head, as RFC 9112 section 2.2 asks.
func (r *Reader) skipEmptyLines(scanned int) {
	if scanned > 0 {
		return
	}
	for r.w-r.r >= 2 && r.buf[r.r] == '\r' && r.buf[r.r+1] == '\n' {
		r.r += 2
	}
}

// headEnd finds the length of the head at the beginning of data; 0 if its end
// has not come yet. Bytes before from are known not to end it.
func headEnd(data []byte, from int, lenient bool) int {
	for {
		i := bytes.IndexByte(data[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		rest := data[from:]
		switch {
		case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		case lenient && len(rest) >= 1 && rest[0] == '\n':
			return from + 1
		case !lenient && len(rest) >= 1 && rest[0] == '\n':
			return from + 1 // a bare LF: the parser refuses it, waiting would hang
		}
	}
}

// checkGrowth refuses an unfinished head that is already over a limit.
func (r *Reader) checkGrowth(data []byte) error {
	if len(data) < r.maxLine {
		return nil
	}
	first := bytes.IndexByte(data, '\n')
	if first < 0 || first >= r.maxLine {
		return ErrTargetTooLong
	}
	if last := bytes.LastIndexByte(data, '\n'); len(data)-last > r.maxLine || len(data) > r.maxHead {
		return ErrHeadTooLarge
	}
	return nil
}

func (r *Reader) tooLong(data []byte) error {
	if i := bytes.IndexByte(data, '\n'); i >= r.maxLine {
		return ErrTargetTooLong
	}
	return ErrHeadTooLarge
}

// fill reads more bytes behind those unread. The bytes before base are kept: a
// larger buffer leaves the old one to the slices that point into it.
func (r *Reader) fill() error {
	if r.r == r.w && r.r > r.base {
		r.r, r.w = r.base, r.base
	}
	if free := len(r.buf) - r.w; free == 0 || r.base > 0 && free < bodyRoom && r.r == r.w {
		r.grow()
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (r *Reader) grow() {
	unread := r.w - r.r
	buf := make([]byte, max(len(r.buf), 2*unread, 2*bodyRoom))
	r.w = copy(buf, r.buf[r.r:r.w])
	r.buf, r.r, r.base = buf, 0, 0
}
