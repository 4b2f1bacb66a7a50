package gateway

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"

	"millrace/gateway/http1"
)

// framing is how the client learns where a body ends.
type framing uint8

const (
	noBody  framing = iota // no body and no word of it
	sized                  // Content-Length
	chunked                // or the end of the connection for HTTP/1.0
)

// exit answers with a status and a body by the rules of plugin.Context.Exit.
func (x *exchange) exit(status int, body any) {
	switch {
	case status >= 100 && status < 200:
		status, body = 500, nil
	case status < 100 || status > 999:
		status = 200
	}
	b, frame, contentType := x.exitBody(status, body)
	x.answer(status, b, frame, contentType)
}

// exitBody makes the bytes of an answer and says how they are sent.
func (x *exchange) exitBody(status int, body any) (b []byte, frame framing, contentType string) {
	switch v := body.(type) {
	case []byte:
		return v, chunked, typeOf(x.req.path)
	case string:
		return []byte(v), chunked, typeOf(x.req.path)
	case nil:
		if status < 300 {
			return nil, chunked, typeOf(x.req.path)
		}
		b = appendPage(nil, status, "")
		if pageCloses(status) {
			x.close = true
		}
		if len(b) == 0 {
			return nil, sized, ""
		}
		return b, sized, pageType(status)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		x.g.log.Error("encoding an answer", "err", err)
		return appendPage(nil, 500, ""), sized, pageType(500)
	}
	return buf.Bytes(), chunked, typeOf(x.req.path)
}

// refuse answers what is no request with the page of a status. The log is told what of
// its head could be read.
func (x *exchange) refuse(status int, detail string) {
	seen := x.req.head
	x.begin()
	x.close = true
	x.answer(status, appendPage(nil, status, detail), sized, pageType(status))
	x.req.head, x.req.fields = seen, seen.Fields
	x.ctx.Conn = x.conn.peer
	x.logUnrouted()
}

// answer sends an answer of the gateway's own, through the route's filters.
func (x *exchange) answer(status int, body []byte, frame framing, contentType string) {
	x.res.status = status
	if x.filterHeader() {
		changes := x.plan.Changes()
		if body = x.plan.Run(&x.ctx, body, true); changes {
			frame = chunked
		}
	}
	x.planBody()
	isHead := string(x.req.head.Method) == "HEAD"
	if x.res.status == 204 || x.res.status == 304 || isHead && frame == chunked {
		frame = noBody
	}
	if frame == noBody && !isHead {
		contentType = ""
	}
	out := x.appendHead(&head{fallback: contentType, dated: true, frame: frame, length: int64(len(body))})
	switch {
	case isHead || frame == noBody:
	case frame == chunked && x.inChunks():
		if len(body) > 0 {
			out = http1.AppendChunk(out, body)
		}
		out = http1.AppendLastChunk(out)
	default:
		out = append(out, body...)
	}
	x.flush(out, true)
}

// head is what the head of an answer has beside the status and the fields of
// x.res.
type head struct {
	reason []byte // the upstream's own; nil for the usual one
	// contentType is the upstream's Content-Type, fallback one if there is none.
	contentType []byte
	fallback    string
	dated       bool // with Date
	frame       framing
	length      int64 // of a sized body
}

// appendHead makes the head of the answer in the connection's room. To a stream it
// goes aside, and the room is left empty.
func (x *exchange) appendHead(h *head) []byte {
	out := x.conn.out[:0]
	x.begun = true
	if x.conn.streams() {
		x.beginStream(h)
		return out
	}
	out = x.appendStatus(out, h.reason)
	if h.dated {
		out = append(out, "Date: "...)
		out = append(out, *x.g.clock.date.Load()...)
		out = append(out, "\r\n"...)
	}
	out = x.appendContentType(out, h.contentType, h.fallback)
	out = x.appendFraming(out, h.frame, h.length)
	out = x.appendOwnFields(out)
	x.head = int64(len(out))
	return out
}

// inChunks says that a body whose length is not known is sent in chunks. Otherwise
// its end is that of the connection, or of the stream.
func (x *exchange) inChunks() bool { return !x.req.head.HTTP10 && !x.conn.streams() }

