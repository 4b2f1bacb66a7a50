package plugins

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// functionsConf is a configuration with functions of these bodies in a phase.
func functionsConf(t testing.TB, phase string, bodies ...string) string {
	sources := make([]string, len(bodies))
	for i, body := range bodies {
		sources[i] = "return function(conf, ctx) " + body + " end"
	}
	text, err := json.Marshal(map[string]any{"phase": phase, "functions": sources, "mine": "x"})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func testServerlessConfiguration(t *testing.T, name string, priority int) {
	checkPriority(t, name, priority)
	checkConfs(t, name, []confCase{
		{`{}`, `property "functions" is required`},
		{`{"functions":[]}`, `property "functions" validation failed: expect array to have at least 1 items`},
		{`{"functions":[1]}`, `property "functions" validation failed: failed to validate item 1: wrong type: expected string, got number`},
		{`{"functions":["return function() end"],"phase":"balancer"}`, `property "phase" validation failed: matches none of the enum values`},
		{`{"functions":["return function() end"],"phase":"log","other":1}`, ""},
		{`{"functions":["return 1"]}`, `only accept Lua function, the input code type is number`},
		{`{"functions":["return nil"]}`, `only accept Lua function, the input code type is nil`},
		{`{"functions":["local x = 1 return function() end","return 'a'"]}`, `only accept Lua function, the input code type is string`},
	})
	typ, _ := plugin.Lookup(name)
	for source, want := range map[string]string{
		"functon x": "failed to loadstring: ", "error('x')": "pcall error: ", "local ngx = ngx.req.get_method() return function() end": "pcall error: ",
		"while true do end": "pcall error: ",
	} {
		conf, _ := json.Marshal(map[string]any{"functions": []string{source}})
		if err := typ.Check(conf); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// testServerlessPhases runs functions in each phase.
func testServerlessPhases(t *testing.T, name string) {
	for _, phase := range []string{"rewrite", "access", "before_proxy"} {
		conf := functionsConf(t, phase, `ctx.seen = "1"`, `ngx.header["X-Seen"] = ctx.seen .. ngx.get_phase() .. conf.mine return 403, {error = "no"}`, `ngx.exit(500)`)
		res := plugintest.Run(plugintest.Compile(t, plugintest.Env(t), `{"`+name+`":`+conf+`}`), request("GET /"))
		if phase == "before_proxy" { // runs at the end of nginx's access phase
			phase = "access"
		}
		if res.Status != 403 || string(res.Body) != "{\"error\":\"no\"}\n" || res.Header.Get("X-Seen") != "1"+phase+"x" {
			t.Errorf("%s: %d %q %v %v", phase, res.Status, res.Body, res.Header, res.Err)
		}
	}
	filter := functionsConf(t, "header_filter", `ngx.header.server_hint = "yes"`, `ngx.header["X-Gone"] = nil`, `ngx.status = 202`)
	chain := plugintest.Compile(t, plugintest.Env(t), `{"`+name+`":`+filter+`}`)
	a := &fixedAnswer{200, map[string]string{"X-Gone": "1"}, "body"}
	if status, header, body := a.filter(chain, plugintest.NewContext(request("GET /"))); status != 202 || header.Get("Server-Hint") != "yes" || header.Get("X-Gone") != "" || body != "body" {
		t.Errorf("header_filter: %d %v %q", status, header, body)
	}
	bodyFilter := functionsConf(t, "body_filter", `ngx.arg[1] = string.upper(ngx.arg[1])`, `if ngx.arg[2] then ngx.arg[1] = ngx.arg[1] .. "!" end`)
	chain = plugintest.Compile(t, plugintest.Env(t), `{"`+name+`":`+bodyFilter+`}`)
	if _, _, body := a.filter(chain, plugintest.NewContext(request("GET /"))); body != "BODY!" {
		t.Errorf("body_filter: %q", body)
	}
	chain = plugintest.Compile(t, plugintest.Env(t), `{"`+name+`":`+functionsConf(t, "log", `ngx.log(ngx.WARN, "status ", ngx.status)`, `error("in the log")`)+`}`)
	if status, _, body := a.filter(chain, plugintest.NewContext(request("GET /"))); status != 200 || body != "body" {
		t.Errorf("log: %d %q", status, body)
	}
}

func TestServerlessPreFunction(t *testing.T) {
	testServerlessConfiguration(t, "serverless-pre-function", 10000)
	testServerlessPhases(t, "serverless-pre-function")
}

func TestServerlessFunctionsGoOn(t *testing.T) {
	conf := functionsConf(t, "rewrite", `ngx.req.set_header("X-A", "1")`, `require("apisix.core").request.set_header(ctx, "X-B", ngx.var.arg_b)`, `ngx.req.set_uri_args("c=3")`)
	c := plugintest.NewContext(request("GET /p?b=2"))
	res := plugintest.RunContext(plugintest.Compile(t, plugintest.Env(t), `{"serverless-pre-function":`+conf+`}`), c)
	if res.Status != 0 || res.Err != nil || string(c.Request.Header("X-A"))+string(c.Request.Header("X-B")) != "12" || c.Request.Target() != "/p?c=3" {
		t.Errorf("%+v, target %s", res, c.Request.Target())
	}
}

// A function that fails, or that does not end, fails its request and nothing else.
func TestServerlessFunctionsFail(t *testing.T) {
	for _, body := range []string{`error("no")`, `while true do end`, `local s = "x" while true do s = s .. s end`, `local t = {} while true do t[#t + 1] = {} end`,
		`return 1, 2, nope.nope`, `os.exit(1)`, `io.open("/etc/passwd")`, `string.rep("x", 1e9)`} {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"serverless-pre-function":`+functionsConf(t, "access", body)+`}`)
		if res := plugintest.Run(chain, request("GET /")); res.Err == nil {
			t.Errorf("%s: %d %q", body, res.Status, res.Body)
		}
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"serverless-pre-function":`+functionsConf(t, "access", `if ngx.var.arg_a then error("no") end ngx.say("fine")`)+`}`)
	for i := range 4 {
		res := plugintest.Run(chain, request("GET /"+[]string{"", "?a"}[i%2]))
		if fine := string(res.Body) == "fine\n"; fine != (i%2 == 0) {
			t.Errorf("call %d: %q, %v", i, res.Body, res.Err)
		}
	}
}

func BenchmarkServerlessPreFunction(b *testing.B) {
	for name, body := range map[string]string{
		"nothing": ``, "variable": `if ngx.var.arg_a then return 403 end`, "header": `require("apisix.core").request.set_header(ctx, "X-A", ctx.var.uri)`,
		"ctx": `ctx.seen = (ctx.seen or 0) + 1`,
	} {
		b.Run(name, func(b *testing.B) {
			chain := plugintest.Compile(b, plugintest.Env(b), `{"serverless-pre-function":`+functionsConf(b, "access", body)+`}`)
			c := plugintest.NewContext(request("GET /"))
			b.ReportAllocs()
			for b.Loop() {
				if err := chain.Access(c); err != nil {
					b.Fatal(fmt.Sprint(err))
				}
			}
		})
	}
}
