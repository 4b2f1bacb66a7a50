package snippet_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/plugin"
	"millrace/plugin/plugintest"
	"millrace/plugin/snippet"
)

// answered is what a function's body of ngx.say says.
func answered(t *testing.T, body string) string {
	t.Helper()
	c, err := runFunction(t, body, post())
	if err != plugin.ErrExit {
		return "error: " + errText(err)
	}
	_, answer, _ := c.Exited()
	text, _ := answer.(string)
	return strings.TrimSuffix(text, "\n")
}

func errText(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}

func checkAnswers(t *testing.T, cases [][2]string) {
	t.Helper()
	for _, tc := range cases {
		if got := answered(t, tc[0]); got != tc[1] {
			t.Errorf("%s: %q, want %q", tc[0], got, tc[1])
		}
	}
}

func TestNgxOfFunctions(t *testing.T) {
	t.Parallel()
	checkAnswers(t, [][2]string{
		{`ngx.say(ngx.req.raw_header(true):match("X%-Kind: %a"))`, "X-Kind: k"},
		{`ngx.say((ngx.req.raw_header():match("^[^\r]+")))`, "POST /p?a=1&b=x%20y&a=2&flag HTTP/1.1"},
		{`ngx.req.set_uri("/new path/%") ngx.say(ngx.var.uri, " ", ngx.var.request_uri)`, "/new path/% /new path/%?a=1&b=x%20y&a=2&flag"},
		{`ngx.req.set_uri_args({x = {1, 2}}) ngx.say(ngx.var.args, " ", ngx.var.arg_x)`, "x=1&x=2 1"},
		{`ngx.var.args = "z=1" ngx.say(ngx.req.get_uri_args().z)`, "1"},
		{`ctx.var.remote_addr = "9.9.9.9" ngx.say(ngx.var.remote_addr)`, "9.9.9.9"},
		{`ctx.var.upstream_uri = "/u" ngx.say(ctx.var.upstream_uri, tostring(ctx.var.nothing))`, "/unil"},
		{`local n = 0 for _ in pairs(ngx.req.get_uri_args(2)) do n = n + 1 end ngx.say(n)`, "2"},
		{`for name in pairs(ngx.req.get_headers(0, true)) do if name == "X-Kind" then ngx.say(name) end end`, "X-Kind"},
		{`ngx.req.set_header("X-N", 7) ngx.req.set_header("X_U", true) ngx.say(ngx.var.http_x_n, ngx.req.get_headers().x_u)`, "7true"},
		{`ngx.header["Set-Cookie"] = {"a=1", "b=2"} ngx.say(ngx.header.set_cookie[2], #ngx.resp.get_headers()["set-cookie"])`, "b=22"},
		{`require("ngx.resp").add_header("X-A", "1") ngx.say(ngx.resp.get_headers()["x-a"], tostring(ngx.headers_sent))`, "1false"},
		{`ngx.say(nil, true, ngx.null, {1, {"a"}})`, "niltruenull1a"},
		{`ngx.print("a") ngx.flush(true) ngx.eof()`, "a"},
		{`ngx.sleep(0.001) ngx.say("slept")`, "slept"},
		{`ngx.say(ngx.unescape_uri("a+b%2f%zz"), ngx.escape_uri("a b?", 0))`, "a b/%zza%20b%3F"},
		{`ngx.say(ngx.encode_args({b = "x y"}), ngx.encode_args({a = true}))`, "b=x%20ya"},
		{`local t = ngx.decode_args("a=1&b&a=%41") ngx.say(t.a[2], tostring(t.b))`, "Atrue"},
		{`ngx.say(ngx.http_time(0), ngx.cookie_time(0), ngx.parse_http_time("Thu, 01 Jan 1970 00:01:00 GMT"))`,
			"Thu, 01 Jan 1970 00:00:00 GMTThu, 01-Jan-70 00:00:00 GMT60"},
		{`ngx.say(tostring(ngx.parse_http_time("no")), #ngx.utctime(), #ngx.localtime())`, "nil1919"},
		{`ngx.say(ngx.md5(nil) == ngx.md5(""), ngx.encode_base64(12), tostring(ngx.decode_base64("*")))`, "trueMTI=nil"},
		{`ngx.say(ngx.worker.id(), ngx.worker.count(), ngx.config.subsystem, tostring(ngx.nothing))`, "01httpnil"},
		{`local ok, err = ngx.timer.at(0, function() end) ngx.say(tostring(ok), " ", err)`, "nil ngx.timer.at is not available to functions of configurations"},
	})
}

