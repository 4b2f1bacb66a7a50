package gateway

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A client that stops in the middle of its body is told so, wherever the body is read.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.BodyTimeout = 50 * time.Millisecond })
	up := serve(t, func(s *server, c *upstreamConn) { io.Copy(io.Discard, c) })
	r.route("1", "/x", up.addr)
	r.put("routes/2", `{"uri":"/plugin","plugins":{"test-change":{"echo":true}}}`)
	for _, request := range []string{
		"/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
		"/plugin HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
		"/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		fmt.Sprintf("/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabc", 2*wholeBody), // it is being passed on
	} {
		c := r.dial()
		c.send("POST " + request)
		if rep := c.reply("POST"); rep.status != 408 || !rep.closed {
			t.Errorf("%.40q: %s, closed %v", request, rep.line, rep.closed)
		}
	}
}

// Clients that send byte by byte are served, whatever else the gateway does.
func TestByteByByte(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.route("1", "/x", up.addr)
	c := r.dial()
	for _, b := range []byte("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n") {
		c.send(string(b))
	}
	for range 2 {
		if rep := c.reply("GET"); rep.body != "x" {
			t.Errorf("%s %q", rep.line, rep.body)
		}
	}
}

// An answer that its client does not read is given up, and with it the upstream's
// connection.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.SendTimeout = 50 * time.Millisecond })
	ended := make(chan struct{})
	up := serve(t, func(s *server, c *upstreamConn) {
		defer close(ended)
		if _, _, err := s.request(c); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		io.Copy(c, zeros{})
	})
	r.route("1", "/x", up.addr)
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	<-ended
}

func TestHeaderLimits(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxHeaderLine, c.MaxHeader = 100, 300 })
	r.route("1", "/*", ok(t, "x").addr)
	line := "X: " + strings.Repeat("a", 95) + "\r\n" // 100 bytes
	for request, status := range map[string]int{
		get("/", line):                            200,
		get("/", line+line):                       200,
		get("/", "X"+line):                        400,
		get("/", line+line+line):                  400,
		get("/", "Y: a\r\n"+line):                 200,
		get("/", strings.Repeat("Y: a\r\n", 45)):  200, // 297 together
		get("/", strings.Repeat("Y: a\r\n", 46)):  400,
		get("/"+strings.Repeat("a", 84), ""):      200, // 100 bytes
		get("/"+strings.Repeat("a", 85), ""):      414,
		get("/"+strings.Repeat("a", 8000), line):  414,
		get("/", "X: "+strings.Repeat("a", 8000)): 400,
	} {
		c := r.dial()
		c.send(request)
		if rep := c.reply("GET"); rep.status != status {
			t.Errorf("%d bytes, %.30q: %s, want %d", len(request), request, rep.line, status)
		}
	}
}

func TestKeepaliveRequests(t *testing.T) {
	r := start(t, func(c *Config) { c.KeepaliveRequests = 3 })
	r.route("1", "/", ok(t, "x").addr)
	c := r.dial()
	for n := 1; n <= 3; n++ {
		c.send(get("/", ""))
		if rep := c.reply("GET"); rep.closed != (n == 3) {
			t.Errorf("request %d: closed %v", n, rep.closed)
		}
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
}

// When there are as many connections as may be, idle ones make room, and where there
// is none new ones are closed.
func TestMaxConns(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxConns = 3 })
	r.g.parkAfter.Store(time.Hour.Milliseconds()) // what is just being parked makes no room
	r.route("1", "/", ok(t, "x").addr)
	idle := r.dial()
	idle.send(get("/", ""))
	idle.reply("GET")
	eventually(t, "it is idle", func() bool { return r.g.Connections().Waiting == 1 })
	var busy []*client
	for range 2 { // they have begun a request
		c := r.dial()
		c.send("GET / HTTP/1.1\r\n")
		busy = append(busy, c)
	}
	eventually(t, "three connections", func() bool { n := r.g.Connections(); return n.Active == 3 && n.Waiting == 3 })
	fourth := r.dial()
	fourth.send("GET / HTTP/1.1\r\n")
	if _, err := idle.r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	eventually(t, "three connections again", func() bool { return r.g.Connections().Active == 3 })
	fifth := r.dial()
	if _, err := fifth.r.ReadByte(); err == nil {
		t.Error("a fifth connection was served")
	}
	for _, c := range append(busy, fourth) {
		c.send("Host: a\r\n\r\n")
		if rep := c.reply("GET"); rep.body != "x" {
			t.Errorf("%s", rep.line)
		}
		c.Close()
	}
	eventually(t, "room", func() bool { return r.g.open.Load() == 0 })
	if rep := r.get("/"); rep.body != "x" {
		t.Errorf("afterwards: %s", rep.line)
	}
}

// Connections that are given up in the TLS handshake no longer count.
func TestFailedHandshakesDoNotCount(t *testing.T) {
	r := start(t, nil)
	addr := serveTLS(t, r.g)
	for _, first := range []string{"", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x01\x00"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, first)
		conn.Close()
	}
	eventually(t, "no connections", func() bool { return r.g.open.Load() == 0 && r.g.counters.accepted.Load() == 0 })
}
