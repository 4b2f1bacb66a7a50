package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"millrace/admin"
	"millrace/resource"
)

// startStandalone is start for an Admin API of whole configurations.
func startStandalone(t *testing.T) *bench {
	t.Helper()
	var cfg admin.Config
	b := start(t, func(c *admin.Config) { cfg = *c })
	h, err := admin.NewStandalone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// stored answers the keys in the store, with their revisions.
func (b *bench) stored() map[string]int64 {
	b.t.Helper()
	entries, _, err := b.store.List(context.Background(), resource.Prefix)
	if err != nil {
		b.t.Fatal(err)
	}
	keys := map[string]int64{}
	for _, e := range entries {
		keys[strings.TrimPrefix(e.Key, resource.Prefix)] = e.ModRevision
	}
	delete(keys, "standalone")
	return keys
}

const jsonDocument = `{"routes":[{"id":"r1","uri":"/a","upstream_id":"u1","modifiedIndex":7},{"uri":"/b","plugins":{}}],
	"upstreams":[{"id":"u1","nodes":{"127.0.0.1:1980":1}}],
	"consumers":[{"username":"c1"},{"id":"c1/credentials/k","plugins":{"key-auth":{"key":"a"}}}],
	"plugin_metadata":[{"id":"tester","size":1}],"secrets":[{"id":"vault/1","uri":"http://a","prefix":"a","token":"t"}]}`

func TestStandalone(t *testing.T) {
	b := startStandalone(t)
	put := func(digest, body string) reply { return b.do("PUT", "/configs", body, "X-Digest", digest) }
	zero := b.do("GET", "/configs", "")
	var versions map[string]int
	if err := json.Unmarshal([]byte(zero.body), &versions); err != nil || len(versions) != 13 || versions["routes_conf_version"] != 0 || strings.HasSuffix(zero.body, "\n") {
		t.Errorf("nothing was put: %q %v", zero.body, err)
	}
	b.expect(b.do("PUT", "/configs", "{}"), 400, msg("missing digest header"))
	first := put("d1", jsonDocument)
	b.expect(first, 202, "")
	if first.header.Get("X-Digest") != "d1" || len(first.header.Get("X-Last-Modified")) != 10 || first.header.Get("X-API-VERSION") != "" {
		t.Errorf("headers %v", first.header)
	}
	want := []string{"routes/r1", "routes/arr_2", "upstreams/u1", "consumers/c1", "consumers/c1/credentials/k", "plugin_metadata/tester", "secrets/vault/1"}
	before := b.stored()
	for _, key := range want {
		if before[key] == 0 {
			t.Errorf("no %s in %v", key, before)
		}
	}
	if len(before) != len(want) {
		t.Errorf("stored %v", before)
	}
	b.expect(put("d1", `{`), 400, `{"error_msg":"invalid request body: Expected object key string but found T_END at character 2","req_body":"{"}`)
	b.expect(put("d1", `{}`), 204, "")
	b.expect(put("d2", strings.Replace(jsonDocument, `"/b"`, `"/c"`, 1)), 202, "")
	after := b.stored()
	for _, key := range want {
		if changed := after[key] != before[key]; changed != (key == "routes/arr_2") {
			t.Errorf("%s: revision %d, was %d", key, after[key], before[key])
		}
	}
	got := b.do("GET", "/configs", "")
	for _, part := range []string{`"routes_conf_version":2`, `"protos_conf_version":2`, `"X-Digest":"d2"`, `"X-Last-Modified":`, `"uri":"/c"`, `"modifiedIndex":7`} {
		if !strings.Contains(got.body, part) {
			t.Errorf("%s is not in %s", part, got.body)
		}
	}
	head := b.do("HEAD", "/configs", "")
	if head.status != 200 || head.body != "" || head.header.Get("X-Digest") != "d2" || head.header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	b.expect(put("d3", `{}`), 202, "")
	if left := b.stored(); len(left) != 0 {
		t.Errorf("an empty document leaves %v", left)
	}
}

func TestStandaloneVersions(t *testing.T) {
	b := startStandalone(t)
	digests := 0
	put := func(body string) reply {
		digests++
		return b.do("PUT", "/configs", body, "X-Digest", fmt.Sprint(digests))
	}
	b.expect(put(`{"routes_conf_version":5,"routes":[{"id":"r1","uri":"/a","plugins":{}}]}`), 202, "")
	b.expect(put(`{"routes_conf_version":"6"}`), 400, msg("routes_conf_version must be a number"))
	b.expect(put(`{"routes_conf_version":4}`), 400, msg("routes_conf_version must be greater than or equal to (5)"))
	b.expect(put(`{"routes_conf_version":5,"routes":[]}`), 202, "")
	if keys := b.stored(); len(keys) != 1 {
		t.Errorf("the same version changed the list: %v", keys)
	}
	b.expect(put(`{"routes":[{"id":"r1","uri":"/a","plugins":{}},{"id":"r1","uri":"/b","plugins":{}}]}`), 400, msg("found duplicate id r1 in routes"))
	b.expect(put(`{"consumers":[{"username":"a"},{"username":"a"}]}`), 400, msg("found duplicate username a in consumers"))
	b.expect(put(`{"consumers":[{"id":"a/credentials/b"},{"id":"a/credentials/b"}]}`), 400, msg("found duplicate credential id a/credentials/b in consumers"))
	b.expect(put(`{"routes":[{"id":"r1","plugins":{}}]}`), 400, msg("invalid configuration: allOf 1 failed: value should match only one schema, but matches none"))
	b.expect(put(``), 400, msg("invalid request body: empty request body"))
	b.expect(put(`5`), 400, msg("invalid configuration"))
	b.expect(put(`{"routes":{"id":"r1"}}`), 400, msg("invalid configuration: routes must be an array"))
	b.expect(b.do("POST", "/configs/validate", `{"routes":"x"}`), 400, msg("invalid configuration: routes must be an array"))
	b.expect(b.do("POST", "/configs/validate", `{"routes":{}}`), 200, `{}`)
	if got := b.do("GET", "/configs", ""); !strings.Contains(got.body, `"routes_conf_version":5`) || !strings.Contains(got.body, `"X-Digest":"4"`) {
		t.Errorf("refused documents changed something: %s", got.body)
	}
}

func TestStandaloneYAML(t *testing.T) {
	b := startStandalone(t)
	const doc = "routes:\n  - id: 1\n    uri: /a\n    plugins: {}\n    timeout: {connect: 0.5, send: 1, read: 1}\n"
	b.expect(b.do("PUT", "/configs", doc, "X-Digest", "y", "Content-Type", "application/yaml"), 202, "")
	b.expect(b.do("PUT", "/configs", "a: [", "X-Digest", "z", "Content-Type", "application/yaml"), 400, msg("invalid request body: invalid yaml request body"))
	b.expect(b.do("PUT", "/configs", "a: {1: 2}\n1: 2", "X-Digest", "z", "Content-Type", "application/yaml"), 400, msg("invalid request body: invalid yaml request body"))
	got := b.do("GET", "/configs", "", "Accept", "application/yaml")
	var back struct {
		Routes []struct {
			ID      int
			Timeout struct{ Connect float64 }
		}
		Version int `yaml:"routes_conf_version"`
	}
	if err := yaml.Unmarshal([]byte(got.body), &back); err != nil || back.Version != 1 || len(back.Routes) != 1 || back.Routes[0].ID != 1 || back.Routes[0].Timeout.Connect != 0.5 {
		t.Errorf("%s: %v %v", got.body, back, err)
	}
	if got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
	}
}

func TestStandalonePaths(t *testing.T) {
	b := startStandalone(t)
	for _, path := range []string{"GET /routes", "PUT /routes/1", "GET /configs/x", "POST /configs", "DELETE /configs", "GET /plugins/list"} {
		method, path, _ := strings.Cut(path, " ")
		if got := b.do(method, path, "{}"); got.status != http.StatusNotFound || !strings.Contains(got.body, "<h1>404 Not Found</h1>") {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
	b.expect(b.do("POST", "/configs/validate", jsonDocument), 200, `{}`)
	b.expect(b.do("GET", "/configs", "", "X-API-KEY", ""), 401, missing)
	b.expect(b.do("PUT", "/configs", "{}", "X-API-KEY", viewerKey), 401, viewer)
}
