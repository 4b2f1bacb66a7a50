package check

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/freeport"
	"millrace/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func local(_ context.Context, host string) (netip.Addr, error) { return netip.ParseAddr(host) }

// checks reads checks as an upstream has them.
func checks(t *testing.T, conf string) *resource.Checks {
	t.Helper()
	c := new(resource.Checks)
	if err := json.Unmarshal([]byte(conf), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// running starts a scheduler whose waits are short.
func running(t *testing.T) *Scheduler {
	s := NewScheduler(slog.New(slog.DiscardHandler), local)
	s.delay = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

// hasten makes a checker probe every few milliseconds.
func hasten(c *Checker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fast := *c.conf
	fast.healthy, fast.unhealthy = 2*time.Millisecond, 2*time.Millisecond
	c.conf = &fast
	for _, t := range c.targets {
		t.conf.Store(&fast)
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not seen: " + what)
		}
	}
}

func nodeOf(t *testing.T, addr string) Node {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	return Node{Addr: addr, Host: host, Port: n}
}

// Results and the state after each of them: s counts successes, h, c and t failures
// by status, connection and time.
func TestCounting(t *testing.T) {
	const conf = `{"active":{"healthy":{"successes":2,"http_statuses":[200]},
		"unhealthy":{"http_failures":3,"tcp_failures":2,"timeouts":1,"http_statuses":[500]}}}`
	tests := []struct{ results, want string }{
		{"200 200", "healthy s0h0c0t0, healthy s0h0c0t0"},
		{"500 500 500 500", "mostly_healthy s0h1c0t0, mostly_healthy s0h2c0t0, unhealthy s0h3c0t0, unhealthy s0h3c0t0"},
		{"500 200 500 200 200", "mostly_healthy s0h1c0t0, mostly_healthy s1h0c0t0, mostly_healthy s0h1c0t0, mostly_healthy s1h0c0t0, healthy s2h0c0t0"},
		{"down down", "mostly_healthy s0h0c1t0, unhealthy s0h0c2t0"},
		{"500 down 500 late", "mostly_healthy s0h1c0t0, mostly_healthy s0h1c1t0, mostly_healthy s0h2c1t0, unhealthy s0h2c1t1"},
		{"404", "healthy s0h0c0t0"},
		{"late 200 500 200 200", "unhealthy s0h0c0t1, mostly_unhealthy s1h0c0t0, mostly_unhealthy s0h1c0t0, mostly_unhealthy s1h0c0t0, healthy s2h0c0t0"},
	}
	for _, test := range tests {
		s := NewScheduler(slog.New(slog.DiscardHandler), local)
		c := s.NewChecker("x")
		if err := c.Set(checks(t, conf), []Node{{Addr: "127.0.0.1:1", Host: "127.0.0.1", Port: 1}}); err != nil {
			t.Fatal(err)
		}
		target := c.Target("127.0.0.1:1")
		var got []string
		for _, word := range strings.Fields(test.results) {
			r := Result{}
			switch word {
			case "down":
				r.Kind = Failed
			case "late":
				r.Kind = TimedOut
			default:
				r.Status, _ = strconv.Atoi(word)
			}
			target.count(&c.conf.active, r)
			n := c.Health().Nodes[0]
			got = append(got, fmt.Sprintf("%s s%dh%dc%dt%d", n.Status, n.Counter.Success, n.Counter.HTTPFailure, n.Counter.TCPFailure, n.Counter.TimeoutFailure))
			if Usable(n.Status) != target.Usable() {
				t.Errorf("%s: %s, but usable %v", test.results, n.Status, target.Usable())
			}
		}
		if s := strings.Join(got, ", "); s != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.results, s, test.want)
		}
	}
}

// Passive results count against their own thresholds; 0 switches one off.
func TestPassive(t *testing.T) {
	s := NewScheduler(slog.New(slog.DiscardHandler), local)
	nodes := []Node{{Addr: "127.0.0.1:1", Host: "127.0.0.1", Port: 1}}
	c := s.NewChecker("x")
	if err := c.Set(checks(t, `{"active":{},"passive":{"unhealthy":{"http_failures":2,"tcp_failures":0}}}`), nodes); err != nil {
		t.Fatal(err)
	}
	target, version := c.Target("127.0.0.1:1"), c.Version()
	for range 10 {
		target.Report(Result{Kind: Failed})
		target.Report(Result{Status: 404})
	}
	if !target.Usable() || c.Version() != version {
		t.Error("what is not counted has an effect")
	}
	target.Report(Result{Status: 503})
	target.Report(Result{Status: 500})
	if target.Usable() || c.Version() == version {
		t.Error("two failures did not make the node unhealthy")
	}
	if err := c.Set(checks(t, `{"active":{}}`), nodes); err != nil {
		t.Fatal(err)
	}
	if c.Target("127.0.0.1:1") != target || target.Usable() {
		t.Error("what is known of a node did not outlive a change")
	}
	for range 10 {
		target.Report(Result{Status: 200})
	}
	if target.Usable() {
		t.Error("without passive checks a request had an effect")
	}
}

