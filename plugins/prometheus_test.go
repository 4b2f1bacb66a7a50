package plugins

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// gatewayStub tells what a gateway would.
type gatewayStub struct{}

func (gatewayStub) Connections() plugin.Connections {
	return plugin.Connections{Active: 3, Accepted: 6, Requests: 9, Reading: 0, Writing: 2, Waiting: 1}
}

func (gatewayStub) EachNode(fn func(name, ip string, port int, healthy bool)) {
	fn("/apisix/upstreams/1", "127.0.0.1", 1980, true)
	fn("/apisix/upstreams/1", "127.0.0.2", 1980, false)
}

func (gatewayStub) EachRevision(fn func(of string, revision int64)) bool {
	fn("routes", 7)
	fn("x_etcd_index", 9)
	return true
}

// processEnv makes an environment with a process whose logs are sent when the test
// ends.
func processEnv(t testing.TB, conf ProcessConfig) (*plugin.Env, *Process) {
	env := plugintest.Env(t)
	p := NewProcess(conf, env)
	p.Lend(gatewayStub{})
	env.Services = append(env.Services, p)
	t.Cleanup(func() {
		if err := p.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return env, p
}

// proxied makes the context of a request that an upstream has answered.
func proxied(status int) *plugin.Context {
	c := plugintest.NewContext(request("GET /hello?a=1"))
	c.Matched = plugin.Matched{RouteID: "1", RouteName: "first", ServiceID: "2", ServiceName: "second", URI: "/hello", Host: "h.example"}
	c.Started = time.Now().Add(-30 * time.Millisecond)
	c.Sizes = plugin.Sizes{Request: 100, Sent: 200, SentBody: 50}
	c.Upstream = plugin.Upstream{Addr: "127.0.0.1:1980", Status: "200", IP: "127.0.0.1", Port: 1980,
		Attempt: plugin.Attempt{ResponseTime: 3 * time.Millisecond}, Headers: func(func(name, value []byte) bool) {}}
	c.Response.SetStatus(status)
	return c
}

func metricsText(p *Process) string {
	w := httptest.NewRecorder()
	p.Metrics().ServeHTTP(w, request("GET /apisix/prometheus/metrics"))
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestPrometheusMetrics(t *testing.T) {
	checkPriority(t, "prometheus", 500)
	env, p := processEnv(t, ProcessConfig{Version: "1.2.3"})
	chain := plugintest.Compile(t, env, `{"prometheus":{}}`)
	chain.Log(proxied(200))
	chain.Log(proxied(200))
	failed := proxied(502)
	failed.Upstream.Headers, failed.Consumer.Username = nil, "jack"
	chain.Log(failed)
	refused := proxied(401)
	refused.Upstream = plugin.Upstream{}
	chain.Log(refused)
	wantLines(t, metricsText(p),
		`# HELP apisix_http_status HTTP status codes per service in APISIX`, `# TYPE apisix_http_status counter`,
		`apisix_http_status{code="200",route="1",matched_uri="/hello",matched_host="h.example",service="2",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model="",response_source="upstream"} 2`,
		`apisix_http_status{code="502",route="1",matched_uri="/hello",matched_host="h.example",service="2",consumer="jack",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model="",response_source="nginx"} 1`,
		`apisix_http_status{code="401",route="1",matched_uri="/hello",matched_host="h.example",service="2",consumer="",node="",request_type="traditional_http",request_llm_model="",llm_model="",response_source="apisix"} 1`,
		`apisix_http_latency_bucket{type="upstream",route="1",service="2",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model="",le="5"} 2`,
		`apisix_http_latency_count{type="request",route="1",service="2",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model=""} 2`,
		`apisix_http_latency_sum{type="upstream",route="1",service="2",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model=""} 6`,
		`apisix_bandwidth{type="ingress",route="1",service="2",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model=""} 200`,
		`apisix_bandwidth{type="egress",route="1",service="2",consumer="jack",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model=""} 200`,
		`apisix_http_requests_total 9`,
		`apisix_nginx_http_current_connections{state="active"} 3`, `apisix_nginx_http_current_connections{state="waiting"} 1`,
		`apisix_node_info{hostname="`+p.host+`",version="1.2.3"} 1`,
		`apisix_upstream_status{name="/apisix/upstreams/1",ip="127.0.0.1",port="1980"} 1`,
		`apisix_upstream_status{name="/apisix/upstreams/1",ip="127.0.0.2",port="1980"} 0`,
		`apisix_etcd_reachable 1`, `apisix_etcd_modify_indexes{key="routes"} 7`, `apisix_etcd_modify_indexes{key="x_etcd_index"} 9`,
		`apisix_nginx_metric_errors_total 0`,
	)
	if strings.Contains(metricsText(p), `type="upstream",route="1",service="2",consumer="",node="",`) {
		t.Error("an upstream's time is told without upstream")
	}
}

func TestPrometheusSettings(t *testing.T) {
	prefix := "mr_"
	env, p := processEnv(t, ProcessConfig{Prometheus: PrometheusConfig{
		Prefix: &prefix, Buckets: []float64{4, 1000}, ExportURI: "/m", ExportServer: true,
		Metrics: map[string]MetricConfig{"bandwidth": {ExtraLabels: []ExtraLabel{{"arg", "arg_a"}, {"method", "method"}}}},
	}})
	chain := plugintest.Compile(t, env, `{"prometheus":{"prefer_name":true}}`)
	c := proxied(200)
	c.Metadata = plugin.Metadata{"prometheus": &prometheusMetadata{DisabledLabels: map[string][]string{"mr_http_latency": {"node", "route"}}}}
	chain.Log(c)
	w := httptest.NewRecorder()
	p.Metrics().ServeHTTP(w, request("GET /m"))
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Error(got)
	}
	wantLines(t, w.Body.String(),
		`mr_bandwidth{type="ingress",route="first",service="second",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model="",arg="1",method="GET"} 100`,
		`mr_http_latency_bucket{type="upstream",route="",service="second",consumer="",node="",request_type="traditional_http",request_llm_model="",llm_model="",le="4"} 1`,
		`mr_http_latency_bucket{type="request",route="",service="second",consumer="",node="",request_type="traditional_http",request_llm_model="",llm_model="",le="1000"} 1`,
	)
	if w := httptest.NewRecorder(); true {
		p.Metrics().ServeHTTP(w, request("GET /other"))
		if w.Code != 404 {
			t.Errorf("another path: %d", w.Code)
		}
	}
}

func TestPrometheusInstancesShareSeries(t *testing.T) {
	env, p := processEnv(t, ProcessConfig{})
	for range 2 { // a route that was changed has another instance
		plugintest.Compile(t, env, `{"prometheus":{}}`).Log(proxied(200))
	}
	wantLines(t, metricsText(p), `apisix_http_status{code="200",route="1",matched_uri="/hello",matched_host="h.example",service="2",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model="",response_source="upstream"} 2`)
}

func TestPrometheusCountingAllocatesNothing(t *testing.T) {
	env, _ := processEnv(t, ProcessConfig{})
	chain := plugintest.Compile(t, env, `{"prometheus":{}}`)
	c := proxied(200)
	if n := testing.AllocsPerRun(100, func() { chain.Log(c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPrometheusMetadata(t *testing.T) {
	typ, _ := plugin.Lookup("prometheus")
	if _, err := typ.LoadMetadata([]byte(`{"disabled_labels":{"http_status":["node"]}}`)); err != nil {
		t.Error(err)
	}
	if _, err := typ.LoadMetadata([]byte(`{"disabled_labels":{"http_status":"node"}}`)); err == nil {
		t.Error("a text passes for a list")
	}
}

func BenchmarkPrometheus(b *testing.B) {
	env, _ := processEnv(b, ProcessConfig{})
	chain := plugintest.Compile(b, env, `{"prometheus":{}}`)
	b.RunParallel(func(pb *testing.PB) {
		c := proxied(200)
		for pb.Next() {
			chain.Log(c)
		}
	})
}
