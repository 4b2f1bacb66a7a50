package http1

import (
	"bytes"
	"cmp"
)

// Request is the head of a request. Its slices point into the buffer given to
// Parse.
type Request struct {
	// MaxLine bounds the request line and each header line, with their CRLF, in
	// bytes; 0 stands for the constant. Parse leaves it.
	MaxLine int
	// MaxHead bounds all headers of a request that Assemble makes, as MaxLine does.
	MaxHead int

	Method []byte
	// Target is the request target in origin form: path and query as received.
	Target []byte
	Fields []Field
	// Host is the Host field; nil if absent, which only HTTP/1.0 may do.
	Host []byte
	// Length is the length of the body; -1 for a chunked one, 0 for none.
	Length int64
	// HasLength says that a Content-Length was sent.
	HasLength bool
	HTTP10    bool
	upgrade   bool // Connection names upgrade
	keepAlive bool // Connection names keep-alive, in HTTP/1.0
	// Close says that the client wants the connection closed after the answer, as
	// it does in HTTP/1.0 unless it asks for the opposite.
	Close bool
	// Expect says that the client waits for 100 Continue before its body.
	Expect bool
	// Upgrade is the Upgrade field if Connection names it.
	Upgrade []byte
}

// Parse reads a request head, which ends with an empty line, into r.
func (r *Request) Parse(head []byte) error {
	*r = Request{Fields: r.Fields[:0], MaxLine: cmp.Or(r.MaxLine, MaxLine)}
	line, rest, err := cutLine(head)
	if err != nil {
		return err
	}
	if err := r.parseLine(line); err != nil {
		return err
	}
	if err := r.parseFields(rest); err != nil {
		return err
	}
	if r.Host == nil && !r.HTTP10 {
		return ErrMalformed
	}
	return nil
}

// cutLine takes one line without its CRLF off b.
func cutLine(b []byte) (line, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, ErrMalformed
	}
	return b[:i-1], b[i+1:], nil
}

func (r *Request) parseLine(line []byte) error {
	if len(line)+len(crlf) > r.MaxLine {
		return ErrTargetTooLong
	}
	method, rest, _ := bytes.Cut(line, space)
	i := bytes.LastIndexByte(rest, ' ')
	if i < 0 || len(method) == 0 || !all(method, classMethod) {
		return ErrMalformed
	}
	target, version := rest[:i], rest[i+1:]
	if len(target) == 0 || !all(target, classTarget) {
		return ErrMalformed
	}
	r.Method, r.Target = method, originForm(target)
	if r.Target == nil && string(method) != "CONNECT" {
		return ErrMalformed
	}
	if err := r.parseVersion(version); err != nil {
		return err
	}
	if string(method) == "TRACE" || string(method) == "CONNECT" {
		return ErrMethod
	}
	return nil
}

var space = []byte{' '}

func (r *Request) parseVersion(v []byte) error {
	if len(v) != 8 || string(v[:5]) != "HTTP/" || v[6] != '.' ||
		v[5] < '0' || v[5] > '9' || v[7] < '0' || v[7] > '9' {
		return ErrMalformed
	}
	switch {
	case v[5] == '0':
		return ErrMalformed
	case v[5] > '1':
		return ErrVersion
	}
	r.HTTP10 = v[7] == '0'
	return nil
}

// originForm reduces an absolute-form target to its path and query; nil if the
// target has neither form or names no host.
func originForm(target []byte) []byte {
	if target[0] == '/' {
		return target
	}
	n := 0
	switch {
	case len(target) > 7 && EqualFold(target[:7], "http://"):
		n = 7
	case len(target) > 8 && EqualFold(target[:8], "https://"):
		n = 8
	default:
		return nil
	}
	host, rest := target[n:], []byte(nil)
	if i := bytes.IndexAny(host, "/?"); i >= 0 {
		host, rest = host[:i], host[i:]
	}
	switch {
	case !validHost(host):
		return nil
	case len(rest) == 0:
		return rootTarget
	case rest[0] == '?':
		return append([]byte{'/'}, rest...)
	}
	return rest
}

