package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/activation"
	activationmem "millrace/activation/mem"
	blobmem "millrace/blob/mem"
	storemem "millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
	"millrace/whisk/runtime"
	"millrace/whisk/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const strangerKey = "00000000-71f6-4ed5-8c54-816aa4f8c502:strZO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"

// functions is an Invoker that runs Go functions by the name of the action, at
// once, and counts calls like a throttle of so many.
type functions struct {
	log activation.Log

	mu                  sync.Mutex
	calls, allowed      int
	fires, firesAllowed int
	last                *invoke.Call
}

func (f *functions) Admit(id *whisk.Identity) error { return f.AdmitAlso(id, 0) }

func (f *functions) AdmitFire(*whisk.Identity) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fires++; f.fires > f.firesAllowed {
		return &whisk.Error{Status: 429, Msg: "Too many requests in the last minute (count: 3, allowed: 2)."}
	}
	return nil
}

// AcceptAll carries out calls at once, one after the other.
func (f *functions) AcceptAll(ctx context.Context, calls []*invoke.Call, records ...*whisk.Activation) error {
	for _, rec := range records {
		f.log.Put(rec)
	}
	for _, c := range calls {
		if _, err := f.Invoke(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (f *functions) AdmitAlso(*whisk.Identity, int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.calls > f.allowed {
		return &whisk.Error{Status: 429, Msg: "Too many requests in the last minute (count: 2, allowed: 1)."}
	}
	return nil
}

func (f *functions) Invoke(_ context.Context, c *invoke.Call) (*whisk.Activation, error) {
	f.mu.Lock()
	f.last = c
	f.mu.Unlock()
	rec := &whisk.Activation{
		Namespace: c.Caller.Namespace, Name: c.Action.Name, Version: c.Action.Version, Subject: c.Caller.Subject,
		ID: c.ID, Start: 1000, End: 1012, Duration: 12, Logs: []string{"2026-01-01T00:00:00.000000000Z stdout: hi"},
		Annotations: whisk.KeyValues{{Key: "path", Value: json.RawMessage(`"` + c.Action.Path() + `"`)}},
	}
	switch c.Action.Name {
	case "broken":
		return nil, errors.New("secret detail")
	case "slow":
		rec.End, rec.Logs, rec.Response = 0, nil, whisk.Response{Status: whisk.Running}
		f.log.Put(rec)
		return nil, nil
	}
	rec.Response = response(c)
	f.log.Put(rec)
	if !c.Blocking {
		return nil, nil
	}
	return rec, nil
}

func response(c *invoke.Call) whisk.Response {
	result := `{"greeting":"Hi A"}`
	status := whisk.Success
	switch c.Action.Name {
	case "fails":
		status, result = whisk.ApplicationError, `{"error":"boom"}`
	case "throws":
		status, result = whisk.DeveloperError, `{"error":"An error has occurred: Error: boom"}`
	case "ours":
		status, result = whisk.WhiskError, `{"error":"There was an internal error."}`
	case "array":
		result = `[1,{"error":2}]`
	case "echo":
		result = string(c.Payload)
	}
	size := len(result)
	return whisk.Response{Status: status, Result: json.RawMessage(result), Size: &size}
}

var nodeAndJava = []runtime.Kind{
	{Name: "nodejs:14", Family: "nodejs", Image: "openwhisk/action-nodejs-v14:nightly"},
	{Name: "nodejs:20", Family: "nodejs", Image: "openwhisk/action-nodejs-v20:nightly", Default: true},
	{Name: "java:8", Family: "java", Image: "openwhisk/java8action:nightly", RequireMain: true},
}

func manifestOf(t testing.TB, kinds []runtime.Kind) *whisk.Manifest {
	t.Helper()
	var all []whisk.Runtime
	for _, k := range kinds {
		all = append(all, whisk.Runtime{Kind: k.Name, Family: k.Family, Image: k.Image, Default: k.Default, RequireMain: k.RequireMain})
	}
	m, err := whisk.NewManifest(all)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type system struct {
	t      testing.TB
	api    *API
	invoke *functions
	url    string
}

func newAPI(t testing.TB, change func(*Config)) (*API, *functions) {
	t.Helper()
	cat, err := catalog.Open(t.Context(), slog.New(slog.DiscardHandler), storemem.New(), blobmem.New())
	if err != nil {
		t.Fatal(err)
	}
	log := activationmem.New()
	f := &functions{log: log, allowed: 1 << 40, firesAllowed: 1 << 40}
	c := Config{
		Log: slog.New(slog.DiscardHandler), Catalog: cat, Activations: log, Invoker: f,
		Manifest: manifestOf(t, nodeAndJava), Limits: whisk.DefaultSystemLimits(),
		Identities: directory(t, identity("guest", GuestKey), identity("stranger", strangerKey)),
		Build:      "2026-01-02T03:04:05Z",
		RecordWait: time.Millisecond,
	}
	if change != nil {
		change(&c)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a, f
}

func directory(t testing.TB, ids ...whisk.Identity) *tenant.Directory {
	t.Helper()
	d, err := tenant.New(ids, whisk.DefaultSystemLimits().Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func identity(namespace, key string) whisk.Identity {
	uuid, secret, _ := strings.Cut(key, ":")
	return whisk.Identity{Subject: namespace, Namespace: namespace, UUID: uuid, Secret: secret}
}

func newSystem(t *testing.T, change func(*Config)) *system {
	t.Helper()
	a, f := newAPI(t, change)
	srv := httptest.NewServer(a)
	t.Cleanup(func() {
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return &system{t: t, api: a, invoke: f, url: srv.URL}
}

// reply is what came back.
type reply struct {
	status int
	body   string
	header http.Header
}

// send makes a request; headers are pairs. Without an Authorization among them
// the caller is guest.
func (s *system) send(method, path, body string, headers ...string) reply {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", basic(GuestKey))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	out := reply{resp.StatusCode, string(b), resp.Header}
	checkDocumented(s.t, method, path, out)
	return out
}

func basic(key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(key)) }

func (s *system) mustPut(path string, bodies ...string) {
	s.t.Helper()
	body := `{"exec":{"kind":"nodejs:default","code":"function main(){}"}}`
	if len(bodies) > 0 {
		body = bodies[0]
	}
	if r := s.send("PUT", "/api/v1/namespaces/_/"+path+"?overwrite=true", body); r.status != 200 {
		s.t.Fatalf("PUT %s: %d %s", path, r.status, r.body)
	}
}

var variable = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`"code":"[0-9A-Za-z]{32}","error"`), `"code":"{tid}","error"`},
	{regexp.MustCompile(`"[0-9a-f]{32}"`), `"{id}"`},
	{regexp.MustCompile(`"updated":1[0-9]{12}\b`), `"updated":{ms}`},
}

// normal replaces what differs from run to run.
func normal(s string) string {
	for _, v := range variable {
		s = v.re.ReplaceAllString(s, v.to)
	}
	return s
}

// step is one request and what must come back; ns stands for the guest's own
// namespace in paths that begin with …
type step struct {
	method, path, body string
	status             int
	want               string
}

func (s *system) run(steps []step) {
	s.t.Helper()
	for _, st := range steps {
		path := strings.Replace(st.path, "…", "/api/v1/namespaces/_", 1)
		got := s.send(st.method, path, st.body)
		if got.status != st.status || normal(got.body) != st.want {
			s.t.Errorf("%s %s %s\n got %d %s\nwant %d %s", st.method, st.path, st.body, got.status, normal(got.body), st.status, st.want)
		}
		checkHeaders(s.t, st, got)
	}
}

func checkHeaders(t testing.TB, st step, got reply) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type":                 "application/json",
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Headers": "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent",
		"Access-Control-Allow-Methods": "GET, DELETE, POST, PUT, HEAD",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s %s: %s is %q", st.method, st.path, name, got.header.Get(name))
		}
	}
	tid := got.header.Get("X-Request-ID")
	if len(tid) != 32 {
		t.Errorf("%s %s: X-Request-ID %q", st.method, st.path, tid)
	}
	if strings.HasPrefix(got.body, `{"code"`) && !strings.Contains(got.body, `"code":"`+tid+`"`) {
		t.Errorf("%s %s: code is not the request id %s: %s", st.method, st.path, tid, got.body)
	}
}

func failed(text string) string {
	return `{"code":"{tid}","error":` + string(whisk.AppendString(nil, text)) + `}`
}

const (
	helloCode = `function main(p){return {greeting:'Hi '+p.name}}`
	helloDoc  = `{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],` +
		`"exec":{"kind":"nodejs:20","code":"function main(p){return {greeting:'Hi '+p.name}}","binary":false},` +
		`"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},"name":"hello","namespace":"guest",` +
		`"parameters":[],"publish":false,"updated":{ms},"version":"0.0.1"}`
)

// The transcripts of the specification, word for word.
func TestTranscripts(t *testing.T) {
	s := newSystem(t, nil)
	for _, name := range []string{"fails", "throws", "slow", "ours", "array"} {
		s.mustPut("actions/" + name)
	}
	s.run([]step{
		{"PUT", "…/actions/hello?overwrite=false", `{"namespace":"_","name":"hello","exec":{"kind":"nodejs:default","code":"` + helloCode + `"}}`, 200, helloDoc},
		{"PUT", "…/actions/hello?overwrite=false", `{"namespace":"_","name":"hello","exec":{"kind":"nodejs:default","code":"` + helloCode + `"}}`, 409, failed("resource already exists")},
		{"POST", "…/actions/hello", `{"name":"A"}`, 202, `{"activationId":"{id}"}`},
		{"POST", "…/actions/hello?result=true", `{"name":"A"}`, 202, `{"activationId":"{id}"}`},
		{"POST", "…/actions/hello?blocking=true&result=true", `{"name":"A"}`, 200, `{"greeting":"Hi A"}`},
		{"POST", "…/actions/hello?blocking=true", `{"name":"A"}`, 200, `{"activationId":"{id}","annotations":[{"key":"path","value":"guest/hello"}],"duration":12,"end":1012,"logs":[],"name":"hello","namespace":"guest","publish":false,"response":{"result":{"greeting":"Hi A"},"size":19,"status":"success","success":true},"start":1000,"subject":"guest","version":"0.0.1"}`},
		{"POST", "…/actions/fails?blocking=true", "", 502, `{"activationId":"{id}","annotations":[{"key":"path","value":"guest/fails"}],"duration":12,"end":1012,"logs":[],"name":"fails","namespace":"guest","publish":false,"response":{"result":{"error":"boom"},"size":16,"status":"application error","success":false},"start":1000,"subject":"guest","version":"0.0.1"}`},
		{"POST", "…/actions/fails?blocking=true&result=true", "", 502, `{"error":"boom"}`},
		{"POST", "…/actions/throws?blocking=true&result=true", "", 502, `{"error":"An error has occurred: Error: boom"}`},
		{"POST", "…/actions/slow?blocking=true&timeout=100", "", 202, `{"activationId":"{id}"}`},
		{"POST", "…/actions/array?blocking=true", "", 200, `[1,{"error":2}]`},
		{"POST", "…/actions/none", "", 404, failed("The requested resource does not exist.")},
		{"GET", "…/actions?limit=201", "", 400, failed("The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for actions.")},
		{"PUT", "…/actions/x", `{"exec":{"kind":"cobol:1","code":"x"}}`, 400, failed("The request content was malformed:\nThe specified runtime 'cobol:1' is not supported by this platform. Valid values are: 'nodejs:14', 'nodejs:20', 'java:8', 'sequence', 'blackbox'.")},
		{"PUT", "…/actions/x", `{"exec":{"kind":"nodejs:20","code":"x"},"limits":{"memory":64}}`, 400, failed("memory size 64 MB below allowed threshold of 128 MB")},
		{"PUT", "…/actions/x", `{}`, 400, failed("exec undefined")},
		{"GET", "/api/v1/namespaces/other/actions/x", "", 403, failed("The supplied authentication is not authorized to access 'other/x'.")},
		{"GET", "…/activations/zzz", "", 400, failed("Activation id length is 3 but must be 32.")},
	})
	s.invoke.allowed = s.invoke.calls
	s.run([]step{{"POST", "…/actions/hello", "", 429, failed("Too many requests in the last minute (count: 2, allowed: 1).")}})

	r := s.send("GET", "/api/v1/namespaces/_/actions/none", "", "Authorization", "")
	if want := failed("The resource requires authentication, which was not supplied with the request"); r.status != 401 || normal(r.body) != want {
		t.Errorf("without authorization: %d %s", r.status, r.body)
	}
}

func TestFailuresOfOurOwnAreNotShown(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/broken")
	s.mustPut("actions/ours")
	s.run([]step{
		{"POST", "…/actions/broken?blocking=true", "", 500, failed("There was an internal server error.")},
		{"POST", "…/actions/ours?blocking=true&result=true", "", 500, `{"error":"There was an internal error."}`},
	})
}

func TestAuthentication(t *testing.T) {
	s := newSystem(t, nil)
	const missing, invalid = whisk.MsgAuthenticationMissing, whisk.MsgAuthenticationInvalid
	uuid, secret, _ := strings.Cut(GuestKey, ":")
	for _, tt := range []struct {
		name, path, header string
		status             int
		want               string
	}{
		{"good", "/api/v1/namespaces", basic(GuestKey), 200, `["guest"]`},
		{"lower-case scheme", "/api/v1/namespaces/", "basic" + strings.TrimPrefix(basic(GuestKey), "Basic"), 200, `["guest"]`},
		{"upper-case uuid", "/api/v1/namespaces", basic(strings.ToUpper(uuid) + ":" + secret), 200, `["guest"]`},
		{"other", "/api/v1/namespaces", basic(strangerKey), 200, `["stranger"]`},
		{"none", "/api/v1/namespaces", "", 401, failed(missing)},
		{"bearer", "/api/v1/namespaces", "Bearer x", 401, failed(missing)},
		{"not base64", "/api/v1/namespaces", "Basic §", 401, failed(invalid)},
		{"no colon", "/api/v1/namespaces", basic("guest"), 401, failed(invalid)},
		{"wrong secret", "/api/v1/namespaces", basic(uuid + ":" + secret[1:] + "x"), 401, failed(invalid)},
		{"short secret", "/api/v1/namespaces", basic(uuid + ":" + secret[:63]), 401, failed(invalid)},
		{"empty", "/api/v1/namespaces", basic(":"), 401, failed(invalid)},
		{"secret of another", "/api/v1/namespaces", basic(uuid + strangerKey[36:]), 401, failed(invalid)},
		{"unknown path without", "/api/v1/nonsense", "", 401, failed(missing)},
		{"unknown path with", "/api/v1/nonsense", basic(GuestKey), 404, failed(whisk.MsgNoSuchPath)},
	} {
		r := s.send("GET", tt.path, "", "Authorization", tt.header)
		if r.status != tt.status || normal(r.body) != tt.want {
			t.Errorf("%s: %d %s", tt.name, r.status, r.body)
		}
		challenge := ""
		if tt.status == 401 {
			challenge = `Basic realm="OpenWhisk secure realm",charset=UTF-8`
		}
		if r.header.Get("WWW-Authenticate") != challenge {
			t.Errorf("%s: WWW-Authenticate %q", tt.name, r.header.Get("WWW-Authenticate"))
		}
	}
}

func TestOpenDocuments(t *testing.T) {
	s := newSystem(t, func(c *Config) {
		c.Limits.Namespace = whisk.NamespaceLimits{InvocationsPerMinute: 60, ConcurrentInvocations: 30, FiresPerMinute: 60}
		guest := identity("guest", GuestKey)
		guest.Limits = c.Limits.Namespace
		c.Identities = directory(t, guest)
		c.Limits.Concurrency.Max = 1
	})
	const version = `{"api_version":"1.0.0","api_version_path":"v1","build":"2026-01-02T03:04:05Z","buildno":"standalone","description":"OpenWhisk API","swagger_paths":{"api-docs":"/api-docs","ui":"/docs"}}`
	for _, tt := range []struct {
		method, path string
		status       int
		mime, want   string
	}{
		{"GET", "/api/v1", 200, "application/json", version},
		{"GET", "/api/v1/", 200, "application/json", version},
		{"GET", "/", 200, "application/json", `{"api_paths":["/api/v1"],"description":"OpenWhisk","limits":{"actions_per_minute":60,"concurrent_actions":30,` +
			`"max_action_duration":300000,"min_action_duration":100,"default_max_action_duration":300000,"default_min_action_duration":100,` +
			`"max_action_memory":536870912,"min_action_memory":134217728,"default_max_action_memory":536870912,"default_min_action_memory":134217728,` +
			`"max_action_logs":10485760,"min_action_logs":0,"default_max_action_logs":10485760,"default_min_action_logs":0,"sequence_length":50,"triggers_per_minute":60},` +
			`"runtimes":{"nodejs":[{"attached":true,"default":false,"deprecated":false,"image":"openwhisk/action-nodejs-v14:nightly","kind":"nodejs:14","requireMain":false},` +
			`{"attached":true,"default":true,"deprecated":false,"image":"openwhisk/action-nodejs-v20:nightly","kind":"nodejs:20","requireMain":false}],` +
			`"java":[{"attached":true,"default":true,"deprecated":false,"image":"openwhisk/java8action:nightly","kind":"java:8","requireMain":true}]},` +
			`"support":{"github":"https://github.com/apache/openwhisk/issues","slack":"http://slack.openwhisk.org"}}`},
		{"GET", "/ping", 200, "text/plain; charset=UTF-8", "pong"},
		{"GET", "/invokers", 200, "application/json", `{"invoker0/0":"up"}`},
		{"GET", "/invokers/ready", 200, "application/json", `{"healthy":"1/1"}`},
		{"GET", "/nonsense", 404, "text/plain; charset=UTF-8", "The requested resource could not be found."},
		{"GET", "/api/v1nonsense", 404, "text/plain; charset=UTF-8", "The requested resource could not be found."},
		{"POST", "/", 404, "text/plain; charset=UTF-8", "The requested resource could not be found."},
		{"OPTIONS", "/api/v1/namespaces/x/actions/y", 200, "", ""},
	} {
		r := s.send(tt.method, tt.path, "", "Authorization", "")
		if r.status != tt.status || r.body != tt.want || r.header.Get("Content-Type") != tt.mime {
			t.Errorf("%s %s: %d %s %s", tt.method, tt.path, r.status, r.header.Get("Content-Type"), r.body)
		}
	}
	s.run([]step{{"GET", "…/limits", "", 200, `{"concurrentInvocations":30,"firesPerMinute":60,"invocationsPerMinute":60,` +
		`"maxActionConcurrency":1,"minActionConcurrency":1,"maxActionLogs":10,"minActionLogs":0,"maxActionMemory":512,"minActionMemory":128,` +
		`"maxActionTimeout":300000,"minActionTimeout":100,"maxActionInstances":30,"maxParameterSize":"1048576 B"}`}})
}

func TestRequestID(t *testing.T) {
	s := newSystem(t, nil)
	for given, kept := range map[string]bool{
		"mine": true, `with "quotes"`: true, "sid_1": false, "": false, strings.Repeat("x", 300): false,
	} {
		r := s.send("GET", "/api/v1/namespaces/_/actions/none", "", "X-Request-ID", given)
		got := r.header.Get("X-Request-ID")
		if (got == given) != kept {
			t.Errorf("given %q: answered %q", given, got)
		}
		var e struct{ Code, Error string }
		if err := json.Unmarshal([]byte(r.body), &e); err != nil || e.Code != got {
			t.Errorf("given %q: code %q, header %q", given, e.Code, got)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a")
	none := failed(whisk.MsgNoSuchPath)
	s.run([]step{
		{"POST", "…/actions", "{}", 404, none},
		{"PUT", "…/actions/", "{}", 404, none},
		{"DELETE", "…/actions", "", 404, none},
		{"PATCH", "…/actions/a", "{}", 404, none},
		{"POST", "…/packages/p", "{}", 404, none},
		{"PUT", "…/activations/x", "{}", 404, none},
		{"GET", "…/actions/a/b/c", "", 404, none},
		{"GET", "…//actions/a", "", 404, none},
		{"GET", "…/actions/../actions/a", "", 404, none},
		{"GET", "…/triggersX", "", 404, none},
		{"GET", "…/actions?" + strings.Repeat("x", 8200), "", 414, failed(whisk.MsgURITooLong)},
	})
	if r := s.send("HEAD", "/api/v1/namespaces/_/actions/a", ""); r.status != 404 {
		t.Errorf("HEAD: %d", r.status)
	}
}

func TestWellKnownKeyOnlyFromLoopback(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.WellKnown = true })
	for _, tt := range []struct {
		host, origin string
		ok           bool
	}{
		{"127.0.0.1:3233", "", true}, {"localhost", "", true}, {"LOCALHOST:1", "", true}, {"[::1]:3233", "", true},
		{"[::1]", "", true}, {"127.8.9.1", "", true},
		{"example.org", "", false}, {"127.0.0.1.example.org:3233", "", false}, {"10.0.0.1", "", false}, {"localhost.example.org", "", false},
		{"localhost:3233", "http://localhost:3232", true}, {"localhost:3233", "http://127.0.0.1", true},
		{"localhost:3233", "https://example.org", false}, {"localhost:3233", "null", false},
	} {
		for _, path := range []string{"/", "/api/v1/namespaces"} {
			headers := []string{"Host", tt.host}
			if tt.origin != "" {
				headers = append(headers, "Origin", tt.origin)
			}
			r := s.send("GET", path, "", headers...)
			if ok := r.status == 200; ok != tt.ok || !ok && (r.status != 403 || normal(r.body) != failed(msgWellKnownKey)) {
				t.Errorf("%s Host %s, Origin %q: %d %s", path, tt.host, tt.origin, r.status, r.body)
			}
		}
	}
	if !WellKnown(GuestKey) || !WellKnown(SystemKey) || WellKnown(strangerKey) {
		t.Error("WellKnown")
	}
}

func TestNewRefuses(t *testing.T) {
	a, _ := newAPI(t, nil)
	c := a.Config
	c.Catalog = nil
	if _, err := New(c); err == nil {
		t.Error("no catalog: accepted")
	}
}
