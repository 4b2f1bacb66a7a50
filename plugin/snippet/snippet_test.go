package snippet_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
	"millrace/plugin/snippet"
)

// runFunction runs the body of a function(conf, ctx) on a request in the access
// phase.
func runFunction(t *testing.T, body string, r *http.Request) (*plugin.Context, error) {
	t.Helper()
	f, err := snippet.CompileFunction("return function(conf, ctx) "+body+" end", []byte(`{"a":[1,{"b":"c"}]}`), plugintest.Env(t))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	c := plugintest.NewContext(r)
	c.Matched.RouteID = "r1"
	c.Consumer = plugin.Consumer{Username: "jack", Labels: map[string]string{"team": "x"}}
	return c, f.Call(c, plugin.PhaseAccess)
}

func post() *http.Request {
	r := httptest.NewRequest("POST", "http://h.com:80/p?a=1&b=x%20y&a=2&flag", strings.NewReader(`{"n":5}`))
	r.Header.Set("X-Kind", "k")
	return r
}

// What a function does shows in the answer that it ends the request with.
func TestFunctionsAnswer(t *testing.T) {
	for body, want := range map[string]string{
		`ngx.say("a", 1, {"b", "c"}) ngx.print("d")`:     "200 a1bc\nd",
		`ngx.status = 201 ngx.say("x") ngx.exit(ngx.OK)`: "201 x\n",
		`ngx.exit(403)`:                "403 <nil>",
		`ngx.exit(ngx.HTTP_NOT_FOUND)`: "404 <nil>",
		`return 401, {message = "no"}`: "401 map[message:no]",
		`return 401, "no"`:             "401 no",
		`return 401`:                   "401 <nil>",
		`return "body only"`:           "200 body only",
		`require("apisix.core").response.exit(418, {ok = true})`:                                       "418 map[ok:true]",
		`ngx.redirect("/there", 301)`:                                                                  "301 <nil>",
		`ngx.say(conf.a[1], conf.a[2].b)`:                                                              "200 1c\n",
		`ngx.say(ngx.var.arg_b, ngx.var.uri, ctx.var.http_x_kind)`:                                     "200 x y/pk\n",
		`ngx.say(tostring(ngx.var.nothing), ctx.var.request_method)`:                                   "200 nilPOST\n",
		`local h = ngx.req.get_headers() ngx.say(h["X-Kind"], h.x_kind)`:                               "200 kk\n",
		`local a = ngx.req.get_uri_args() ngx.say(a.a[2], a.b, tostring(a.flag))`:                      "200 2x ytrue\n",
		`ngx.req.read_body() ngx.say(ngx.req.get_body_data())`:                                         "200 {\"n\":5}\n",
		`local core = require("apisix.core") ngx.say(core.json.decode(core.request.get_body()).n + 1)`: "200 6\n",
		`ngx.say(require("cjson").encode({a = {1, 2}, b = "x/y"}))`:                                    "200 {\"a\":[1,2],\"b\":\"x/y\"}\n",
		`local core = require("apisix.core") ngx.say(core.json.delay_encode({1}))`:                     "200 [1]\n",
		`local v, err = require("cjson.safe").decode("{") ngx.say(tostring(v), type(err))`:             "200 nilstring\n",
		`ngx.say(ctx.route_id, ctx.consumer_name, ctx.consumer.labels.team, tostring(ctx.mine))`:       "200 r1jackxnil\n",
		`ctx.mine = {x = 1} ngx.ctx.other = "y" ngx.say(ctx.mine.x, ngx.ctx.other)`:                    "200 1y\n",
		`ngx.say(ngx.get_phase(), ngx.req.get_method())`:                                               "200 accessPOST\n",
		`ngx.say(ngx.md5("a"), ngx.encode_base64("ab"), ngx.decode_base64("YWI="))`:                    "200 0cc175b9c0f1b6a831c399e269772661YWI=ab\n",
		`ngx.say(ngx.escape_uri("a b/c"), ngx.unescape_uri("a%20b"), ngx.crc32_short("a"))`:            "200 a%20b%2Fca b3904355907\n",
		`local m = ngx.re.match("id=42;", "id=(\\d+)(?<rest>.*)", "jo") ngx.say(m[0], m[1], m.rest)`:   "200 id=42;42;\n",
		`ngx.say(ngx.re.gsub("a1b2", "[0-9]", "<$0>", "jo"))`:                                          "200 a<1>b<2>2\n",
		`ngx.say(ngx.re.find("hello", "l+"))`:                                                          "200 34\n",
		`for m in ngx.re.gmatch("a1b2", "\\d") do ngx.print(m[0]) end`:                                 "200 12",
		`ngx.say(require("apisix.core").utils.resolve_var("$arg_a-${host}", ctx.var))`:                 "200 1-h.comnil2\n",
		`ngx.say(type(ngx.now()), type(ngx.time()), #ngx.today())`:                                     "200 numbernumber10\n",
	} {
		c, err := runFunction(t, body, post())
		if err != plugin.ErrExit {
			t.Errorf("%s: %v", body, err)
			continue
		}
		status, answer, _ := c.Exited()
		if got := strings.TrimSpace(fmt.Sprint(status, " ", answer)); got != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestFunctionsChangeRequests(t *testing.T) {
	c, err := runFunction(t, `
		local core = require("apisix.core")
		core.request.set_header(ctx, "X-New", "1")
		ngx.req.set_header("X-List", {"a", "b"})
		ngx.req.clear_header("X-Kind")
		ngx.req.set_uri("/other")
		ngx.req.set_uri_args({z = "1 2"})
		ngx.req.set_method(ngx.HTTP_PUT)
		ngx.req.set_body_data("new")
		ngx.header["X-Answer"] = "h"
		ngx.var.upstream_host = "up.com"
		core.response.set_header("X-Other", 7)
		core.log.warn("noted ", {1})
		ngx.log(ngx.ERR, "noted")`, post())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := c.Request.Body(-1)
	got := []string{
		string(c.Request.Header("X-New")), string(c.Request.Header("X-List")), string(c.Request.Header("X-Kind")), c.Request.Target(), c.UpstreamMethod,
		string(body), string(c.Response.Header("X-Answer")), string(c.Response.Header("X-Other")), c.UpstreamHost,
	}
	want := "1 a  /other?z=1%202 PUT new h 7 up.com"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %q, want %q", s, want)
	}
}

func TestFunctionsThatGoWrong(t *testing.T) {
	for body, want := range map[string]string{
		`error("broken")`:            "broken",
		`return nothing.at.all`:      "attempt to index",
		`while true do end`:          "too many instructions",
		`require("socket")`:          "module 'socket' not found",
		`return 200, function() end`: "not supported",
	} {
		if _, err := runFunction(t, body, post()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
	if _, err := runFunction(t, `ngx.exit(ngx.OK)`, post()); err != nil {
		t.Errorf("ngx.exit(ngx.OK): %v", err)
	}
	if _, err := runFunction(t, `ngx.exit(444)`, post()); err != plugin.ErrDrop {
		t.Errorf("ngx.exit(444): %v", err)
	}
}

func TestCompileFunctionErrors(t *testing.T) {
	for source, want := range map[string]string{
		"functon x":            `failed to loadstring: [string "functon x"]:1: '=' expected near 'x'`,
		"return 5":             "only accept Lua function, the input code type is number",
		`error("at load")`:     "pcall error: ",
		`ngx.req.get_method()`: "pcall error: ",
	} {
		if _, err := snippet.CompileFunction(source, nil, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
}

func TestFunctionFiltersBody(t *testing.T) {
	f, err := snippet.CompileFunction(`return function() ngx.arg[1] = string.upper(ngx.arg[1]) .. (ngx.arg[2] and "!" or "") end`, nil, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	c := plugintest.NewContext(post())
	if got := string(f.FilterPart(c, []byte("a"), false)) + string(f.FilterPart(c, []byte("b"), true)); got != "AB!" {
		t.Errorf("got %q", got)
	}
}

// Plugins of any kind take a pre-function, which is checked with their configuration.
func TestPreFunctionsAreChecked(t *testing.T) {
	typ, ok := plugin.Lookup("snippet-probe")
	if !ok {
		t.Fatal("the plugin is not registered")
	}
	for source, want := range map[string]string{
		"return function(conf, ctx) end": "",
		"return 1":                       "failed to load _meta.pre_function in plugin: only accept Lua function, the input code type is number",
		"return (":                       "failed to load _meta.pre_function in plugin: failed to loadstring: ",
	} {
		conf, err := json.Marshal(map[string]any{"_meta": map[string]string{"pre_function": source}})
		if err != nil {
			t.Fatal(err)
		}
		if err := typ.Check(conf); !strings.HasPrefix(errText(err), cmp.Or(want, "none")) {
			t.Errorf("%s: got %v, want %q", source, err, want)
		}
	}
}

type probe struct{}

func (*probe) Access(*plugin.Context) error { return nil }

func init() { plugin.Register[probe]("snippet-probe", 0, `{"type":"object"}`) }
