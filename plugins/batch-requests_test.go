package plugins

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// sendBatch sends a batch to a gateway that answers with handler, and answers what the
// endpoint did.
func sendBatch(t *testing.T, handler http.HandlerFunc, meta *batchRequestsMetadata, body string, headers ...string) plugintest.Result {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "http://front.example/apisix/batch-requests", strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	c := plugintest.NewContext(r)
	c.Conn.ServerPort, _ = strconv.Atoi(u.Port())
	c.Conn.RemoteAddr = "192.0.2.7"
	if meta != nil {
		c.Metadata = plugin.Metadata{"batch-requests": meta}
	}
	return plugintest.RunContext(plugintest.Compile(t, plugintest.Env(t), `{"public-api":{}}`), c)
}

// tell answers with what it was asked.
func tell(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Out", r.Header.Get("X-In"))
	w.Header().Add("Set-Cookie", "a=1")
	w.Header().Add("Set-Cookie", "b=2")
	if code, err := strconv.Atoi(r.URL.Query().Get("code")); err == nil {
		w.WriteHeader(code)
	}
	fmt.Fprintf(w, "%s %s %s %s %s %s %s", r.Method, r.RequestURI, r.Host, r.Header.Get("X-In"), r.Header.Get("X-Real-Ip"), r.Header.Get("Content-Type"), body)
}

func TestBatchRequests(t *testing.T) {
	checkPriority(t, "batch-requests", 4010)
	checkConfs(t, "batch-requests", []confCase{{`{}`, ""}})
	res := sendBatch(t, tell, nil, `{"headers":{"X-In":"common","X-Real-IP":"127.0.0.1"},"query":{"q":"1","code":201},"pipeline":[
		{"path":"/a%2Fb/../c"},
		{"path":"/p?x=y","method":"POST","body":"text","query":{"q":"own","code":404},"headers":{"x-in":"item","Content-Type":"text/x","Host":"other.example"}},
		{"path":"//apisix/x/..;a/%61dmin/routes"},{"path":"/apisix/administrator"},{"path":"http://x/apisix/admin"}]}`,
		"X-In: outer", "Content-Type: application/json", "Expect: 100-continue", "Connection: close")
	if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", res.Status, res.Header, res.Body)
	}
	got := gjson.ParseBytes(res.Body).Array()
	for i, want := range []string{
		`201 Created GET /a%2Fb/../c?code=201&q=1 front.example common 192.0.2.7  `,
		`404 Not Found POST /p?x=y&code=404&q=own other.example item 192.0.2.7 text/x text`,
		`404 Not Found `, `201 Created GET /apisix/administrator?code=201&q=1 front.example common 192.0.2.7  `, `404 Not Found `,
	} {
		if text := got[i].Get("status").String() + " " + got[i].Get("reason").String() + " " + got[i].Get("body").String(); text != want {
			t.Errorf("item %d: %s, want %s", i, text, want)
		}
	}
	if diff := cmp.Diff(`["a=1","b=2"]`, got[0].Get("headers.Set-Cookie").Raw); diff != "" || got[1].Get("headers.X-Out").String() != "item" {
		t.Error(got[1].Get("headers"), diff)
	}
}

func TestBatchRequestsOuterHeaders(t *testing.T) {
	res := sendBatch(t, tell, nil, `{"pipeline":[{"path":"/"}]}`, "X-In: outer", "Content-Type: application/json")
	if got := gjson.GetBytes(res.Body, "0.body").String(); got != "GET / front.example outer 192.0.2.7  " {
		t.Errorf("%q", got)
	}
}

// namedBy is a gateway that takes the client's address from a header.
type namedBy string

func (h namedBy) RealIPHeader() string { return string(h) }

