package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	blobmem "millrace/blob/mem"
	storemem "millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
	"millrace/whisk/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Keys of the namespaces guest and stranger.
const (
	guestKey    = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	strangerKey = "00000000-71f6-4ed5-8c54-816aa4f8c502:strZO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

// functions is an Invoker that answers what a test says, at once.
type functions struct {
	mu     sync.Mutex
	status whisk.Status
	result string // empty: the arguments
	late   bool   // the call does not end in time
	admit  error
	invoke error
	calls  int
	last   *invoke.Call
	args   string // of the last call, under the stored parameters
}

func (f *functions) Admit(*whisk.Identity) error { return f.admit }

func (f *functions) Invoke(_ context.Context, c *invoke.Call) (*whisk.Activation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.last, f.args = c, string(c.Payload)
	if f.invoke != nil || f.late {
		return nil, f.invoke
	}
	result := f.result
	if result == "" {
		result = f.args
	}
	return &whisk.Activation{ID: c.ID, Response: whisk.Response{Status: f.status, Result: json.RawMessage(result)}}, nil
}

// house is a handler behind HTTP with a catalog to fill.
type house struct {
	t       testing.TB
	h       *Handler
	f       *functions
	catalog *catalog.Catalog
	url     string
}

func newHouse(t testing.TB) *house {
	t.Helper()
	cat, err := catalog.Open(t.Context(), slog.New(slog.DiscardHandler), storemem.New(), blobmem.New())
	if err != nil {
		t.Fatal(err)
	}
	limits := whisk.DefaultSystemLimits()
	var ids []whisk.Identity
	for namespace, key := range map[string]string{"guest": guestKey, "stranger": strangerKey} {
		uuid, secret, _ := strings.Cut(key, ":")
		ids = append(ids, whisk.Identity{Subject: namespace, Namespace: namespace, UUID: uuid, Secret: secret})
	}
	tenants, err := tenant.New(ids, limits.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	f := &functions{}
	h := New(Config{Log: slog.New(slog.DiscardHandler), Identities: tenants, Actions: cat, Invoker: f, Limits: &limits})
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return &house{t: t, h: h, f: f, catalog: cat, url: srv.URL}
}

// put stores an action, [pkg/]name, of guest with annotations and parameters as
// JSON objects.
func (s *house) put(path, annotations string, parameters ...string) {
	s.t.Helper()
	a := &whisk.Action{
		Namespace: "guest", Name: path, Version: "0.0.1", Updated: time.Now().UnixMilli(),
		Exec: whisk.Exec{Kind: "nodejs:20"}, Annotations: keyValues(s.t, annotations), Limits: whisk.Limits{TimeoutMS: 60000, MemoryMB: 256},
	}
	if pkg, name, ok := strings.Cut(path, "/"); ok {
		a.Package, a.Name = pkg, name
	}
	for _, p := range parameters {
		a.Parameters = keyValues(s.t, p)
	}
	if old, ok := s.catalog.Action(a.Namespace, a.Package, a.Name); ok {
		a.Revision = old.Revision
	}
	if _, err := s.catalog.PutAction(s.t.Context(), a, []byte("code")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *house) putPackage(p *whisk.Package) {
	s.t.Helper()
	p.Version = "0.0.1"
	if _, err := s.catalog.PutPackage(s.t.Context(), p); err != nil {
		s.t.Fatal(err)
	}
}

// keyValues makes a list of the members of a JSON object.
func keyValues(t testing.TB, object string) whisk.KeyValues {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &members); err != nil {
		t.Fatal(err)
	}
	var list whisk.KeyValues
	for k, v := range members {
		list = append(list, whisk.KeyValue{Key: k, Value: v})
	}
	return list
}

// reply is what came back.
type reply struct {
	*http.Response
	body string
}

// send makes a request to a path below /api/v1/web/; headers are pairs.
func (s *house) send(method, path, body string, headers ...string) reply {
	s.t.Helper()
	req := httptest.NewRequest(method, "http://localhost/api/v1/web/"+path, strings.NewReader(body))
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	s.h.ServeHTTP(w, req)
	return reply{w.Result(), w.Body.String()}
}

// recorder is a ResponseWriter whose connection takes deadlines.
type recorder struct{ *httptest.ResponseRecorder }

func (r *recorder) SetReadDeadline(time.Time) error { return nil }

func basic(key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(key)) }

const web = `{"web-export":true}`

var errOurs = errors.New("secret detail")

// refusal reads the text of an error's body, and checks the rest of it.
func (r reply) refusal(t testing.TB) string {
	t.Helper()
	var doc map[string]string
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		t.Errorf("error body %q: %v", r.body, err)
	}
	want := "{\n  \"code\": " + string(whisk.AppendString(nil, r.Header.Get("X-Request-Id"))) + ",\n  \"error\": " + string(whisk.AppendString(nil, doc["error"])) + "\n}"
	if r.body != want || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("error body %q (%s), want %q", r.body, r.Header.Get("Content-Type"), want)
	}
	return doc["error"]
}

// failureOf makes the answer of an error that must be meant for clients.
func failureOf(t testing.TB, err error) response {
	t.Helper()
	var e *whisk.Error
	if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 {
		t.Fatalf("not for clients: %v", err)
	}
	return failure("t", e)
}