var rootTarget = []byte{'/'}

// crlf ends a line.
const crlf = "\r\n"

// coding is what Transfer-Encoding says.
type coding uint8

const (
	noCoding coding = iota
	chunkedCoding
	otherCoding
)

func (r *Request) parseFields(b []byte) error {
	transfer := noCoding
	for {
		line, rest, err := cutLine(b)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return r.finish(transfer)
		}
		if len(line)+len(crlf) > r.MaxLine {
			return ErrHeadTooLarge
		}
		b = rest
		f, err := parseField(line)
		if err != nil {
			return err
		}
		r.Fields = append(r.Fields, f)
		if f.Kind == Other {
			continue
		}
		if f.Kind == TransferEncoding {
			if transfer != noCoding {
				return ErrMalformed
			}
			if transfer = otherCoding; EqualFold(f.Value, "chunked") {
				transfer = chunkedCoding
			}
			continue
		}
		if err := r.special(f); err != nil {
			return err
		}
	}
}

// finish checks what only the whole head tells.
func (r *Request) finish(transfer coding) error {
	r.Close = r.Close || r.HTTP10 && !r.keepAlive
	if r.upgrade && !r.HTTP10 {
		for _, f := range r.Fields {
			if f.Kind == Upgrade {
				r.Upgrade = f.Value
			}
		}
	}
	switch {
	case transfer == noCoding:
		return nil
	case r.HTTP10:
		return ErrMalformed
	case transfer == otherCoding:
		return ErrCoding
	case r.HasLength:
		return ErrMalformed
	}
	r.Length = -1
	return nil
}

func (r *Request) special(f Field) (err error) {
	switch f.Kind {
	case Host:
		if r.Host != nil || !validHost(f.Value) {
			return ErrMalformed
		}
		r.Host = f.Value
	case ContentLength:
		if r.HasLength {
			return ErrMalformed
		}
		r.HasLength = true
		r.Length, err = parseLength(f.Value)
	case Connection:
		r.connection(f.Value)
	case Expect:
		r.Expect = !r.HTTP10 && EqualFold(f.Value, "100-continue")
	}
	return err
}

func (r *Request) connection(value []byte) {
	if hasToken(value, "close") {
		r.Close = true
	}
	if hasToken(value, "upgrade") {
		r.upgrade = true
	}
	if r.HTTP10 && hasToken(value, "keep-alive") {
		r.keepAlive = true
	}
}

// parseField splits "Name: value". A line that begins with white space would
// continue the one before it; such folding is refused by the token check.
func parseField(line []byte) (Field, error) {
	i := bytes.IndexByte(line, ':')
	if i < 1 || !all(line[:i], classToken) {
		return Field{}, ErrMalformed
	}
	value := trimSpace(line[i+1:])
	if !all(value, classValue) {
		return Field{}, ErrMalformed
	}
	return Field{Name: line[:i], Value: value, Kind: KindOf(line[:i])}, nil
}

// validHost accepts a name or address with an optional port.
func validHost(h []byte) bool {
	if len(h) == 0 || h[0] == ':' {
		return false
	}
	name, port := h, []byte(nil)
	if h[0] == '[' {
		i := bytes.IndexByte(h, ']')
		if i < 0 {
			return false
		}
		name, port = h[1:i], h[i+1:]
		if len(port) > 0 && port[0] != ':' {
			return false
		}
	} else if i := bytes.IndexByte(h, ':'); i >= 0 {
		name, port = h[:i], h[i:]
	}
	for i, c := range port {
		if i > 0 && (c < '0' || c > '9') {
			return false
		}
	}
	for i, c := range name {
		switch c {
		case ' ', '\t', '/', '\\', '?', '#', '@', '<', '>', '"', '[', ']', ',':
			return false
		case '.':
			if i > 0 && name[i-1] == '.' {
				return false
			}
		}
	}
	return len(port) <= 6
}
