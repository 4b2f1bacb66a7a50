package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/freeport"
)

// closedAddr answers an address where nobody listens.
func closedAddr(t testing.TB) string { return freeport.Address(t) }

func TestRequestAsSent(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "hi")
	r.route("1", "/echo/*", up.addr)
	_, port, _ := net.SplitHostPort(r.addr)
	c := r.dial()
	c.send("GET /echo/a%2Fb/../c//d?x=1%20y&z HTTP/1.1\r\nAccept: */*\r\nhOsT: ExAmple.com:8080\r\n" +
		"Connection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nX_Under: 1\r\n" +
		"x-LOWer: a\r\nX-Dup: 1\r\nX-Dup: 2\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=x\r\n" +
		"X-Real-IP: 8.8.8.8\r\nAccept-Encoding: gzip\r\n\r\n")
	if rep := c.reply("GET"); rep.status != 200 || rep.body != "hi" || rep.closed {
		t.Fatalf("%s %q", rep.line, rep.body)
	}
	want := "GET /echo/a%2Fb/../c//d?x=1%20y&z HTTP/1.1\r\nHost: ExAmple.com:8080\r\nX-Real-IP: 127.0.0.1\r\n" +
		"X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\nAccept: */*\r\nX_Under: 1\r\nx-LOWer: a\r\nX-Dup: 1\r\nX-Dup: 2\r\n" +
		"X-Forwarded-Proto: http\r\nAccept-Encoding: gzip\r\nX-Forwarded-Host: ExAmple.com:8080\r\nX-Forwarded-Port: 8080\r\n\r\n"
	if got := up.last(t); got != want { // spec vector 3
		t.Errorf("upstream got\n%s\nwant\n%s", got, want)
	}
	c.send("GET http://elsewhere/echo/x?y HTTP/1.1\r\nHost: h\r\n\r\n")
	c.reply("GET")
	if got := up.last(t); !strings.HasPrefix(got, "GET /echo/x?y HTTP/1.1\r\nHost: h\r\n") {
		t.Errorf("absolute form: %s", got)
	}
	c.send("GET /echo/ HTTP/1.0\r\n\r\n")
	rep := c.reply("GET")
	if got := up.last(t); !rep.closed || !strings.Contains(got, "X-Forwarded-Host: _\r\nX-Forwarded-Port: "+port) {
		t.Errorf("HTTP/1.0: %q %s", rep.head, got)
	}
}

func TestRealIPAndTrust(t *testing.T) {
	up := ok(t, "")
	tests := []struct {
		name    string
		change  func(*Config)
		want    []string
		without []string
	}{
		{"defaults", func(c *Config) { c.RealIPFrom = nil },
			[]string{"X-Real-IP: 1.2.3.4\r\n", "X-Forwarded-For: 5.5.5.5, 1.2.3.4\r\n", "X-Forwarded-Host: test\r\n"}, []string{"Forwarded: f"}},
		{"trusted", func(c *Config) { c.TrustedAddresses = []string{"127.0.0.0/8"} },
			[]string{"X-Real-IP: 127.0.0.1\r\n", "X-Forwarded-For: 5.5.5.5, 127.0.0.1\r\n", "X-Forwarded-Host: theirs\r\n", "Forwarded: f\r\n", "X-Forwarded-Proto: http\r\n"}, nil},
		{"not trusted", func(c *Config) { c.TrustedAddresses = []string{"10.0.0.1"} },
			[]string{"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Host: test\r\n"}, []string{"5.5.5.5", "Forwarded: f"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, test.change)
			r.route("1", "/*", up.addr)
			r.get("/", "X-Real-IP: 1.2.3.4", "X-Forwarded-For: 5.5.5.5", "X-Forwarded-Host: theirs", "Forwarded: f")
			got := up.last(t)
			for _, w := range test.want {
				if !strings.Contains(got, w) {
					t.Errorf("lacks %q:\n%s", w, got)
				}
			}
			for _, w := range test.without {
				if strings.Contains(got, w) {
					t.Errorf("has %q:\n%s", w, got)
				}
			}
		})
	}
}

