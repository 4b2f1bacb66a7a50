package gateway

import (
	"io"
	"time"

	"millrace/gateway/http1"
	"millrace/gateway/upstream"
	"millrace/plugin"
)

// bodyConsumed says that a part of the body has gone to a node and is lost.
func (x *exchange) bodyConsumed() bool { return !x.req.bodyRead && x.req.streamed }

// uploaded is how the streaming of a request body ended.
type uploaded struct {
	whole  bool  // all of it was sent
	bytes  int64 // of what was
	client error // how the client failed
	server error // how sending failed
}

// startUpload streams the rest of the body while the answer is awaited, so that
// a server may answer before it has read everything.
func (x *exchange) startUpload(up *upstream.Conn) {
	x.req.streamed = true
	done := make(chan uploaded, 1)
	x.call.upload = done
	x.conn.continue100() // here, or it could come in the middle of an early answer
	go func() {
		result := x.copyBody(up)
		switch {
		case isTimeout(result.server):
			up.SetReadDeadline(past)
		case result.client == nil: // a server that has closed may have answered first
			up.SetReadDeadline(time.Now().Add(x.target.timeouts.Read))
		}
		done <- result
		if result.client != nil {
			up.Close() // ends the wait for the answer, which finds the result
		}
	}()
}

// copyBody sends what has been read of the body and then the rest.
func (x *exchange) copyBody(up *upstream.Conn) (result uploaded) {
	s := bodySender{up: up, timeout: x.target.timeouts.Send, chunked: x.req.head.Length < 0}
	defer func() { result.bytes = s.sent }()
	buf := getBuffer()
	defer putBuffer(buf)
	c, part, total := x.conn, x.req.body, int64(len(x.req.body))
	for {
		if err := s.part(part); err != nil {
			return uploaded{server: err}
		}
		if limit := x.g.conf.MaxBody; limit > 0 && total > limit {
			return uploaded{client: plugin.ErrBodyTooLarge}
		}
		c.expect(x.g.conf.BodyTimeout)
		n, err := c.reader.Read(*buf)
		part, total = (*buf)[:n], total+int64(n)
		switch {
		case err == io.EOF: // with which nothing comes
			c.relax()
			err = s.end()
			return uploaded{whole: err == nil, server: err}
		case err != nil:
			return uploaded{client: c.bodyError(err)}
		}
	}
}

// bodySender sends a request's body in parts.
type bodySender struct {
	up      *upstream.Conn
	timeout time.Duration
	chunked bool
	out     []byte // room for a chunk
	sent    int64
}

func (s *bodySender) send(b []byte) error {
	s.up.SetWriteDeadline(time.Now().Add(s.timeout))
	n, err := s.up.Write(b)
	s.sent += int64(n)
	return err
}

func (s *bodySender) part(b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	case s.chunked:
		s.out = http1.AppendChunk(s.out[:0], b)
		b = s.out
	}
	return s.send(b)
}

func (s *bodySender) end() error {
	if !s.chunked {
		return nil
	}
	return s.send(http1.AppendLastChunk(s.out[:0]))
}

// uploading says whether the request body is still being sent.
func (x *exchange) uploading() bool {
	if x.call.upload == nil {
		return false
	}
	select {
	case result := <-x.call.upload:
		x.call.upload <- result
		return false
	default:
		return true
	}
}

// clientFailed answers how the client ended an upload, nil if it did not.
func (x *exchange) clientFailed() error {
	select {
	case result := <-x.call.upload:
		x.call.upload <- result
		return result.client
	default:
		return nil
	}
}

// endUpload ends an upload and says whether it sent everything. If not, neither
// connection can be used again.
func (x *exchange) endUpload(up *upstream.Conn) bool {
	if x.call.upload == nil {
		return true
	}
	var result uploaded
	select {
	case result = <-x.call.upload:
	default:
		up.Close()
		x.conn.Conn.SetReadDeadline(past)
		result = <-x.call.upload
		x.conn.Conn.SetReadDeadline(time.Time{})
	}
	x.call.upload = nil
	x.noteSent(result.bytes)
	if !result.whole {
		x.close = true
	}
	return result.whole
}
