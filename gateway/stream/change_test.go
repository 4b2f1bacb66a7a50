package stream

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/resource"
)

// Connections that are open stay with their node whatever happens to their route.
func TestChangesUnderConnections(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, "a", nil), startNode(t, "b", nil)
	r := start(t, nil)
	r.put("upstreams/u", `{"nodes":{%q:1}}`, a.addr)
	r.put("stream_routes/1", `{"upstream_id":"u"}`)
	old := r.dial(r.tcp)
	expect := func(c net.Conn, want string) {
		t.Helper()
		if got := say(t, c, "hello"); got != want+" hello" {
			t.Errorf("got %q from %s", got, want)
		}
	}
	expect(old, "a")
	r.put("upstreams/u", `{"nodes":{%q:1}}`, b.addr)
	expect(old, "a")
	expect(r.dial(r.tcp), "b")
	r.put("services/s", `{"upstream":{"nodes":{%q:1}}}`, a.addr)
	r.put("stream_routes/1", `{"service_id":"s"}`)
	expect(r.dial(r.tcp), "a")
	r.put("services/s", `{"upstream_id":"u"}`)
	expect(r.dial(r.tcp), "b")
	r.put("stream_routes/1", `{"service_id":"s",%s}`, nodes(a.addr))
	expect(r.dial(r.tcp), "a")
	r.remove("stream_routes/1")
	closed(t, r.dial(r.tcp))
	expect(old, "a")
	r.put("stream_routes/1", `{"upstream_id":"u"}`)
	expect(r.dial(r.tcp), "b")
	r.remove("upstreams/u")
	closed(t, r.dial(r.tcp))
	expect(old, "a")
}

// Each connection goes where the configuration of its moment says, while that
// changes.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, "a", nil), startNode(t, "b", nil)
	r := start(t, nil)
	route := func(i int) { r.put("stream_routes/1", `{"desc":"%d",%s}`, i, nodes([]string{a.addr, b.addr}[i%2])) }
	route(0)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", r.tcp)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(deadline))
				fmt.Fprint(c, "hello\n")
				c.(*net.TCPConn).CloseWrite()
				if got, err := io.ReadAll(c); err != nil || string(got) != "a hello\n" && string(got) != "b hello\n" {
					t.Errorf("got %q, %v", got, err)
				}
				c.Close()
			}
		})
	}
	for i := range 200 {
		route(i)
		if got, want := say(t, r.dial(r.tcp), "x"), []string{"a x", "b x"}[i%2]; got != want {
			t.Errorf("change %d: got %q, want %q", i, got, want)
		}
	}
	close(stop)
	clients.Wait()
}

