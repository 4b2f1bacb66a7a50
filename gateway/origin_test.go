package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
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
