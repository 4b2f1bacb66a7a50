package admin_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/admin"
	"millrace/internal/fieldcrypt"
)

func TestControl(t *testing.T) {
	b := start(t, nil)
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := admin.NewControl(admin.ControlConfig{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: b.store, Keyring: ring, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, host string) reply {
		r := httptest.NewRequest("GET", "http://"+host+path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return reply{w.Code, w.Body.String(), w.Header()}
	}
	b.expect(get("/v1/routes", "localhost"), 200, `{}`)
	b.expect(get("/v1/route/zz", "localhost"), 404, msg("route[zz] not found"))
	b.do("PUT", "/routes/1", `{"uri":"/a","plugins":{"tester":{"token":"a"}},"upstream":{"nodes":{"b.com:80":1,"[::1]":2,"1.1.1.1:9":0}}}`)
	item := `{"key":"/apisix/routes/1","createdIndex":1,"modifiedIndex":1,"orig_modifiedIndex":1,"has_domain":true,"value":{
		"id":"1","uri":"/a","priority":0,"status":1,"create_time":"T","update_time":"T","plugins":{"tester":{"token":"a","_meta":{}}},
		"upstream":{"type":"roundrobin","hash_on":"vars","scheme":"http","pass_host":"pass",
			"resource_key":"/apisix/routes/1","resource_id":"1","resource_version":1,
			"nodes":[{"host":"1.1.1.1","port":9,"weight":0},{"host":"[::1]","weight":2},{"host":"b.com","port":80,"weight":1}]}}}`
	b.expect(get("/v1/route/1", "localhost"), 200, item)
	b.expect(get("/v1/routes", "127.0.0.1:9090"), 200, "["+item+"]")
	schema := get("/v1/schema", "localhost")
	for _, want := range []string{`"main":{`, `"route":{`, `"tester":{"version":0.1,`, `"stream_plugins":{"streamer":{"version":0.1,`} {
		if !strings.Contains(schema.body, want) {
			t.Errorf("%s is not in %s", want, schema.body)
		}
	}
	if got := schema.header.Get("Server"); got != "millrace/1.2.3" {
		t.Errorf("Server %q", got)
	}
	if got := get("/v1/routes", "rebound.example.com"); got.status != http.StatusForbidden {
		t.Errorf("a name that was made to lead here: status %d", got.status)
	}
	for _, path := range []string{"/", "/v1", "/v2/routes", "/v1/nope", "/v1/schema/x"} {
		if got := get(path, "localhost"); got.status != http.StatusNotFound || !strings.Contains(got.body, "<h1>404 Not Found</h1>") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
