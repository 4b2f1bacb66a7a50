package plugins

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestResponseRewriteConfiguration(t *testing.T) {
	const none = `property "headers" validation failed: object matches none of the required`
	checkPriority(t, "response-rewrite", 899)
	checkConfs(t, "response-rewrite", []confCase{
		{`{}`, ""},
		{`{"body":"x","status_code":200,"headers":{"a":"b","c":1},"vars":[["status","==",200]]}`, ""},
		{`{"status_code":199}`, `property "status_code" validation failed: expected 199 to be at least 200`},
		{`{"status_code":599}`, `property "status_code" validation failed: expected 599 to be at most 598`},
		{`{"body":1}`, `property "body" validation failed: wrong type: expected string, got number`},
		{`{"body_base64":true}`, "invalid base64 content"},
		{`{"body_base64":true,"body":""}`, "invalid base64 content"},
		{`{"body_base64":true,"body":"1"}`, "invalid base64 content"},
		{`{"body_base64":true,"body":"SGVsbG8K"}`, ""},
		{`{"body_base64":true,"body":"aGVsbG8"}`, ""},
		{`{"vars":[["status","=",200]]}`, `failed to validate the 'vars' expression: invalid operator '='`},
		{`{"headers":{"X-A":{}}}`, none},
		{`{"headers":{"add":["a"]}}`, none},
		{`{"headers":{"add":["a: b"],"set":{"c":1},"remove":["d"]}}`, ""},
		{`{"headers":{"set":{"a:b":"c"}}}`, none},
		{`{"headers":{}}`, none},
		{`{"filters":[]}`, `property "filters" validation failed: expect array to have at least 1 items`},
		{`{"filters":[{"regex":"a"}]}`, `property "filters" validation failed: failed to validate item 1: property "replace" is required`},
		{`{"filters":[{"regex":"","replace":""}]}`, `property "filters" validation failed: failed to validate item 1: property "regex" validation failed: string too short, expected at least 1, got 0`},
		{`{"filters":[{"regex":"a","replace":"","scope":"two"}]}`, `property "filters" validation failed: failed to validate item 1: property "scope" validation failed: matches none of the enum values`},
		{`{"filters":[{"regex":"a(","replace":""}]}`, "regex \"a(\" validation failed: pcre2_compile() failed: missing closing parenthesis in \"a(\""},
		{`{"filters":[{"regex":"a","replace":"","options":"h"}]}`, `regex "a" validation failed: unknown option "h"`},
		{`{"max_resp_body_size":0}`, `property "max_resp_body_size" validation failed: expected 0 to be at least 1`},
	})
	typ, _ := plugin.Lookup("response-rewrite")
	err := typ.Check([]byte(`{"body":"a","filters":[{"regex":"a","replace":""}]}`))
	if err == nil || !strings.Contains(err.Error(), "value wasn't supposed to match schema") {
		t.Error(err)
	}
}

// fixedAnswer is an answer before the filters.
type fixedAnswer struct {
	status int
	header map[string]string
	body   string
}

