package apis

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"millrace/store"
	storemem "millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	guestID = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
	otherID = "11111111-2222-3333-4444-555555555555"
)

// tenants are the namespaces of a test, and the UUIDs of their keys, the current
// one first.
type tenants map[string][]string

func (n tenants) Namespace(name string) *whisk.Identity {
	if keys, ok := n[name]; ok {
		return &whisk.Identity{Subject: name, Namespace: name, UUID: keys[0]}
	}
	return nil
}

func (n tenants) HasKey(namespace, uuid string) bool {
	for _, k := range n[namespace] {
		if strings.EqualFold(k, uuid) {
			return true
		}
	}
	return false
}

func someTenants() tenants { return tenants{"guest": {guestID}, "other": {otherID}} }

func open(t testing.TB, s store.Store, change ...func(*Config)) *APIs {
	t.Helper()
	cfg := Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: s, Tenants: someTenants(), Port: 3234}
	for _, c := range change {
		c(&cfg)
	}
	a, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// args are the arguments of a management call: query and body fields spread.
type args map[string]any

// call calls the management as user; "" is nobody. It answers status and body.
func call(t testing.TB, a *APIs, user, function string, in args) (int, map[string]any) {
	t.Helper()
	all := map[string]any{"__ow_method": "post", "__ow_headers": map[string]string{"host": "localhost:3233"}, "__ow_path": ""}
	if user != "" {
		all["__ow_user"] = user
	}
	for k, v := range in {
		all[k] = v
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Functions()["apimgmt/"+function](t.Context(), &runtime.Run{Namespace: "whisk.system", Args: raw})
	if err != nil {
		t.Fatalf("%s: %v", function, err)
	}
	return answerOf(t, out)
}

// answerOf reads the result of a web action: an application error is its "error".
func answerOf(t testing.TB, raw json.RawMessage) (int, map[string]any) {
	t.Helper()
	type answer struct {
		StatusCode int
		Headers    map[string]string
		Body       map[string]any
		Error      *json.RawMessage
	}
	var out answer
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if out.Error != nil {
		if err := json.Unmarshal(*out.Error, &out); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
	if out.Headers["Content-Type"] != "application/json" {
		t.Errorf("headers %v", out.Headers)
	}
	return out.StatusCode, out.Body
}

// must calls and wants 200.
func must(t testing.TB, a *APIs, user, function string, in args) map[string]any {
	t.Helper()
	status, body := call(t, a, user, function, in)
	if status != 200 {
		t.Fatalf("%s %v: %d %v", function, in, status, body)
	}
	return body
}

// refused calls and wants a text.
func refused(t testing.TB, a *APIs, user, function string, in args, want string) {
	t.Helper()
	status, body := call(t, a, user, function, in)
	if diff := cmp.Diff(map[string]any{"error": want}, body); status != 502 || diff != "" {
		t.Errorf("%s %v: %d %s", function, in, status, diff)
	}
}

// endpointDoc is what wsk sends for one endpoint; change alters it.
func endpointDoc(base, path, verb, action string, change ...func(doc, action map[string]any)) map[string]any {
	a := map[string]any{
		"name": action, "namespace": "_", "backendMethod": "GET", "authkey": guestID + ":secret",
		"backendUrl": "http://localhost:3233/api/v1/web/_/default/" + action + ".json",
	}
	doc := map[string]any{
		"namespace": "_", "gatewayBasePath": base, "gatewayPath": path, "gatewayMethod": verb,
		"id": "API:_:" + base, "action": a,
	}
	for _, c := range change {
		c(doc, a)
	}
	return doc
}

func parametersOf(names ...string) []map[string]any {
	var out []map[string]any
	for _, n := range names {
		out = append(out, map[string]any{"name": n, "in": "path", "description": "Default description for '" + n + "'", "required": true, "type": "string"})
	}
	return out
}

// addEndpoint makes one endpoint of guest.
func addEndpoint(t testing.TB, a *APIs, base, path, verb, action string) map[string]any {
	t.Helper()
	return must(t, a, "guest", "createApi", args{"apidoc": endpointDoc(base, path, verb, action)})
}

// addSwagger makes an API of a Swagger text.
func addSwagger(t testing.TB, a *APIs, user, text string) map[string]any {
	t.Helper()
	return must(t, a, user, "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": text}})
}

// at digs into nested objects and arrays.
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("%v: no object at %v", v, p)
			}
			v = m[p]
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= p {
				t.Fatalf("%v: no element %d", v, p)
			}
			v = l[p]
		}
	}
	return v
}

func parse(t testing.TB, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// echo stands for the web actions: it says what it got.
type echo struct{}

func (echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Access-Control-Allow-Origin", "https://backend.example")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "path": r.URL.EscapedPath(), "query": r.URL.RawQuery, "host": r.Host, "headers": r.Header, "body": string(body), "uri": r.RequestURI,
	})
}

// serve serves the APIs and answers the base URL /api.
func serve(t testing.TB, a *APIs) string {
	t.Helper()
	srv := httptest.NewServer(a.Gateway(echo{}))
	t.Cleanup(srv.Close)
	return srv.URL + "/api"
}

// send sends a request and answers what came back.
func send(t testing.TB, method, url string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	if h := header.Get("Host"); h != "" {
		r.Host = h
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// wantFailure wants an answer of the gateway itself.
func wantFailure(t testing.TB, method, url string, header http.Header, status int, message string) {
	t.Helper()
	res, body := send(t, method, url, header, "")
	want := fmt.Sprintf(`{"status":%d,"message":%q}`, status, message)
	if res.StatusCode != status || body != want || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: %d %q %s, want %s", method, url, res.StatusCode, body, res.Header.Get("Content-Type"), want)
	}
}

// got wants 200 and answers what the backend saw.
func got(t testing.TB, method, url string, header http.Header, body string) map[string]any {
	t.Helper()
	res, text := send(t, method, url, header, body)
	if res.StatusCode != 200 {
		t.Fatalf("%s %s: %d %s", method, url, res.StatusCode, text)
	}
	return parse(t, text).(map[string]any)
}

// run runs a and stops it at the end of the test.
func run(t *testing.T, a *APIs) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: ", what)
		}
	}
}

func newStore(t testing.TB) store.Store {
	s := storemem.New()
	t.Cleanup(func() { s.Close() })
	return s
}
