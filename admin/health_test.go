package admin_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/admin"
	"millrace/plugin"
	"millrace/resource"
)

// nodes is the health of one route's nodes.
type nodes []resource.Checker

func (n nodes) Checkers() []resource.Checker { return n }

// services is what one type of discovery knows.
type services map[string]any

func (s services) Dump(kind string) (any, bool) {
	dump, ok := s[kind]
	return dump, ok
}

func request(t *testing.T, h http.Handler, method, path string, headers ...string) reply {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+path, nil)
	r.RemoteAddr = "127.0.0.1:1"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return reply{w.Code, w.Body.String(), w.Header()}
}

func newControl(t *testing.T, cfg admin.ControlConfig) http.Handler {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	h, err := admin.NewControl(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHealthcheck(t *testing.T) {
	b := start(t, nil)
	b.do("PUT", "/routes/hc", plain)
	b.do("PUT", "/routes/none", plain)
	h := newControl(t, admin.ControlConfig{Store: b.store, Health: nodes{{Name: "/apisix/routes/hc", Type: "http", Nodes: []resource.CheckedNode{
		{IP: "127.0.0.1", Port: 1980, Hostname: "<a>", Status: "healthy", Counter: resource.CheckCounter{Success: 1, HTTPFailure: 2, TCPFailure: 3, TimeoutFailure: 4}},
	}}}})
	one := `{"name":"/apisix/routes/hc","type":"http","nodes":[{"ip":"127.0.0.1","port":1980,"hostname":"<a>","status":"healthy",
		"counter":{"success":1,"http_failure":2,"tcp_failure":3,"timeout_failure":4}}]}`
	b.expect(request(t, h, "GET", "/v1/healthcheck"), 200, "["+one+"]")
	b.expect(request(t, h, "GET", "/v1/healthcheck/routes/hc"), 200, one)
	b.expect(request(t, h, "GET", "/v1/healthcheck/x"), 400, msg("invalid src type x"))
	b.expect(request(t, h, "GET", "/v1/healthcheck/x/1"), 400, msg("invalid src type x"))
	b.expect(request(t, h, "GET", "/v1/healthcheck/routes"), 404, msg("missing src id for src type routes"))
	b.expect(request(t, h, "GET", "/v1/healthcheck/routes/1"), 404, msg("routes[1] not found"))
	b.expect(request(t, h, "GET", "/v1/healthcheck/routes/none"), 404, msg("no checker for routes[none]"))
	html := request(t, h, "GET", "/v1/healthcheck", "Accept", "text/html,*/*")
	if !strings.Contains(html.body, "<title>APISIX upstream check status</title>") || !strings.Contains(html.body, "<td>127.0.0.1:1980</td><td>healthy</td><td>1</td><td>3</td><td>2</td><td>4</td>") {
		t.Errorf("page %s", html.body)
	}
	b.expect(request(t, newControl(t, admin.ControlConfig{Store: b.store}), "GET", "/v1/healthcheck"), 200, `{}`)
}

func TestControlHelpers(t *testing.T) {
	b := start(t, nil)
	b.do("PUT", "/plugin_metadata/key-auth", `{"a":1}`)
	bare := newControl(t, admin.ControlConfig{Store: b.store})
	h := newControl(t, admin.ControlConfig{
		Store: b.store, Discovery: services{"dns": map[string]any{"a": []string{}}},
		ServerInfo: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"id":"x"}`+"\n") }),
	})
	metadata := `{"id":"key-auth","a":1}`
	b.expect(request(t, bare, "GET", "/v1/plugin_metadatas"), 200, "["+metadata+"]")
	b.expect(request(t, bare, "GET", "/v1/plugin_metadata/key-auth"), 200, metadata)
	b.expect(request(t, bare, "GET", "/v1/plugin_metadata/zz"), 404, msg("plugin metadata[zz] not found"))
	b.expect(request(t, bare, "GET", "/v1/service/zz"), 404, msg("service[zz] not found"))
	b.expect(request(t, bare, "GET", "/v1/upstream/zz"), 404, msg("upstream[zz] not found"))
	b.expect(request(t, bare, "POST", "/v1/gc"), 200, "")
	b.expect(request(t, bare, "PUT", "/v1/plugins/reload"), 200, "done")
	b.expect(request(t, bare, "GET", "/v1/plugin/example-plugin/hello"), 200, "world\n")
	b.expect(request(t, bare, "GET", "/v1/plugin/example-plugin/hello?json"), 200, `{"msg":"world"}`)
	b.expect(request(t, h, "GET", "/v1/discovery/dns/dump"), 200, `{"a":[]}`)
	b.expect(request(t, h, "GET", "/v1/server_info"), 200, `{"id":"x"}`)
	if got := request(t, newControl(t, admin.ControlConfig{Store: b.store, Plugins: plugin.NewSet(nil)}), "GET", "/v1/plugin/example-plugin/hello"); got.status != 404 {
		t.Errorf("a plugin that is not listed: %d", got.status)
	}
	for _, tt := range []struct {
		h            http.Handler
		method, path string
	}{
		{bare, "GET", "/v1/discovery/dns/dump"}, {h, "GET", "/v1/discovery/consul/dump"}, {h, "GET", "/v1/discovery/dns/x"}, {bare, "GET", "/v1/server_info"},
		{h, "GET", "/v1/gc"}, {h, "PUT", "/v1/plugins/x"}, {h, "GET", "/v1/consumers"}, {h, "GET", "/v1/healthcheck/routes/1/2"}, {h, "GET", "/v1/plugin/x/hello"},
	} {
		if got := request(t, tt.h, tt.method, tt.path); got.status != 404 || !strings.Contains(got.body, "<h1>404 Not Found</h1>") {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, got.status, got.body)
		}
	}
	schema := request(t, bare, "GET", "/v1/schema")
	for _, want := range []string{`"ssl":{`, `"plugins":{"type":"array"`, `"consumer":{`, `"type":"auth"`, `"consumer_schema":{`} {
		if !strings.Contains(schema.body, want) {
			t.Errorf("%s is not in the schemas", want)
		}
	}
}

func TestStatus(t *testing.T) {
	ready := false
	h := admin.NewStatus(admin.StatusConfig{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Ready: func() bool { return ready }, Version: "1"})
	want := func(path string, status int, body string) {
		t.Helper()
		got := request(t, h, "GET", path)
		if got.status != status || got.body != body || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %q %v", path, got.status, got.body, got.header)
		}
	}
	want("/status", 200, `{"status":"ok"}`)
	want("/status/ready", 503, `{"status":"error","error":"worker id: 0 has not received configuration"}`)
	ready = true
	want("/status/ready", 200, `{"status":"ok"}`)
	if got := request(t, h, "GET", "/"); got.status != 404 || !strings.Contains(got.body, "404 Not Found") {
		t.Errorf("another path: %d %s", got.status, got.body)
	}
}

func TestReloadPlugins(t *testing.T) {
	b := start(t, nil)
	b.expect(b.do("PUT", "/plugins/reload", ""), 200, "done")
	b.expect(b.do("GET", "/plugins/reload", ""), 405, msg("please use PUT method to reload the plugins, GET method is not allowed."))
	b.expect(b.do("POST", "/plugins/reload", ""), 405, msg("please use PUT method to reload the plugins, POST method is not allowed."))
	b.expect(b.do("GET", "/schema/plugins", ""), 200, `{"type":"array","items":{"type":"object","required":["name"],"properties":{"name":{"type":"string","minLength":1},"stream":{"type":"boolean"}}}}`)
	b.expect(b.do("POST", "/schema/validate/ssls", `{}`), 400, msg("then clause did not match"))
	b.expect(b.do("POST", "/schema/validate/nope", `{}`), 404, msg("Unsupported resource type: nope"))
	b.expect(b.do("POST", "/schema/validate/routes", ``), 400, msg("wrong type: expected object, got nil"))
	b.expect(b.do("GET", "/plugins/key-auth?schema_type=consumer", ""), 200, `{"type":"object","properties":{"key":{"type":"string"}},"required":["key"],"encrypt_fields":["key"]}`)
}
