package http2

import (
	"math"
	"strconv"
	"unsafe"

	"golang.org/x/net/http2/hpack"

	"millrace/gateway/http1"
)

// requestHead is a request's head as it is read.
type requestHead struct {
	method, path, authority, scheme []byte
	fields                          []http1.Field
	length                          int64 // -1: not announced
	size                            int
	tooLarge, malformed             bool
	regular                         bool // a field that is no pseudo-header has come
	isTrailer                       bool
}

func (h *requestHead) reset() {
	*h = requestHead{fields: h.fields[:0], length: -1}
}

// take takes a decoded field. What it notes as malformed the stream is reset for,
// once all fields have been decoded: the compression state is the connection's.
func (h *requestHead) take(f hpack.HeaderField, most int) {
	if h.size += len(f.Name) + len(f.Value) + len(": \r\n"); h.size > most {
		h.tooLarge = true
		return
	}
	name, value := bytesOf(f.Name), bytesOf(f.Value)
	if len(name) > 0 && name[0] == ':' {
		h.takePseudo(f.Name, value)
		return
	}
	h.regular = true
	if !lowerCase(name) || !h.allowed(f.Name, f.Value) {
		h.malformed = true
		return
	}
	h.fields = append(h.fields, http1.Field{Name: name, Value: value})
}

func (h *requestHead) takePseudo(name string, value []byte) {
	var to *[]byte
	switch name {
	case ":method":
		to = &h.method
	case ":path":
		to = &h.path
	case ":authority":
		to = &h.authority
	case ":scheme":
		to = &h.scheme
	}
	if to == nil || *to != nil || h.regular || h.isTrailer {
		h.malformed = true
		return
	}
	if *to = value; value == nil {
		*to = []byte{}
	}
}

// allowed refuses fields of one connection only, and reads the body's length.
func (h *requestHead) allowed(name, value string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return false
	case "te":
		return value == "trailers"
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || n >= math.MaxInt64/2 || h.length >= 0 && h.length != int64(n) {
			return false
		}
		h.length = int64(n)
	}
	return true
}

// complete says whether a request's head is one, ended that nothing follows it.
func (h *requestHead) complete(ended bool) bool {
	if h.malformed || h.method == nil {
		return false
	}
	if string(h.method) == "CONNECT" {
		return h.authority != nil && h.path == nil && h.scheme == nil
	}
	return len(h.path) > 0 && h.scheme != nil && (!ended || h.length <= 0)
}

// lowerCase says whether a name is a token without capitals.
func lowerCase(name []byte) bool {
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return len(name) > 0
}

// bytesOf are the bytes of a text, which are only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// appendStatus appends the coded status.
func appendStatus(dst []byte, status int) []byte {
	for i, s := range [...]int{200, 204, 206, 304, 400, 404, 500} {
		if s == status {
			return append(dst, 0x80|byte(statusIndex+i))
		}
	}
	dst = append(dst, statusIndex, 3)
	return strconv.AppendInt(dst, int64(status), 10)
}

// statusIndex is where the static table has :status.
const statusIndex = 8

// appendField appends a coded field: its name in lower case, by its index in the
// static table if it has one, its value as it is. No dynamic table is used.
func appendField(dst, name, value []byte) []byte {
	var room [40]byte
	lower := room[:0]
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	if i := staticNames[string(lower)]; i > 0 {
		dst = appendInt(dst, 0, 4, uint64(i))
	} else {
		dst = append(dst, 0)
		dst = appendInt(dst, 0, 7, uint64(len(lower)))
		dst = append(dst, lower...)
	}
	dst = appendInt(dst, 0, 7, uint64(len(value)))
	return append(dst, value...)
}

// appendInt appends an integer with a prefix of n bits, RFC 7541, section 5.1.
func appendInt(dst []byte, first byte, n uint, v uint64) []byte {
	most := uint64(1)<<n - 1
	if v < most {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(most))
	for v -= most; v >= 0x80; v >>= 7 {
		dst = append(dst, 0x80|byte(v))
	}
	return append(dst, byte(v))
}

// staticNames are the names of RFC 7541, appendix A, that answers have.
var staticNames = map[string]uint8{
	"accept-ranges": 18, "access-control-allow-origin": 20, "age": 21, "allow": 22,
	"cache-control": 24, "content-disposition": 25, "content-encoding": 26, "content-language": 27,
	"content-length": 28, "content-location": 29, "content-range": 30, "content-type": 31,
	"cookie": 32, "date": 33, "etag": 34, "expires": 36, "last-modified": 44, "link": 45,
	"location": 46, "proxy-authenticate": 48, "refresh": 52, "retry-after": 53, "server": 54,
	"set-cookie": 55, "strict-transport-security": 56, "transfer-encoding": 57, "vary": 59, "via": 60,
	"www-authenticate": 61,
}

// tables is what a client has to be told about the dynamic table of answers, of which
// no use is made: when it wants a smaller one than it began with, it expects a word
// about it.
type tables struct{ owed, told bool }

// defaultTable is the size of a table at the beginning.
const defaultTable = 4096

// limit notes what the client says of the table's size.
func (t *tables) limit(size int) { t.owed = t.owed || size < defaultTable && !t.told }

// begin begins a coded head with what the client is owed.
func (t *tables) begin(block []byte) []byte {
	if !t.owed {
		return block
	}
	t.owed, t.told = false, true
	return append([]byte{0x20}, block...) // its size is 0 from now on
}
