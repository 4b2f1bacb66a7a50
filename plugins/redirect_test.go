package plugins

import (
	"encoding/json"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestRedirectConfiguration(t *testing.T) {
	checkPriority(t, "redirect", 900)
	checkConfs(t, "redirect", []confCase{
		{`{"uri":"/a"}`, ``},
		{`{"regex_uri":["^/a/(.*)","/b/$1"],"ret_code":301,"encode_uri":true,"append_query_string":true}`, ``},
		{`{"http_to_https":true}`, ``},
		{`{"http_to_https":false}`, ``},
		{`{}`, `value should match only one schema, but matches none`},
		{`{"ret_code":301}`, `value should match only one schema, but matches none`},
		{`{"uri":"/a","http_to_https":true}`, `value should match only one schema, but matches both schemas 1 and 3`},
		{`{"uri":"/a","regex_uri":["a","b"]}`, `value should match only one schema, but matches both schemas 1 and 2`},
		{`{"uri":"/"}`, `property "uri" validation failed: string too short, expected at least 2, got 1`},
		{`{"regex_uri":["a"]}`, `property "regex_uri" validation failed: expect array to have at least 2 items`},
		{`{"uri":"/a","ret_code":199}`, `property "ret_code" validation failed: expected 199 to be at least 200`},
		{`{"http_to_https":true,"append_query_string":true}`, "only one of `http_to_https` and `append_query_string` can be configured."},
	})
	typ, _ := plugin.Lookup("redirect")
	if err := typ.Check(json.RawMessage(`{"regex_uri":["^/a/(","/b"]}`)); err == nil || !strings.HasPrefix(err.Error(), "invalid regex_uri (^/a/(, /b), err:") {
		t.Errorf("bad pattern: %v", err)
	}
}

func TestRedirect(t *testing.T) {
	cases := []struct {
		name, conf, line string
		status           int
		location         string
	}{
		{"default status", `{"uri":"/test/add"}`, "GET /hello", 302, "/test/add"},
		{"template", `{"uri":"/new${uri}/$arg_a","append_query_string":true,"ret_code":301}`, "GET /xc?a=1", 301, "/new/xc/1?a=1"},
		{"another host", `{"uri":"https://foo.com$uri"}`, "GET /hello", 302, "https://foo.com/hello"},
		{"escaped dollar", `{"uri":"/a/\\$uri"}`, "GET /hello", 302, "/a/$uri"},
		{"unknown variable", `{"uri":"/a/${nope}b"}`, "GET /hello", 302, "/a/b"},
		{"query joined to a query", `{"uri":"/a?x=1","append_query_string":true}`, "GET /?b=2", 302, "/a?x=1&b=2"},
		{"no query to append", `{"uri":"/a","append_query_string":true}`, "GET /", 302, "/a"},
		{"not encoded", `{"uri":"/a b"}`, "GET /", 302, "/a b"},
		{"encoded", `{"uri":"/a b?c d","encode_uri":true}`, "GET /", 302, "/a%20b?c d"},
		{"pattern", `{"regex_uri":["^/test/(.*)/(.*)","/$2/$1/x"]}`, "GET /test/p/q", 302, "/q/p/x"},
		{"all matches of a pattern", `{"regex_uri":["l","L"]}`, "GET /hello/l", 302, "/heLLo/L"},
		{"pattern to another host", `{"regex_uri":["^/test/(.*)","http://h/${1}"],"append_query_string":true}`, "GET /test/p?a=1", 302, "http://h/p?a=1"},
		{"pattern without a match", `{"regex_uri":["^/test/(.*)","/$1"]}`, "GET /other", 0, ""},
		{"look-ahead", `{"regex_uri":["^/(?!api)(.*)","/api/$1"]}`, "GET /x", 302, "/api/x"},
		{"other status", `{"uri":"/a","ret_code":200}`, "GET /", 200, "/a"},
		{"https", `{"http_to_https":true}`, "GET http://foo.com:9080/hello?a=b", 301, "https://foo.com/hello?a=b"},
		{"https, HEAD", `{"http_to_https":true}`, "HEAD http://foo.com/", 301, "https://foo.com/"},
		{"https, POST", `{"http_to_https":true}`, "POST http://foo.com/", 308, "https://foo.com/"},
		{"https not wanted", `{"http_to_https":false}`, "GET /", 0, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"redirect":`+tc.conf+`}`)
			res := plugintest.Run(chain, request(tc.line))
			if res.Err != nil || res.Status != tc.status || res.Header.Get("Location") != tc.location || res.Page != (tc.status >= 300) {
				t.Errorf("%d %q %v, want %d %q", res.Status, res.Header.Get("Location"), res.Err, tc.status, tc.location)
			}
		})
	}
}

type httpsPort int

func (p httpsPort) HTTPSPort() int { return int(p) }

func TestRedirectToHTTPS(t *testing.T) {
	for port, want := range map[httpsPort]string{0: "https://foo.com/a", 443: "https://foo.com/a", 9443: "https://foo.com:9443/a"} {
		chain := plugintest.Compile(t, plugintest.Env(t, port), `{"redirect":{"http_to_https":true}}`)
		if got := plugintest.Run(chain, request("GET http://foo.com/a")).Header.Get("Location"); got != want {
			t.Errorf("port %d: %s", port, got)
		}
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"redirect":{"http_to_https":true}}`)
	for proto, status := range map[string]int{"https": 0, "http": 301} {
		if res := plugintest.Run(chain, request("GET http://foo.com/", "X-Forwarded-Proto: "+proto)); res.Status != status {
			t.Errorf("forwarded %s: %d", proto, res.Status)
		}
	}
	c := plugintest.NewContext(request("GET /"))
	c.Conn.Scheme = "https"
	if res := plugintest.RunContext(chain, c); res.Status != 0 {
		t.Errorf("a request by HTTPS: %d", res.Status)
	}
}
