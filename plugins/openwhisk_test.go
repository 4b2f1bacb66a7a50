package plugins

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	"millrace/internal/freeport"
	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// The clock of patterns that need backtracking runs on for a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2.runClock"))
}

// openwhiskConf makes the plugins of a route that calls guest/test at host;
// more is further members, with a comma before each.
func openwhiskConf(host, more string) string {
	return fmt.Sprintf(`{"openwhisk":{"api_host":%q,"service_token":"u:k","namespace":"guest","action":"test"%s}}`, host, more)
}

func TestOpenwhiskConfiguration(t *testing.T) {
	with := func(more string) string {
		return `{"api_host":"http://127.0.0.1:3233","service_token":"u:k","namespace":"guest","action":"test"` + more + `}`
	}
	pattern := `failed to match pattern "\\A([\\w]|[\\w][\\w@ .-]*[\\w@.-]+)\\z" with `
	long := strings.Repeat("a", 257)
	cases := []struct{ conf, want string }{
		{with(``), ``},
		{with(`,"package":"pkg.a@b c-d","result":false,"timeout":60000,"keepalive":false,"unknown":1`), ``},
		{`{"service_token":"u:k","namespace":"guest","action":"test"}`, `property "api_host" is required`},
		{`{"api_host":"h","namespace":"guest","action":"test"}`, `property "service_token" is required`},
		{`{"api_host":"h","service_token":"u:k","action":"test"}`, `property "namespace" is required`},
		{`{"api_host":"h","service_token":"u:k","namespace":"guest"}`, `property "action" is required`},
		{`{"api_host":3233,"service_token":"u:k","namespace":"guest","action":"test"}`, `property "api_host" validation failed: wrong type: expected string, got number`},
		{with(`,"namespace":" b"`), `property "namespace" validation failed: ` + pattern + `" b"`},
		{with(`,"action":"a/b"`), `property "action" validation failed: ` + pattern + `"a/b"`},
		{with(`,"package":""`), `property "package" validation failed: ` + pattern + `""`},
		{with(`,"action":"a "`), `property "action" validation failed: ` + pattern + `"a "`},
		{with(`,"action":"` + long + `"`), `property "action" validation failed: string too long, expected at most 256, got 257`},
		{with(`,"ssl_verify":"no"`), `property "ssl_verify" validation failed: wrong type: expected boolean, got string`},
		{with(`,"result":1`), `property "result" validation failed: wrong type: expected boolean, got number`},
		{with(`,"timeout":0`), `property "timeout" validation failed: expected 0 to be at least 1`},
		{with(`,"timeout":60001`), `property "timeout" validation failed: expected 60001 to be at most 60000`},
		{with(`,"keepalive_timeout":999`), `property "keepalive_timeout" validation failed: expected 999 to be at least 1000`},
		{with(`,"keepalive_pool":0`), `property "keepalive_pool" validation failed: expected 0 to be at least 1`},
		{with(`,"max_req_body_size":0`), `property "max_req_body_size" validation failed: expected 0 to be at least 1`},
	}
	typ, ok := plugin.Lookup("openwhisk")
	if !ok {
		t.Fatal("not registered")
	}
	for _, tc := range cases {
		got := ""
		if err := typ.Check(json.RawMessage(tc.conf)); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}

func TestOpenwhiskType(t *testing.T) {
	typ, _ := plugin.Lookup("openwhisk")
	if typ.Priority != -1901 || typ.Version != "0.1" || typ.ConsumerSchema != "" || typ.MetadataSchema != "" {
		t.Errorf("got %+v", typ)
	}
	if diff := cmp.Diff([]string{"service_token"}, typ.EncryptFields); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{"ssl_verify": "true", "result": "true", "timeout": "3000", "keepalive": "true",
		"keepalive_timeout": "60000", "keepalive_pool": "5", "max_req_body_size": "67108864"}
	got := map[string]string{}
	for name, property := range gjson.Get(typ.Schema, "properties").Map() {
		if d := property.Get("default"); d.Exists() {
			got[name] = d.Raw
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// recorder is a server that answers each request with {} and tells its bytes.
type recorder struct {
	net.Listener
	requests chan string
	conns    atomic.Int32
}

func record(t *testing.T) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l, requests: make(chan string, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.conns.Add(1)
			go r.serve(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return r
}

func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	var raw strings.Builder
	in := bufio.NewReader(io.TeeReader(conn, &raw))
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		r.requests <- raw.String()
		raw.Reset()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	}
}

func TestOpenwhiskSends(t *testing.T) {
	rec := record(t)
	addr := rec.Addr().String()
	tail := "Host: " + addr + "\r\nUser-Agent: millrace\r\nAuthorization: Basic dTpr\r\nContent-Type: application/json\r\n"
	cases := []struct {
		name, prefix, more, method, body, want string
		chunked                                bool
	}{
		{name: "GET", method: "GET", want: "POST /api/v1/namespaces/guest/actions/test?blocking=true&result=true&timeout=3000 HTTP/1.1\r\n" + tail + "Content-Length: 0\r\n\r\n"},
		{name: "POST", method: "POST", body: `{"name":"world"}`,
			want: "POST /api/v1/namespaces/guest/actions/test?blocking=true&result=true&timeout=3000 HTTP/1.1\r\n" + tail + "Content-Length: 16\r\n\r\n" + `{"name":"world"}`},
		{name: "form", method: "PUT", body: `test=test`, chunked: true,
			want: "POST /api/v1/namespaces/guest/actions/test?blocking=true&result=true&timeout=3000 HTTP/1.1\r\n" + tail + "Content-Length: 9\r\n\r\ntest=test"},
		{name: "all attributes", method: "DELETE", more: `,"package":"pkg","result":false,"timeout":1500`,
			want: "POST /api/v1/namespaces/guest/actions/pkg/test?blocking=true&result=false&timeout=1500 HTTP/1.1\r\n" + tail + "Content-Length: 0\r\n\r\n"},
		{name: "names as they are", method: "GET", more: `,"package":"a@b.c-d","namespace":"_"`,
			want: "POST /api/v1/namespaces/_/actions/a@b.c-d/test?blocking=true&result=true&timeout=3000 HTTP/1.1\r\n" + tail + "Content-Length: 0\r\n\r\n"},
		{name: "slash after api_host", method: "GET", prefix: "/",
			want: "POST //api/v1/namespaces/guest/actions/test?blocking=true&result=true&timeout=3000 HTTP/1.1\r\n" + tail + "Content-Length: 0\r\n\r\n"},
		{name: "path after api_host", method: "GET", prefix: "/ow",
			want: "POST /ow/api/v1/namespaces/guest/actions/test?blocking=true&result=true&timeout=3000 HTTP/1.1\r\n" + tail + "Content-Length: 0\r\n\r\n"},
		{name: "large", method: "POST", body: strings.Repeat("x", 100_000),
			want: "POST /api/v1/namespaces/guest/actions/test?blocking=true&result=true&timeout=3000 HTTP/1.1\r\n" + tail + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), openwhiskConf("http://"+addr+tc.prefix, tc.more))
			req := httptest.NewRequest(tc.method, "/hello?name=query", strings.NewReader(tc.body))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Cookie", "c=1")
			if tc.chunked {
				req.ContentLength = -1
			}
			if res := plugintest.Run(chain, req); res.Status != 200 || res.Err != nil {
				t.Fatalf("got %d, %v", res.Status, res.Err)
			}
			if diff := cmp.Diff(tc.want, <-rec.requests); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOpenwhiskHostHeader(t *testing.T) {
	cases := []struct{ apiHost, addr, header, prefix string }{
		{"http://h", "h:80", "h", ""},
		{"http://h:80", "h:80", "h", ""},
		{"http://h:443/", "h:443", "h:443", "/"},
		{"https://h", "h:443", "h", ""},
		{"https://h:443", "h:443", "h", ""},
		{"https://H.example:8443/x", "H.example:8443", "H.example:8443", "/x"},
		{"http://[::1]:3233", "::1:3233", "[::1]:3233", ""},
		{"http://[::1]", "::1:80", "[::1]", ""},
	}
	for _, tc := range cases {
		h, err := parseAPIHost(tc.apiHost)
		if err != nil || h.name+":"+h.port != tc.addr || h.header != tc.header || h.prefix != tc.prefix {
			t.Errorf("%s: got %+v, %v", tc.apiHost, h, err)
		}
	}
}

func TestOpenwhiskCannotBeCalled(t *testing.T) {
	local := &localStub{status: 200, body: "{}", local: true}
	hosts := []string{"", "127.0.0.1:3233", "//127.0.0.1:3233", "ftp://127.0.0.1", "http://", "http://:3233", "http://h:port", "http://h:70000",
		"http://user:password@h", "http://::1", "http://[::1", "http://h:1:2", "http://a b", "http://h\r\nEvil: 1", "http://h/a b", "http://h?x=1", "http://h/\r\nEvil: 1"}
	for _, host := range hosts {
		chain := plugintest.Compile(t, plugintest.Env(t, local), openwhiskConf(host, ``))
		if res := plugintest.Run(chain, httptest.NewRequest("GET", "/", nil)); res.Status != 503 || !res.Page {
			t.Errorf("%q: got %d", host, res.Status)
		}
	}
	for _, more := range []string{`,"action":"a b"`, `,"package":"a b"`, `,"namespace":"a b"`} {
		chain := plugintest.Compile(t, plugintest.Env(t, local), openwhiskConf("http://127.0.0.1:3233", more))
		if res := plugintest.Run(chain, httptest.NewRequest("GET", "/", nil)); res.Status != 503 || !res.Page {
			t.Errorf("%s: got %d", more, res.Status)
		}
	}
	if len(local.calls) != 0 {
		t.Errorf("called all the same: %+v", local.calls)
	}
}

func TestOpenwhiskBodyLimit(t *testing.T) {
	rec := record(t)
	chain := plugintest.Compile(t, plugintest.Env(t), openwhiskConf("http://"+rec.Addr().String(), `,"max_req_body_size":3`))
	for body, want := range map[string]int{"abc": 200, "abcd": 413} {
		if res := plugintest.Run(chain, httptest.NewRequest("POST", "/", strings.NewReader(body))); res.Status != want || res.Page != (want == 413) {
			t.Errorf("%s: got %d", body, res.Status)
		}
	}
}

func TestOpenwhiskFailures(t *testing.T) {
	cases := map[string]func(w http.ResponseWriter, r *http.Request){
		"closed before the answer": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"answer cut off": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{}")
		},
		"no answer in time": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"answer without end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				<-time.After(10 * time.Millisecond)
			}
		},
		"answer too large": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "67108865")
			_, _ = io.WriteString(w, "{}")
		},
	}
	for name, handler := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stub := httptest.NewServer(http.HandlerFunc(handler))
			t.Cleanup(stub.Close)
			expect503(t, plugintest.Env(t), stub.URL, `,"timeout":1`)
		})
	}
	t.Run("connection refused", func(t *testing.T) {
		expect503(t, plugintest.Env(t), "http://"+freeport.Address(t), ``)
	})
	t.Run("not HTTP", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH\r\n")
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}
		}()
		expect503(t, plugintest.Env(t), "http://"+l.Addr().String(), ``)
	})
	t.Run("fused call without an answer", func(t *testing.T) {
		expect503(t, plugintest.Env(t, &localStub{local: true}), "http://127.0.0.1:3233", ``)
	})
}

