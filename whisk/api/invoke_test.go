package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"millrace/whisk"
	"millrace/whisk/invoke"
)

func TestInvokeBodies(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.Limits.Payload = 1000 })
	s.mustPut("actions/echo")
	s.mustPut("actions/final", `{"exec":{"kind":"nodejs:20","code":"x"},"parameters":[{"key":"fixed","value":1},{"key":"open","value":null}],"annotations":[{"key":"final","value":true}]}`)
	const path = "/api/v1/namespaces/_/actions/"
	notJSON := func(mime string) string {
		return "The request's Content-Type [" + mime + "] is not supported. Expected:\napplication/json"
	}
	for _, tt := range []struct {
		action, mime, body string
		status             int
		want               string
	}{
		{"echo", "", "", 200, ""},
		{"echo", "text/plain", "", 200, ""},
		{"echo", "application/json", `{"a": [1,  2.50]}`, 200, `{"a": [1,  2.50]}`},
		{"echo", "application/json;charset=UTF-8", `{}`, 200, `{}`},
		{"echo", "text/plain", `{}`, 415, failed(notJSON("text/plain"))},
		{"echo", "application/x-www-form-urlencoded", `a=b`, 415, failed(notJSON("application/x-www-form-urlencoded"))},
		{"echo", "application/json", `[1]`, 400, failed("The request content was malformed:\nJSON object expected")},
		{"echo", "application/json", `null`, 400, failed("The request content was malformed:\nJSON object expected")},
		{"echo", "application/json", "{\"a\":\"" + strings.Repeat("x", 1000) + "\"}", 413, failed("Request larger than allowed: 1008 > 1000 bytes.")},
		{"none", "application/json", `{}`, 404, failed(whisk.MsgNotFound)},
		{"final", "application/json", `{"open":1}`, 200, `{"greeting":"Hi A"}`},
		{"final", "application/json", `{"open":1,"fixed":2}`, 400, failed(whisk.MsgReservedProperties)},
		{"final", "application/json", `{"f\u0069xed":null}`, 400, failed(whisk.MsgReservedProperties)},
	} {
		r := s.send("POST", path+tt.action+"?blocking=true&result=true", tt.body, "Content-Type", tt.mime)
		if r.status != tt.status || normal(r.body) != tt.want {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", tt.action, tt.mime, tt.body, r.status, r.body, tt.status, tt.want)
		}
	}
	for _, body := range []string{"test=test", "{", " ", `{"a":` + strings.Repeat("[", 900) + `}`} {
		r := s.send("POST", path+"echo", body)
		if r.status != 400 || !strings.Contains(r.body, `"error":"The request content was malformed:\n`) {
			t.Errorf("%.40s: %d %s", body, r.status, r.body)
		}
	}
	for _, wait := range []string{"0", "60001", "x", "-1", "1.5", ""} {
		r := s.send("POST", path+"echo?blocking=true&timeout="+wait, "")
		if r.status != 400 || normal(r.body) != failed("The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000.") {
			t.Errorf("timeout=%s: %d %s", wait, r.status, r.body)
		}
	}
}

// A body of unknown length is cut off at the limit.
func TestChunkedBodyHasALimitToo(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/echo")
	endless := io.LimitReader(zeros{}, 4<<20)
	req, err := http.NewRequest("POST", s.url+"/api/v1/namespaces/_/actions/echo", endless)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", basic(GuestKey))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if want := failed("Request larger than allowed: 1048577 > 1048576 bytes."); resp.StatusCode != 413 || normal(string(body)) != want {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// Which of several faults is told shows the order of the checks.
func TestOrderOfChecks(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.Limits.Payload = 10 })
	const large = `{"a":"0123456789"}`
	foreign := failed("The supplied authentication is not authorized to access 'other/x'.")
	s.run([]step{
		{"POST", "/api/v1/namespaces/other/actions/$x", large, 400, failed(whisk.MsgNameIllegal)},
		{"POST", "/api/v1/namespaces/other/actions/x", large, 403, foreign},
		{"POST", "…/actions/none?timeout=x", large, 413, failed("Request larger than allowed: 18 > 10 bytes.")},
		{"POST", "…/actions/none?timeout=x", "{", 400, failed("The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000.")},
		{"POST", "…/actions/none", "[]", 400, failed("The request content was malformed:\nJSON object expected")},
		{"POST", "…/actions/none", "{}", 404, failed(whisk.MsgNotFound)},
		{"POST", "…/actions/none/x", "[]", 404, failed("The requested resource 'guest/none' does not exist.")},
	})
	s.invoke.allowed = 0
	s.run([]step{{"POST", "/api/v1/namespaces/other/actions/x", "", 429, failed("Too many requests in the last minute (count: 2, allowed: 1).")}})
}