// flush sends what was built in the connection's room, which it keeps if it has not
// grown too much; last ends the answer.
func (x *exchange) flush(out []byte, last bool) bool {
	err := x.conn.send(out, last)
	x.sent += int64(len(out))
	if cap(out) <= wholeBody {
		x.conn.out = out[:0]
	}
	if err != nil {
		x.close, x.dropped = true, true
	}
	return err == nil
}

// planBody decides whether the connection can be used after this answer: not
// if a long request body would have to be read first.
func (x *exchange) planBody() {
	c := x.conn
	if c.l.draining.Load() {
		x.close = true
	}
	if x.call.rpc != nil {
		body := x.call.rpc.body
		x.close = x.close || body != nil && !body.whole.Load()
		return
	}
	if !x.close && x.call.upload == nil && !c.reader.BodyDone() {
		x.close = c.expects || x.req.head.Length < 0 || x.req.head.Length > wholeBody
	}
}

// appendStatus appends the status line; reason is the upstream's own.
func (x *exchange) appendStatus(dst, reason []byte) []byte {
	if x.res.status == 200 && len(reason) == 2 {
		return append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(x.res.status), 10)
	dst = append(dst, ' ')
	if len(reason) > 0 {
		dst = append(dst, reason...)
	} else {
		dst = append(dst, reasons[x.res.status]...)
	}
	return append(dst, '\r', '\n')
}

// contentType answers the Content-Type that a plugin set, else the upstream's, else
// fallback, nil if there is none; charset says that withCharset belongs behind it.
func (x *exchange) contentType(received []byte, fallback string) (value []byte, charset bool) {
	value = received
	if set := x.res.fields.kind(http1.ContentType); set != nil {
		value = set
	}
	if value == nil && fallback != "" {
		return cleanText(fallback), false
	}
	return value, needsCharset(value)
}

const withCharset = "; charset=utf-8"

func (x *exchange) appendContentType(dst, received []byte, fallback string) []byte {
	value, charset := x.contentType(received, fallback)
	if value == nil {
		return dst
	}
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, value...)
	if charset {
		dst = append(dst, withCharset...)
	}
	return append(dst, '\r', '\n')
}

// appendFraming appends what says where the body ends, and Connection.
func (x *exchange) appendFraming(dst []byte, frame framing, length int64) []byte {
	switch {
	case frame == sized:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, length, 10)
		dst = append(dst, '\r', '\n')
	case frame == chunked && x.req.head.HTTP10:
		x.close = true
	case frame == chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if x.close {
		return append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "Connection: keep-alive\r\n"...)
}

// appendOwnFields appends the headers of the answer that are not framing, then
// Server, and ends the head.
func (x *exchange) appendOwnFields(dst []byte) []byte {
	server := false
	for i := range x.res.fields {
		f := &x.res.fields[i]
		if len(f.Name) == 0 {
			continue
		}
		if framesAnswer(f.Kind) {
			continue
		}
		server = server || f.Kind == http1.Server
		dst = appendField(dst, f.Name, f.Value)
	}
	if !server {
		dst = append(dst, "Server: "...)
		dst = append(dst, x.g.server...)
		dst = append(dst, '\r', '\n')
	}
	if alt := x.conn.l.altSvc; alt != "" && announces(x.res.status) {
		dst = append(dst, alt...)
	}
	return append(dst, '\r', '\n')
}

// framesAnswer says that a header is not passed on but made for each answer.
func framesAnswer(k http1.Kind) bool {
	switch k {
	case http1.Connection, http1.ContentLength, http1.ContentType, http1.KeepAlive,
		http1.ProxyConnection, http1.TransferEncoding, http1.Upgrade:
		return true
	}
	return false
}

// streamBuffer is how much of a body is passed on at once.
const streamBuffer = 32 << 10

// buffers holds room for streaming bodies, for as long as one streams.
var buffers = sync.Pool{New: func() any { b := make([]byte, streamBuffer); return &b }}

func getBuffer() *[]byte  { return buffers.Get().(*[]byte) }
func putBuffer(b *[]byte) { buffers.Put(b) }
