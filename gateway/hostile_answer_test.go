package gateway

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hostileAnswer is what an upstream answers to GET /bad, and what becomes of it.
type hostileAnswer struct {
	name, method, bytes string
	// early ends the upstream's connection behind the bytes.
	early  bool
	status int
	body   string
	// cut: the client is shown that the body is not whole.
	cut bool
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

// poison is an answer that must never become that of another request.
const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

// Where answers go wrong, nginx (1.22) repairs them, or relays their bytes as those of
// HTTP/0.9; here they are failures of the upstream.
var hostileAnswers = []hostileAnswer{
	{name: "both lengths", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + poison, status: 502},
	{name: "both lengths, other order", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + poison, status: 502},
	{name: "two lengths", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 100\r\n\r\nx" + poison, status: 502},
	{name: "two equal lengths", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", status: 502},
	{name: "list of lengths", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", status: 502},
	{name: "signed length", bytes: "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", status: 502},
	{name: "negative length", bytes: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", status: 502},
	{name: "length above 64 bits", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx", status: 502},
	{name: "other coding", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", status: 502},
	{name: "chunked twice", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", status: 502},
	{name: "folded header", bytes: "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 1\r\n\r\nx", status: 502},
	{name: "blank before the colon", bytes: "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx", status: 502},
	{name: "bare CR in a header", bytes: "HTTP/1.1 200 OK\r\nX: 1\rSet-Cookie: a\r\nContent-Length: 1\r\n\r\nx", status: 502},
	{name: "NUL in a header", bytes: "HTTP/1.1 200 OK\r\nX: 1\x00\r\nContent-Length: 1\r\n\r\nx", status: 502},
	{name: "no colon", bytes: "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 1\r\n\r\nx", status: 502},
	{name: "no status", bytes: "HTTP/1.1 OK\r\n\r\n", status: 502},
	{name: "status of two digits", bytes: "HTTP/1.1 20 OK\r\n\r\n", status: 502},
	{name: "status below 100", bytes: "HTTP/1.1 099 OK\r\n\r\n", status: 502},
	{name: "no HTTP", bytes: "SSH-2.0-OpenSSH\r\n\r\n", status: 502},
	{name: "HTTP/2", bytes: "HTTP/2 200 OK\r\nContent-Length: 1\r\n\r\nx", status: 502},
	{name: "endless head", bytes: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: 1234567890\r\n", 5000), status: 502},
	{name: "endless header", bytes: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 70_000), status: 502},
	{name: "flood of interim answers", bytes: strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 10_000) + fine, status: 502},
	{name: "interim answers", bytes: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + fine, status: 200, body: "fine"},
	{name: "101 that nobody asked for", bytes: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + poison, status: 502},
	{name: "LF as line end", bytes: "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", status: 200, body: "x"},
	{name: "closed before the head", bytes: "", early: true, status: 502},
	{name: "closed in the head", bytes: "HTTP/1.1 200 OK\r\nContent-Le", early: true, status: 502},
	{name: "body cut", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody", early: true, status: 200, body: "body", cut: true},
	{name: "chunk cut", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbody", early: true, status: 200, body: "body", cut: true},
	{name: "last chunk missing", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", early: true, status: 200, body: "body", cut: true},
	{name: "bad chunk", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nxyz\r\n" + poison, status: 200, body: "body", cut: true},
	{name: "chunk size above 64 bits", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n10000000000000001\r\n" + poison, status: 200, body: "body", cut: true},
	{name: "body to the end of the connection", bytes: "HTTP/1.1 200 OK\r\n\r\nbody", early: true, status: 200, body: "body"},
	{name: "trailers", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nSet-Cookie: a\r\n\r\n", status: 200, body: "body"},
	{name: "204 with a body", bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\n" + poison, status: 204},
	{name: "304 with a body", bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n" + poison, status: 304},
	{name: "HEAD with a body", method: "HEAD", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n" + poison, status: 200},
	{name: "HEAD with chunks", method: "HEAD", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2a\r\n" + poison + "\r\n0\r\n\r\n", status: 200},
	{name: "another answer behind the body", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody" + poison, status: 200, body: "body"},
	{name: "another answer behind the chunks", bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" + poison, status: 200, body: "body"},
}

// hostileUpstream answers /bad with the bytes that are set and all else well.
func hostileUpstream(t *testing.T, bad func() hostileAnswer) *server {
	return serve(t, func(s *server, c *upstreamConn) {
		for {
			head, _, err := s.request(c)
			if err != nil {
				return
			}
			reply := hostileAnswer{bytes: fine}
			if strings.Contains(head, " /bad ") {
				reply = bad()
			}
			if _, err := io.WriteString(c, reply.bytes); err != nil || reply.early {
				return
			}
		}
	})
}

// No answer of an upstream gets a client to take it for another, and none is served to
// a request for which it was not meant.
func TestHostileUpstreams(t *testing.T) {
	var current hostileAnswer // set only while no request is under way
	up := hostileUpstream(t, func() hostileAnswer { return current })
	r := start(t, nil)
	r.route("1", "/*", up.addr)
	for _, a := range hostileAnswers {
		t.Run(a.name, func(t *testing.T) {
			current = a
			method := cmp.Or(a.method, "GET")
			c := r.dial()
			defer c.Close()
			c.send(method + " /bad HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c.Conn), &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			if res.StatusCode != a.status || a.status < 400 && string(b) != a.body || (err != nil) != a.cut {
				t.Errorf("%s %q %v, want %d %q, cut %v", res.Status, b, err, a.status, a.body, a.cut)
			}
			for range 3 {
				next := r.dial()
				next.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
				if rep := next.reply("GET"); rep.status != 200 || rep.body != "fine" {
					t.Fatalf("the next request: %s %q", rep.line, rep.body)
				}
				next.Close()
			}
		})
	}
}

// What an upstream sends on an idle connection is the answer to no request.
func TestUpstreamThatGoesOn(t *testing.T) {
	for _, first := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
		"HTTP/1.1 204 No Content\r\n\r\n",
	} {
		sent := make(chan struct{})
		up := serve(t, func(s *server, c *upstreamConn) {
			for n := 0; ; n++ {
				if head, _, err := s.request(c); err != nil {
					return
				} else if strings.Contains(head, " /next ") {
					io.WriteString(c, fine)
					continue
				}
				io.WriteString(c, first)
				<-sent // the client has the answer, so the connection is idle or about to be
				io.WriteString(c, poison)
				sent <- struct{}{}
			}
		})
		r := start(t, nil)
		r.route("1", "/*", up.addr)
		r.get("/first")
		sent <- struct{}{}
		<-sent
		idle := time.Now() // a connection left this very moment is used without a look
		eventually(t, "the connection idles", func() bool { return time.Since(idle) > 10*time.Millisecond })
		if rep := r.get("/next"); rep.body != "fine" {
			t.Errorf("after %q: %s %q", first, rep.line, rep.body)
		}
	}
}

// Headers that plugins and upstreams give are one line each, whatever they hold.
func TestHeadersCannotBeInjected(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	const evil = `{"X-A":"a\r\nX-Evil: 1","X-B\r\nX-Evil: 1":"b"}`
	r.put("routes/1", fmt.Sprintf(`{"uri":"/x","plugins":{"test-change":{"headers":%[1]s,"answer":%[1]s,"target":"/y\r\nX-Evil: 1","host":"h\r\nX-Evil: 1"}},
		"upstream":{"nodes":{%[2]q:1}}}`, evil, up.addr))
	rep, want := r.get("/x"), "GET /y%0D%0AX-Evil:%201 HTTP/1.1\r\nHost: h%0D%0AX-Evil: 1\r\n"
	if sent := up.last(t); strings.Contains("\n"+rep.head, "X-B") || !strings.HasPrefix(sent, want) || strings.Contains(sent, "X-B") {
		t.Errorf("%q, sent on %q", rep.head, sent)
	}
}