func TestPatternsOfFunctions(t *testing.T) {
	t.Parallel()
	checkAnswers(t, [][2]string{
		{`local c = {pos = 2} local m = ngx.re.match("a1b2", "\\d", "jo", c) ngx.say(m[0], c.pos)`, "13"},
		{`local t = {} ngx.re.match("xy", "(x)(y)", "", nil, t) ngx.say(t[1], t[2])`, "xy"},
		{`ngx.say(ngx.re.find("ab12", "([a-z])([0-9])", "", nil, 2))`, "33"},
		{`ngx.say(ngx.re.find("ABC", "b", "i"))`, "22"},
		{`local m, err = ngx.re.match("a", "(") ngx.say(tostring(m), type(err))`, "nilstring"},
		{`local a, b, err = ngx.re.find("a", "(") ngx.say(tostring(a), tostring(b), type(err))`, "nilnilstring"},
		{`local a, b, err = ngx.re.gsub("a", "(", "") ngx.say(tostring(a), tostring(b), type(err))`, "nilnilstring"},
		{`ngx.say(ngx.re.sub("hello world", "(o)", "[$1]"))`, "hell[o] world1"},
		{`ngx.say(ngx.re.gsub("a-b", "[a-z]", function(m) return m[0]:upper() end))`, "A-B2"},
		{`ngx.say(table.concat(require("ngx.re").split("a, b,c", ",\\s*"), "|"))`, "a|b|c"},
		{`ngx.say(table.concat(require("ngx.re").split("a,b,c", ",", nil, nil, 2), "|"))`, "a|b,c"},
		{`ngx.say(table.concat(require("ngx.re").split("abc", ""), "|"))`, "a|b|c"},
		{`local n = 0 for m in ngx.re.gmatch("x=1&y=2", "(?<k>\\w)=(\\d)") do n = n + m[2] end ngx.say(n)`, "3"},
	})
}

func TestCoreOfFunctions(t *testing.T) {
	t.Parallel()
	const core = `local core = require("apisix.core") `
	checkAnswers(t, [][2]string{
		{core + `ngx.say(core.request.header(ctx, "x_kind"), core.request.headers(ctx)["X-KIND"], tostring(core.request.header(ctx, "no")))`, "kknil"},
		{core + `core.request.add_header(ctx, "X-Kind", "l") ngx.say(ctx.var.http_x_kind)`, "k, l"},
		{core + `core.request.set_header("X-Old", "o") ngx.say(ngx.var.http_x_old)`, "o"},
		{core + `ngx.say(core.request.get_uri_args(ctx).b, core.request.get_host(ctx), core.request.get_scheme(ctx), core.request.get_path(ctx))`, "x yh.comhttp/p"},
		{core + `core.request.set_uri_args(ctx, {q = 1}) ngx.say(ngx.var.args)`, "q=1"},
		{core + `ngx.say(core.request.get_json_request_body_table().n, core.request.get_http_version(), core.request.get_method())`, "51.1POST"},
		{core + `local body, err = core.request.get_body(2, ctx) ngx.say(tostring(body), type(err))`, "nilstring"},
		{core + `core.response.exit(418, "tea")`, "tea"},
		{core + `core.response.set_header("A", 1, "B", 2) core.response.add_header({A = 3}) ngx.say(ngx.header.a[2], ngx.header.b)`, "32"},
		{core + `ngx.say(core.json.encode({list = core.json.decode("[]"), empty = {}, null = core.json.null}))`, `{"empty":{},"list":[],"null":null}`},
		{core + `local v, err = core.json.decode("{") ngx.say(tostring(v), type(err))`, "nilstring"},
		{core + `ngx.say(core.string.has_prefix("abc", "ab"), core.string.find("abab", "b", 3), core.string.rfind_char("a/b/c", "/"), core.string.format("%d", 3))`, "true443"},
		{core + `local t = core.table.clone({1, a = 2}) core.table.insert(t, 5) ngx.say(t[2], core.table.nkeys(t), core.table.concat({1, 2}, ","), core.table.insert_tail(t, 7, 8))`, "531,24"},
		{core + `local t = core.table.deepcopy({a = {b = 1}}) core.table.merge(t, {a = {c = 2}}) ngx.say(t.a.b, t.a.c, core.table.try_read_attr(t, "a", "c"))`, "122"},
		{core + `ngx.say(tostring(core.table.isarray({1, 2})), tostring(core.table.array_find({"a", "b"}, "b")))`, "true2"},
		{core + `local t = {1, 2, x = 1} core.table.clear(t) ngx.say(next(t) == nil)`, "true"},
		{core + `ngx.say(core.ip.create_ip_matcher({"10.0.0.0/8", "::1"}):match("10.2.3.4"), core.ip.validate_cidr_or_ip("x"))`, "truefalse"},
		{core + `core.ctx.register_var("a6_mine", function(ctx) return ctx.var.arg_b .. "!" end) ngx.say(ngx.var.a6_mine)`, "x y!"},
		{core + `local cache = core.lrucache.new({ttl = 10, count = 2}) local n = 0 local make = function(x) n = n + 1 return {x} end
			ngx.say(cache("k", 1, make, "a")[1], cache("k", 1, make, "b")[1], cache("k", 2, make, "c")[1], n)`, "aac2"},
		{core + `ngx.say(core.utils.get_last_index("a.b.c", "."), core.utils.parse_addr("h:80"))`, "4h80"},
		{core + `core.log.error("seen ", {1}) core.log.info("x") ngx.say(require("apisix.core.string").has_suffix("ab", "b"))`, "true"},
		{`ngx.say(require("apisix.plugin").get("no-such") == nil, tostring(require("apisix.plugin").plugin_metadata("x")))`, "truenil"},
	})
}

