package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"millrace/admin"
	"millrace/resource"
	"millrace/store"
	"millrace/store/mem"
)

// api is an Admin API without keys, over a store that holds something of most kinds.
func api(tb testing.TB) (http.Handler, store.Store) {
	s := mem.New()
	tb.Cleanup(func() { s.Close() })
	h, err := admin.New(admin.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: s, APIVersion: "v3", Stream: true, InsecureWellKnownKeys: true})
	if err != nil {
		tb.Fatal(err)
	}
	for path, body := range map[string]string{
		"/upstreams/1": `{"nodes":{"127.0.0.1:1980":1}}`, "/routes/1": `{"uri":"/a","plugins":{"tester":{"count":1}},"upstream_id":"1"}`,
		"/services/1": `{"hosts":["a.com"]}`, "/secrets/vault/1": `{"uri":"http://a","prefix":"a","token":"t"}`, "/global_rules/1": `{"plugins":{}}`,
		"/consumers/jack": `{"username":"jack"}`, "/ssls/1": `{"sni":"a.com","cert":"$env://A","key":"$env://B"}`,
	} {
		if status, _ := ask(tb, h, "PUT", path, body); status >= 300 && path != "/routes/1" {
			tb.Fatal(path, status)
		}
	}
	return h, s
}

// ask answers the status and body of a request; every answer must be well formed.
func ask(tb testing.TB, h http.Handler, method, path, body string) (int, []byte) {
	u := url.URL{Scheme: "http", Host: "localhost", Path: "/apisix/admin" + path}
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL = &u
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(w.Body.Bytes()) {
		tb.Errorf("%s %s %s: not JSON: %s", method, path, body, w.Body)
	}
	return w.Code, w.Body.Bytes()
}

// read makes sure that what is stored can be read by the gateway.
func read(tb testing.TB, s store.Store) {
	entries, _, err := s.List(context.Background(), resource.Prefix)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		folder, _, _ := resource.SplitKey(e.Key)
		parse := map[string]func([]byte) error{
			"routes": parsed[resource.Route], "services": parsed[resource.Service], "upstreams": parsed[resource.Upstream], "consumers": parsed[resource.Consumer],
			"credentials": parsed[resource.Credential], "consumer_groups": parsed[resource.ConsumerGroup], "ssls": parsed[resource.SSL],
			"global_rules": parsed[resource.GlobalRule], "plugin_configs": parsed[resource.PluginConfig], "plugin_metadata": parsed[json.RawMessage],
			"stream_routes": parsed[resource.StreamRoute], "protos": parsed[json.RawMessage], "secrets": parsed[resource.VaultSecret],
		}[folder]
		if parse == nil || folder == "secrets" && !strings.Contains(e.Key, "/vault/") {
			continue
		}
		if err := parse(e.Value); err != nil {
			tb.Errorf("%s is stored and cannot be read: %v\n%s", e.Key, err, e.Value)
		}
	}
}

func parsed[T any](raw []byte) error {
	_, err := resource.Parse[T](raw, nil)
	return err
}

func FuzzPut(f *testing.F) {
	for path, body := range map[string]string{
		"/routes/1": plain, "/services/2": `{"upstream":{"nodes":[{"host":"a","weight":1}],"checks":{"active":{"healthy":{"interval":2}}}}}`,
		"/consumers": `{"username":"a","plugins":{"key-auth":{"key":"k"}},"labels":{"custom_id":"1"}}`, "/consumers/jack/credentials/1": `{"plugins":{"key-auth":{"key":"k"}}}`,
		"/ssls/1": `{"snis":["a.com"],"cert":"$env://A","key":"$env://B","client":{"ca":"$env://A","depth":2}}`, "/protos/1": `{"content":"syntax = \"proto3\"; message A {}"}`,
		"/stream_routes/1": `{"server_port":1,"protocol":{"name":"a","logger":[{"name":"b","conf":{},"filter":[]}]}}`, "/secrets/gcp/1": `{"auth_file":"a"}`,
		"/global_rules/2": `{"plugins":{"tester":{"count":1.0}}}`, "/plugin_metadata/tester": `{"size":1e0}`, "/consumer_groups/a": `{"plugins":[]}`,
		"/configs/validate": jsonDocument, "/secrets/vault/1": `{"uri":"http://a","prefix":"a","token":"t","namespace":5}`,
	} {
		f.Add(path, body)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		h, s := api(t)
		for _, method := range []string{"PUT", "PUT", "POST", "GET", "DELETE"} {
			if status, text := ask(t, h, method, path, body); status == http.StatusServiceUnavailable {
				t.Errorf("%s %s %s: %s", method, path, body, text)
			}
			read(t, s)
		}
	})
}

func FuzzPatch(f *testing.F) {
	for path, body := range map[string]string{
		"/routes/1": `{"upstream_id":null,"plugins":{"tester":{"count":2}}}`, "/routes/1/plugins/tester/count": `3`, "/upstreams/1/nodes": `[]`,
		"/services/1/hosts": `["b.com"]`, "/secrets/vault/1/token": `"u"`, "/ssls/1/snis": `null`, "/global_rules/1/plugins": `{"tester":{}}`,
		"/routes/1/": `{}`, "/routes//1//uri": `"/b"`, "/routes/1/uri/a": `1`, "/consumers/jack": `{}`,
	} {
		f.Add(path, body)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		h, s := api(t)
		status, _ := ask(t, h, "PATCH", path, body)
		if read(t, s); status != http.StatusOK {
			return
		}
		if again, text := ask(t, h, "PATCH", path, body); again != http.StatusOK {
			t.Errorf("PATCH %s %s succeeds once only: %d %s", path, body, again, text)
		}
	})
}

func FuzzStandalone(f *testing.F) {
	f.Add(jsonDocument, false)
	f.Add("routes:\n- {id: 1, uri: /a, plugins: {}}\nroutes_conf_version: 2", true)
	f.Fuzz(func(t *testing.T, doc string, isYAML bool) {
		s := mem.New()
		defer s.Close()
		h, err := admin.NewStandalone(admin.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Store: s, InsecureWellKnownKeys: true})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("PUT", "/apisix/admin/configs", strings.NewReader(doc))
		r.Header.Set("X-Digest", "a")
		if isYAML {
			r.Header.Set("Content-Type", "application/yaml")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 202 && w.Code != 400 {
			t.Errorf("%s: %d %s", doc, w.Code, w.Body)
		}
		read(t, s)
		if status, body := ask(t, h, "GET", "/configs", ""); status != 200 {
			t.Errorf("%s: GET answers %d %s", doc, status, body)
		}
	})
}
