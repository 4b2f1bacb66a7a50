package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway/upstream/discovery"
	"millrace/gateway/upstream/resolver"
	"millrace/gateway/upstream/resolver/resolvertest"
)

// until asks again and again until an answer has this status and body.
func (r *rig) until(status int, body string, headers ...string) {
	r.Helper()
	var rep *reply
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if rep = r.get("/", headers...); rep.status == status && (body == "" || rep.body == body) {
			return
		}
	}
	r.Fatalf("not answered with %d %q: %s %q", status, body, rep.line, rep.body)
}

// answering starts a server that answers with its name and a status that the
// test may change.
func answering(t *testing.T, name string) (addr string, status *atomic.Int64) {
	status = new(atomic.Int64)
	status.Store(200)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		io.WriteString(w, name)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), status
}

func TestPassiveChecks(t *testing.T) {
	a, status := answering(t, "a")
	b, _ := answering(t, "b")
	r := start(t, nil)
	const checks = `"checks":{"active":{"healthy":{"interval":3600},"unhealthy":{"interval":3600}},"passive":{"healthy":{"successes":1},"unhealthy":{"http_failures":2}}}`
	r.put("upstreams/1", `{"nodes":`+nodesJSON([]string{a, b})+`,`+checks+`}`)
	r.put("routes/1", `{"uri":"/*","upstream_id":"1"}`)
	status.Store(500)
	for range 4 {
		r.get("/")
	}
	eventually(t, "the node is left out", func() bool {
		first, second := r.get("/"), r.get("/")
		return first.body == "b" && second.body == "b"
	})
	for range 4 {
		if rep := r.get("/"); rep.body != "b" {
			t.Errorf("an unhealthy node was asked: %s %q", rep.line, rep.body)
		}
	}
	all := r.g.Checkers()
	if len(all) != 1 || all[0].Name != "/apisix/upstreams/1" || len(all[0].Nodes) != 2 {
		t.Fatalf("checkers %+v", all)
	}
	var seen []string
	r.g.EachNode(func(name, ip string, port int, healthy bool) {
		seen = append(seen, fmt.Sprint(net.JoinHostPort(ip, fmt.Sprint(port)), healthy))
	})
	want := []string{fmt.Sprint(a, false), fmt.Sprint(b, true)}
	slices.Sort(seen)
	if slices.Sort(want); !slices.Equal(seen, want) {
		t.Errorf("nodes %v, want %v", seen, want)
	}
	r.put("routes/1", `{"uri":"/*","upstream_id":"1","desc":"changed"}`)
	if rep := r.get("/"); rep.body != "b" {
		t.Error("health did not outlive a change of the route")
	}
	r.delete("routes/1")
	r.delete("upstreams/1")
	if all := r.g.Checkers(); len(all) != 0 {
		t.Errorf("a deleted upstream is checked: %+v", all)
	}
}