// A route that cannot be served takes nothing from the others.
func TestBrokenRoutes(t *testing.T) {
	t.Parallel()
	a := startNode(t, "a", nil)
	r := start(t, nil)
	r.put("stream_routes/1", `{"plugins":{"nope":{}},%s}`, nodes("127.0.0.1:1"))
	r.put("stream_routes/2", `{"protocol":{"name":"pingpong"},%s}`, nodes("127.0.0.1:1"))
	r.put("stream_routes/3", `{"remote_addr":"1.2.3","upstream":{}}`)
	r.put("stream_routes/4", `{"upstream":{"nodes":5}}`)
	r.put("stream_routes/5", `{%s}`, nodes(a.addr))
	if got := say(t, r.dial(r.tcp), "hello"); got != "a hello" {
		t.Errorf("got %q", got)
	}
	// What it was before stays, unless it is to be understood.
	r.put("stream_routes/5", `{"plugins":{"nope":{}},%s}`, nodes("127.0.0.1:1"))
	if got := say(t, r.dial(r.tcp), "hello"); got != "a hello" {
		t.Errorf("got %q", got)
	}
	r.put("stream_routes/5", `{"protocol":{"name":"pingpong"},%s}`, nodes(a.addr))
	closed(t, r.dial(r.tcp))
	for name, upstream := range map[string]string{
		"no upstream": `"desc":"a"`, "no nodes": `"upstream":{"nodes":{}}`, "unknown balancer": `"upstream":{"type":"nope","nodes":{"127.0.0.1:1":1}}`,
		"missing upstream": `"upstream_id":"u"`, "missing service": `"service_id":"s"`, "unknown discovery": `"upstream":{"service_name":"a","discovery_type":"b"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r.put("stream_routes/5", `{%s}`, upstream)
			closed(t, r.dial(r.tcp))
		})
	}
}

// Where anybody may write, what is not valid leaves what was there before.
func TestUncheckedStore(t *testing.T) {
	t.Parallel()
	a := startNode(t, "a", nil)
	r := start(t, func(c *Config) {
		c.Check = func(key string, value []byte) error { return resource.CheckStored(key, value, resource.World{}) }
	})
	r.put("stream_routes/1", `{"id":"1",%s}`, nodes(a.addr))
	r.put("stream_routes/1", `{"id":"1","server_port":70000,%s}`, nodes("127.0.0.1:1"))
	r.put("stream_routes/2", `[]`)
	if got := say(t, r.dial(r.tcp), "hello"); got != "a hello" {
		t.Errorf("got %q", got)
	}
}

// A node that is not there costs its clients nothing but a try.
func TestRetries(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, "a", nil), startNode(t, "b", nil)
	r := start(t, nil)
	r.put("stream_routes/1", `{%s}`, nodes(a.addr, b.addr))
	both := map[string]bool{}
	for range 4 {
		both[say(t, r.dial(r.tcp), "x")] = true
	}
	if len(both) != 2 {
		t.Errorf("connections went to %v", both)
	}
	c := r.dial(r.tcp)
	for say(t, c, "x") != "a x" {
		c = r.dial(r.tcp)
	}
	a.kill()
	closed(t, c) // its connection is gone with it
	for range 6 {
		if got := say(t, r.dial(r.tcp), "x"); got != "b x" {
			t.Errorf("got %q", got)
		}
	}
	r.put("stream_routes/1", `{"upstream":{"retries":0,"nodes":{%q:1}}}`, a.addr)
	closed(t, r.dial(r.tcp))
}

func TestHealthChecks(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, "a", nil), startNode(t, "b", nil)
	r := start(t, nil)
	r.put("stream_routes/1", `{"upstream":{"nodes":{%q:1,%q:1},"checks":{
		"active":{"type":"tcp","healthy":{"interval":3600},"unhealthy":{"interval":3600}},
		"passive":{"type":"tcp","unhealthy":{"tcp_failures":1}}}}}`, a.addr, b.addr)
	r.dial(r.tcp) // the checks begin
	a.kill()
	eventually(t, "the node is known to be away", func() bool {
		if got := say(t, r.dial(r.tcp), "x"); got != "b x" {
			t.Fatalf("got %q", got)
		}
		all := r.s.conf.Pool.Health()
		return len(all) == 1 && all[0].Name == "/apisix/stream_routes/1" && strings.Contains(fmt.Sprint(all[0].Nodes), "unhealthy")
	})
}

func TestLeastConnections(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, "a", nil), startNode(t, "b", nil)
	r := start(t, nil)
	r.put("stream_routes/1", `{"upstream":{"type":"least_conn","nodes":{%q:1,%q:1}}}`, a.addr, b.addr)
	count := map[string]int{}
	for range 10 {
		count[say(t, r.dial(r.tcp), "x")]++
	}
	if count["a x"] != 5 || count["b x"] != 5 {
		t.Errorf("ten open connections are spread as %v", count)
	}
}

func TestSecrets(t *testing.T) {
	n, ca := startNode(t, "n", nil), newAuthority(t)
	cert, key := ca.pair("*.test.com")
	t.Setenv("STREAM_TEST_KEY", key)
	r := start(t, nil)
	r.put("ssls/1", `{"sni":"*.test.com","cert":%q,"key":"$env://STREAM_TEST_KEY"}`, cert)
	r.put("stream_routes/1", `{%s}`, nodes(n.addr))
	c, err := r.dialTLS("a.test.com")
	if err != nil {
		t.Fatal(err)
	}
	if got := say(t, c, "hello"); got != "n hello" {
		t.Errorf("got %q", got)
	}
}
