package gateway

import (
	"strings"
	"testing"
)

// Which route was matched shows in the answer of its upstream.
func TestVarsAndFilterFunc(t *testing.T) {
	r := start(t, nil)
	routes := map[string]string{
		"vars":   `"uri":"/v","priority":5,"vars":[["arg_a","==","1"],["http_x_kind","in",["k","l"]]]`,
		"cookie": `"uri":"/v","priority":4,"vars":["OR",["cookie_c","==","2"],["arg_b",">","10"]]`,
		"lua":    `"uri":"/v","priority":3,"filter_func":"function(vars) return vars.arg_n and tonumber(vars['arg_n']) % 2 == 0 and vars.request_method == 'GET' end"`,
		"wrong":  `"uri":"/v","priority":2,"filter_func":"function(vars) return vars.nothing.at.all end"`,
		"both":   `"uri":"/v","priority":1,"vars":[["arg_n","==","5"]],"filter_func":"function(vars) return vars.host == 'h.com' end"`,
		"rest":   `"uri":"/*"`,
	}
	for name, route := range routes {
		r.put("routes/"+name, `{`+route+`,"upstream":{"nodes":{"`+ok(t, name).addr+`":1}}}`)
	}
	for _, tc := range []struct{ target, headers, want string }{
		{"/v?a=1", "X-Kind: l", "vars"},
		{"/v?a=1", "X-Kind: m", "rest"},
		{"/v?a=1", "", "rest"},
		{"/v", "Cookie: b=1; c=2", "cookie"},
		{"/v?b=11", "", "cookie"},
		{"/v?b=9", "", "rest"},
		{"/v?n=4", "", "lua"},
		{"/v?n=3", "", "rest"},
		{"/v?n=5", "Host: h.com:80", "both"},
		{"/v?n=5", "Host: i.com", "rest"},
	} {
		var headers []string
		if tc.headers != "" {
			headers = []string{tc.headers}
		}
		if rep := r.get(tc.target, headers...); rep.body != tc.want {
			t.Errorf("%s %s: %s %q, want %s", tc.target, tc.headers, rep.line, rep.body, tc.want)
		}
	}
	if rep := r.do("POST", "/v?n=4", "Content-Length: 0"); rep.body != "rest" {
		t.Errorf("POST: %q", rep.body)
	}
	if !strings.Contains(r.logs.String(), "running filter_func") {
		t.Error("the broken function is not in the log")
	}
}

func TestPathParameters(t *testing.T) {
	r := start(t, func(c *Config) { c.Router = "radixtree_uri_with_parameter" })
	up := ok(t, "up")
	echo := `"plugins":{"test-var":{"template":"$uri_param_user-$uri_param_post"}},"upstream":{"nodes":{"` + up.addr + `":1}}`
	r.put("routes/1", `{"uri":"/u/:user/p/:post","vars":[["uri_param_user","!","==","nobody"]],`+echo+`}`)
	r.put("routes/2", `{"uri":"/u/:user",`+echo+`}`)
	for target, want := range map[string]string{
		"/u/joe/p/7": "joe-7", "/u/joe": "joe-", "/u/nobody/p/1": "nobody-1",
	} {
		if rep := r.get(target); rep.header.Get("X-Var") != want {
			t.Errorf("%s: %s %q, want %s", target, rep.line, rep.header.Get("X-Var"), want)
		}
	}
	for _, target := range []string{"/u/", "/u/joe/p/", "/u/joe/p/7/8", "/u/joe/"} {
		if rep := r.get(target); rep.status != 404 {
			t.Errorf("%s: %s", target, rep.line)
		}
	}
}