// A node that refuses connections is taken out by the requests that meet it.
func TestPassiveConnectionFailures(t *testing.T) {
	b, _ := answering(t, "b")
	gone := closedAddr(t)
	r := start(t, nil)
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":`+nodesJSON([]string{gone, b})+`,
		"checks":{"active":{"type":"tcp"},"passive":{"unhealthy":{"tcp_failures":1}}}}}`)
	for range 4 {
		if rep := r.get("/"); rep.body != "b" {
			t.Errorf("%s", rep.line)
		}
	}
	r.g.EachNode(func(_, ip string, port int, healthy bool) {
		if addr := net.JoinHostPort(ip, fmt.Sprint(port)); healthy != (addr == b) {
			t.Errorf("%s is healthy: %v", addr, healthy)
		}
	})
	r.put("routes/1", `{"uri":"/*","upstream":{"nodes":`+nodesJSON([]string{b})+`}}`)
	if all := r.g.Checkers(); len(all) != 0 {
		t.Errorf("a route without checks is checked: %+v", all)
	}
}

// least_conn sends nothing to a node that is busy.
func TestBusyNode(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		held <- struct{}{}
		<-hold
	}))
	defer slow.Close()
	fast, _ := answering(t, "fast")
	r := start(t, nil)
	r.put("routes/1", `{"uri":"/*","upstream":{"type":"least_conn","nodes":{"`+slow.Listener.Addr().String()+`":10,"`+fast+`":1}}}`)
	done := make(chan struct{})
	for range 10 {
		go func() { r.get("/"); done <- struct{}{} }()
	}
	for range 9 {
		<-held
	}
	r.put("routes/1", `{"uri":"/*","desc":"changed","upstream":{"type":"least_conn","nodes":{"`+slow.Listener.Addr().String()+`":1,"`+fast+`":1}}}`)
	for range 5 {
		if rep := r.get("/"); rep.body != "fast" {
			t.Errorf("%s %q", rep.line, rep.body)
		}
	}
	close(hold)
	go func() {
		for range held {
		}
	}()
	for range 10 {
		<-done
	}
	close(held)
}

func TestHashOfRequests(t *testing.T) {
	a, _ := answering(t, "a")
	b, _ := answering(t, "b")
	r := start(t, nil)
	r.put("routes/1", `{"uri":"/*","upstream":{"type":"chash","hash_on":"header","key":"X-User","nodes":`+nodesJSON([]string{a, b})+`}}`)
	seen := map[string]bool{}
	for i := range 20 {
		user := fmt.Sprint("X-User: ", i)
		first := r.get("/", user).body
		seen[first] = true
		for range 3 {
			if rep := r.get("/", user); rep.body != first {
				t.Errorf("%s went to %s and %s", user, first, rep.body)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("twenty keys at %v", seen)
	}
}

func TestDiscoveredNodes(t *testing.T) {
	a, _ := answering(t, "a")
	_, port, _ := net.SplitHostPort(a)
	dns := resolvertest.Start(t, "svc.test. 60 IN A 127.0.0.1", "name.test. 60 IN A 127.0.0.1")
	registries, err := discovery.New(discovery.Config{DNS: &discovery.DNS{Servers: []string{dns.Addr}}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *Config) {
		c.Upstreams.Registries = registries
		c.Upstreams.Resolver = resolver.New(resolver.Config{Servers: []string{dns.Addr}})
	})
	r.put("upstreams/1", `{"service_name":"svc.test:`+port+`","discovery_type":"dns"}`)
	r.put("routes/1", `{"uri":"/*","upstream_id":"1"}`)
	if rep := r.get("/"); rep.status != 200 || rep.body != "a" {
		t.Errorf("%s %q", rep.line, rep.body)
	}
	if _, ok := r.g.Dump("dns"); !ok {
		t.Error("no dump")
	}
	for conf, status := range map[string]int{
		`{"service_name":"none.test","discovery_type":"dns"}`:                     503,
		`{"service_name":"svc.test","discovery_type":"zookeeper"}`:                503,
		`{"nodes":{"name.test:` + port + `":1}}`:                                  200,
		`{"nodes":{"none.test:` + port + `":1}}`:                                  503,
		`{"nodes":{"` + a + `":1},"scheme":"https","tls":{"client_cert_id":"9"}}`: 502,
	} {
		r.put("upstreams/1", conf)
		rep := r.get("/")
		if rep.status != status {
			t.Errorf("%s: %s", conf, rep.line)
		}
		if rep.status != 200 && rep.header.Get(statusHeader) != "" {
			t.Errorf("%s: a node was called", conf)
		}
	}
}

// The upstream's certificate changes with the ssl object that it names.
// TestNodesWithoutAddress: such nodes are passed over, and are no attempts.
func TestNodesWithoutAddress(t *testing.T) {
	a, _ := answering(t, "a")
	_, port, _ := net.SplitHostPort(a)
	dead := closedAddr(t)
	dns := resolvertest.Start(t, "name.test. 60 IN A 127.0.0.1")
	r := start(t, func(c *Config) {
		c.Upstreams.Resolver = resolver.New(resolver.Config{Servers: []string{dns.Addr}})
	})
	tests := []struct {
		upstream, statuses string
		status             int
	}{
		{`"nodes":{"none.test:80":1,"name.test:` + port + `":1},"retries":0`, "", 200},
		{`"nodes":{"none.test:80":1,"` + a + `":1},"type":"least_conn"`, "", 200},
		{`"nodes":{"none.test:80":1,"` + a + `":1},"type":"chash","key":"request_uri"`, "", 200},
		{`"nodes":{"none.test:80":1,"` + dead + `":1}`, "502", 502},
		{`"nodes":{"none.test:80":1,"no.test:80":1}`, "", 503},
	}
	for _, test := range tests {
		r.put("routes/1", `{"uri":"/*","upstream":{`+test.upstream+`}}`)
		for range 4 {
			rep := r.get("/")
			if s := rep.header.Get(statusHeader); rep.status != test.status || s != test.statuses {
				t.Errorf("%s: %s, statuses %q", test.upstream, rep.line, s)
			}
		}
	}
}

func TestClientCertID(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, q.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	up.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	up.StartTLS()
	defer up.Close()
	ca := newAuthority(t, "ca")
	r := start(t, nil)
	addr := up.Listener.Addr().String()
	for _, target := range []string{`"upstream_id":"1"`, `"upstream":` + `{"scheme":"https","nodes":{"` + addr + `":1},"tls":{"client_cert_id":"c"}}`} {
		r.put("upstreams/1", `{"scheme":"https","nodes":{"`+addr+`":1},"tls":{"client_cert_id":"c"}}`)
		r.put("routes/1", `{"uri":"/*",`+target+`}`)
		r.until(502, "")
		for _, name := range []string{"one", "two"} {
			cert, key := ca.pair(name)
			r.put("ssls/c", object(t, map[string]any{"type": "client", "cert": cert, "key": key}))
			if rep := r.get("/"); !strings.Contains(rep.body, name) {
				t.Errorf("%s: %s %q", name, rep.line, rep.body)
			}
		}
		r.delete("ssls/c")
		r.until(502, "")
	}
}