func TestAnswerAsReceived(t *testing.T) {
	r := start(t, nil)
	up := answer(t, "HTTP/1.1 404 NOPE here\r\nDate: d\r\nX-b: 1\r\nx-B: 2\r\nServer: other\r\nContent-Type: text/html\r\n"+
		"X-Accel-Expires: 3\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\nLocation: http://up/\r\n\r\nno")
	r.route("1", "/a", up.addr)
	rep := r.get("/a")
	want := "Content-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\nConnection: keep-alive\r\nDate: d\r\nX-b: 1\r\nx-B: 2\r\nLocation: http://up/\r\nServer: millrace/1.2.3\r\n"
	if rep.line != "HTTP/1.1 404 NOPE here" || rep.head != want || rep.body != "no" {
		t.Errorf("%s\n%q\nwant\n%q", rep.line, rep.head, want)
	}
	if rep := r.do("HEAD", "/a"); rep.status != 404 || rep.header.Get("Content-Length") != "2" {
		t.Errorf("HEAD: %s %q", rep.line, rep.head)
	}
}

func TestBodilessAnswers(t *testing.T) {
	r := start(t, nil)
	for status, head := range map[int]string{204: "", 304: "ETag: x\r\n"} {
		up := answer(t, fmt.Sprintf("HTTP/1.1 %d X\r\n%s\r\n", status, head))
		r.route("1", "/a", up.addr)
		c := r.dial()
		for range 2 {
			c.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
			if rep := c.reply("GET"); rep.status != status || rep.body != "" || strings.Contains(rep.head, "chunked") {
				t.Errorf("%d: %s %q", status, rep.line, rep.head)
			}
		}
		c.Close()
	}
}

func TestFailures(t *testing.T) {
	r := start(t, nil)
	dead := []string{closedAddr(t), closedAddr(t), closedAddr(t)}
	silent := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		io.Copy(io.Discard, c)
	})
	closing := serve(t, func(s *server, c *upstreamConn) { s.request(c) })
	noise := answer(t, "this is not HTTP\r\n\r\n")
	both := answer(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	long := answer(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	broken := answer(t, "HTTP/1.1 500 Broken\r\nContent-Length: 4\r\n\r\noops")
	alive := ok(t, "alive")
	const fast = `"timeout":{"connect":1,"send":1,"read":0.05}`
	tests := []struct {
		name, method, upstream string
		status                 int
		header, body           string
	}{
		{"refused", "GET", `{"nodes":` + nodesJSON(dead[:1]) + `}`, 502, "502", ""},          // vector 4
		{"three dead", "GET", `{"nodes":` + nodesJSON(dead) + `}`, 502, "502, 502, 502", ""}, // vector 5
		{"retries off", "GET", `{"retries":0,"nodes":` + nodesJSON(dead) + `}`, 502, "502", ""},
		{"one retry", "GET", `{"retries":1,"nodes":` + nodesJSON(dead) + `}`, 502, "502, 502", ""},
		{"connect failures retry POST", "POST", priorities(dead[0], alive.addr), 200, "", "alive"}, // vector 6
		{"sent POST is not retried", "POST", priorities(closing.addr, alive.addr), 502, "502", ""},
		{"sent GET is", "GET", priorities(closing.addr, alive.addr), 200, "", "alive"},
		{"own 500", "GET", `{"nodes":{"` + broken.addr + `":1}}`, 500, "500", "oops"},               // vector 8
		{"read timeout", "GET", `{` + fast + `,"nodes":{"` + silent.addr + `":1}}`, 504, "504", ""}, // vector 9
		{"timeout then alive", "GET", `{` + fast + `,` + priorities(silent.addr, alive.addr)[1:], 200, "", "alive"},
		{"retry_timeout", "GET", `{"retry_timeout":0.01,` + fast + `,` + priorities(silent.addr, alive.addr)[1:], 502, "504", ""},
		{"noise", "GET", `{"nodes":{"` + noise.addr + `":1}}`, 502, "502", ""},
		{"two lengths", "GET", `{"nodes":{"` + both.addr + `":1}}`, 502, "502", ""},
		{"noise is no reason to ask another", "GET", priorities(noise.addr, alive.addr), 502, "502", ""},
		{"nor is a malformed answer", "GET", priorities(both.addr, alive.addr), 502, "502", ""},
		{"nor is a head that is too long", "GET", priorities(long.addr, alive.addr), 502, "502", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.put("routes/1", `{"uri":"/x","upstream":`+test.upstream+`}`)
			rep := r.do(test.method, "/x")
			if rep.status != test.status || rep.header.Get("X-APISIX-Upstream-Status") != test.header {
				t.Errorf("%s, statuses %q; want %d %q", rep.line, rep.header.Get("X-APISIX-Upstream-Status"), test.status, test.header)
			}
			if test.body != "" && rep.body != test.body {
				t.Errorf("body %q", rep.body)
			}
		})
	}
}

