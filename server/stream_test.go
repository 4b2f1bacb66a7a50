package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/internal/freeport"
	"millrace/server/servertest"
)

// streaming opens a listener of streams of each kind.
func streaming(cfg *config.Config) {
	free := config.Listener{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Network: "tcp"}
	cfg.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
	cfg.Gateway.Stream.Enabled = true
	cfg.Gateway.Stream.TCP = []config.StreamListener{{Listener: free}, {Listener: free, TLS: true}}
	cfg.Gateway.Stream.UDP = []config.Listener{free}
}

// admin calls the Admin API and answers the status and the body.
func admin(t *testing.T, site *servertest.Site, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, site.Admin+"/apisix/admin"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-KEY", servertest.AdminKey)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(text))
}

// putStream sets stream route 1.
func putStream(t *testing.T, site *servertest.Site, format string, args ...any) {
	t.Helper()
	if status, text := admin(t, site, "PUT", "/stream_routes/1", fmt.Sprintf(format, args...)); status != 200 && status != 201 {
		t.Fatalf("%d %s", status, text)
	}
}

// lineServer answers each connection with its name and what it is sent, up to its end.
func lineServer(t *testing.T, name string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				text, _ := io.ReadAll(c)
				fmt.Fprintf(c, "%s %s", name, text)
			}()
		}
	}()
	return ln.Addr().String()
}

// exchange sends text over a connection, ends its half and answers the rest.
func exchange(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, text)
	c.(interface{ CloseWrite() error }).CloseWrite()
	got, _ := io.ReadAll(c)
	return string(got)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What the Admin API answers to is in force for the next connection.
