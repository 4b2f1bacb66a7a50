package http1

import (
	"bytes"
	"io"
)

// bodyState is how far the body of the current message has been read.
type bodyState struct {
	length int64 // remaining bytes, LengthChunked or LengthClose
	chunk  int64 // remaining bytes of the current chunk
	inside bool  // a chunk's data is not yet followed by its CRLF
	done   bool
}

// SetBody says how long the body of the current message is: a number,
// LengthChunked or LengthClose.
func (r *Reader) SetBody(length int64) {
	r.body = bodyState{length: length, done: length == 0}
}

// BodyDone says whether the whole body has been read.
func (r *Reader) BodyDone() bool { return r.body.done }

// BufferedBody answers the whole body if it has a known length and has been
// received already, without copying; it is valid until Next.
func (r *Reader) BufferedBody() ([]byte, bool) {
	n := r.body.length
	if r.body.done {
		return nil, true
	}
	if n < 0 || n > int64(r.w-r.r) {
		return nil, false
	}
	b := r.buf[r.r : r.r+int(n)]
	r.r += int(n)
	r.body.done = true
	return b, true
}

// Ready says whether Read would answer something without waiting.
func (r *Reader) Ready() bool {
	data := r.buf[r.r:r.w]
	if r.body.done || r.body.length != LengthChunked || r.body.chunk > 0 {
		return r.body.done || len(data) > 0
	}
	if r.body.inside {
		if len(data) < 2 {
			return false
		}
		data = data[2:]
	}
	i := bytes.IndexByte(data, '\n')
	return i >= 0 && i < len(data)-1
}

// Read reads decoded body bytes; io.EOF follows the last, and never comes with any. It
// returns what has been received without waiting for more.
func (r *Reader) Read(p []byte) (int, error) {
	switch {
	case r.body.done:
		return 0, io.EOF
	case r.body.length == LengthChunked:
		return r.readChunked(p)
	case r.body.length == LengthClose:
		n, err := r.raw(p)
		if n > 0 {
			return n, nil // the end, if it came with them, comes again
		}
		r.body.done = err == io.EOF
		return 0, err
	}
	n, err := r.raw(p[:min(int64(len(p)), r.body.length)])
	r.body.length -= int64(n)
	r.body.done = r.body.length == 0
	if err == io.EOF && !r.body.done {
		err = ErrBodyIncomplete
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

// raw reads received bytes first, then from the connection.
func (r *Reader) raw(p []byte) (int, error) {
	if r.w > r.r {
		n := copy(p, r.buf[r.r:r.w])
		r.r += n
		return n, nil
	}
	if len(p) >= bodyRoom {
		return r.src.Read(p)
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}

func (r *Reader) readChunked(p []byte) (int, error) {
	if r.body.chunk == 0 {
		if err := r.nextChunk(); err != nil {
			return 0, err
		}
		if r.body.done {
			return 0, io.EOF
		}
	}
	n, err := r.raw(p[:min(int64(len(p)), r.body.chunk)])
	r.body.chunk -= int64(n)
	if n > 0 {
		return n, nil
	}
	if err == io.EOF {
		err = ErrBodyIncomplete
	}
	return n, err
}

// nextChunk reads the end of the chunk before and the next chunk's size; after
// the last chunk it reads the trailer section and drops it.
func (r *Reader) nextChunk() error {
	if r.body.inside {
		line, err := r.line()
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return ErrMalformed
		}
		r.body.inside = false
	}
	line, err := r.line()
	if err != nil {
		return err
	}
	size, err := chunkSize(line)
	if err != nil {
		return err
	}
	r.body.chunk = size
	if size > 0 {
		r.body.inside = true
		return nil
	}
	return r.skipTrailers()
}

func (r *Reader) skipTrailers() error {
	for total := 0; ; {
		line, err := r.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			r.body.done = true
			return nil
		}
		if _, err := parseField(line); err != nil {
			return ErrMalformed
		}
		if total += len(line); total > MaxLine {
			return ErrMalformed
		}
	}
}

// line reads one line of the chunked coding without its CRLF.
func (r *Reader) line() ([]byte, error) {
	for {
		data := r.buf[r.r:r.w]
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			if i == 0 || data[i-1] != '\r' {
				return nil, ErrMalformed
			}
			r.r += i + 1
			return data[:i-1], nil
		}
		if len(data) > MaxLine {
			return nil, ErrMalformed
		}
		if err := r.fill(); err != nil {
			if err == io.EOF {
				err = ErrBodyIncomplete
			}
			return nil, err
		}
	}
}

// chunkSize reads the hexadecimal size before an optional extension.
func chunkSize(line []byte) (int64, error) {
	var n int64
	i := 0
	for ; i < len(line); i++ {
		d := unhex(line[i])
		if d < 0 {
			break
		}
		if i == 15 {
			return 0, ErrMalformed
		}
		n = n<<4 | int64(d)
	}
	rest := trimSpace(line[i:])
	if i == 0 || len(rest) > 0 && rest[0] != ';' || !all(rest, classValue) {
		return 0, ErrMalformed
	}
	return n, nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// AppendChunk appends p as one chunk; p must not be empty.
func AppendChunk(dst, p []byte) []byte {
	dst = appendHex(dst, uint64(len(p)))
	dst = append(dst, '\r', '\n')
	dst = append(dst, p...)
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the end of a chunked body.
func AppendLastChunk(dst []byte) []byte { return append(dst, "0\r\n\r\n"...) }

// AppendTrailers appends the end of a chunked body that has trailers.
func AppendTrailers(dst []byte, trailers []Field) []byte {
	dst = append(dst, "0\r\n"...)
	for _, f := range trailers {
		dst = append(append(dst, f.Name...), ": "...)
		dst = append(append(dst, f.Value...), "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

func appendHex(dst []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	var b [16]byte
	i := len(b)
	for {
		i--
		b[i] = digits[n&15]
		if n >>= 4; n == 0 {
			return append(dst, b[i:]...)
		}
	}
}