// priorities is an upstream whose second node is used when the first fails.
func priorities(first, second string) string {
	node := func(addr string, priority int) string {
		host, port, _ := net.SplitHostPort(addr)
		return fmt.Sprintf(`{"host":%q,"port":%s,"weight":1,"priority":%d}`, host, port, priority)
	}
	return `{"nodes":[` + node(first, 0) + `,` + node(second, -1) + `]}`
}

func TestPassHost(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "")
	tests := []struct{ conf, want string }{
		{`"pass_host":"pass"`, "Client.Host:99"},
		{`"pass_host":"node"`, up.addr},
		{`"pass_host":"rewrite","upstream_host":"fixed.host"`, "fixed.host"},
	}
	for _, test := range tests {
		r.put("routes/1", `{"uri":"/x","upstream":{`+test.conf+`,"nodes":{"`+up.addr+`":1}}}`)
		r.get("/x", "Host: Client.Host:99")
		if !strings.Contains(up.last(t), "\r\nHost: "+test.want+"\r\n") {
			t.Errorf("%s: %s", test.conf, up.last(t))
		}
	}
}

func TestStaleConnection(t *testing.T) {
	r := start(t, nil)
	var closed atomic.Int64
	up := serve(t, func(s *server, c *upstreamConn) { // closes after each answer, unannounced
		s.request(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.Close()
		closed.Add(1)
	})
	r.route("1", "/x", up.addr)
	for i := range 30 {
		method := []string{"GET", "POST"}[i%2]
		if method == "POST" { // it may not be repeated: the end must have come before
			eventually(t, "closing", func() bool { return closed.Load() >= int64(i) })
		}
		if rep := r.do(method, "/x", "Content-Length: 0"); rep.status != 200 {
			t.Fatalf("%s number %d: %s", method, i, rep.line)
		}
	}
}

func TestKeepAliveSurvivesChanges(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	for i := range 5 {
		r.put("routes/1", fmt.Sprintf(`{"uri":"/x","priority":%d,"upstream":{"nodes":{"%s":1}}}`, i, up.addr))
		r.get("/x")
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.conns != 1 {
		t.Errorf("%d connections to the upstream, want 1", up.conns)
	}
}

func TestBodies(t *testing.T) {
	r := start(t, nil)
	up := serve(t, func(s *server, c *upstreamConn) {
		for {
			_, body, err := s.request(c)
			if err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	r.route("1", "/x", up.addr)
	c := r.dial()
	for _, size := range []int{0, 1, 4 << 10, wholeBody, wholeBody + 1, 3 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		done := make(chan struct{})
		go func() {
			defer close(done)
			fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body)
		}()
		if rep := c.reply("POST"); rep.status != 200 || rep.body != body {
			t.Errorf("%d bytes: %s, %d bytes back", size, rep.line, len(rep.body))
		}
		<-done
		go func() {
			fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
			for rest := []byte(body); len(rest) > 0; {
				n := min(len(rest), 100_000)
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, rest[:n])
				rest = rest[n:]
			}
			io.WriteString(c, "0\r\n\r\n")
		}()
		if rep := c.reply("POST"); rep.status != 200 || rep.body != body || rep.closed {
			t.Errorf("%d bytes chunked: %s, %d bytes back, closed %v", size, rep.line, len(rep.body), rep.closed)
		}
		if size <= wholeChunked && size > 0 && !strings.Contains(up.last(t), fmt.Sprintf("\r\nContent-Length: %d\r\n", size)) {
			t.Errorf("%d bytes chunked were not sent with their length", size)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "done")
	r.route("1", "/x", up.addr)
	c := r.dial()
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	c.r.ReadString('\n')
	c.send("hi")
	if rep := c.reply("POST"); rep.body != "done" {
		t.Errorf("%s", rep.line)
	}
	if got := up.last(t); strings.Contains(got, "Expect") || !strings.HasSuffix(got, "\r\n\r\nhi") {
		t.Errorf("upstream got %s", got)
	}
	c.send("POST /nope HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	if rep := c.reply("POST"); rep.status != 404 || !rep.closed {
		t.Errorf("refused at once: %s %q", rep.line, rep.head)
	}
}

func TestAnswerStreams(t *testing.T) {
	r := start(t, nil)
	step := make(chan string)
	defer close(step)
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		for part := range step {
			io.WriteString(c, part)
		}
	})
	r.route("1", "/sse", up.addr)
	c := r.dial()
	c.send("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
	step <- "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	for line := ""; line != "\r\n"; {
		line, _ = c.r.ReadString('\n')
	}
	for _, event := range []string{"data: 1\n\n", "data: 2\n\n"} {
		step <- fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
		want := fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
			t.Fatalf("got %q %v, want %q", got, err, want)
		}
	}
	step <- "0\r\n\r\n"
	end := make([]byte, 5)
	if _, err := io.ReadFull(c.r, end); err != nil || string(end) != "0\r\n\r\n" {
		t.Errorf("end %q %v", end, err)
	}
}

func TestAnswerWithoutLength(t *testing.T) {
	r := start(t, nil)
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nuntil the end")
	})
	r.route("1", "/x", up.addr)
	if rep := r.get("/x"); rep.body != "until the end" || rep.header.Get("Transfer-Encoding") != "chunked" || rep.closed {
		t.Errorf("%s %q %q", rep.line, rep.head, rep.body)
	}
	c := r.dial()
	c.send("GET /x HTTP/1.0\r\n\r\n")
	if rep := c.reply("GET"); rep.body != "until the end" || strings.Contains(rep.head, "chunked") || rep.line != "HTTP/1.1 200 OK" {
		t.Errorf("HTTP/1.0: %s %q %q", rep.line, rep.head, rep.body)
	}
}