func expect503(t *testing.T, env *plugin.Env, host, more string) {
	t.Helper()
	chain := plugintest.Compile(t, env, openwhiskConf(host, more))
	if res := plugintest.Run(chain, httptest.NewRequest("GET", "/", nil)); res.Status != 503 || !res.Page {
		t.Errorf("got %d %q, %v", res.Status, res.Body, res.Err)
	}
}

// The 202 comes when the wait is over, so after the timeout.
func TestOpenwhiskAnswerAtTheEndOfTheWait(t *testing.T) {
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(50 * time.Millisecond)
		w.WriteHeader(202)
		_, _ = io.WriteString(w, `{"activationId":"1"}`)
	}))
	defer stub.Close()
	chain := plugintest.Compile(t, plugintest.Env(t), openwhiskConf(stub.URL, `,"timeout":50`))
	if res := plugintest.Run(chain, httptest.NewRequest("GET", "/", nil)); res.Status != 202 || string(res.Body) != `{"activationId":"1"}` {
		t.Errorf("got %d %q", res.Status, res.Body)
	}
}

type trust struct{ *x509.CertPool }

func (t trust) RootCAs() *x509.CertPool { return t.CertPool }

func TestOpenwhiskTLS(t *testing.T) {
	stub := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	stub.Config.ErrorLog = log.New(io.Discard, "", 0) // refusals are what is tested
	stub.StartTLS()
	defer stub.Close()
	pool := x509.NewCertPool()
	pool.AddCert(stub.Certificate())
	wrongName := strings.Replace(stub.URL, "127.0.0.1", "localhost", 1)
	cases := []struct {
		name, host, more string
		services         []any
		want             int
	}{
		{"unknown authority", stub.URL, ``, nil, 503},
		{"not verified", stub.URL, `,"ssl_verify":false`, nil, 200},
		{"trusted", stub.URL, ``, []any{trust{pool}}, 200},
		{"trusted, without keep-alive", stub.URL, `,"keepalive":false`, []any{trust{pool}}, 200},
		{"another name", wrongName, ``, []any{trust{pool}}, 503},
		{"plain HTTP to a TLS port", strings.Replace(stub.URL, "https", "http", 1), ``, nil, 503},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t, tc.services...), openwhiskConf(tc.host, tc.more))
			for range 2 {
				res := plugintest.Run(chain, httptest.NewRequest("POST", "/", strings.NewReader(`{"a":1}`)))
				if res.Status != tc.want || tc.want == 200 && string(res.Body) != `{"a":1}` {
					t.Errorf("got %d %q", res.Status, res.Body)
				}
			}
		})
	}
}