func TestCtxOfFunctions(t *testing.T) {
	t.Parallel()
	f, err := snippet.CompileFunction(`return function(conf, ctx)
		local route = ctx.matched_route
		ngx.say(table.concat({route.value.id, route.value.labels.zone, route.key, ctx.matched_upstream.nodes["a:1"], ctx.curr_req_matched._path,
			ctx.curr_req_matched[":ext"], ctx.curr_req_matched.user, ctx.balancer_ip, ctx.balancer_port, ctx.picked_server.host, ctx.conf_type, ctx.conf_id,
			ngx.ctx.api_ctx.route_id, ctx.consumer.username}, " "))
	end`, nil, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	if !f.ReadsRoute() {
		t.Error("it reads the route")
	}
	c := plugintest.NewContext(post())
	c.Matched = plugin.Matched{
		RouteID: "7", ServiceID: "s", URI: "/u/:user/*", Ext: "rest", Params: map[string]string{"user": "joe"},
		Document: []byte(`{"labels":{"zone":"z"},"upstream":{"nodes":{"a:1":3}}}`),
	}
	c.Upstream.IP, c.Upstream.Port, c.Consumer.Username = "1.2.3.4", 80, "jack"
	if err := f.Call(c, plugin.PhaseAccess); err != plugin.ErrExit {
		t.Fatal(err)
	}
	if _, body, _ := c.Exited(); body != "7 z /apisix/routes/7 3 /u/:user/* rest joe 1.2.3.4 80 1.2.3.4 route&service 7&s 7 jack\n" {
		t.Errorf("got %q", body)
	}
}

// What one function leaves in ctx and ngx.ctx the others find, and its tables are the
// same ones while it runs.
func TestFieldsOfCtxLast(t *testing.T) {
	t.Parallel()
	c := plugintest.NewContext(post())
	for _, step := range []struct{ body, want string }{
		{`ctx.n = 1 ctx.list = {1} table.insert(ctx.list, 2) ngx.ctx.b = true ngx.ctx.t = {x = {}} ngx.ctx.t.x.y = "deep"`, ""},
		{`ctx.f = function() return "called" end ctx.m = ctx.f()`, ""},
		{`ngx.say(ctx.n + 1, ctx.list[2], tostring(ngx.ctx.b), ngx.ctx.t.x.y, tostring(ctx.b), tostring(ctx.f), ctx.m)`, "22truedeepnilnilcalled\n"},
		{`ctx.n = nil ctx.list[3] = 9`, ""},
		{`ngx.say(tostring(ctx.n), #ctx.list)`, "nil3\n"},
	} {
		f, err := snippet.CompileFunction("return function(conf, ctx) "+step.body+" end", nil, plugintest.Env(t))
		if err != nil {
			t.Fatal(err)
		}
		err = f.Call(c, plugin.PhaseAccess)
		if step.want == "" {
			if err != nil {
				t.Errorf("%s: %v", step.body, err)
			}
			continue
		}
		if _, body, _ := c.Exited(); err != plugin.ErrExit || body != step.want {
			t.Errorf("%s: %q, %v", step.body, body, err)
		}
	}
}

func TestModulesOfFunctions(t *testing.T) {
	t.Parallel()
	const hex = `local hex = require("resty.string").to_hex `
	checkAnswers(t, [][2]string{
		{hex + `local h = require("resty.sha256"):new() h:update("a") h:update("bc") ngx.say(hex(h:final()))`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{hex + `local h = require("resty.md5"):new() h:update("a") ngx.say(hex(h:final()))`, "0cc175b9c0f1b6a831c399e269772661"},
		{`local hmac = require("resty.hmac") ngx.say(hmac:new("key", hmac.ALGOS.SHA1):final("text", true))`, "369e2959eb49450338b212748f77d8ded74847bb"},
		{`ngx.say(#require("resty.random").bytes(8), require("resty.random").bytes(1e9) == nil)`, "8true"},
		{`ngx.say(require("ngx.base64").encode_base64url("a?>"), require("ngx.base64").decode_base64url("YT8-"))`, "YT8-a?>"},
		{`local bit = require("bit") ngx.say(bit.band(12, 10), bit.bor(12, 3), bit.bxor(5, 1), bit.lshift(1, 4), bit.rshift(-1, 28), bit.bnot(0), bit.tohex(255))`, "81541615-1000000ff"},
		{`local ck = require("resty.cookie"):new() local v, err = ck:get("none") ck:set({key = "k", value = "v", path = "/", httponly = true}) ngx.say(tostring(v), ngx.header.set_cookie)`,
			"nilk=v; Path=/; HttpOnly"},
		{`local cjson = require("cjson.safe").new() cjson.encode_empty_table_as_object(false) ngx.say(cjson.encode(cjson.empty_array))`, "[]"},
		{`ngx.say(require("table.nkeys")({a = 1}))`, "1"},
	})
	for module, why := range map[string]string{
		"resty.http": "neither the network nor files", "socket.http": "neither the network nor files", "apisix.plugins.key-auth": "naming them in a configuration",
		"apisix.balancer": "of apisix there are core", "io": "module 'io' not found", "apisix.core.etcd": "of apisix there are core",
	} {
		if _, err := runFunction(t, `require("`+module+`")`, post()); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", module, err)
		}
	}
}

func TestSharedDictionaries(t *testing.T) {
	t.Parallel()
	env := plugintest.Env(t, snippet.NewSharedData())
	run := func(body string) string {
		f, err := snippet.CompileFunction("return function(conf, ctx) local d = ngx.shared.mine "+body+" end", nil, env)
		if err != nil {
			t.Fatal(err)
		}
		c := plugintest.NewContext(post())
		if err := f.Call(c, plugin.PhaseAccess); err != plugin.ErrExit {
			return errText(err)
		}
		_, answer, _ := c.Exited()
		return strings.TrimSuffix(answer.(string), "\n")
	}
	for _, step := range [][2]string{
		{`ngx.say(tostring(d:get("a")), d:set("a", "text", 0, 5), d:get("a"))`, "niltruetext5"},
		{`ngx.say(d:add("a", 1))`, "falseexistsfalse"},
		{`ngx.say(d:replace("none", 1))`, "falsenot foundfalse"},
		{`ngx.say(d:incr("n", 2, 10), d:incr("n", 1))`, "1213"},
		{`ngx.say(d:incr("a", 1))`, "nilnot a number"},
		{`ngx.say(d:incr("none", 1))`, "nilnot found"},
		{`ngx.say(d:set("t", {}))`, "falsebad value typefalse"},
		{`ngx.say(d:set("big", ("x"):rep(4e6)), #d:get("big"))`, "true4000000"},
		{`d:delete("big") ngx.say(tostring(d:get("big")), d:ttl("a"))`, "nil0"},
		{`local k = d:get_keys() table.sort(k) ngx.say(table.concat(k, ","))`, "a,n"},
		{`ngx.say(tostring(ngx.shared.other:get("a")))`, "nil"},
		{`local k = setmetatable({}, {__tostring = function() return d:get("a") end}) d:set("text", 1) ngx.say(d:get(k))`, "1"},
		{`d:flush_all() ngx.say(#d:get_keys())`, "0"},
		{`for i = 1, 5 do d:set("k" .. i, ("x"):rep(4e6)) end ngx.say(tostring(d:get("k1")), #d:get("k5"))`, "nil4000000"},
	} {
		if got := run(step[0]); got != step[1] {
			t.Errorf("%s: %q, want %q", step[0], got, step[1])
		}
	}
}

func TestFunctionsHoldBodies(t *testing.T) {
	t.Parallel()
	f, err := snippet.CompileFunction(`return function(conf, ctx)
		local body = require("apisix.core").response.hold_body_chunk(ctx)
		if not body then return end
		ngx.arg[1] = body:reverse()
	end`, nil, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	c := plugintest.NewContext(post())
	parts := []string{string(f.FilterPart(c, []byte("ab"), false)), string(f.FilterPart(c, []byte("cd"), false)), string(f.FilterPart(c, nil, true))}
	if strings.Join(parts, "|") != "||dcba" {
		t.Errorf("got %q", parts)
	}
}

func TestFunctionsInFilters(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`ngx.say("x")`: "API disabled in the context of log_by_lua*", `ngx.sleep(1)`: "API disabled", `ngx.redirect("/")`: "API disabled",
		`ngx.exit(500) error("not here")`: "none", `require("apisix.core").response.exit(500) error("not here")`: "none",
		`ctx.upstream_id = "1"`: "cannot be set here", `ngx.var.uri = "/x"`: "not changeable", `ngx.var.mine = "x"`: "none",
		`pcall(ngx.exit, 500) error("not here")`: "none",
		`ngx.exec("/x")`:                         "not available", `ngx.location.capture("/x")`: "not available", `ngx.thread.spawn()`: "not available", `ngx.socket.tcp()`: "not available",
		`local t = {} t[1] = t ngx.log(ngx.ERR, t)`: "excessive nesting", `local t = {} t[1] = t require("apisix.core").table.deepcopy(t)`: "excessive nesting",
		`local t = {} t.t = t ctx.t = t`: "none", `ngx.sleep(1e9)`: "API disabled", `ngx.foo = 1`: "undeclared",
		`ngx.status = 101`: "no status of an answer", `ngx.status = -1`: "no status of an answer", `ngx.status = 99999`: "no status of an answer", `ngx.status = 299`: "none",
	} {
		f, err := snippet.CompileFunction("return function(conf, ctx) "+body+" end", nil, plugintest.Env(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Call(plugintest.NewContext(post()), plugin.PhaseLog); !strings.Contains(errText(err), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// What grows by itself, or makes much of little, ends with an error.
func TestFunctionsAreBounded(t *testing.T) {
	t.Parallel()
	const core, big, twice = `local core = require("apisix.core") `, `local big, t = ("x"):rep(1e6), {} `, `local t = {} for i = 1, 90 do t = {t, t} end `
	for body, want := range map[string]string{
		big + core + `for i = 1, 1000 do t[i] = big end core.json.encode(t)`: "",
		big + `for i = 1, 1000 do t["k" .. i] = big end ngx.encode_args(t)`:  "too long",
		big + `for i = 1, 1000 do t[i] = big end ngx.say(t)`:                 "too long",
		big + `ngx.re.gsub(("x"):rep(3000), "x", big)`:                       "",
		big + `ngx.re.gsub(("x"):rep(3e5), "x", "")`:                         "too many matches",
		big + `for i = 1, 20 do big = ngx.encode_base64(big) end`:            "too long",
		`os.date(("%c"):rep(1e5))`:                                           "format is too long",
		twice + core + `core.table.deepcopy(t)`:                              "excessive nesting",
		twice + core + `core.table.merge({t, t}, {t, t})`:                    "",
		twice + `ngx.say(t)`:                                                 "excessive nesting",
		twice + core + `local v, err = core.json.encode(t) error(err)`:       "too long",
		twice + `ctx.t = t`:                                                  "",
	} {
		if _, err := runFunction(t, body, post()); !strings.Contains(errText(err), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// A function that waits ends with its client.
func TestSleepEndsWithTheClient(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, leave)
	if _, err := runFunction(t, `pcall(ngx.sleep, 20)`, post().WithContext(ctx)); !errors.Is(err, plugin.ErrDrop) {
		t.Errorf("got %v", err)
	}
	if _, err := runFunction(t, `ngx.sleep(1e6)`, post()); err == nil || !strings.Contains(err.Error(), "may sleep for") {
		t.Errorf("got %v", err)
	}
}

// Sources do not see what others leave in globals and libraries, nor in their own
// states what was not theirs.
func TestSourcesAreApart(t *testing.T) {
	t.Parallel()
	if got := answered(t, `leak = 1 string.leak = 2 ngx.req.leak = 3 getmetatable("").__index.leak = 4 require("apisix.core").json.leak = 5 ngx.say("ok")`); got != "ok" {
		t.Fatal(got)
	}
	if got := answered(t, `ngx.say(tostring(leak), tostring(string.leak), tostring(ngx.req.leak), tostring(("").leak), tostring(require("apisix.core").json.leak))`); got != "nilnilnilnilnil" {
		t.Error(got)
	}
}

// A table that a source keeps is read for the phases that follow before another call
// can change it.
func TestKeptTablesAreOfOneCall(t *testing.T) {
	t.Parallel()
	f, err := snippet.CompileFunction(`local all, n = {}, 0 return function(conf, ctx) n = n + 1 all["k" .. n % 50] = n ctx.all = all end`, nil, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for range 200 {
				if err := f.Call(plugintest.NewContext(post()), plugin.PhaseAccess); err != nil {
					t.Error(err)
				}
			}
		})
	}
	calls.Wait()
}

// Sources may guard their globals, and spoil what they were given: that is theirs alone.
func TestSourcesGuardGlobals(t *testing.T) {
	t.Parallel()
	const guard = `setmetatable(_G, {__index = function(_, name) error("no " .. name) end, __newindex = function(_, name) error("new " .. name) end}) `
	f, err := snippet.CompileFunction(guard+`return function(conf, ctx) ngx.say(conf.a, ngx.req.get_headers()["X-Kind"], ngx.null) end`, []byte(`{"a":1}`), plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	c := plugintest.NewContext(post())
	if err := f.Call(c, plugin.PhaseAccess); err != plugin.ErrExit {
		t.Error(err)
	}
	if _, body, _ := c.Exited(); body != "1knull\n" {
		t.Errorf("got %q", body)
	}
	for _, spoil := range []string{`getmetatable(ctx).__index = function() error("spoilt") end`, `local pairs = pairs for name in pairs(_G) do _G[name] = nil end`} {
		filter, err := snippet.CompileFilter(`function(vars, _, ctx) `+spoil+` return true end`, "1", plugintest.Env(t))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _ = filter.Holds(plugintest.NewContext(post())) // whatever comes of it, it comes back
		}
	}
}

func TestFilterFunctions(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`function(vars) return vars.arg_b == "x y" and vars["http_x_kind"] == "k" end`:                                                           "true",
		`function(vars) return tonumber(vars.arg_a) > 1 end`:                                                                                     "false",
		`function(vars, opts, ctx) return require("apisix.core").request.headers(ctx)["x-kind"] == "k" and ngx.var.request_method == "POST" end`: "true",
		`function() ngx.exit(200) end`:         "false",
		`function() ngx.say("x") end`:          "API disabled",
		`function(vars) return vars.a.b.c end`: "attempt to index",
		`function() while true do end end`:     "too m",
		`"no function"`:                        "'filter_func' should be a function",
	} {
		f, err := snippet.CompileFilter(source, "1", plugintest.Env(t))
		got := ""
		if err == nil {
			var holds bool
			if holds, err = f.Holds(plugintest.NewContext(post())); holds {
				got = "true"
			} else {
				got = "false"
			}
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}