// filter passes an answer through the filters of a chain and its loggers.
func (a *fixedAnswer) filter(chain *plugin.Chain, c *plugin.Context) (status int, header http.Header, body string) {
	c.Response.SetStatus(a.status)
	for name, value := range a.header {
		c.Response.SetHeader(name, value)
	}
	chain.FilterHeader(c)
	plan := &plugin.BodyPlan{}
	chain.PlanBody(c, plan)
	body = string(plan.Run(c, []byte(a.body), true))
	chain.Log(c)
	header = http.Header{}
	c.Response.Headers(func(name, value []byte) bool {
		header.Add(string(name), string(value))
		return true
	})
	return c.Response.Status(), header, body
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func brotlied(s string) string {
	var b bytes.Buffer
	w := brotli.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func TestResponseRewriteBody(t *testing.T) {
	plain := func(body string) *fixedAnswer { return &fixedAnswer{status: 200, body: body} }
	cases := []struct {
		name, conf string
		answer     *fixedAnswer
		status     int
		body       string
	}{
		{"body and status", `{"body":"new","status_code":201}`, plain("old"), 201, "new"},
		{"empty body", `{"body":""}`, plain("old"), 200, ""},
		{"base64", `{"body":"` + base64.StdEncoding.EncodeToString([]byte("a\x00b")) + `","body_base64":true}`, plain("old"), 200, "a\x00b"},
		{"a refusal", `{"body":"no","status_code":200}`, &fixedAnswer{status: 401, body: "go away"}, 200, "no"},
		{"conditions hold", `{"body":"new","vars":[["status","==",200]]}`, plain("old"), 200, "new"},
		{"conditions do not hold", `{"body":"new","status_code":500,"headers":{"X":"y"},"vars":[["status","==",404]]}`, plain("old"), 200, "old"},
		{"one replacement", `{"filters":[{"regex":"l","replace":"L"}]}`, plain("hello"), 200, "heLlo"},
		{"all replacements", `{"filters":[{"regex":"l","replace":"L","scope":"global"}]}`, plain("hello"), 200, "heLLo"},
		{"groups", `{"filters":[{"regex":"(h)(e)","replace":"$2$1$$"}]}`, plain("hello"), 200, "eh$llo"},
		{"two filters", `{"filters":[{"regex":"HE","replace":"a","options":"i"},{"regex":"al","replace":"b"}]}`, plain("hello"), 200, "blo"},
		{"look-behind", `{"filters":[{"regex":"(?<=h)e","replace":"é"}]}`, plain("hello"), 200, "héllo"},
		{"gzip", `{"filters":[{"regex":"l+","replace":"LL"}]}`, &fixedAnswer{200, map[string]string{"Content-Encoding": "gzip"}, gzipped("hello")}, 200, "heLLo"},
		{"Brotli", `{"filters":[{"regex":"l+","replace":"LL"}]}`, &fixedAnswer{200, map[string]string{"Content-Encoding": "br"}, brotlied("hello")}, 200, "heLLo"},
		{"not really gzip", `{"filters":[{"regex":"l","replace":"L"}]}`, &fixedAnswer{200, map[string]string{"Content-Encoding": "gzip"}, "hello"}, 200, "hello"},
		{"unknown encoding", `{"filters":[{"regex":"l","replace":"L"}]}`, &fixedAnswer{200, map[string]string{"Content-Encoding": "zstd"}, "hello"}, 200, "hello"},
		{"too long", `{"max_resp_body_size":4,"filters":[{"regex":"l","replace":"L"}]}`, plain("hello"), 200, "hello"},
		{"too long unzipped", `{"max_resp_body_size":500,"filters":[{"regex":"l","replace":"L"}]}`,
			&fixedAnswer{200, map[string]string{"Content-Encoding": "gzip"}, gzipped(strings.Repeat("l", 1000))}, 200, gzipped(strings.Repeat("l", 1000))},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"response-rewrite":`+tc.conf+`}`)
			status, _, body := tc.answer.filter(chain, plugintest.NewContext(request("GET /")))
			if status != tc.status || body != tc.body {
				t.Errorf("got %d %q, want %d %q", status, body, tc.status, tc.body)
			}
		})
	}
}

func TestResponseRewriteHeaders(t *testing.T) {
	old := func() *fixedAnswer {
		return &fixedAnswer{200, map[string]string{"X-Old": "1", "X-Gone": "1", "Content-Length": "3", "ETag": "e", "Last-Modified": "m", "Content-Encoding": "gzip"}, "old"}
	}
	cases := []struct {
		name, conf string
		want       map[string]string // name to values joined by |, absent if ""
	}{
		{"headers alone", `{"headers":{"set":{"X-Old":"$arg_a-$status"},"add":["X-New: a:b","X-New: c","X-Old: never"],"remove":["X-Gone"]}}`,
			map[string]string{"X-Old": "1-200", "X-New": "a:b|c", "X-Gone": "", "ETag": "e", "Content-Length": "3"}},
		{"older form", `{"headers":{"X-Old":2,"X-Gone":"","X-New":"${arg_a}"}}`, map[string]string{"X-Old": "2", "X-Gone": "", "X-New": "1"}},
		{"empty values", `{"headers":{"set":{"X-Old":"$arg_b"},"add":["X-New: $arg_b"]}}`, map[string]string{"X-Old": "", "X-New": ""}},
		{"a new body", `{"body":"new"}`, map[string]string{"ETag": "", "Last-Modified": "", "Content-Length": "", "Content-Encoding": "", "X-Old": "1"}},
		{"filters that cannot work", `{"filters":[{"regex":"l","replace":"L"}]}`, map[string]string{"Content-Encoding": "gzip", "ETag": "e", "Last-Modified": "m"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"response-rewrite":`+tc.conf+`}`)
			_, header, _ := old().filter(chain, plugintest.NewContext(request("GET /?a=1")))
			for name, want := range tc.want {
				if got := strings.Join(header.Values(name), "|"); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}