func TestOpenwhiskKeepsConnections(t *testing.T) {
	for more, want := range map[string]int32{``: 1, `,"keepalive":false`: 4} {
		rec := record(t)
		chain := plugintest.Compile(t, plugintest.Env(t), openwhiskConf("http://"+rec.Addr().String(), more))
		for range 4 {
			if res := plugintest.Run(chain, httptest.NewRequest("GET", "/", nil)); res.Status != 200 {
				t.Fatalf("got %d", res.Status)
			}
		}
		if got := rec.conns.Load(); got != want {
			t.Errorf("%q: %d connections for 4 requests, want %d", more, got, want)
		}
	}
}

func TestOpenwhiskStopsWhenTheClientHasGone(t *testing.T) {
	called, ended := make(chan struct{}), make(chan struct{})
	stub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(called)
		<-r.Context().Done()
		close(ended)
	}))
	defer stub.Close()
	chain := plugintest.Compile(t, plugintest.Env(t), openwhiskConf(stub.URL, `,"timeout":60000`))
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-called; leave() }()
	res := plugintest.Run(chain, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	if res.Err != plugin.ErrDrop {
		t.Errorf("got %d, %v", res.Status, res.Err)
	}
	<-ended
}

func TestOpenwhiskInvoker(t *testing.T) {
	local := &localStub{status: 200, body: `{"fused":true}`, local: true}
	chain := plugintest.Compile(t, plugintest.Env(t, local), openwhiskConf("http://localhost:3233", `,"package":"p","result":false,"timeout":7`))
	res := plugintest.Run(chain, httptest.NewRequest("PUT", "/", strings.NewReader(`{"a":1}`)))
	if string(res.Body) != `{"fused":true}` {
		t.Errorf("got %q", res.Body)
	}
	want := []InvokeCall{{APIHost: "http://localhost:3233", Token: "u:k", Namespace: "guest", Package: "p", Action: "test",
		Wait: 7 * time.Millisecond, Body: []byte(`{"a":1}`)}}
	if diff := cmp.Diff(want, local.calls); diff != "" {
		t.Error(diff)
	}
}

