package gateway

import (
	"net"
	"strconv"

	"millrace/gateway/http1"
)

// front carries one request and its answer for a client that speaks HTTP/2 or
// HTTP/3: its requests come in fields and not in lines, each on a stream of its own.
// Reading it gives the request's body, io.EOF behind its end. A deadline that is
// over ends what waits on it; there are no others.
//
// The answer is begun, given its fields, and sent: Begin and Field only gather.
type front interface {
	net.Conn
	Begin(status int)
	// Field adds a header. Neither slice is kept.
	Field(name, value []byte)
	// Send sends the head if it has not been sent yet, then part. last ends the
	// answer, and an answer without a body is sent as one.
	Send(part []byte, last bool) error
	// End ends the answer with trailers.
	End(trailers []http1.Field) error
	// Trailers answers the request's trailers, once its body has been read.
	Trailers() []http1.Field
}

// streams says that the client does not speak HTTP/1.1.
func (c *clientConn) streams() bool { return c.front != nil }

// handleStream answers the one request that came on a stream. fill gives its head.
func (x *exchange) handleStream(fill func(*http1.Request) error) {
	c := x.conn
	x.begin()
	defer x.end()
	x.req.head.MaxLine, x.req.head.MaxHead = x.g.conf.MaxHeaderLine, x.g.conf.MaxHeader
	err := fill(&x.req.head)
	if err == nil {
		length := x.req.head.Length
		if length < 0 {
			length = http1.LengthClose // the stream knows where it ends
		}
		c.reader.SetBody(length)
		x.req.headLength = headLength(&x.req.head)
		err = x.derive()
	}
	if err != nil {
		c.refuse(err)
		return
	}
	x.serve()
}

// headLength is how many bytes a head takes in HTTP/1.1.
func headLength(r *http1.Request) int {
	n := len(r.Method) + len(r.Target) + len("  HTTP/1.1\r\n\r\n")
	for i := range r.Fields {
		n += len(r.Fields[i].Name) + len(r.Fields[i].Value) + len(": \r\n")
	}
	return n
}

// beginStream begins the answer on a stream; its parts are those of appendHead.
func (x *exchange) beginStream(h *head) {
	x.conn.front.Begin(x.res.status)
	x.head = int64(len("HTTP/1.1 200 OK\r\n\r\n"))
	if h.dated {
		x.addField(dateName, cleanText(*x.g.clock.date.Load()))
	}
	if value, charset := x.contentType(h.contentType, h.fallback); value != nil {
		if charset {
			value = append(append(x.conn.out[:0], value...), withCharset...)
		}
		x.addField(contentTypeName, value)
	}
	if h.frame == sized {
		x.addField(contentLengthName, strconv.AppendInt(x.conn.out[:0], h.length, 10))
	}
	server := false
	for i := range x.res.fields {
		e := &x.res.fields[i]
		if len(e.Name) == 0 || framesAnswer(e.Kind) {
			continue
		}
		server = server || e.Kind == http1.Server
		x.addField(e.Name, e.Value)
	}
	if !server {
		x.addField(serverName, cleanText(x.g.server))
	}
	if alt := x.conn.l.altSvc; alt != "" && announces(x.res.status) {
		x.addField(altSvcName, cleanText(alt[len("Alt-Svc: "):len(alt)-2]))
	}
	x.sent += x.head
}

// addField adds a header and counts it with the bytes that HTTP/1.1 would take.
func (x *exchange) addField(name, value []byte) {
	x.head += int64(len(name) + len(value) + len(": \r\n"))
	x.conn.front.Field(name, value)
}

// Names of headers that the gateway itself adds, as streams have them.
var (
	dateName          = []byte("date")
	contentTypeName   = []byte("content-type")
	contentLengthName = []byte("content-length")
	serverName        = []byte("server")
	altSvcName        = []byte("alt-svc")
)