func TestActiveHTTP(t *testing.T) {
	var status atomic.Int64
	status.Store(200)
	requests := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		requests <- fmt.Sprintf("%s %s %s %s %s close=%v %s", q.Method, q.RequestURI, q.Proto, q.Host, q.Header.Get("X-Probe"), q.Close, body)
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	s := running(t)
	c := s.NewChecker("/apisix/upstreams/1")
	n := nodeOf(t, server.Listener.Addr().String())
	conf := checks(t, `{"active":{"timeout":30,"http_path":"/status?a=1","host":"foo.example","http_method":"POST","http_req_body":"hi",
		"req_headers":["X-Probe: yes"],"healthy":{"successes":1},"unhealthy":{"http_failures":2}}}`)
	if err := c.Set(conf, []Node{n}); err != nil {
		t.Fatal(err)
	}
	hasten(c)
	if got, want := <-requests, "POST /status?a=1 HTTP/1.1 foo.example yes close=true hi"; got != want {
		t.Errorf("probed with %q, want %q", got, want)
	}
	go func() {
		for range requests {
		}
	}()
	defer close(requests)
	target := c.Target(n.Addr)
	for _, code := range []int64{500, 200, 503, 302} {
		status.Store(code)
		eventually(t, fmt.Sprint("effect of ", code), func() bool { return target.Usable() == (code < 400) })
	}
	want := resource.Checker{Name: "/apisix/upstreams/1", Type: "http", Nodes: []resource.CheckedNode{{
		IP: "127.0.0.1", Port: n.Port, Hostname: "foo.example", Status: "healthy", Counter: resource.CheckCounter{Success: 1}}}}
	if got := s.Health(); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("health %v, want %v", got, want)
	}
	c.Stop()
	if len(s.Health()) != 0 {
		t.Error("a stopped checker is listed")
	}
	server.Close() // waits for probes in flight
}

// TestHostOfProbes: it is the node's, without port, unless the checks have another.
func TestHostOfProbes(t *testing.T) {
	hosts := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { hosts <- q.Host }))
	defer server.Close()
	n := nodeOf(t, server.Listener.Addr().String())
	for conf, want := range map[string]string{
		`{"active":{"timeout":30}}`:                    "127.0.0.1",
		`{"active":{"timeout":30,"host":"foo.com"}}`:   "foo.com",
		`{"active":{"timeout":30,"host":"foo.com:1"}}`: "foo.com:1",
		`{"active":{"timeout":30,"host":"[::1]"}}`:     "[::1]",
	} {
		conf, err := compile(checks(t, conf))
		if err != nil {
			t.Fatal(err)
		}
		conf.probe.run(t.Context(), local, &n)
		if got := <-hosts; got != want {
			t.Errorf("probed as %q, want %q", got, want)
		}
	}
}

func TestActiveKinds(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	tests := []struct {
		conf, addr string
		want       Result
	}{
		{`{"active":{"type":"tcp","timeout":30}}`, plain.Addr().String(), Result{Kind: Connected}},
		{`{"active":{"type":"tcp","timeout":30}}`, freeport.Address(t), Result{Kind: Failed}},
		{`{"active":{"timeout":0.05}}`, plain.Addr().String(), Result{Kind: TimedOut}}, // it accepts, but says nothing
		{`{"active":{"type":"https","timeout":30,"https_verify_certificate":false}}`, secure.Listener.Addr().String(), Result{Status: 404}},
		{`{"active":{"type":"https","timeout":30}}`, secure.Listener.Addr().String(), Result{Kind: Failed}},
		{`{"active":{"timeout":30}}`, "no-address:80", Result{Kind: Failed}},
	}
	for _, test := range tests {
		conf, err := compile(checks(t, test.conf))
		if err != nil {
			t.Fatal(err)
		}
		n := nodeOf(t, test.addr)
		if got, _ := conf.probe.run(t.Context(), local, &n); got != test.want {
			t.Errorf("%s at %s: %v, want %v", test.conf, test.addr, got, test.want)
		}
	}
	for _, conf := range []string{`{"active":{"req_headers":["a: b\r\nc: d"]}}`, `{"active":{"http_path":"/ HTTP/1.1\r\n"}}`} {
		if _, err := compile(checks(t, conf)); err == nil {
			t.Errorf("%s was accepted", conf)
		}
	}
}

// No more nodes are probed at once than concurrency says, and all are.
func TestConcurrency(t *testing.T) {
	var at, most atomic.Int64
	var mu sync.Mutex
	seen := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		n := at.Add(1)
		defer at.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		mu.Lock()
		seen[q.Host] = true
		mu.Unlock()
		time.Sleep(2 * time.Millisecond) // so that probes meet
	}))
	defer server.Close()
	s := running(t)
	c := s.NewChecker("x")
	port := nodeOf(t, server.Listener.Addr().String()).Port
	var nodes []Node
	for i := range 20 {
		host := "127.0.0." + strconv.Itoa(i+1)
		nodes = append(nodes, Node{Addr: host + ":1", Host: host, Port: 1})
	}
	conf := checks(t, `{"active":{"concurrency":3,"timeout":30,"port":`+strconv.Itoa(port)+`}}`)
	s.resolve = func(context.Context, string) (netip.Addr, error) { return netip.MustParseAddr("127.0.0.1"), nil }
	if err := c.Set(conf, nodes); err != nil {
		t.Fatal(err)
	}
	hasten(c)
	eventually(t, "a probe of every node", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == len(nodes)
	})
	c.Stop()
	if n := most.Load(); n > 3 {
		t.Errorf("%d probes at once", n)
	}
}

func FuzzReadStatus(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\n", "HTTP/1.0 503\r\n", "HTTP/1.1 20", "SSH-2.0\r\n", "HTTP/1.1 -12 x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		status, err := readStatus(bufio.NewReaderSize(strings.NewReader(s), 512))
		if err == nil && (status < 100 || status > 999) {
			t.Errorf("%q: %d", s, status)
		}
	})
}
