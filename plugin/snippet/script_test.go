package snippet_test

import (
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
	"millrace/plugin/snippet"
)

const script = `
	local core = require("apisix.core")
	local _M, seen = {}, 0
	function _M.access(ctx) seen = seen + 1 core.request.set_header(ctx, "X-Seen", seen) end
	function _M.header_filter() ngx.header.x_seen = seen end
	return _M`

// An object serves one request, and its state the next one.
func TestScriptIsOfOneRequest(t *testing.T) {
	p, err := snippet.CompileScript(script, "r", plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	chain := plugin.Of("script", 0, p)
	t.Cleanup(chain.Close)
	for range 3 {
		res := plugintest.Run(chain, post())
		if res.Err != nil || res.Header.Get("X-Seen") != "1" || string(res.Sent.Header("X-Seen")) != "1" {
			t.Errorf("%+v", res)
		}
	}
}

func TestCompileScriptErrors(t *testing.T) {
	for source, want := range map[string]string{
		"functon x":                    `loading the script: [string "functon x"]:1: '=' expected near 'x'`,
		"return 5":                     "'script' should be a Lua object",
		`error("broken")`:              "running the script: route#r:1: broken",
		"local t = nothing.x return t": "running the script: route#r:1: attempt to index",
		"return {m = ngx.var.uri}":     "",
	} {
		if _, err := snippet.CompileScript(source, "r", plugintest.Env(t)); !strings.HasPrefix(errText(err), want) || want == "" && err != nil {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
}

func BenchmarkScript(b *testing.B) {
	p, err := snippet.CompileScript(script, "r", plugintest.Env(b))
	if err != nil {
		b.Fatal(err)
	}
	chain := plugin.Of("script", 0, p)
	c := plugintest.NewContext(post())
	b.ReportAllocs()
	for b.Loop() {
		if err := chain.Access(c); err != nil {
			b.Fatal(err)
		}
		chain.FilterHeader(c)
		chain.Log(c)
	}
}