func TestOpenwhiskInvokerElsewhere(t *testing.T) {
	rec := record(t)
	cases := []struct {
		prefix string
		asked  int
	}{{"", 1}, {"/", 0}, {"/ow", 0}}
	for _, tc := range cases {
		local := &localStub{local: false}
		chain := plugintest.Compile(t, plugintest.Env(t, local), openwhiskConf("http://"+rec.Addr().String()+tc.prefix, ``))
		for range 3 {
			if res := plugintest.Run(chain, httptest.NewRequest("GET", "/", nil)); res.Status != 200 || string(res.Body) != "{}" {
				t.Errorf("got %d %q", res.Status, res.Body)
			}
		}
		if len(local.calls) != tc.asked {
			t.Errorf("%q: asked %d times, want %d", tc.prefix, len(local.calls), tc.asked)
		}
	}
}

// stubAnswering serves requests on one connection each with fixed bytes and
// allocates nothing for them.
func stubAnswering(tb testing.TB, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in, out := make([]byte, 4096), []byte(answer)
		for {
			if _, err := conn.Read(in); err != nil {
				return
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}()
	tb.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

const stubAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"hello\":\"world\"}"

func TestOpenwhiskAllocations(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), openwhiskConf(stubAnswering(t, stubAnswer), ``))
	c := plugintest.NewContext(httptest.NewRequest("GET", "/hello", nil).WithContext(context.Background()))
	allocs := testing.AllocsPerRun(200, func() {
		if err := chain.Access(c); err != plugin.ErrExit {
			t.Error(err)
		}
	})
	if allocs > 2 { // the answer's body, and its place in Context.Exit
		t.Errorf("%v allocations a request", allocs)
	}
	chain.Close() // the stub ends with its connection
}

func BenchmarkOpenwhisk(b *testing.B) {
	chain := plugintest.Compile(b, plugintest.Env(b), openwhiskConf(stubAnswering(b, stubAnswer), ``))
	c := plugintest.NewContext(httptest.NewRequest("GET", "/hello", nil))
	b.ReportAllocs()
	for b.Loop() {
		if err := chain.Access(c); err != plugin.ErrExit {
			b.Fatal(err)
		}
	}
	chain.Close()
}
