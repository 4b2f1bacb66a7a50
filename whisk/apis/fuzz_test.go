package apis

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/whisk/runtime"
)

// Whatever is taken for an API can be kept, read again and served.
func FuzzSwagger(f *testing.F) {
	f.Add(swaggerOf(ownTarget, `"cors":{"enabled":true},`, `,"x-ibm-rate-limit":[{"units":1,"rate":2}],"securityDefinitions":{"k":{"type":"apiKey","name":"k","in":"query"}}`))
	f.Add(`{"basePath":"/x","info":{},"paths":{"/a/{b}":{"get":{"operationId":"o","parameters":[{"name":"b"}],"x-openwhisk":{"url":"http://localhost/api/v1/web/_/d/a.http"}}}}}`)
	f.Add(`{"basePath":7,"paths":[],"info":1,"x-gateway-configuration":{"assembly":{"execute":[{"operation-switch":{"case":[{"operations":[""],"execute":[{}]}]}}]}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a := open(t, newStore(t))
		in, _ := json.Marshal(map[string]any{"__ow_user": "guest", "apidoc": map[string]any{"namespace": "_", "swagger": text}})
		out, err := a.Functions()["apimgmt/createApi"](t.Context(), &runtime.Run{Namespace: "whisk.system", Args: in})
		if err != nil {
			t.Fatal(err)
		}
		status, body := answerOf(t, out)
		if status != 200 {
			if body["error"] == msgInternal {
				t.Errorf("%s: %v", text, body)
			}
			return
		}
		doc, _ := json.Marshal(body["apidoc"])
		must(t, a, "guest", "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": string(doc)}})
		if again := open(t, a.cfg.Store); len(again.list("guest")) != 1 {
			t.Errorf("%s: not read again", text)
		}
	})
}

// No path makes the gateway fail, or leads to a backend by way of a dot segment.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/x/y", "/x/b/%2e%2e", "/x/b/a%2fb", "//x", "/x/b/..;/", "%", "/x/b/%zz"} {
		f.Add(p)
	}
	a := open(f, newStore(f))
	addSwagger(f, a, "guest", `{"basePath":"/x","info":{"title":"t"},"paths":{"/y":{"get":{}},"/b/{id}":{"parameters":[{"name":"id"}],"get":{"x-openwhisk":{"url":"http://localhost/api/v1/web/_/d/a.http"}}}}}`)
	g := a.Gateway(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, "/api/v1/web/guest/d/a.http/x/b/")
		if !ok || rest == "" {
			panic("not the backend: " + r.URL.Path)
		}
		for _, part := range strings.FieldsFunc(rest, func(r rune) bool { return r == '/' || r == '\\' }) {
			if part == ".." || part == "." {
				panic("a dot segment: " + r.URL.Path)
			}
		}
	}))
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := r.URL.Parse("/api/" + guestID + path)
		if err != nil {
			return
		}
		r.URL = u
		g.ServeHTTP(httptest.NewRecorder(), r)
	})
}

func BenchmarkServe(b *testing.B) {
	a := open(b, newStore(b))
	for _, path := range []string{"/books", "/books/all", "/authors"} {
		must(b, a, "guest", "createApi", args{"apidoc": endpointDoc("/club", path, "GET", "hello")})
	}
	g := a.Gateway(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/api/"+guestID+"/club/books/all?x=1", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		g.ServeHTTP(w, r)
	}
}