func TestStreams(t *testing.T) {
	t.Parallel()
	site := servertest.Start(t, streaming)
	a, b := lineServer(t, "a"), lineServer(t, "b")
	for _, node := range [][2]string{{"a", a}, {"b", b}, {"a", a}} {
		putStream(t, site, `{"upstream":{"nodes":{%q:1}}}`, node[1])
		if got := exchange(t, dial(t, site.Streams["tcp"]), "hello"); got != node[0]+" hello" {
			t.Errorf("got %q from %s", got, node[0])
		}
	}
	if status, text := admin(t, site, "GET", "/plugins/list?subsystem=stream", ""); status != 200 ||
		text != `["ip-restriction","limit-conn","mqtt-proxy","traffic-split","syslog"]` {
		t.Errorf("plugins: %d %s", status, text)
	}
	for body, want := range map[string]string{
		`{"plugins":{"prometheus":{}}}`:                       "unknown plugin [prometheus]",
		`{"plugins":{"key-auth":{}}}`:                         "unknown plugin [key-auth]",
		`{"protocol":{"name":"redis"}}`:                       "unknown protocol [redis]",
		`{"plugins":{"mqtt-proxy":{"protocol_name":"MQTT"}}}`: `failed to check the configuration of stream plugin [mqtt-proxy]: property \"protocol_level\" is required`,
	} {
		if status, text := admin(t, site, "PUT", "/stream_routes/2", body); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	putStream(t, site, `{"plugins":{"ip-restriction":{"blacklist":["127.0.0.1"]}},"upstream":{"nodes":{%q:1}}}`, a)
	if got := exchange(t, dial(t, site.Streams["tcp"]), "hello"); got != "" {
		t.Errorf("a client that may not pass got %q", got)
	}
	if site.Streams["udp"] == "" || site.Streams["tls"] == "" || site.Gateway == "" {
		t.Errorf("addresses %+v", site)
	}
}

func TestStreamsOff(t *testing.T) {
	t.Parallel()
	site := servertest.Start(t, func(cfg *config.Config) { streaming(cfg); cfg.Gateway.Stream.Enabled = false })
	if len(site.Streams) > 0 {
		t.Errorf("open all the same: %v", site.Streams)
	}
	if status, text := admin(t, site, "GET", "/stream_routes", ""); status != 400 || text != `{"error_msg":"stream mode is disabled, can not add stream routes"}` {
		t.Errorf("%d %s", status, text)
	}
}

// A real server and its own client on either side.
func TestRedisThroughStream(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"redis-server", "redis-cli"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	// Redis takes port 0 for none: it has to be given a number, which another may take meanwhile.
	var redis *exec.Cmd
	var addr string
	for range 10 {
		addr = freeport.Address(t)
		_, port, _ := net.SplitHostPort(addr)
		redis = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
		if err := redis.Start(); err != nil {
			t.Fatal(err)
		}
		if answers(addr) {
			break
		}
		_ = redis.Process.Kill()
		_ = redis.Wait()
	}
	t.Cleanup(func() { _ = redis.Process.Kill(); _ = redis.Wait() })
	site := servertest.Start(t, func(cfg *config.Config) { streaming(cfg); cfg.Gateway.Stream.Protocols = []string{"redis"} })
	t.Run("passed on", func(t *testing.T) {
		putStream(t, site, `{"upstream":{"type":"roundrobin","nodes":{%q:1}}}`, addr)
		askRedis(t, site.Streams["tcp"])
	})
	t.Run("understood", func(t *testing.T) {
		putStream(t, site, `{"protocol":{"name":"redis","conf":{"faults":[{"commands":["get"],"key":"slow","delay":1}]}},"upstream":{"type":"roundrobin","nodes":{%q:1}}}`, addr)
		askRedis(t, site.Streams["tcp"])
		askRedis(t, site.Streams["tcp"], "-3") // version 3 of its protocol
	})
}

// askRedis has redis-cli, with further arguments, store things and look them up.
func askRedis(t *testing.T, addr string, more ...string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	cli := func(args ...string) string {
		out, err := exec.Command("redis-cli", append(append([]string{"-h", host, "-p", port}, more...), args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct{ args, want string }{{"ping", "PONG"}, {"set k " + long, "OK"}, {"get k", long}, {"set n 0", "OK"}, {"incr n", "1"}, {"incr n", "2"}, {"hset h a b", ""}, {"hget h a", "b"}} {
		if got := cli(strings.Fields(c.args)...); got != c.want && c.want != "" {
			t.Errorf("%.20s: got %.100q", c.args, got)
		}
	}
}

// answers waits until a Redis answers at an address.
func answers(addr string) bool {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		c.SetDeadline(end)
		io.WriteString(c, "PING\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		c.Close()
		if line == "+PONG\r\n" {
			return true
		}
	}
	return false
}

// The client that a PROXY head names is the one that plugins see, with and without
// TLS.
func TestProxiedListeners(t *testing.T) {
	t.Parallel()
	site := servertest.Start(t, func(cfg *config.Config) {
		free := config.Listener{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Network: "tcp", HTTP2: true}
		cfg.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
		cfg.Gateway.ProxyProtocol.Listen, cfg.Gateway.ProxyProtocol.ListenTLS = []config.Listener{free}, []config.Listener{free}
	})
	if len(site.Proxied) != 2 {
		t.Fatalf("addresses %v", site.Proxied)
	}
	cert, key := selfSigned(t, "a.test.com")
	for path, body := range map[string]string{
		"/ssls/1":   fmt.Sprintf(`{"sni":"a.test.com","cert":%q,"key":%q}`, cert, key),
		"/routes/1": `{"uri":"/who","plugins":{"fault-injection":{"abort":{"http_status":200,"body":"$remote_addr:$remote_port"}}}}`,
	} {
		if status, text := admin(t, site, "PUT", path, body); status != 201 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	heads := map[string]string{
		"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n":                                        "192.0.2.1:56324",
		"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n":                                       "2001:db8::1:56324",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb": "192.0.2.1:56324",
	}
	for head, want := range heads {
		for i, addr := range site.Proxied {
			c := dial(t, addr)
			io.WriteString(c, head)
			if i == 1 {
				c = tls.Client(c, &tls.Config{ServerName: "a.test.com", InsecureSkipVerify: true})
			}
			c.SetDeadline(time.Now().Add(30 * time.Second))
			fmt.Fprint(c, "GET /who HTTP/1.1\r\nHost: a.test.com\r\nConnection: close\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("%q: %v", head, err)
			}
			got, _ := io.ReadAll(res.Body)
			if string(got) != want {
				t.Errorf("%q: the client is %s, want %s", head, got, want)
			}
			c.Close()
		}
	}
	for head, want := range heads { // with the request in the same packet
		got := exchange(t, dial(t, site.Proxied[0]), head+"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "\r\n"+want+"\r\n") {
			t.Errorf("%q: got %q", head, got)
		}
	}
	c := dial(t, site.Proxied[0])
	if got := exchange(t, c, "GET /who HTTP/1.1\r\nHost: a\r\n\r\n"); got != "" {
		t.Errorf("without a head: %q", got)
	}
}
