package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// sendBytes is the method of a case that sends bytes as they are.
const sendBytes = "SEND"

// quiet is how long a server that answers datagrams with nothing is listened to.
const quiet = 300 * time.Millisecond

// converse sends the bytes of a case and reads until all that is expected has come,
// the other side closes or time is over.
func (r *run) converse(c *testCase) []string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := r.dial(ctx, c)
	if err != nil {
		return r.judge(c, &response{closed: true, err: err})
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	if c.target == "udp" && c.wantsNothing() {
		end = time.Now().Add(quiet)
	}
	if err := conn.SetDeadline(end); err != nil {
		return []string{err.Error()}
	}
	res := &response{}
	if secured, ok := conn.(*tls.Conn); ok {
		state := secured.ConnectionState()
		res.tls = &state
	}
	// A server that refuses may close before it has read all; what it says counts.
	_, _ = io.WriteString(conn, r.vars.expand(c.body))
	return r.listen(c, conn, res)
}

// listen reads into res until it is as expected or nothing more can come.
func (r *run) listen(c *testCase, conn net.Conn, res *response) []string {
	part := make([]byte, 64<<10)
	for {
		if problems := r.judge(c, res); len(problems) == 0 {
			return nil
		} else if res.closed || res.err != nil {
			return problems
		}
		n, err := conn.Read(part)
		res.received = append(res.received, part[:n]...)
		res.readAnswers()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			res.err = err
			res.closed = c.target == "udp" && len(res.received) == 0
		case err != nil:
			res.err, res.closed = err, true
		}
	}
}

// readAnswers finds the answers among what has been received, and keeps the first.
func (r *response) readAnswers() {
	from := bufio.NewReader(bytes.NewReader(r.received))
	for r.answers = 0; ; {
		res, err := http.ReadResponse(from, nil)
		if err != nil {
			return
		}
		if res.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(res.Body)
		if r.answers++; r.answers == 1 {
			r.status, r.proto, r.header, r.body = res.StatusCode, res.Proto, res.Header, body
		}
		if err != nil {
			return
		}
	}
}

// wantsNothing tells whether a case is about an answer that does not come.
func (c *testCase) wantsNothing() bool {
	for _, e := range c.expect {
		if _, ok := e.(expectNoAnswer); ok {
			return true
		}
	}
	return false
}