// A client of a batch cannot make itself another by the header in which the gateway
// looks for its address.
func TestBatchRequestsClient(t *testing.T) {
	var named []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		named = append(named, strings.Join(r.Header.Values("X-Forwarded-For"), " "))
	}))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"headers":{"x-forwarded-for":"127.0.0.2"},"pipeline":[{"path":"/"},{"path":"/","headers":{"X-Forwarded-For":["127.0.0.3","127.0.0.4"]}}]}`
	r := httptest.NewRequest("POST", "http://front.example/apisix/batch-requests", strings.NewReader(body))
	r.Header.Add("X-Forwarded-For", "127.0.0.1")
	c := plugintest.NewContext(r)
	c.Conn.ServerPort, _ = strconv.Atoi(u.Port())
	c.Conn.RemoteAddr = "192.0.2.7"
	env := plugintest.Env(t)
	env.Services = append(env.Services, namedBy("X-Forwarded-For"))
	plugintest.RunContext(plugintest.Compile(t, env, `{"public-api":{}}`), c)
	if diff := cmp.Diff([]string{"192.0.2.7", "192.0.2.7"}, named); diff != "" {
		t.Error(diff)
	}
}

func TestBatchRequestsTimeout(t *testing.T) {
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	slow := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			select {
			case <-block:
			case <-r.Context().Done():
			}
		}
	}
	res := sendBatch(t, slow, nil, `{"timeout":200,"pipeline":[{"path":"/slow"},{"path":"/fast"}]}`)
	got := gjson.ParseBytes(res.Body)
	if got.Get("0").Raw != `{"status":504,"reason":"upstream timeout"}` || got.Get("1.status").Int() != 200 {
		t.Errorf("%s", res.Body)
	}
}

func TestBatchRequestsErrors(t *testing.T) {
	cases := []struct {
		name, body string
		meta       *batchRequestsMetadata
		status     int
		want       string
	}{
		{"no body", ``, nil, 400, `no request body, you should give at least one pipeline setting`},
		{"no JSON", `{`, nil, 400, `invalid request body: {, err: Expected object key string but found T_END at character 2`},
		{"no requests", `{"pipeline":[]}`, nil, 400, `bad request body: property "pipeline" validation failed: expect array to have at least 1 items`},
		{"no pipeline", `{}`, nil, 400, `bad request body: object matches none of the required: ["pipeline"]`},
		{"bad method", `{"pipeline":[{"path":"/","method":"FOO"}]}`, nil, 400,
			`bad request body: property "pipeline" validation failed: failed to validate item 1: property "method" validation failed: matches none of the enum values`},
		{"no path", `{"pipeline":[{}]}`, nil, 400, `bad request body: property "pipeline" validation failed: failed to validate item 1: property "path" is required`},
		{"many", `{"pipeline":[{"path":"/"},{"path":"/"},{"path":"/"}]}`, &batchRequestsMetadata{1 << 20, 2}, 400, `too many pipeline requests, 3 exceeds the maximum of 2`},
		{"long", `{"pipeline":[{"path":"/"}]}`, &batchRequestsMetadata{10, 2}, 413, `request size 11 is greater than the maximum size 10 allowed`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			res := sendBatch(t, tell, tc.meta, tc.body)
			if got := gjson.GetBytes(res.Body, "error_msg").String(); res.Status != tc.status || got != tc.want || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %q, want %d %q", res.Status, got, tc.status, tc.want)
			}
		})
	}
	typ, _ := plugin.Lookup("batch-requests")
	if m, err := typ.LoadMetadata([]byte(`{}`)); err != nil || *m.(*batchRequestsMetadata) != (batchRequestsMetadata{1 << 20, 1000}) {
		t.Errorf("%v %v", m, err)
	}
	if _, err := typ.LoadMetadata([]byte(`{"max_body_size":0}`)); err == nil {
		t.Error("a size of 0 passes")
	}
}

func FuzzParsePipeline(f *testing.F) {
	f.Add([]byte(`{"pipeline":[{"path":"/a","query":{"a":[1,{}]},"headers":{"x":null}}],"timeout":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePipeline(body, 10)
		if err == nil && (len(p.Items) == 0 || len(p.Items) > 10) {
			t.Errorf("%d items", len(p.Items))
		}
		if err != nil {
			return
		}
		for i := range p.Items {
			_ = forbidden(p.Items[i].Path)
			_ = encodeArgs(p.Items[i].Query, p.Query)
		}
	})
}

// The configuration may put the endpoint elsewhere; then it is not where it was.
func TestBatchURI(t *testing.T) {
	env, _ := processEnv(t, ProcessConfig{BatchURI: "/batch"})
	chain := plugintest.Compile(t, env, `{"public-api":{}}`)
	for path, want := range map[string]int{"/batch": 400, "/apisix/batch-requests": 404, "/batch/x": 404} {
		r := httptest.NewRequest("POST", "http://front.example"+path, nil)
		if res := plugintest.Run(chain, r); res.Status != want {
			t.Errorf("%s: %d, want %d", path, res.Status, want)
		}
	}
}