// A truncated answer must not look whole to the client.
func TestTruncatedAnswer(t *testing.T) {
	r := start(t, nil)
	for _, head := range []string{"Content-Length: 100\r\n\r\nshort", "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"} {
		up := serve(t, func(s *server, c *upstreamConn) {
			s.request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head)
		})
		r.route("1", "/x", up.addr)
		c := r.dial()
		c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
		b, _ := io.ReadAll(c.r)
		if !bytes.Contains(b, []byte("short")) || bytes.HasSuffix(b, []byte("0\r\n\r\n")) {
			t.Errorf("%q: client got %q", head, b)
		}
	}
}

func TestLargeAnswer(t *testing.T) {
	r := start(t, nil)
	const size = 64 << 20
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		io.CopyN(c, zeros{}, size)
	})
	r.route("1", "/x", up.addr)
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	for line := ""; line != "\r\n"; {
		line, _ = c.r.ReadString('\n')
	}
	if n, err := io.CopyN(io.Discard, c.r, size); err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestClientGone(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	called, ended := make(chan struct{}), make(chan struct{})
	up := serve(t, func(s *server, c *upstreamConn) {
		s.request(c)
		close(called)
		io.Copy(io.Discard, c)
		close(ended)
	})
	r.route("1", "/x", up.addr)
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	<-called
	c.Close()
	select {
	case <-ended:
	case <-time.After(deadline):
		t.Error("the upstream's connection is still open")
	}
}

