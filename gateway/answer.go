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

// refuse answers what is no request with the page of a status.
func (x *exchange) refuse(status int, detail string) {
	x.begin()
	x.close = true
	x.answer(status, appendPage(nil, status, detail), sized, pageType(status))
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
	head := string(x.req.head.Method) == "HEAD"
	if x.res.status == 204 || x.res.status == 304 || head && frame == chunked {
		frame = noBody
	}
	c := x.conn
	out := x.appendStatus(c.out[:0], nil)
	out = append(out, "Date: "...)
	out = append(out, *x.g.clock.date.Load()...)
	out = append(out, "\r\n"...)
	if frame == noBody && !head {
		contentType = ""
	}
	out = x.appendContentType(out, nil, contentType)
	out = x.appendFraming(out, frame, int64(len(body)))
	out = x.appendOwnFields(out)
	x.head = int64(len(out))
	switch {
	case head || frame == noBody:
	case frame == chunked && !x.req.head.HTTP10:
		if len(body) > 0 {
			out = http1.AppendChunk(out, body)
		}
		out = http1.AppendLastChunk(out)
	default:
		out = append(out, body...)
	}
	x.flush(out)
}

// flush sends a message built in the connection's room, which it keeps if it has
// not grown too much.
func (x *exchange) flush(out []byte) bool {
	err := x.conn.send(out)
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

// appendContentType appends the Content-Type that a plugin set, else the
// upstream's, else fallback.
func (x *exchange) appendContentType(dst, received []byte, fallback string) []byte {
	value := received
	if set := x.res.fields.kind(http1.ContentType); set != nil {
		value = set
	}
	if value == nil && fallback == "" {
		return dst
	}
	dst = append(dst, "Content-Type: "...)
	if value == nil {
		dst = append(dst, fallback...)
	} else {
		dst = append(dst, value...)
		if needsCharset(value) {
			dst = append(dst, "; charset=utf-8"...)
		}
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
		switch f.Kind {
		case http1.Connection, http1.ContentLength, http1.ContentType, http1.KeepAlive,
			http1.ProxyConnection, http1.TransferEncoding, http1.Upgrade:
			continue
		case http1.Server:
			server = true
		}
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

// streamBuffer is how much of a body is passed on at once.
const streamBuffer = 32 << 10

// buffers holds room for streaming bodies, for as long as one streams.
var buffers = sync.Pool{New: func() any { b := make([]byte, streamBuffer); return &b }}

func getBuffer() *[]byte  { return buffers.Get().(*[]byte) }
func putBuffer(b *[]byte) { buffers.Put(b) }
