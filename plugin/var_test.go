package plugin_test

import (
	"crypto/tls"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/internal/expr"
	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func list(items ...string) expr.Value { return expr.Value{List: items, Present: true} }

// What a JSON body holds, by its path; spec/gateway.md §5.6.
func TestPostArgPaths(t *testing.T) {
	const body = `{"model":"m","a":{"b":{"c":"x"},"n":5,"t":true,"z":null,"o.p":"no","#":"hash"},"tags":["u","v"],"none":[],
		"messages":[{"content":[{"type":"text"},{"type":"image_url"}]},{"content":[{"type":"audio"}]}]}`
	for path, want := range map[string]expr.Value{
		"model": expr.Text("m"), "a.b.c": expr.Text("x"), "a.n": expr.Text("5"), "a.t": expr.Text("true"), "a.z": {}, "a.b.none": {}, "model.x": {},
		"a.o.p": {}, "tags": list("u", "v"), "none": {List: []string{}, Present: true}, "tags.0": {}, "a.#": expr.Text("hash"), "a.b": expr.Text(`{"c":"x"}`), "tags.#": {},
		"messages[*].content[*].type": list("text", "image_url", "audio"), "messages[0].content[1].type": list("image_url"),
		"messages[-1].content[0].type": list("audio"), "messages[0:1].content[:].type": list("text", "image_url"), "messages[9].content": {},
		"messages[1:].content[*].type": list("audio"), "messages[5:].content": {}, "messages[1:0]": {}, "messages[-9]": {},
		"..type": list("text", "image_url", "audio"), "a..c": list("x"), "a.*.c": list("x"), "a['o.p']": list("no"), `a["n"]`: list("5"), "tags[*]": list("u", "v"),
		"messages[x]": {}, "messages[": {}, "messages[]": {}, "a[b]": {}, "a..": {}, "model[0]": {}, "*.*.c": list("x"),
	} {
		r, err := http.NewRequest("POST", "http://h/p", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		if got := plugintest.NewContext(r).Var("post_arg." + path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

// Filters, unions and steps of JSONPath.
func TestPostArgFilters(t *testing.T) {
	const body = `{"limit":3,"who":"ann","items":[{"id":1,"role":"user","text":"a","tags":["x","y"]},{"id":2,"role":"bot","ok":true},
		{"id":3,"role":"user","ok":false,"text":"c"},{"id":4,"role":"it's","ok":null}],"by":{"a":{"id":7},"b":{"id":1}}}`
	for path, want := range map[string]expr.Value{
		`items[?(@.role == 'user')].id`: list("1", "3"), `items[?(@.role=="user"&&@.id>1)].id`: list("3"),
		`items[?(@.id < 2 || @.id >= 4)].id`: list("1", "4"), `items[?@.id==2].role`: list("bot"), `items[?(@.id <> 2 and @.id ~= 3)].id`: list("1", "4"),
		`items[?(@.ok)].id`: list("2"), `items[?(!@.ok)].id`: list("1", "3", "4"), `items[?(not @.text or @.ok == false)].id`: list("2", "3", "4"),
		`items[?(@.text)].id`: list("1", "3"), `items[?(@.id <= $.limit)].id`: list("1", "2", "3"), `items[?(@.role == "it's")].id`: list("4"),
		`items[?(@.id == '1')].id`: {}, `items[?(@.id != '1')].id`: list("1", "2", "3", "4"), `items[?(@.role > 'm')].id`: list("1", "3"),
		`items[?(@.tags[1] == 'y')].id`: list("1"), `items[?(@.tags.length == 2)].id`: list("1"), `items[?(@['role'] == 'bot')].id`: list("2"),
		`items[?((@.id == 1 || @.id == 2) && @.role == 'bot')].id`: list("2"), `by[?(@.id > 5)].id`: list("7"), `..[?(@.id == 1)].id`: list("1", "1"),
		`items[?(@.id == null)].id`: {}, `items[?(@.none == null)].id`: list("1", "2", "3", "4"), `items[?(@.none == 1)].id`: {}, `items[?(true)].id`: list("1", "2", "3", "4"), `items[?(@.id > -1.5e0)].id`: list("1", "2", "3", "4"),
		`items[0,2].id`: list("1", "3"), `items[*]['id','role']`: list("1", "user", "2", "bot", "3", "user", "4", "it's"), `items[::2].id`: list("1", "3"), `items[1:4:2].id`: list("2", "4"),
		`items[(@.length-1)].id`: list("4"), `items[( @.length - 2 )].id`: list("3"), `items[::0].id`: {}, `items[1:x]`: {},
		`items[?(@.tags[?(@ == 'y')])].id`: list("1"), strings.Repeat("items[?(@.", 100) + "id" + strings.Repeat(")]", 100): {},
		`items[?(@.id ==)]`: {}, `items[?(@.id == 1]`: {}, `items[?()]`: {}, `items[?(@.id == 'x)]`: {}, `items[?(@.id 1)]`: {}, `items[?(id)]`: {}, `items[(@.size-1)]`: {},
		`items[?` + strings.Repeat("(", 99) + `@.id` + strings.Repeat(")", 99) + `]`: {},
	} {
		r, err := http.NewRequest("POST", "http://h/p", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if got := plugintest.NewContext(r).Var("post_arg." + path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

// What ".." looks through is bounded, however deep a body nests.
func TestPostArgDeep(t *testing.T) {
	const levels = 100_000
	r, err := http.NewRequest("POST", "http://h/p", strings.NewReader(`{"a":`+strings.Repeat("[", levels)+strings.Repeat("]", levels)+"}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if got := plugintest.NewContext(r).Var("post_arg...a..b"); got.Present {
		t.Errorf("%+v, want nothing", got)
	}
}

// The variables of GraphQL requests; spec/gateway.md §5.6, t/router/graphql.t.
func TestGraphqlVars(t *testing.T) {
	absent := [3]expr.Value{}
	of := func(operation, name string, fields ...string) [3]expr.Value {
		return [3]expr.Value{expr.Text(operation), expr.Text(name), list(fields...)}
	}
	const jsonType = "application/json"
	for _, c := range []struct {
		contentType, body string
		want              [3]expr.Value
	}{
		{"", "query repo { owner { name } }", of("query", "repo", "owner")},
		{"application/graphql", "query repo { owner { name } }", of("query", "repo", "owner")},
		{jsonType, `{"query":"query repo { owner { name } }"}`, of("query", "repo", "owner")},
		{jsonType, `{"query":5}`, absent},
		{jsonType, `{}`, absent},
		{"", "{ a b: c(x: {y: [1, \"}\"]}) @include(if: $z) { d } }", of("query", "", "a", "c")},
		{"", "query { repo {a} owner { name } }", of("query", "", "repo", "owner")},
		{"", "# hi\n\nmutation repo($ep: Episode! = NEW, $r: [In!]!) @x { createReview(episode: $ep) { stars } }", of("mutation", "repo", "createReview")},
		{"", "subscription { s(t: \"\"\"a \\\"\"\" } b\"\"\") ...F ... on T { u } ... { v } }", of("subscription", "", "s", "F")},
		{"", "query A { a } query B { b } fragment F on T { c }", of("query", "A", "a")},
		{"", "fragment F on T { c } query A { a }", [3]expr.Value{{}, expr.Text("F"), list("c")}},
		{"", "", absent},
		{"", "AA", absent},
		{"", "query", absent},
		{"", "query { a", absent},
		{"", "query { a } }", absent},
		{"", "query { a(b: 1 }", absent},
		{"", "query { a(b: \"x) }", absent},
		{"", "query { 1a }", absent},
		{"", "query A { a } oops", absent},
		{"", strings.Repeat("{a", 5000) + strings.Repeat("}", 5000), absent},
	} {
		r, err := http.NewRequest("POST", "http://h/p", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.contentType)
		x := plugintest.NewContext(r)
		if got := [3]expr.Value{x.Var("graphql_operation"), x.Var("graphql_name"), x.Var("graphql_root_fields")}; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %.60s: %+v, want %+v", c.contentType, c.body, got, c.want)
		}
	}
}

// What TLS has settled, in OpenSSL's words; nothing without it.
func TestTLSVars(t *testing.T) {
	r, err := http.NewRequest("POST", "http://h/p", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/x")
	c := plugintest.NewContext(r)
	if got := c.Var("ssl_protocol"); got.Present {
		t.Errorf("without TLS the protocol is %+v", got)
	}
	if got := c.Var("content_type"); got.Text != "text/x" {
		t.Errorf("the Content-Type is %+v", got)
	}
	for suite, want := range map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256:                        "TLS_AES_128_GCM_SHA256",
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
		tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
	} {
		c.Conn.TLS = &tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: suite}
		if got := c.Var("ssl_cipher"); got.Text != want {
			t.Errorf("%s, want %s", got.Text, want)
		}
		if c.Var("ssl_protocol").Text != "TLSv1.2" || c.Var("ssl_client_s_dn").Present || c.Var("ssl_server_name").Present {
			t.Error("the protocol is not TLSv1.2, or there is a certificate or name that nobody has shown")
		}
	}
}

// What requests say of themselves, by the rules of nginx and of APISIX's own variables;
// t/core/ctx.t.
func TestRequestVars(t *testing.T) {
	r, err := http.NewRequest("GET", "http://h/p?a=1&b&c-d=x%20y&a=2&bad=%zz%41+&=5", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Add("Cookie", "k=1; dash-ed=v")
	r.Header.Add("Cookie", "k=2")
	r.Header.Set("X-Forwarded-For", "10.0.0.1")
	r.Header.Add("X-Two", "1")
	r.Header.Add("X-Two", "2")
	c := plugintest.NewContext(r)
	c.Upstream = plugin.Upstream{
		Addr: "a:1, b:2", Attempt: plugin.Attempt{ConnectTime: time.Millisecond, HeaderTime: 1500 * time.Millisecond, BytesReceived: 9},
		Earlier: []plugin.Attempt{{ResponseTime: 2 * time.Second}},
		Headers: func(fn func(name, value []byte) bool) { fn([]byte("Set-Cookie"), []byte("s=up; Path=/")) },
	}
	c.SetVar("llm_model", "m")
	for name, want := range map[string]expr.Value{
		"arg_a": expr.Text("1"), "arg_b": expr.Text("true"), "arg_c-d": expr.Text("x y"), "arg_bad": expr.Text("%zzA "), "arg_none": {}, "arg_": expr.Text("5"),
		"cookie_k": expr.Text("2"), "cookie_dash-ed": expr.Text("v"), "cookie_none": {}, "http_cookie": expr.Text("k=1; dash-ed=v; k=2"),
		"http_x_two": expr.Text("1, 2"), "http_X-Two": expr.Text("1, 2"), "http_none": {},
		"proxy_add_x_forwarded_for": expr.Text("10.0.0.1, 127.0.0.1"), "binary_remote_addr": expr.Text("\x7f\x00\x00\x01"),
		"status": expr.Text("000"), "https": expr.Text(""), "http2": expr.Text(""), "pipe": expr.Text("."), "connection": {}, "tcpinfo_rtt": {},
		"upstream_response_time": expr.Text("2.000, -"), "upstream_connect_time": expr.Text("-, 0.001"), "upstream_header_time": expr.Text("-, 1.500"),
		"upstream_bytes_received": expr.Text("0, 9"), "upstream_cookie_s": expr.Text("up"), "upstream_cookie_x": {}, "upstream_trailer_x": {},
		"upstream_scheme": expr.Text("http"), "upstream_host": expr.Text("h"), "upstream_uri": expr.Text(""),
		"llm_model": expr.Text("m"), "llm_prompt_tokens": expr.Text("0"), "request_type": expr.Text("traditional_http"), "resp_body": expr.Text(""),
		"realip_remote_addr": expr.Text("127.0.0.1"), "request_completion": expr.Text(""), "nothing_of_this_name": {},
	} {
		if got := c.Var(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// Bodies over the limits are not looked into.
func TestVarLimits(t *testing.T) {
	for name, want := range map[string]string{"post_arg_a": "1", "graphql_name": ""} {
		for _, limit := range []int64{0, 2, 3} {
			r, err := http.NewRequest("POST", "http://h/p", strings.NewReader("a=1"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			c := plugintest.NewContext(r)
			c.Limits = plugin.Limits{PostArgs: limit, Graphql: limit}
			if got := c.Var(name); got.Text != want && limit != 2 || got.Present && limit == 2 {
				t.Errorf("%s at most %d: %+v", name, limit, got)
			}
		}
	}
	r, err := http.NewRequest("GET", "http://h/p?query=%7Ba%7D", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := plugintest.NewContext(r)
	if c.Limits.Graphql = 2; c.Var("graphql_operation").Present {
		t.Error("a document of three bytes is read where two are the most")
	}
	if c.Limits.Graphql = 3; c.Var("graphql_operation").Text != "query" {
		t.Error("a document of three bytes is not read")
	}
}
