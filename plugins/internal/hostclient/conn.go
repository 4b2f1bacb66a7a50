package hostclient

import (
	"bufio"
	"context"
	"net"
	"strconv"
	"time"
)

// smallBody in bytes is up to where a body is copied behind the head, to be sent
// with one write.
const smallBody = 16 << 10

// maxLine in bytes is the longest line of an answer's head.
const maxLine = 16 << 10

// wire counts what is written to the TCP connection, below TLS.
type wire struct {
	net.Conn
	written uint64
	// before is the value of written when the current request began.
	before uint64
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.written += uint64(n)
	return n, err
}

// unacknowledged tells whether it is certain that the peer's system has received
// nothing of the current request. It is meant for connections that have served
// requests before.
func (w *wire) unacknowledged() bool {
	if w.written == w.before {
		return true
	}
	acked, ok := bytesAcknowledged(w.Conn)
	// A system that does not count gives 0, and none gives less than what the
	// earlier answers prove. The count may or may not include the SYN.
	return ok && acked >= w.before && acked <= w.before+1
}

// conn is one connection; one request at a time uses it.
type conn struct {
	net.Conn // TLS or the wire itself
	wire     *wire
	r        *bufio.Reader
	out      []byte

	used      bool // has served a request
	untouched bool // the failed request reached nobody
	idleSince time.Time
}

func newConn(w *wire, secure net.Conn) *conn {
	return &conn{Conn: secure, wire: w, r: bufio.NewReaderSize(secure, maxLine)}
}

// interruptOn makes reads and writes fail once ctx ends. The function it answers
// stops that, and tells whether the connection is undisturbed.
func (cn *conn) interruptOn(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { _ = cn.SetDeadline(time.Unix(1, 0)) })
}

// roundTrip sends one request and reads its answer; reusable tells whether
// another may follow.
func (cn *conn) roundTrip(head, body []byte, maxBody int64) (status int, answer []byte, reusable bool, err error) {
	cn.wire.before = cn.wire.written
	if err := cn.send(head, body); err != nil {
		return 0, nil, false, err
	}
	return readAnswer(cn.r, maxBody)
}

func (cn *conn) send(head, body []byte) error {
	out := append(cn.out[:0], head...)
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\n\r\n"...)
	if len(body) <= smallBody {
		out = append(out, body...)
		body = nil
	}
	cn.out = out
	if _, err := cn.Write(out); err != nil || len(body) == 0 {
		return err
	}
	_, err := cn.Write(body)
	return err
}
