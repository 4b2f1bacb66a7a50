package gateway

import (
	"strings"
	"testing"
	"time"

	"millrace/gateway/upstream"
)

// What the settings of config.yaml do to a request and its answer, spec/gateway.md
// §5.1 and §12.

func TestPathSettings(t *testing.T) {
	up := ok(t, "x")
	for name, test := range map[string]struct {
		set     func(*Config)
		matched []string // targets that lead to /a/b
		status  map[string]int
	}{
		"none": {func(*Config) {}, []string{"/a/b", "/a%2Fb"}, map[string]int{"/a/b/": 404, "/a/b;v=1": 404}},
		"tail slash": {func(c *Config) { c.DeleteTailSlash = true }, []string{"/a/b", "/a/b/", "/a/b/?q=/"},
			map[string]int{"/": 404, "//": 404}},
		"servlet": {func(c *Config) { c.ServletPaths = true }, []string{"/a/b", "/a;x=1/b;y", "/a/b;"},
			map[string]int{"/;/a/b": 400, "/a/.;x/b": 400, "/a/..;x/b": 400, "/a/%2e;/b": 400, "/a/%2E%2e;y/b": 400, "/a/b/;x": 404}},
		"encoded slash": {func(c *Config) { c.EncodedSlash = true }, []string{"/a/b", "/a/%62", "/x%2fy/../a/b"},
			map[string]int{"/a%2Fb": 404, "/a%2fb": 404, "/..%2fa/b": 404}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, test.set)
			r.route("1", "/a/b", up.addr)
			for _, target := range test.matched {
				if rep := r.get(target); rep.status != 200 || !strings.HasPrefix(up.last(t), "GET "+target+" ") {
					t.Errorf("%s: %s", target, rep.line)
				}
			}
			for target, status := range test.status {
				if rep := r.get(target); rep.status != status {
					t.Errorf("%s: %s, want %d", target, rep.line, status)
				}
			}
		})
	}
}

func TestRealIPHeader(t *testing.T) {
	t.Parallel()
	up := ok(t, "x")
	for _, test := range []struct {
		header    string
		recursive bool
		sent      []string
		want      string
	}{
		{"", false, []string{"X-Real-IP: 1.1.1.1"}, "1.1.1.1"},
		{"", false, []string{"X-Real-IP: 1.1.1.1, 2.2.2.2"}, "2.2.2.2"},
		{"", false, []string{"X-Real-IP: nonsense"}, "127.0.0.1"},
		{"X-Forwarded-For", false, []string{"X-Forwarded-For: 1.1.1.1, 10.0.0.1"}, "10.0.0.1"},
		{"X-Forwarded-For", false, []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2"}, "2.2.2.2"},
		{"X-Forwarded-For", true, []string{"X-Forwarded-For: 9.9.9.9, 1.1.1.1", "x-forwarded-for: 10.0.0.1,10.0.0.2"}, "1.1.1.1"},
		{"X-Forwarded-For", true, []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"X-Forwarded-For", true, []string{"X-Forwarded-For: 1.1.1.1, fake, 10.0.0.2"}, "10.0.0.2"},
		{"cf-connecting-ip", false, []string{"CF-Connecting-IP: [2001:db8::1]:99", "X-Real-IP: 1.1.1.1"}, "2001:db8::1"},
	} {
		r := start(t, func(c *Config) {
			c.RealIPFrom, c.RealIPHeader, c.RealIPRecursive = []string{"127.0.0.1", "10.0.0.0/8"}, test.header, test.recursive
		})
		r.route("1", "/x", up.addr)
		r.get("/x", test.sent...)
		if sent := up.last(t); !strings.Contains(sent, "\r\nX-Real-IP: "+test.want+"\r\n") {
			t.Errorf("%+v: %q", test, sent)
		}
	}
}

func TestHeaderSettings(t *testing.T) {
	up := ok(t, "x")
	r := start(t, func(c *Config) { c.DropUnderscores, c.HideVersion = true, true })
	r.route("1", "/x", up.addr)
	if rep := r.get("/x", "a_b: 1", "a-b: 2"); rep.header.Get("Server") != "millrace" {
		t.Errorf("Server: %q", rep.header.Get("Server"))
	}
	if sent := up.last(t); strings.Contains(sent, "a_b") || !strings.Contains(sent, "a-b: 2") {
		t.Errorf("sent %q", sent)
	}
}

func TestClientKeepalive(t *testing.T) {
	t.Parallel()
	up := ok(t, "x")
	r := start(t, func(c *Config) { c.KeepaliveTimeout = -1 })
	r.route("1", "/x", up.addr)
	if rep := r.get("/x"); !strings.Contains(rep.head, "Connection: close\r\n") {
		t.Errorf("switched off: %s", rep.head)
	}
	r = start(t, func(c *Config) { c.KeepaliveTimeout = 10 * time.Millisecond })
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	c.reply("GET")
	if _, err := c.tryReply("GET"); err == nil {
		t.Error("an idle connection was not closed")
	}
}

func TestUpstreamKeepalive(t *testing.T) {
	up := ok(t, "x")
	r := start(t, func(c *Config) { c.Upstreams.Keepalive = upstream.Keepalive{Size: -1} })
	r.route("1", "/x", up.addr)
	r.put("routes/2", `{"uri":"/own","upstream":{"keepalive_pool":{"size":1},"nodes":{"`+up.addr+`":1}}}`)
	for path, want := range map[string]int{"/x": 3, "/own": 1} {
		before := up.connections()
		for range 3 {
			if rep := r.get(path); rep.status != 200 {
				t.Fatalf("%s: %s", path, rep.line)
			}
		}
		if got := up.connections() - before; got != want {
			t.Errorf("%s: %d connections, want %d", path, got, want)
		}
	}
}

// connections is how many connections the server has accepted.
func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}
