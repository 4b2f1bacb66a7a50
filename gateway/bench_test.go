package gateway

import (
	"net"
	"testing"
)

// newLoop is a client and an upstream that cost as little as may be, so that the
// gateway between them is what is measured. more is of the route's upstream.
func newLoop(b testing.TB, plugins, more string) (roundTrip func()) {
	request := []byte("GET /hello?a=b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Length: 12\r\n\r\nhello world\n")
	up := serve(b, func(_ *server, c *upstreamConn) {
		buf := make([]byte, 4<<10)
		for {
			if _, err := c.Conn.Read(buf); err != nil {
				return
			}
			c.Write(response)
		}
	})
	r := start(b, nil)
	r.put("routes/1", `{"uri":"/hello","plugins":`+plugins+`,"upstream":{"nodes":{"`+up.addr+`":1}`+more+`}}`)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	buf := make([]byte, 4<<10)
	return func() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWalk is a plain route, the whole way over real sockets. Client and upstream
// allocate nothing, so what it counts is the gateway's.
func BenchmarkWalk(b *testing.B) {
	roundTrip := newLoop(b, "{}", "")
	roundTrip()
	b.ReportAllocs()
	for b.Loop() {
		roundTrip()
	}
}

// BenchmarkWalkWithPlugins has one plugin in most phases.
func BenchmarkWalkWithPlugins(b *testing.B) {
	roundTrip := newLoop(b, `{"test-filter":{},"test-change":{}}`, "")
	roundTrip()
	b.ReportAllocs()
	for b.Loop() {
		roundTrip()
	}
}

// A route without plugins costs no memory, whatever Host its upstream is sent.
func TestPlainWalkAllocatesNothing(t *testing.T) {
	for _, more := range []string{"", `,"pass_host":"node"`, `,"pass_host":"rewrite","upstream_host":"h.example"`} {
		roundTrip := newLoop(t, "{}", more)
		if n := testing.AllocsPerRun(1000, roundTrip); n > 0 {
			t.Errorf("%s: %g allocations a request", more, n)
		}
	}
}