func TestDeprecatedKinds(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/old")
	m, err := whisk.NewManifest([]whisk.Runtime{{Kind: "nodejs:20", Family: "nodejs", Deprecated: true}})
	if err != nil {
		t.Fatal(err)
	}
	s.api.Manifest = m
	text := failed("The 'nodejs:20' runtime is no longer supported. You may read and delete but not update or invoke this action.")
	s.run([]step{
		{"POST", "…/actions/old", "", 400, text},
		{"PUT", "…/actions/old?overwrite=true", "{}", 400, text},
		{"PUT", "…/actions/new", `{"exec":{"kind":"nodejs:20","code":"x"}}`, 400, text},
	})
	for _, method := range []string{"GET", "DELETE"} {
		if r := s.send(method, "/api/v1/namespaces/_/actions/old", ""); r.status != 200 {
			t.Errorf("%s: %d %s", method, r.status, r.body)
		}
	}
}

// The fused call and the call over HTTP answer the same.
func TestLocalCallsAnswerAsHTTPDoes(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.Limits.Payload = 1000 })
	s.mustPut("packages/pkg", `{}`)
	s.mustPut("actions/pkg/testpkg")
	for _, name := range []string{"hello", "fails", "throws", "ours", "slow", "array", "echo", "broken"} {
		s.mustPut("actions/" + name)
	}
	base := LocalCall{Token: GuestKey, Namespace: "guest", Action: "hello", Result: true, Wait: 3 * time.Second, TransactionID: "tid"}
	cases := map[string]LocalCall{"plain": base}
	with := func(name string, change func(*LocalCall)) {
		c := base
		change(&c)
		cases[name] = c
	}
	for _, name := range []string{"fails", "throws", "ours", "slow", "array", "echo", "broken", "none", "$x", "a b", strings.Repeat("x", 257)} {
		with("action "+name, func(c *LocalCall) { c.Action = name })
		with("record of "+name, func(c *LocalCall) { c.Action, c.Result = name, false })
	}
	with("record", func(c *LocalCall) { c.Result = false })
	with("_", func(c *LocalCall) { c.Namespace = "_" })
	with("foreign", func(c *LocalCall) { c.Namespace = "other" })
	with("packaged", func(c *LocalCall) { c.Package, c.Action = "pkg", "testpkg" })
	with("missing package", func(c *LocalCall) { c.Package = "none" })
	with("package is an action", func(c *LocalCall) { c.Package = "hello" })
	with("action is a package", func(c *LocalCall) { c.Action = "pkg" })
	with("no token", func(c *LocalCall) { c.Token = "" })
	with("malformed token", func(c *LocalCall) { c.Token = "guest" })
	with("wrong token", func(c *LocalCall) { c.Token = GuestKey + "x" })
	with("too long a wait", func(c *LocalCall) { c.Wait = time.Hour })
	with("generated id", func(c *LocalCall) { c.TransactionID, c.Action = "", "none" })
	for _, body := range []string{`{"a":1}`, "test=test", "[]", "{", strings.Repeat(" ", 1001)} {
		with(fmt.Sprintf("body %.20s", body), func(c *LocalCall) { c.Action, c.Body = "echo", []byte(body) })
	}
	for name, c := range cases {
		status, body, id := s.api.InvokeLocal(t.Context(), c)
		path := "/api/v1/namespaces/" + url.PathEscape(c.Namespace) + "/actions/"
		if c.Package != "" {
			path += url.PathEscape(c.Package) + "/"
		}
		path += fmt.Sprintf("%s?blocking=true&result=%v&timeout=%d", url.PathEscape(c.Action), c.Result, c.Wait.Milliseconds())
		r := s.send("POST", path, string(c.Body), "Authorization", basic(c.Token), "Content-Type", "application/json", "X-Request-ID", c.TransactionID)
		if status != r.status || normal(string(body)) != normal(r.body) || (id == "") != (r.header.Get("X-Openwhisk-Activation-Id") == "") {
			t.Errorf("%s:\nlocal %d %s %s\n HTTP %d %s", name, status, body, id, r.status, r.body)
		}
	}
}

func putAction(t testing.TB, a *API, name string) {
	t.Helper()
	act := &whisk.Action{Namespace: "guest", Name: name, Version: "0.0.1", Exec: whisk.Exec{Kind: "nodejs:20"}, Limits: a.Limits.Defaults(),
		Annotations: whisk.KeyValues{{Key: "provide-api-key", Value: []byte("false")}, {Key: "exec", Value: []byte(`"nodejs:20"`)}}}
	if _, err := a.Catalog.PutAction(t.Context(), act, []byte("code")); err != nil {
		t.Fatal(err)
	}
}

