package http1

import "bytes"

// Body lengths that are no number.
const (
	// LengthChunked is a body in the chunked coding.
	LengthChunked int64 = -1
	// LengthClose is a body that ends with the connection.
	LengthClose int64 = -2
)

// Response is the head of an upstream's answer. Its slices point into the buffer
// given to Parse.
type Response struct {
	Status int
	Reason []byte
	Fields []Field
	// Length is the body's length, LengthChunked or LengthClose; 0 if the
	// answer has no body.
	Length int64
	// HasLength says that a Content-Length was sent; DeclaredLength is its
	// value, also where the answer has no body.
	HasLength      bool
	DeclaredLength int64
	// Close says that the connection cannot be used again.
	Close bool
	// Upgrade says that Connection names upgrade, as a 101 answer must.
	Upgrade bool
}

// Parse reads an answer's head, which ends with an empty line; head says that
// the request was a HEAD, whose answer has no body whatever its fields say.
func (r *Response) Parse(b []byte, head bool) error {
	*r = Response{Fields: r.Fields[:0], Length: LengthClose}
	line, b, err := cutLenient(b)
	if err != nil {
		return err
	}
	if err := r.parseLine(line); err != nil {
		return err
	}
	for {
		line, b, err = cutLenient(b)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return r.finish(head)
		}
		f, err := parseField(line)
		if err != nil {
			return ErrMalformed
		}
		r.Fields = append(r.Fields, f)
		if err := r.special(f); err != nil {
			return err
		}
	}
}

// cutLenient takes one line off b; upstreams may end it with LF alone.
func cutLenient(b []byte) (line, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, nil, ErrMalformed
	}
	line, rest = b[:i], b[i+1:]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	return line, rest, nil
}

func (r *Response) parseLine(line []byte) error {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return ErrMalformed
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return ErrMalformed
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 || len(line) > 12 && line[12] != ' ' {
		return ErrMalformed
	}
	if len(line) > 13 && all(line[13:], classValue) {
		r.Reason = line[13:]
	}
	r.Close = line[7] == '0'
	return nil
}

func (r *Response) special(f Field) error {
	switch f.Kind {
	case ContentLength:
		n, err := parseLength(f.Value)
		if err != nil || r.HasLength {
			return ErrMalformed
		}
		r.HasLength = true
		if r.Length == LengthChunked {
			return ErrMalformed
		}
		r.Length, r.DeclaredLength = n, n
	case TransferEncoding:
		if r.HasLength || !EqualFold(f.Value, "chunked") || r.Length == LengthChunked {
			return ErrMalformed
		}
		r.Length = LengthChunked
	case Connection:
		switch {
		case hasToken(f.Value, "close"):
			r.Close = true
		case hasToken(f.Value, "keep-alive"):
			r.Close = false
		}
		r.Upgrade = r.Upgrade || hasToken(f.Value, "upgrade")
	}
	return nil
}

func (r *Response) finish(head bool) error {
	if !head && r.announcesInVain() {
		r.Close = true
	}
	if head || r.Status < 200 || r.Status == 204 || r.Status == 304 {
		r.Length = 0
	}
	if r.Length == LengthClose {
		r.Close = true
	}
	return nil
}

// announcesInVain says that the answer announces a body that it must not have. If it
// is sent all the same, late, its bytes would be taken for the next answer.
func (r *Response) announcesInVain() bool {
	return r.Status == 204 && r.DeclaredLength > 0 || (r.Status == 204 || r.Status == 304) && r.Length == LengthChunked
}
