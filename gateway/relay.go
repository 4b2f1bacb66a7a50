package gateway

import (
	"io"

	"millrace/gateway/http1"
)

// relay passes the upstream's answer on to the client.
func (x *exchange) relay() error {
	if x.call.res.Status == 101 {
		return x.tunnel()
	}
	contentType := x.takeHeaders()
	if last := x.call.statuses[len(x.call.statuses)-1]; last/100 == 5 || x.g.conf.ShowUpstreamStatus {
		x.res.fields.set(statusHeader, x.statusList())
	}
	if x.plain {
		x.relayBody(contentType)
		return nil
	}
	if x.filterHeader() && x.plan.Whole() {
		return x.relayFiltered()
	}
	x.relayBody(x.res.fields.kind(http1.ContentType))
	return nil
}

// takeHeaders makes the upstream's headers those of the answer, before what
// plugins have set already, and answers its Content-Type.
func (x *exchange) takeHeaders() (contentType []byte) {
	res := &x.call.res
	x.res.status = res.Status
	early := x.res.fields
	plain, received := x.plain, res.Fields
	if !plain {
		received = x.keepHeaders()
	}
	if len(early) > 0 {
		x.res.fields = make(fields, 0, len(early)+len(res.Fields))
	}
	for i := range received {
		f := &received[i]
		switch f.Kind {
		case http1.Connection, http1.KeepAlive, http1.ProxyConnection, http1.Server, http1.TE,
			http1.TransferEncoding, http1.Upgrade, http1.XAccel:
			continue
		case http1.ContentLength: // for plugins to see; the framing is our own
			if plain {
				continue
			}
		case http1.ContentType:
			contentType = f.Value
			if plain {
				continue
			}
		}
		x.res.fields = append(x.res.fields, *f)
	}
	if len(early) > 0 {
		x.res.fields = append(x.res.fields, early...)
	}
	return contentType
}

// relayBody sends the head and streams the body. What the upstream has sent by
// now goes out in one write; after that each part goes as it comes.
func (x *exchange) relayBody(contentType []byte) {
	res, up := &x.call.res, x.call.conn
	x.planBody()
	frame, length := x.relayFraming()
	if x.plan.Changes() {
		length = 0
		if frame = chunked; x.bodyless() {
			frame = noBody
		}
	}
	reason := res.Reason
	if x.res.status != res.Status {
		reason = nil
	}
	out := x.appendHead(&head{reason: reason, contentType: contentType, frame: frame, length: length})
	if x.bodyless() && (x.call.rpc != nil || !up.Reader.BodyDone()) { // a plugin changed the status or the method
		x.release(false)
		x.flush(out, true)
		return
	}
	if x.call.rpc != nil {
		x.relayRest(out, frame)
		return
	}
	var body []byte
	whole := false
	if frame != chunked { // what a plugin may change is read part by part
		body, whole = up.Reader.BufferedBody()
	}
	if whole {
		if !x.plan.Empty() {
			x.plan.Run(&x.ctx, body, true)
		}
		x.noteReceived(0, len(body))
		out = append(out, body...)
		x.release(true)
		x.flush(out, true)
		return
	}
	x.relayRest(out, frame)
}

// relayRest streams the body behind out.
func (x *exchange) relayRest(out []byte, frame framing) {
	ok := x.stream(out, frame == chunked && x.inChunks())
	if !ok {
		x.close, x.dropped = true, true
	}
	x.release(ok)
}

// bodyless says that the client expects no body behind the head.
func (x *exchange) bodyless() bool {
	s, from := x.res.status, x.call.res.Status
	return s == 204 || s == 304 || from == 204 || from == 304 || string(x.req.head.Method) == "HEAD"
}

