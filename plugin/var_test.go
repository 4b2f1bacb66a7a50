package plugin_test

import (
	"crypto/tls"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"millrace/internal/expr"
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