// constant answers every call with the same record.
type constant struct{ rec whisk.Activation }

func (c *constant) Admit(*whisk.Identity) error          { return nil }
func (c *constant) AdmitAlso(*whisk.Identity, int) error { return nil }
func (c *constant) AdmitFire(*whisk.Identity) error      { return nil }
func (c *constant) AcceptAll(context.Context, []*invoke.Call, ...*whisk.Activation) error {
	return nil
}
func (c *constant) Invoke(context.Context, *invoke.Call) (*whisk.Activation, error) {
	return &c.rec, nil
}

func localSystem(t testing.TB) (*API, LocalCall) {
	a, _ := newAPI(t, func(c *Config) {
		c.Invoker = &constant{whisk.Activation{Response: whisk.Response{Result: []byte(`{"ready":true}`)}}}
	})
	putAction(t, a, "test")
	return a, LocalCall{Token: GuestKey, Namespace: "guest", Action: "test", Result: true, Wait: 3 * time.Second, Body: []byte(`{"name":"world"}`)}
}

// The call, its id and the transaction id.
func TestLocalCallAllocates(t *testing.T) {
	a, call := localSystem(t)
	n := testing.AllocsPerRun(1000, func() {
		if status, _, _ := a.InvokeLocal(t.Context(), call); status != 200 {
			t.Fatal(status)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations a call, want at most 4", n)
	}
}

func BenchmarkInvokeLocal(b *testing.B) {
	a, call := localSystem(b)
	b.ReportAllocs()
	for b.Loop() {
		if status, _, _ := a.InvokeLocal(context.Background(), call); status != 200 {
			b.Fatal(status)
		}
	}
}

func FuzzActivationQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=0&skip=1", "name=a/b&since=1&upto=2", "count=1&docs=0", "limit=99999999999", "name=%2F", "since=-", "a=%zz;b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := parseActivationQuery(values)
		if err != nil {
			if e, ok := err.(*whisk.Error); !ok || e.Status != 400 {
				t.Fatalf("not for clients: %v", err)
			}
			return
		}
		if q.Limit < 1 || q.Limit > maxList || q.Skip < 0 || q.Since < 0 || q.Upto < 0 {
			t.Fatalf("%q: %+v", raw, q)
		}
	})
}

func BenchmarkInvokeREST(b *testing.B) {
	a, _ := localSystem(b)
	w := discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequest("POST", "/api/v1/namespaces/_/actions/test?blocking=true&result=true", strings.NewReader(`{"name":"world"}`))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", basic(GuestKey))
		r.Header.Set("Content-Type", "application/json")
		clear(w.header)
		a.ServeHTTP(&w, r)
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// A client that sends all of a refused body before it reads gets the answer, and
// keeps its connection.
func TestAnswerToLargeBody(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	const size = 8 << 20
	for _, tc := range []struct {
		request, key string
		status       int
	}{
		{"POST /api/v1/namespaces/_/actions/a?blocking=true", GuestKey, 413},
		{"POST /api/v1/namespaces/_/actions/a?blocking=true", "no:key", 401},
		{"PUT /api/v1/namespaces/_/nothing/a", GuestKey, 404},
		{"GET /api/v1/namespaces", GuestKey, 200},
	} {
		body := strings.Repeat(" ", size)
		if tc.status == 200 {
			body = ""
		}
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			tc.request, basic(tc.key), len(body), body)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%s: %v", tc.request, err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != tc.status || resp.Close {
			t.Errorf("%s: %d, closed %v", tc.request, resp.StatusCode, resp.Close)
		}
	}
}

// A client that stops in the middle of a body does not hold its connection for ever.
func TestBodyThatStops(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a")
	s.api.bodyPause = 20 * time.Millisecond
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/namespaces/_/actions/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n{", basic(GuestKey))
	answers := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answers, nil)
	if err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(answers, nil)
	}
	if err != nil || resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestBlockingWaitIsBounded(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.Limits.BlockingWait = 5 * time.Second })
	s.mustPut("actions/echo")
	for query, want := range map[string]time.Duration{"": 5 * time.Second, "&timeout=60000": 5 * time.Second, "&timeout=1000": time.Second} {
		s.send("POST", "/api/v1/namespaces/_/actions/echo?blocking=true"+query, "{}")
		if got := s.invoke.last.Wait; got != want {
			t.Errorf("%q: waits %v, want %v", query, got, want)
		}
	}
}