// relayFraming keeps the upstream's Content-Length, and makes chunked what has
// none.
func (x *exchange) relayFraming() (framing, int64) {
	res := &x.call.res
	bodyless := x.bodyless()
	switch {
	case bodyless && res.HasLength && res.Status != 204 && x.res.status != 204:
		return sized, res.DeclaredLength
	case bodyless:
		return noBody, 0
	case res.Length >= 0:
		return sized, res.Length
	}
	return chunked, 0
}

// stream copies the body behind out; false if either side failed.
func (x *exchange) stream(out []byte, chunk bool) bool {
	buf := getBuffer()
	defer putBuffer(buf)
	for head := true; ; head = false {
		if (head || len(out) > 0) && (len(out) >= streamBuffer || !x.ready()) {
			if !x.flush(out, false) {
				return false
			}
			out = x.conn.out[:0]
		}
		n, err := (*answerReader)(x).Read(*buf)
		part := (*buf)[:n]
		if !x.plan.Empty() {
			part = x.plan.Run(&x.ctx, part, err == io.EOF)
		}
		if len(part) > 0 && chunk {
			out = http1.AppendChunk(out, part)
		} else {
			out = append(out, part...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			if len(out) > 0 {
				x.flush(out, false)
			}
			return false
		}
	}
	return x.finish(out, chunk)
}

// ready says that more of the answer's body is there without waiting.
func (x *exchange) ready() bool {
	if x.call.rpc != nil {
		return x.call.rpc.ended()
	}
	return x.call.conn.Reader.Ready()
}

// finish ends the answer behind out, with its trailers.
func (x *exchange) finish(out []byte, chunk bool) bool {
	trailers := x.call.trailers
	if x.conn.streams() && len(trailers) > 0 {
		return x.flush(out, false) && x.conn.front.End(trailers) == nil
	}
	if chunk {
		out = http1.AppendTrailers(out, trailers)
	}
	return len(out) == 0 && !x.conn.streams() || x.flush(out, true)
}

// answerReader reads the answer's body; each read has the upstream's read timeout,
// unless the server may still be waiting for the request.
type answerReader exchange

func (r *answerReader) Read(p []byte) (n int, err error) {
	x := (*exchange)(r)
	if x.call.rpc != nil {
		n, err = x.readRPC(p)
	} else {
		if !x.uploading() {
			x.expectAnswer(x.call.conn)
		}
		n, err = x.call.conn.Reader.Read(p)
	}
	x.noteReceived(0, n)
	return n, err
}

// release ends the call; whole says that the answer was read to its end.
func (x *exchange) release(whole bool) {
	if x.call.rpc != nil {
		x.releaseRPC()
		return
	}
	up := x.call.conn
	x.noteEnd()
	x.conn.detach()
	whole = x.endUpload(up) && whole
	x.call.conn = nil
	up.Release(whole && !x.call.res.Close && up.Reader.BodyDone())
}

// filteredBody is the longest answer that body filters are given.
const filteredBody = 64 << 20

// relayFiltered reads the whole answer for the body filters.
func (x *exchange) relayFiltered() error {
	body, err := io.ReadAll(io.LimitReader((*answerReader)(x), filteredBody+1))
	x.release(err == nil && len(body) <= filteredBody)
	switch {
	case x.conn.gone():
		return errClientGone
	case err != nil || len(body) > filteredBody:
		x.g.log.Warn("reading an answer for body filters", "route", x.route.id(), "err", err, "limit", filteredBody)
		x.res.fields = x.res.fields[:0]
		return x.ctx.Exit(502, nil)
	}
	x.sendFiltered(x.plan.Run(&x.ctx, body, true))
	return nil
}

func (x *exchange) sendFiltered(body []byte) {
	x.planBody()
	frame := chunked
	if x.bodyless() {
		frame = noBody
	}
	out := x.appendHead(&head{frame: frame})
	switch {
	case frame != chunked:
	case !x.inChunks():
		out = append(out, body...)
	case len(body) > 0:
		out = http1.AppendChunk(out, body)
	}
	x.finish(out, frame == chunked && x.inChunks())
}
