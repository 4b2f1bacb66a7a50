package plugins

import (
	"net/http/httptest"
	"testing"

	"millrace/plugin/plugintest"
)

func TestProxyRewriteConfiguration(t *testing.T) {
	const neither = `property "headers" validation failed: value should match only one schema, but matches none`
	checkPriority(t, "proxy-rewrite", 1008)
	checkConfs(t, "proxy-rewrite", []confCase{
		{`{}`, ""},
		{`{"uri":"/a","method":"PATCH","host":"a.b-c:80","unknown":1}`, ""},
		{`{"uri":"a"}`, `property "uri" validation failed: failed to match pattern "^\\/.*" with "a"`},
		{`{"uri":""}`, `property "uri" validation failed: string too short, expected at least 1, got 0`},
		{`{"method":"CONNECT"}`, `property "method" validation failed: matches none of the enum values`},
		{`{"host":"a b"}`, `property "host" validation failed: failed to match pattern "^[0-9a-zA-Z-.]+(:\\d{1,5})?$" with "a b"`},
		{`{"host":"a:123456"}`, `property "host" validation failed: failed to match pattern "^[0-9a-zA-Z-.]+(:\\d{1,5})?$" with "a:123456"`},
		{`{"regex_uri":["^/a"]}`, `property "regex_uri" validation failed: expect array to have at least 2 items`},
		{`{"regex_uri":["^/a","/b","^/c"]}`, "The length of regex_uri should be an even number"},
		{`{"regex_uri":["^/a","/b","^/c","/d"]}`, ""},
		{`{"regex_uri":["^/(a","/b"]}`, `invalid regex_uri(^/(a, /b): pcre2_compile() failed: missing closing parenthesis in "^/(a"`},
		{`{"headers":{}}`, neither},
		{`{"headers":{"a:b":"c"}}`, neither},
		{`{"headers":{"a":{}}}`, neither},
		{`{"headers":{"a":"b","c":1}}`, ""},
		{`{"headers":{"set":{"a":["b",1],"c":1},"add":{"d":"e"},"remove":["f"]}}`, ""},
		{`{"headers":{"remove":["a:b"]}}`, neither},
		{`{"headers":{"set":{"a":[]}}}`, neither},
		{`{"headers":{"set":{"a":"b"},"other":{}}}`, neither},
	})
}

