package plugins_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// lua is the plugins of a route whose functions run in a phase.
func lua(t testing.TB, phase string, functions ...string) string {
	t.Helper()
	conf, err := json.Marshal(map[string]any{"serverless-pre-function": map[string]any{"phase": phase, "functions": functions}})
	if err != nil {
		t.Fatal(err)
	}
	return string(conf)
}

// What functions do to requests, answers and the choice of the upstream, seen from
// both ends.
func TestFunctionsThroughTheGateway(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s := startGateway(t)
	echo := upstreamNodes(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Header.Get("X-Lua"), body)
	})
	s.put("upstreams/other", upstreamNodes(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "other") }))
	for i, tc := range []struct{ phase, function, target, want string }{
		{"access", `ngx.req.set_uri("/a b/c") ngx.req.set_uri_args({x = "1 2"})`, "?y=1", "GET /a%20b/c?x=1%202  "},
		{"rewrite", `ngx.req.set_method(ngx.HTTP_POST) ngx.req.set_header("X-Lua", "l") ngx.req.set_body_data("made")`, "", "POST /lua/9 l made"},
		{"rewrite", `ngx.var.args = nil ctx.var.upstream_uri = "/up?z"`, "?y=1", "GET /up?z  "},
		{"access", `ctx.upstream_id = "other"`, "", "other"},
		{"access", `if ctx.var.arg_y then ctx.upstream_id = "none" end`, "?y=1", ""},
		{"before_proxy", `ngx.req.set_header("X-Lua", ctx.matched_route.value.labels.zone .. ctx.matched_route.value.id)`, "", "GET /lua/9 z5 "},
		{"body_filter", `ngx.arg[1] = ngx.arg[1]:lower()`, "", "get /lua/9  "},
		{"body_filter", `local b = require("apisix.core").response.hold_body_chunk(ctx) if b then ngx.arg[1] = "<" .. b .. ">" end`, "", "<GET /lua/9  >"},
		{"access", `ngx.sleep(0.001) ngx.shared.kept:incr("n", 1, 0)`, "", "GET /lua/9  "},
		{"access", `ngx.say(ngx.shared.kept:get("n"))`, "", "1\n"},
		{"access", `require("apisix.core").ctx.register_var("a6_zone", function(ctx) return ctx.matched_route.value.labels.zone end) ngx.say(ctx.var.a6_zone)`, "", "z\n"},
		{"access", `ngx.say(ctx.curr_req_matched._path, " ", ctx.curr_req_matched[":ext"])`, "", "/lua/11* \n"},
	} {
		uri := fmt.Sprintf("/lua/%d", i)
		s.put(fmt.Sprintf("routes/%d", i), fmt.Sprintf(`{"uri":"%s*","labels":{"zone":"z"},"plugins":%s,"upstream":%s}`, uri, lua(t, tc.phase, "return function(conf, ctx) "+tc.function+" end"), echo))
		want := strings.ReplaceAll(tc.want, "/lua/9", uri)
		if strings.Contains(tc.function, "zone .. ctx") {
			want = strings.ReplaceAll(want, "z5", fmt.Sprint("z", i))
		}
		status, body := s.get(t.Context(), uri+tc.target, "")
		if want == "" {
			if status != 502 {
				t.Errorf("%s: %d %q", tc.function, status, body)
			}
		} else if status != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", tc.function, status, body, want)
		}
	}
}

// filter_func finds what functions find.
func TestFilterFuncWithCore(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s := startGateway(t)
	for name, condition := range map[string]string{
		"lua":  `,"priority":1,"filter_func":"function(vars) local core = require('apisix.core') return core.request.header(nil, 'apikey') == 'me' and vars.arg_a == '1' end"`,
		"rest": "",
	} {
		nodes := upstreamNodes(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
		s.put("routes/"+name, `{"uri":"/f"`+condition+`,"upstream":`+nodes+`}`)
	}
	for _, tc := range [][3]string{{"/f?a=1", "me", "lua"}, {"/f?a=2", "me", "rest"}, {"/f?a=1", "you", "rest"}} {
		if _, body := s.get(t.Context(), tc[0], tc[1]); body != tc[2] {
			t.Errorf("%s as %s: %q", tc[0], tc[1], body)
		}
	}
}

// A source keeps its local variables, and no request that runs at the same time as
// another disturbs it.
func TestFunctionsKeepUpvalues(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s := startGateway(t)
	s.put("routes/1", `{"uri":"/n","upstream":{"nodes":{}},"plugins":`+lua(t, "access", "local count = 1\nreturn function()\ncount = count + 1\nngx.say(count)\nngx.exit(200)\nend")+`}`)
	for want := 2; want < 6; want++ {
		if _, body := s.get(t.Context(), "/n", ""); body != fmt.Sprintln(want) {
			t.Errorf("got %q, want %d", body, want)
		}
	}
}

// The phase before the proxy runs for every node that is tried, and knows it.
func TestFunctionsBeforeEveryAttempt(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s := startGateway(t)
	seen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Lua")) }))
	t.Cleanup(seen.Close)
	node := strings.TrimPrefix(seen.URL, "http://")
	s.put("routes/1", `{"uri":"/b","upstream":{"nodes":{"127.0.0.1:1":1,"`+node+`":1}},"plugins":`+
		lua(t, "before_proxy", `return function(conf, ctx) ctx.n = (ctx.n or 0) + 1 ngx.req.set_header("X-Lua", ctx.n .. " " .. ctx.balancer_ip .. ":" .. ctx.balancer_port) end`)+`}`)
	retried := false
	for range 4 {
		status, body := s.get(t.Context(), "/b", "")
		if status != 200 || body != "1 "+node && body != "2 "+node {
			t.Errorf("%d %q", status, body)
		}
		retried = retried || body == "2 "+node
	}
	if !retried {
		t.Error("the dead node was never tried first")
	}
	s.put("routes/1", `{"uri":"/b","upstream":{"nodes":{"`+node+`":1},"type":"least_conn"},"plugins":`+lua(t, "before_proxy", `return function() return 418, "no" end`)+`}`)
	for range 3 {
		if status, body := s.get(t.Context(), "/b", ""); status != 418 || body != "no" {
			t.Errorf("%d %q", status, body)
		}
	}
}