// An upstream may answer before it has read the body, and close.
func TestEarlyAnswer(t *testing.T) {
	r := start(t, nil)
	up := serve(t, func(s *server, c *upstreamConn) {
		c.r.ReadString('\n')
		io.WriteString(c, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
		io.CopyN(io.Discard, c.r, 1<<20)
	})
	r.route("1", "/x", up.addr)
	c := r.dial()
	go func() {
		fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 1<<30)
		io.CopyN(c, zeros{}, 4<<20)
	}()
	if rep := c.reply("POST"); rep.status != 413 || rep.body != "no" {
		t.Errorf("%s %q", rep.line, rep.body)
	}
}

func TestWebsocket(t *testing.T) {
	r := start(t, nil)
	up := serve(t, func(s *server, c *upstreamConn) {
		head, _, _ := s.request(c)
		if !strings.Contains(head, "Upgrade: websocket\r\nConnection: upgrade\r\n") {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-K: v\r\n\r\nhello")
		io.Copy(c, c.r)
	})
	// Browsers send Connection first, others last.
	const request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
	r.put("routes/1", `{"uri":"/ws","enable_websocket":true,"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	c := r.dial()
	c.send(request)
	rep := c.reply("GET")
	if rep.status != 101 || rep.header.Get("Upgrade") != "websocket" || rep.header.Get("X-K") != "v" {
		t.Fatalf("%s %q", rep.line, rep.head)
	}
	c.send("ping")
	got := make([]byte, len("helloping"))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != "helloping" {
		t.Errorf("%q %v", got, err)
	}
	c.Close()
	r.put("routes/1", `{"uri":"/ws","upstream":{"nodes":{"`+up.addr+`":1}}}`)
	c = r.dial()
	c.send(request)
	if rep := c.reply("GET"); rep.status != 200 || rep.body != "plain" {
		t.Errorf("not enabled: %s", rep.line)
	}
}

// A client that upgrades while its body is on its way gets no tunnel: both would
// read from its connection.
func TestWebsocketWithUnreadBody(t *testing.T) {
	r := start(t, nil)
	up := serve(t, func(s *server, c *upstreamConn) {
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = c.r.ReadString('\n'); err != nil {
				return
			}
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		io.Copy(io.Discard, c.r)
	})
	r.put("routes/1", `{"uri":"/ws","enable_websocket":true,"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	c := r.dial()
	c.send("POST /ws HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\nContent-Length: 1000000\r\n\r\n")
	if rep := c.reply("POST"); rep.status != 502 || !rep.closed {
		t.Errorf("%s %q", rep.line, rep.head)
	}
}

// A server that stops reading a long body uses up the send timeout, after which
// its answer is no longer awaited.
func TestSendTimeoutOfLongBody(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	end := make(chan struct{})
	defer close(end)
	up := serve(t, func(s *server, c *upstreamConn) { <-end })
	r.put("routes/1", `{"uri":"/x","timeout":{"connect":5,"send":0.1,"read":60},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	c := r.dial()
	go func() {
		fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 1<<30)
		io.CopyN(c, zeros{}, 1<<30)
	}()
	if rep := c.reply("POST"); rep.status != 504 {
		t.Errorf("%s", rep.line)
	}
}

// The send timeout is between two writes: a client that pauses before the end of
// its body has not used it up.
func TestPauseBeforeLastChunk(t *testing.T) {
	t.Parallel()
	const sendTimeout = time.Second
	r := start(t, nil)
	came := make(chan struct{})
	up := serve(t, func(s *server, c *upstreamConn) {
		for line := ""; line != "\r\n"; {
			line, _ = c.r.ReadString('\n')
		}
		body := chunkedReader(c.r)
		io.CopyN(io.Discard, body, 2<<20)
		close(came)
		if rest, err := io.ReadAll(body); err == nil && len(rest) == 0 {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	r.put("routes/1", `{"uri":"/x","timeout":{"connect":5,"send":1,"read":60},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	c := r.dial()
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat("x", 2<<20) + "\r\n")
	<-came
	<-time.After(2 * sendTimeout) // the pause
	c.send("0\r\n\r\n")
	if rep := c.reply("POST"); rep.status != 200 || rep.body != "ok" {
		t.Errorf("%s %q", rep.line, rep.body)
	}
}
