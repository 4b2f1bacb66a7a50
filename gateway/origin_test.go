package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"millrace/plugin"
)

const originTemplate = `$connection $connection_requests $pipe $realip_remote_addr:$realip_remote_port $remote_addr $proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_port`

// routeVar makes a route whose answers show a template.
func (r *rig) routeVar(template string) {
	r.Helper()
	r.put("routes/1", fmt.Sprintf(`{"uri":"/*","plugins":{"test-var":{"template":%q}},"upstream":{"nodes":{%q:1}}}`, template, ok(r, "x").addr))
}

// show sends a request and answers what the template came to.
func (c *client) show() string {
	c.Helper()
	c.send(get("/", ""))
	return c.reply("GET").header.Get("X-Var")
}

// What variables say of a connection, which is the same one after it has been parked.
func TestConnectionVars(t *testing.T) {
	r := start(t, nil)
	r.g.parkAfter.Store(0)
	r.routeVar(originTemplate)
	r.dial().show()
	c := r.dial()
	local := c.LocalAddr().String()
	if got, want := c.show(), "2 1 . "+local+" 127.0.0.1 ||"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	eventually(t, "parking", func() bool { return r.parkedConns() == 2 })
	if got, want := c.show(), "2 2 . "+local+" 127.0.0.1 ||"; got != want {
		t.Errorf("after parking: %q, want %q", got, want)
	}
	c = r.dial()
	c.send(get("/", "") + get("/", ""))
	first, second := c.reply("GET").header.Get("X-Var"), c.reply("GET").header.Get("X-Var")
	if !strings.HasPrefix(first, "3 1 . ") || !strings.HasPrefix(second, "3 2 p ") {
		t.Errorf("two at once: %q, %q", first, second)
	}
	r.routeVar("$connection_time $tcpinfo_rtt $tcpinfo_rttvar $tcpinfo_snd_cwnd $tcpinfo_rcv_space")
	if got := c.show(); !regexp.MustCompile(`^\d+\.\d{3} \d+ \d+ [1-9]\d* [1-9]\d*$`).MatchString(got) {
		t.Errorf("%q", got)
	}
}

// Streams are requests of their connection.
func TestStreamVars(t *testing.T) {
	r := start(t, func(c *Config) { c.HTTP2 = true })
	r.routeVar("$connection $connection_requests $http2 $tcpinfo_snd_cwnd")
	client := clientH2(t, r.addr, nil)
	for n := 1; n < 4; n++ {
		resp, err := client.Get("http://" + r.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if got, want := resp.Header.Get("X-Var"), "1 "+strconv.Itoa(n)+" h2c "; !strings.HasPrefix(got, want) || len(got) == len(want) {
			t.Errorf("%q, want %q and more", got, want)
		}
	}
}

// A balancer's PROXY head names the client; the peer is still known.
func TestBalancerVars(t *testing.T) {
	r := start(t, func(c *Config) { c.RealIPFrom = []string{"127.0.0.1"} })
	r.routeVar(originTemplate)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.g.Serve(ctx, Proxied{ln}) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	r.addr = ln.Addr().String()
	c := r.dial()
	c.send("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n")
	if got, want := c.show(), "1 1 . "+c.LocalAddr().String()+" 192.0.2.1 192.0.2.1|56324|443"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	c.Close()
}

// What loggers are told of several attempts.
func TestAttemptVars(t *testing.T) {
	r := start(t, nil)
	up := answer(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	deadPort, livePort := closedAddr(t), up.addr
	r.put("routes/1", `{"uri":"/x","plugins":{"test-log":{"template":"$upstream_connect_time|$upstream_header_time|$upstream_response_time|$upstream_response_length|$upstream_bytes_received|$upstream_bytes_sent|$request_completion"}},
		"upstream":{"nodes":[{"host":"127.0.0.1","port":`+port(deadPort)+`,"weight":1,"priority":1},{"host":"127.0.0.1","port":`+port(livePort)+`,"weight":1}]}}`)
	lastLogged.Store(nil)
	r.do("GET", "/x")
	eventually(t, "a line of the log", func() bool { return lastLogged.Load() != nil })
	if got := *lastLogged.Load(); !regexp.MustCompile(`^-, \d\.\d{3}\|-, \d\.\d{3}\|\d\.\d{3}, \d\.\d{3}\|0, 5\|0, 43\|0, [1-9]\d+\|OK$`).MatchString(got) {
		t.Errorf("%s", got)
	}
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// lineLog keeps a line for each request.
type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) Log(c *plugin.Context) {
	line := plugin.CompileTemplate(`$status "$request" $host $body_bytes_sent $remote_addr`).Expand(c.Lookup())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *lineLog) has(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.lines, line)
}

// The access log has what is refused too, as far as it could be read, and requests whose
// client did not wait.
func TestRefusedIsLogged(t *testing.T) {
	t.Parallel()
	log := &lineLog{}
	local := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "local") })
	r := start(t, func(c *Config) {
		c.Always, c.MaxBody, c.Local, c.LocalPrefixes = plugin.Of("lines", 0, log), 3, local, []string{"/local"}
	})
	held := serve(t, func(_ *server, c *upstreamConn) { io.Copy(io.Discard, c) })
	r.route("1", "/held", held.addr)
	for _, tt := range []struct{ send, want string }{
		{"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", `400 "GET /%zz HTTP/1.1" h 130 127.0.0.1`},
		{"\x01nonsense\r\n\r\n", `400 "" _ 130 127.0.0.1`},
		{"GET / HTTP/1.1\r\n\r\n", `400 "GET / HTTP/1.1" _ 130 127.0.0.1`},
		{"GET /" + strings.Repeat("x", 9000) + " HTTP/1.1\r\nHost: h\r\n\r\n", `414 "" _ 150 127.0.0.1`},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123456789", `413 "POST / HTTP/1.1" h 156 127.0.0.1`},
		{"GET /local HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", `200 "GET /local HTTP/1.1" h 15 127.0.0.1`},
		{"GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", `404 "GET /none HTTP/1.1" h 47 127.0.0.1`},
	} {
		c := r.dial()
		c.send(tt.send)
		c.reply("GET")
		eventually(t, tt.want, func() bool { return log.has(tt.want) })
	}
	c := r.dial()
	c.send(get("/before", "") + "GET /" + strings.Repeat("x", 9000) + " HTTP/1.1\r\n\r\n")
	c.reply("GET")
	c.reply("GET")
	if log.has(`414 "GET /before HTTP/1.1" a 150 127.0.0.1`) {
		t.Error("what was refused is logged as the request before it")
	}
	c = r.dial()
	c.send(get("/held", ""))
	eventually(t, "the request to be passed on", func() bool { return held.connections() > 0 })
	c.Close()
	eventually(t, "a client that has gone", func() bool { return log.has(`499 "GET /held HTTP/1.1" a 0 127.0.0.1`) })
}
