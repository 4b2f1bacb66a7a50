package plugins_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestStreamPrometheus(t *testing.T) {
	s, node := startStreams(t), greeter(t, "node")
	s.put("stream_routes/1", `{"name":"mine","plugins":{"prometheus":{}},"upstream":{"nodes":{%q:1}}}`, node)
	shown := func() string {
		w := httptest.NewRecorder()
		s.process.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/apisix/prometheus/metrics", nil))
		return w.Body.String()
	}
	has := func(line string) bool { return strings.Contains(shown(), line+"\n") }
	c := s.open("hello")
	if got := answer(c); got != "node" {
		t.Fatalf("got %q", got)
	}
	if want := fmt.Sprintf(`apisix_stream_active_connections{listen_addr=%q} 1`, s.addr); !has(want) {
		t.Errorf("%s is not in\n%s", want, shown())
	}
	c.Close()
	waitFor(t, "the connection is counted", func() bool { return has(`apisix_stream_connection_total{route="1"} 1`) })
	s.put("stream_routes/1", `{"name":"mine","plugins":{"prometheus":{"prefer_name":true}},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
	if got := answer(s.open("")); got != "" {
		t.Fatalf("nobody is there, and answered %q", got)
	}
	waitFor(t, "the connection is counted by name", func() bool { return has(`apisix_stream_connection_total{route="mine"} 1`) })
	for _, line := range []string{
		fmt.Sprintf(`apisix_stream_status{code="200",listen_addr=%q,node="127.0.0.1"} 1`, s.addr),
		fmt.Sprintf(`apisix_stream_status{code="502",listen_addr=%q,node=""} 1`, s.addr),
		fmt.Sprintf(`apisix_stream_bandwidth{listen_addr=%q,type="ingress",side="downstream"} 5`, s.addr),
		fmt.Sprintf(`apisix_stream_bandwidth{listen_addr=%q,type="egress",side="downstream"} 5`, s.addr),
		fmt.Sprintf(`apisix_stream_bandwidth{listen_addr=%q,type="ingress",side="upstream"} 5`, s.addr),
		fmt.Sprintf(`apisix_stream_bandwidth{listen_addr=%q,type="egress",side="upstream"} 5`, s.addr),
	} {
		if !has(line) {
			t.Errorf("%s is not in\n%s", line, shown())
		}
	}
}
