package plugins

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"millrace/internal/freeport"
	"millrace/plugin"
	"millrace/plugin/plugintest"
	"millrace/plugins/internal/logformat"
)

// posted is what a log server was sent.
type posted struct{ kind, auth, target, body string }

// logServer takes what is posted; it answers with status.
func logServer(t *testing.T, status int) (url string, got chan posted) {
	got = make(chan posted, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- posted{r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.RequestURI, string(body)}
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

func TestHTTPLoggerConfiguration(t *testing.T) {
	checkPriority(t, "http-logger", 410)
	checkConfs(t, "http-logger", []confCase{
		{`{}`, `property "uri" is required`},
		{`{"uri":"http://127.0.0.1:1980/x?a=b","unknown":1}`, ""},
		{`{"uri":"127.0.0.1"}`, `property "uri" validation failed: failed to match pattern "^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?" with "127.0.0.1"`},
		{`{"uri":"http://a","timeout":0}`, `property "timeout" validation failed: expected 0 to be at least 1`},
		{`{"uri":"http://a","concat_method":"x"}`, `property "concat_method" validation failed: matches none of the enum values`},
		{`{"uri":"http://a","batch_max_size":0}`, `property "batch_max_size" validation failed: expected 0 to be at least 1`},
		{`{"uri":"http://a","include_req_body_expr":[["a","=","b"]]}`, `failed to validate the 'include_req_body_expr' expression: invalid operator '='`},
		{`{"uri":"http://a","include_resp_body_expr":[]}`, `property "include_resp_body_expr" validation failed: expect array to have at least 1 items`},
		{`{"uri":"http://a","log_format":{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}}`, `log_format nesting exceeds the maximum depth of 5`},
	})
	typ, _ := plugin.Lookup("http-logger")
	if diff := cmp.Diff([]string{"auth_header"}, typ.EncryptFields); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPLoggerSends(t *testing.T) {
	cases := []struct {
		name, conf string
		requests   int
		want       posted
	}{
		{"array", `"log_format":{"n":"$arg_a"}`, 2, posted{"application/json", "", "/log?k=v", `[{"n":"1","route_id":"1","service_id":"2"},{"n":"1","route_id":"1","service_id":"2"}]`}},
		{"lines", `"concat_method":"new_line","log_format":{"n":1}`, 2, posted{"text/plain", "", "/log?k=v", "{\"n\":1,\"route_id\":\"1\",\"service_id\":\"2\"}\n{\"n\":1,\"route_id\":\"1\",\"service_id\":\"2\"}"}},
		{"one alone", `"batch_max_size":1,"auth_header":"Basic x","log_format":{"n":{"m":"${method}","gone":"$none"}}`, 1,
			posted{"application/json", "Basic x", "/log?k=v", `{"n":{"m":"GET"},"route_id":"1","service_id":"2"}`}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			url, got := logServer(t, 200)
			env, p := processEnv(t, ProcessConfig{})
			chain := plugintest.Compile(t, env, `{"http-logger":{"uri":"`+url+`/log?k=v",`+tc.conf+`}}`)
			for range tc.requests {
				chain.Log(proxied(200))
			}
			if err := p.Close(t.Context()); err != nil { // what waits is sent at the end
				t.Error(err)
			}
			if diff := cmp.Diff(tc.want, <-got, cmp.AllowUnexported(posted{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHTTPLoggerTriesAgain(t *testing.T) {
	url, got := logServer(t, 500)
	env, _ := processEnv(t, ProcessConfig{})
	chain := plugintest.Compile(t, env, `{"http-logger":{"uri":"`+url+`","batch_max_size":1,"max_retry_count":1,"retry_delay":0}}`)
	chain.Log(proxied(200))
	for range 2 {
		if p := <-got; p.target != "/" {
			t.Errorf("target %s", p.target)
		}
	}
}

// What in a uri lets its holder write is not told to who reads the log.
func TestHTTPLoggerKeepsItsURI(t *testing.T) {
	for _, uri := range []string{"http://user:secret1@" + freeport.Address(t) + "/hooks/secret2?token=secret3", "http://127.0.0.1:1/%zzsecret1"} {
		var logs bytes.Buffer
		env := plugintest.Env(t)
		env.Log = slog.New(slog.NewTextHandler(&logs, nil))
		p := NewProcess(ProcessConfig{}, env)
		env.Services = append(env.Services, p)
		plugintest.Compile(t, env, `{"http-logger":{"uri":"`+uri+`"}}`).Log(proxied(200))
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if text := logs.String(); !strings.Contains(text, "they are lost") || strings.Contains(text, "secret") {
			t.Errorf("%s", text)
		}
	}
}

func TestHTTPLoggerNeverWaits(t *testing.T) {
	block := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer srv.Close()
	defer close(block)
	env, p := processEnv(t, ProcessConfig{})
	chain := plugintest.Compile(t, env, `{"http-logger":{"uri":"`+srv.URL+`","batch_max_size":1,"timeout":100}}`)
	c := proxied(200)
	c.Metadata = plugin.Metadata{"http-logger": &batchMetadata{MaxPendingEntries: 3}}
	for range 10 {
		chain.Log(c)
	}
	wantLines(t, metricsText(p), `apisix_batch_process_entries{name="http-logger",route_id="1",server_addr="127.0.0.1"} 3`)
}

// entryOf makes the entry of a request by a configuration.
func entryOf(t *testing.T, conf string, c *plugin.Context, meta *logformat.Metadata, reply string) gjson.Result {
	t.Helper()
	env, process := processEnv(t, ProcessConfig{Version: "1.2.3"})
	m := entryMaker{process: process}
	if err := json.Unmarshal([]byte(conf), &m); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	_ = env
	if err := m.Access(c); err != nil {
		t.Fatal(err)
	}
	if m.WantsBody(c) {
		for i := range reply {
			m.WatchBody(c, []byte(reply[i:i+1]))
		}
	}
	text := string(m.entry(c, meta))
	if !gjson.Valid(text) {
		t.Fatalf("no JSON: %s", text)
	}
	return gjson.Parse(text)
}

const maxBodies = `"max_req_body_bytes":4,"max_resp_body_bytes":6`

func TestDefaultEntry(t *testing.T) {
	c := proxied(200)
	c.Request.AddHeader("X-Two", "a\"\\\n")
	c.Request.AddHeader("X-Two", "b\xff")
	c.Response.SetHeader("X-Out", "é")
	c.Consumer.Username = "jack"
	got := entryOf(t, `{`+maxBodies+`,"log_format_extra":{"more":"$route_name","none":"$none"}}`, c, &logformat.Metadata{}, "")
	for path, want := range map[string]string{
		"request.url": `"http://example.com:9080/hello?a=1"`, "request.uri": `"/hello?a=1"`, "request.method": `"GET"`,
		"request.headers.x-two": `["a\"\\\u000a","b�"]`, "request.querystring.a": `"1"`, "request.size": `100`,
		"response.status": `200`, "response.headers.x-out": `"é"`, "response.size": `200`,
		"server.version": `"1.2.3"`, "upstream": `"127.0.0.1:1980"`, "service_id": `"2"`, "route_id": `"1"`,
		"consumer.username": `"jack"`, "client_ip": `"127.0.0.1"`, "upstream_latency": `3`, "more": `"first"`, "none": "", "request.body": "",
	} {
		if raw := got.Get(path).Raw; raw != want {
			t.Errorf("%s: %s, want %s", path, raw, want)
		}
	}
	if latency, inner := got.Get("latency").Float(), got.Get("apisix_latency").Float(); latency < 30 || math.Abs(latency-3-inner) > 0.01 {
		t.Errorf("latency %v, of which the gateway's %v", latency, inner)
	}
	if got := got.Get("start_time").Int(); time.Since(time.UnixMilli(got)) > time.Hour {
		t.Errorf("start_time %d", got)
	}
}

func TestEntryWithoutRoute(t *testing.T) {
	c := plugintest.NewContext(request("GET /x"))
	got := entryOf(t, `{}`, c, &logformat.Metadata{}, "")
	if got.Get("route_id").String() != "no-matched" || got.Get("service_id").String() != "example.com" || got.Get("upstream_latency").Exists() || got.Get("consumer").Exists() {
		t.Error(got)
	}
}

func TestEntryBodies(t *testing.T) {
	cases := []struct{ name, conf, req, resp string }{
		{"neither", ``, "", ""},
		{"both, cut", `,"include_req_body":true,"include_resp_body":true`, `"abcd"`, `"answer"`},
		{"conditions hold", `,"include_req_body":true,"include_req_body_expr":[["arg_a","==","1"]]`, `"abcd"`, ""},
		{"conditions do not hold", `,"include_req_body":true,"include_req_body_expr":[["arg_a","==","2"]],"include_resp_body":true,"include_resp_body_expr":[["status","==",404]]`, "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/hello?a=1", strings.NewReader("abcdef"))
			c := plugintest.NewContext(r)
			c.Response.SetStatus(200)
			got := entryOf(t, `{`+maxBodies+tc.conf+`}`, c, &logformat.Metadata{}, "answer is long")
			if req, resp := got.Get("request.body").Raw, got.Get("response.body").Raw; req != tc.req || resp != tc.resp {
				t.Errorf("request %s, response %s", req, resp)
			}
			if body, err := c.Request.Body(-1); string(body) != "abcdef" || err != nil {
				t.Errorf("the upstream gets %q, %v", body, err)
			}
		})
	}
}

// A log_format may name the request's body, which is then kept.
func TestEntryNamesBody(t *testing.T) {
	const named = `"log_format":{"n":{"b":"$request_body"}}`
	for conf, want := range map[string]string{
		named:                              `{"n":{"b":"abcd"},"route_id":"1"}`,
		named + `,"include_req_body":true`: `{"n":{"b":"abcd"},"route_id":"1","request_body":"abcd"}`,
		`"log_format":{"n":"x"}`:           `{"n":"x","route_id":"1"}`,
	} {
		c := plugintest.NewContext(httptest.NewRequest("POST", "/hello", strings.NewReader("abcdef")))
		c.Matched.RouteID = "1"
		if got := entryOf(t, `{`+maxBodies+`,`+conf+`}`, c, &logformat.Metadata{}, "").Raw; got != want {
			t.Errorf("%s: %s, want %s", conf, got, want)
		}
	}
}

func TestEntryFormats(t *testing.T) {
	typ, _ := plugin.Lookup("http-logger")
	loaded, err := typ.LoadMetadata([]byte(`{"log_format":{"from":"metadata","n":5}}`))
	if err != nil {
		t.Fatal(err)
	}
	meta := &loaded.(*batchMetadata).Metadata
	if got := loaded.(*batchMetadata).MaxPendingEntries; got != 8192 {
		t.Errorf("max_pending_entries %d", got)
	}
	for conf, want := range map[string]string{
		`{}`: `{"from":"metadata","n":5,"route_id":"1","service_id":"2"}`,
		`{"log_format":{"a":"const","b":"$status","c":"$none","d":{"e":"$method","f":{}},"g":true}}`: `{"a":"const","b":"200","d":{"e":"GET","f":{}},"g":true,"route_id":"1","service_id":"2"}`,
		`{"log_format":{}}`: `{"from":"metadata","n":5,"route_id":"1","service_id":"2"}`,
	} {
		if got := entryOf(t, conf, proxied(200), meta, "").Raw; got != want {
			t.Errorf("%s: %s, want %s", conf, got, want)
		}
	}
}