func TestProxyRewriteTarget(t *testing.T) {
	cases := []struct{ name, conf, target, want string }{
		{"only the path is normal again", `"host":"h"`, "/a%2Fb/../c//d%20e?x=1%20y&z", "/a/c/d%20e?x=1%20y&z"},
		{"uri", `"uri":"/new"`, "/old?q=1", "/new?q=1"},
		{"uri with a query", `"uri":"/new?a=1"`, "/old?q=1", "/new?a=1&q=1"},
		{"uri without the client's query", `"uri":"/new?a=1"`, "/old", "/new?a=1"},
		{"uri with variables", `"uri":"/new${uri}/$arg_q/$none"`, "/old?q=1", "/new/old/1/?q=1"},
		{"uri beats regex_uri", `"uri":"/u","regex_uri":["^/(.*)","/r/$1"]`, "/old", "/u"},
		{"what must be escaped", `"uri":"/a b\"#%é<c>"`, "/old", "/a%20b%22%23%25%C3%A9%3Cc%3E"},
		{"? of a variable", `"uri":"/v$arg_q"`, "/old?q=a%3Fb", "/va%3Fb?q=a%3Fb"},
		{"line feeds and spaces in the query", `"uri":"/n?z=$arg_q"`, "/old?q=a%0d%0ab%20c", "/n?z=a%0D%0Ab%20c&q=a%0d%0ab%20c"},
		{"regex_uri", `"regex_uri":["^/x1/(.*)","/new/$1"]`, "/x1/a%20b/c?q=1%202", "/new/a%20b/c?q=1%202"},
		{"regex_uri, no match", `"regex_uri":["^/x2/(.*)","/new/$1"]`, "/x1/a%20b?q", "/x1/a%20b?q"},
		{"regex_uri, second pair", `"regex_uri":["^/a/(.*)","/1/$1","^/b/(.*)","/2/$1","^/(.*)","/3/$1"]`, "/b/c", "/2/c"},
		{"regex_uri with a query", `"regex_uri":["^/(.*)","/r?p=$1"]`, "/b%3fc?q=1", "/r%3Fp=b%3Fc?q=1"},
		{"regex_uri makes a query", `"regex_uri":["^/([a-z]+)","/r?p=$1"]`, "/b?q=1", "/r?p=b&q=1"},
		{"regex_uri with look-around", `"regex_uri":["^/(?!admin)(.*)$","/r/$1"]`, "/b", "/r/b"},
		{"escaped ? stays escaped", `"host":"h"`, "/a%3Fb?c", "/a%3Fb?c"},
		{"real request uri", `"use_real_request_uri_unsafe":true`, "/a%2Fb/../c?x", "/a%2Fb/../c?x"},
		{"real request uri by pattern", `"use_real_request_uri_unsafe":true,"regex_uri":["^/a(.*)","/n$1"]`, "/a%2Fb?x", "/n%2Fb?x"},
		{"real request uri with uri", `"use_real_request_uri_unsafe":true,"uri":"/n%2F"`, "/a?x", "/n%2F?x"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"proxy-rewrite":{`+tc.conf+`}}`)
			c := plugintest.NewContext(httptest.NewRequest("GET", tc.target, nil))
			plugintest.RunContext(chain, c)
			if c.UpstreamTarget != tc.want {
				t.Errorf("%s: got %s, want %s", tc.target, c.UpstreamTarget, tc.want)
			}
		})
	}
}

func TestProxyRewriteRequest(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"proxy-rewrite":{"method":"POST","host":"new.host:81","regex_uri":["^/x1/(.*)","/new/$1"],
		"headers":{"set":{"X-C":"$1-$arg_q","X-Several":["a",2],"X-Old":"new","X-Added-Then-Set":"set"},
			"add":{"X-Old-Too":"$remote_addr","X-Added-Then-Set":"added"},"remove":["X-Gone","X-Several-Gone"]}}}`)
	r := request("GET /x1/a%20b/c?q=1%202", "X-Old: 1", "X-Old: 2", "X-Old-Too: 1", "X-Gone: 1", "X-Several-Gone: 1", "X-Several-Gone: 2")
	c := plugintest.NewContext(r)
	plugintest.RunContext(chain, c)
	if c.UpstreamMethod != "POST" || c.UpstreamHost != "new.host:81" {
		t.Errorf("method %q, host %q", c.UpstreamMethod, c.UpstreamHost)
	}
	for name, want := range map[string]string{
		"X-C": "a b/c-1 2", "X-Several": "a|2|", "X-Old": "new|", "X-Old-Too": "1|127.0.0.1|", "X-Added-Then-Set": "set|", "X-Gone": "", "X-Several-Gone": "",
	} {
		got := ""
		for _, v := range r.Header.Values(name) {
			got += v + "|"
		}
		if name == "X-C" {
			want += "|"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestProxyRewriteOldHeaders(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"proxy-rewrite":{"headers":{"X-New":"$uri","X-Gone":"","set":"x","X-N":1}}}`)
	r := request("GET /a", "X-Gone: 1")
	plugintest.RunContext(chain, plugintest.NewContext(r))
	if h := r.Header; h.Get("X-New") != "/a" || h.Values("X-Gone") != nil || h.Get("Set") != "x" || h.Get("X-N") != "1" {
		t.Errorf("%v", h)
	}
}

func TestProxyRewriteSlowPattern(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"proxy-rewrite":{"regex_uri":["^/(a+)+\\1b$","/"]}}`)
	res := plugintest.Run(chain, request("GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"))
	if res.Status != 500 {
		t.Errorf("status %d", res.Status)
	}
}
