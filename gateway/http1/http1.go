// Package http1 reads and writes HTTP/1.1 messages on the gateway's hot path: a
// strict reader for what clients send and a careful one for what upstreams
// answer. It keeps the order and the letter case of header fields and allocates
// nothing for a message that fits its buffers.
//
// It is strict where leniency means request smuggling: bare CR or LF, folded
// lines, Content-Length beside Transfer-Encoding, repeated or odd lengths and
// repeated hosts are refused, never repaired.
package http1

import (
	"bytes"
	"errors"
	"strings"
)

// Limits of a request's head in bytes, unless others are set: of each line with its
// end, and of all together.
const (
	MaxLine = 8 << 10
	MaxHead = 32 << 10
)

// Errors of reading messages; each maps to one answer of the gateway.
var (
	ErrMalformed      = errors.New("http1: malformed message")
	ErrTargetTooLong  = errors.New("http1: request line too long")
	ErrHeadTooLarge   = errors.New("http1: header too large")
	ErrMethod         = errors.New("http1: method not allowed")
	ErrVersion        = errors.New("http1: version not supported")
	ErrCoding         = errors.New("http1: transfer coding not supported")
	ErrBodyIncomplete = errors.New("http1: connection closed inside a body")
)

// Kind tells the header fields that the gateway treats specially.
type Kind uint8

// The special fields; Other is every other name.
const (
	Other Kind = iota
	Connection
	ContentLength
	ContentType
	Date
	Expect
	Forwarded
	Host
	HTTP2Settings
	KeepAlive
	ProxyConnection
	Server
	TE
	TransferEncoding
	Upgrade
	XAccel
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedProto
	XRealIP
)

// Field is one header field. Name and Value are slices of the buffer that the
// message was read into, or belong to who set the field. A field with an empty
// Name has been deleted.
type Field struct {
	Name, Value []byte
	Kind        Kind
}

// KindOf finds the kind of a field name, whose case does not matter.
func KindOf(name []byte) Kind {
	switch len(name) {
	case 2:
		return kindIf(name, "te", TE)
	case 4:
		if name[0]|0x20 == 'h' {
			return kindIf(name, "host", Host)
		}
		return kindIf(name, "date", Date)
	case 6:
		if name[0]|0x20 == 's' {
			return kindIf(name, "server", Server)
		}
		return kindIf(name, "expect", Expect)
	case 7:
		return kindIf(name, "upgrade", Upgrade)
	case 9:
		if name[0]|0x20 == 'x' {
			return kindIf(name, "x-real-ip", XRealIP)
		}
		return kindIf(name, "forwarded", Forwarded)
	case 10:
		if name[0]|0x20 == 'c' {
			return kindIf(name, "connection", Connection)
		}
		return kindIf(name, "keep-alive", KeepAlive)
	case 12:
		return kindIf(name, "content-type", ContentType)
	case 14:
		if name[0]|0x20 == 'c' {
			return kindIf(name, "content-length", ContentLength)
		}
		return kindIf(name, "http2-settings", HTTP2Settings)
	}
	return longKind(name)
}

func longKind(name []byte) Kind {
	if len(name) > 8 && EqualFold(name[:8], "x-accel-") {
		return XAccel
	}
	switch len(name) {
	case 15:
		return kindIf(name, "x-forwarded-for", XForwardedFor)
	case 16:
		switch name[15] | 0x20 {
		case 't':
			if name[12]|0x20 == 'h' {
				return kindIf(name, "x-forwarded-host", XForwardedHost)
			}
			return kindIf(name, "x-forwarded-port", XForwardedPort)
		case 'n':
			return kindIf(name, "proxy-connection", ProxyConnection)
		}
	case 17:
		if name[0]|0x20 == 't' {
			return kindIf(name, "transfer-encoding", TransferEncoding)
		}
		return kindIf(name, "x-forwarded-proto", XForwardedProto)
	}
	return Other
}

func kindIf(name []byte, lower string, k Kind) Kind {
	if EqualFold(name, lower) {
		return k
	}
	return Other
}

// EqualFold compares b with lower, which must be in lower-case ASCII.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c != lower[i] && (c < 'A' || c > 'Z' || c|0x20 != lower[i]) {
			return false
		}
	}
	return true
}

// hasToken looks for a lower-case token in a comma-separated list.
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		item, rest, _ := bytes.Cut(list, comma)
		if EqualFold(trimSpace(item), token) {
			return true
		}
		list = rest
	}
	return false
}

var comma = []byte{','}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// Classes of bytes: tokens of field names, bytes of field values, bytes of targets.
const (
	classToken = 1 << iota
	classValue
	classTarget
	classMethod
)

var classes = func() (t [256]byte) {
	for c := range 256 {
		if c == '\t' || c >= 0x20 && c != 0x7f {
			t[c] |= classValue
		}
		if c > 0x20 && c != 0x7f && c != '#' {
			t[c] |= classTarget
		}
		if c >= 'A' && c <= 'Z' || c == '_' || c == '-' {
			t[c] |= classMethod
		}
		alnum := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if alnum || c < 0x80 && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0 {
			t[c] |= classToken
		}
	}
	return t
}()

func all(b []byte, class byte) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// IsToken says whether b can be a method or the name of a field.
func IsToken(b []byte) bool { return len(b) > 0 && all(b, classToken) }

// AppendTarget appends a part of a request target. Bytes that would end it there
// are percent-encoded.
func AppendTarget(dst []byte, s string) []byte {
	return appendEncoded(dst, s, func(c byte) bool { return c <= ' ' || c == 0x7f })
}

// AppendPath appends a decoded path as it stands in a request target: what cannot
// stand there is percent-encoded, as nginx does.
func AppendPath(dst []byte, s string) []byte {
	return appendEncoded(dst, s, func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%<>?\\^`{|}", c) >= 0
	})
}

func appendEncoded(dst []byte, s string, must func(c byte) bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; must(c) {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// parseLength reads a Content-Length: digits only, below 10^18.
func parseLength(b []byte) (int64, error) {
	if len(b) == 0 || len(b) > 18 {
		return 0, ErrMalformed
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, ErrMalformed
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}
