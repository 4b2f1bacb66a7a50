package admin_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"millrace/admin"
	"millrace/internal/fieldcrypt"
	"millrace/plugin"
	"millrace/store"
	"millrace/store/mem"
)

// The clock of backtracking patterns stops by itself, some time after the last match.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2.runClock"))
}

func init() {
	plugin.Register[tester]("tester", 1, `{"type":"object",
		"properties":{"count":{"type":"integer","minimum":1},"token":{"type":"string"}},"encrypt_fields":["token"]}`,
		plugin.AsMetadata[struct{}](`{"type":"object","properties":{"size":{"type":"integer"}}}`))
}

// tester is a plugin with a small schema and a secret.
type tester struct{}

func (*tester) Access(*plugin.Context) error { return nil }

const (
	adminKey  = "own-admin-key"
	viewerKey = "own-viewer-key"
	plain     = `{"uri":"/hello","upstream":{"type":"roundrobin","nodes":{"127.0.0.1:1980":1}}}`
)

// bench is an Admin API on a store, with a client that has the admin key.
type bench struct {
	t     testing.TB
	url   string
	store store.Store
}

func start(t testing.TB, change func(*admin.Config)) *bench {
	t.Helper()
	s := mem.New()
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3", "edd1c9f0985e76a2"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := admin.Config{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: s, KeyRequired: true, CORS: true, APIVersion: "v3", Version: "1.2.3", Keyring: ring,
		Keys:       []admin.Key{{Name: "admin", Key: adminKey, Role: "admin"}, {Name: "viewer", Key: viewerKey, Role: "viewer"}},
		AllowAdmin: []string{"127.0.0.0/24"},
	}
	if change != nil {
		change(&cfg)
	}
	h, err := admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t, server.URL, s}
}

// reply is an answer, with times and store revisions left to want.
type reply struct {
	status int
	body   string
	header http.Header
}

// do sends a request below /apisix/admin with the admin key, unless headers say
// otherwise: they are name and value in turn.
func (b *bench) do(method, path, body string, headers ...string) reply {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+"/apisix/admin"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-API-KEY", adminKey)
	for i := 0; i < len(headers); i += 2 {
		switch name, value := headers[i], headers[i+1]; {
		case name == "Host":
			r.Host = value
		case value == "":
			r.Header.Del(name)
		default:
			r.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{resp.StatusCode, string(text), resp.Header}
}

var times = regexp.MustCompile(`"(create|update)_time":\d{10}`)

// expect compares a reply: bodies that are JSON as JSON, with timestamps written T.
func (b *bench) expect(got reply, status int, body string) {
	b.t.Helper()
	if got.status != status {
		b.t.Errorf("status %d, want %d", got.status, status)
	}
	text := times.ReplaceAllString(got.body, `"${1}_time":"T"`)
	var gotJSON, wantJSON any
	if json.Unmarshal([]byte(body), &wantJSON) != nil || json.Unmarshal([]byte(text), &gotJSON) != nil {
		if text != body {
			b.t.Errorf("got  %s\nwant %s", text, body)
		}
		return
	}
	if diff := cmp.Diff(wantJSON, gotJSON); diff != "" {
		b.t.Errorf("body (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(got.body, "}\n") && !strings.HasSuffix(got.body, "]\n") {
		b.t.Errorf("%q does not end with a line feed", got.body)
	}
}

func msg(text string) string {
	b, _ := json.Marshal(map[string]string{"error_msg": text})
	return string(b)
}

func routeBody(id string) string {
	return `{"id":"` + id + `","uri":"/hello","upstream":{"type":"roundrobin","nodes":{"127.0.0.1:1980":1}},"create_time":"T","update_time":"T"}`
}

func TestLifeOfARoute(t *testing.T) {
	b := start(t, nil)
	stored := `{"key":"/apisix/routes/1","value":` + routeBody("1") + `}`
	b.expect(b.do("GET", "/routes", ""), 200, `{"total":0,"list":[]}`)
	b.expect(b.do("GET", "/routes/1", ""), 404, `{"message":"Key not found"}`)
	first := b.do("PUT", "/routes/1", plain)
	b.expect(first, 201, stored)
	b.expect(b.do("PUT", "/routes/1", plain), 200, stored)
	b.expect(b.do("GET", "/routes/1", ""), 200, `{"key":"/apisix/routes/1","value":`+routeBody("1")+`,"createdIndex":1,"modifiedIndex":2}`)
	b.expect(b.do("PATCH", "/routes/1", `{"desc":"x"}`), 200, strings.Replace(stored, `"uri"`, `"desc":"x","uri"`, 1))
	b.expect(b.do("GET", "/routes", ""), 200, `{"total":1,"list":[{"key":"/apisix/routes/1","value":`+
		strings.Replace(routeBody("1"), `"uri"`, `"desc":"x","uri"`, 1)+`,"createdIndex":1,"modifiedIndex":3}]}`)
	b.expect(b.do("DELETE", "/routes/1", ""), 200, `{"key":"/apisix/routes/1","deleted":"1"}`)
	b.expect(b.do("DELETE", "/routes/1", ""), 404, `{"message":"Key not found"}`)
	b.expect(b.do("POST", "/routes", plain), 201, `{"key":"/apisix/routes/00000000000000000005","value":`+routeBody("00000000000000000005")+`}`)
	if got := first.header["Content-Type"]; !cmp.Equal(got, []string{"application/json"}) {
		t.Errorf("Content-Type %q", got)
	}
}

func TestHeaders(t *testing.T) {
	b := start(t, nil)
	cors := map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers": "*", "Access-Control-Max-Age": "3600", "Server": "APISIX/3.18.0 millrace/1.2.3",
	}
	preflight := map[string]string{"Access-Control-Allow-Methods": "POST, GET, PUT, OPTIONS, DELETE, PATCH", "Access-Control-Allow-Headers": "*", "Content-Length": "0"}
	maps.Copy(preflight, cors)
	tests := []struct {
		name    string
		got     reply
		status  int
		version string
		headers map[string]string
	}{
		{"handled", b.do("GET", "/routes", ""), 200, "v3", cors},
		{"handled error", b.do("GET", "/routes/1", ""), 404, "v3", cors},
		{"not handled", b.do("GET", "/routs", ""), 404, "", cors},
		{"no key", b.do("GET", "/routes", "", "X-API-KEY", ""), 401, "", cors},
		{"preflight", b.do("OPTIONS", "/routes/1", "", "X-API-KEY", ""), 200, "", preflight},
		{"probe", b.do("HEAD", "", "", "X-API-KEY", ""), 200, "", cors},
		{"root", b.do("GET", "", ""), 404, "", cors},
		{"method", b.do("TRACE", "/routes", ""), 404, "", cors},
	}
	for _, tt := range tests {
		if tt.got.status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, tt.got.status, tt.status)
		}
		if got := tt.got.header.Get("X-API-VERSION"); got != tt.version {
			t.Errorf("%s: version %q, want %q", tt.name, got, tt.version)
		}
		for name, want := range tt.headers {
			if got := tt.got.header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", tt.name, name, got, want)
			}
		}
	}
	if got := start(t, func(c *admin.Config) { c.CORS = false }).do("GET", "/routes", "").header; got.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS headers although CORS is off")
	}
}
