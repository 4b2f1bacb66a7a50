package plugins_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway"
	"millrace/plugin"
	"millrace/plugins"
	"millrace/store"
	"millrace/store/mem"
)

var _ plugins.ClientHeader = (*gateway.Gateway)(nil)

// site is a gateway with all plugins on a free port.
type site struct {
	testing.TB
	g     *gateway.Gateway
	store store.Store
	url   string
}

func startGateway(t testing.TB) *site {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := &site{TB: t, store: mem.New()}
	g, err := gateway.New(gateway.Config{
		Log: log, Store: s.store, Version: "test", RealIPFrom: []string{}, HTTP2: true,
		Env: &plugin.Env{Log: log, Services: []any{plugins.NewCounters()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = g.Run(ctx) })
	done.Go(func() {
		if err := g.Serve(context.Background(), l); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := g.Shutdown(context.Background()); err != nil {
			t.Errorf("stopping: %v", err)
		}
		cancel()
		done.Wait()
		_ = s.store.Close()
	})
	s.g, s.url = g, "http://"+l.Addr().String()
	return s
}

// put stores a resource and waits until it is served.
func (s *site) put(key, value string) {
	s.Helper()
	e, err := s.store.Put(context.Background(), "/apisix/"+key, []byte(value), store.PutOptions{})
	if err == nil {
		err = s.g.WaitApplied(s.Context(), e.ModRevision)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// get answers the status and the body of a request with a key.
func (s *site) get(ctx context.Context, path, key string) (int, string) {
	r, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("apikey", key)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// upstream starts a server and answers its address as the nodes of an upstream.
func upstreamNodes(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return fmt.Sprintf(`{"nodes":{%q:1}}`, strings.TrimPrefix(s.URL, "http://"))
}

// Exactly as many requests pass as the count says, while the route is changed in
// everything but the plugin.
func TestLimitCountUnderChanges(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s := startGateway(t)
	nodes := upstreamNodes(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	route := func(i int) {
		s.put("routes/1", fmt.Sprintf(`{"uri":"/a","desc":"%d","upstream":%s,"plugins":{
			"limit-count":{"count":200,"time_window":3600},"echo":{"body":"version %d"}}}`, i, nodes, i))
	}
	route(0)
	var passed, refused, other atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 100 {
				switch status, _ := s.get(t.Context(), "/a", ""); status {
				case 200:
					passed.Add(1)
				case 503:
					refused.Add(1)
				default:
					other.Add(1)
				}
			}
		})
	}
	for i := range 50 {
		route(i + 1)
	}
	clients.Wait()
	if passed.Load() != 200 || refused.Load() != 200 || other.Load() != 0 {
		t.Errorf("%d passed, %d refused, %d others", passed.Load(), refused.Load(), other.Load())
	}
}

// A consumer's limit is the consumer's, on whatever route; another's is another.
func TestLimitCountOfConsumers(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s := startGateway(t)
	for _, name := range []string{"jack", "jill"} {
		s.put("consumers/"+name, `{"username":"`+name+`","plugins":{"key-auth":{"key":"`+name+`"},"limit-count":{"count":2,"time_window":3600}}}`)
	}
	nodes := upstreamNodes(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Consumer-Username")) })
	for _, path := range []string{"/a", "/b"} {
		s.put("routes"+path, `{"uri":"`+path+`","plugins":{"key-auth":{}},"upstream":`+nodes+`}`)
	}
	for _, step := range []struct {
		path, key string
		status    int
		body      string
	}{{"/a", "jack", 200, "jack"}, {"/b", "jack", 200, "jack"}, {"/a", "jack", 503, ""}, {"/a", "jill", 200, "jill"}, {"/a", "joe", 401, ""}, {"/b", "jill", 200, "jill"}, {"/b", "jill", 503, ""}} {
		if status, body := s.get(t.Context(), step.path, step.key); status != step.status || step.body != "" && body != step.body {
			t.Errorf("%s as %s: %d %q, want %d", step.path, step.key, status, body, step.status)
		}
	}
}

// A place is free again when its request has ended, also when the client has gone.
func TestLimitConnThroughTheGateway(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s := startGateway(t)
	arrived, open := make(chan struct{}, 10), make(chan struct{})
	nodes := upstreamNodes(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-open:
		case <-r.Context().Done():
		}
	})
	s.put("routes/1", `{"uri":"/a","upstream":`+nodes+`,"plugins":{"limit-conn":{"conn":1,"burst":0,"default_conn_delay":0.001,"key":"remote_addr"}}}`)
	var clients sync.WaitGroup
	defer clients.Wait()
	first, leave := context.WithCancel(t.Context())
	clients.Go(func() { s.get(first, "/a", "") })
	<-arrived
	if status, _ := s.get(t.Context(), "/a", ""); status != 503 {
		t.Errorf("two at once: %d", status)
	}
	leave()
	second := make(chan int, 1)
	clients.Go(func() {
		status := 503
		for deadline := time.Now().Add(30 * time.Second); status == 503 && time.Now().Before(deadline); {
			status, _ = s.get(t.Context(), "/a", "")
		}
		second <- status
	})
	<-arrived
	close(open)
	if status := <-second; status != 200 {
		t.Errorf("after the first has gone: %d", status)
	}
}
