package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"millrace/config"
	"millrace/server/servertest"
)

// echoing is an action that says what it got.
const echoing = `function main(p) { return {body: {method: p.__ow_method, path: p.__ow_path, x: p.x, y: p.y, host: p.__ow_headers.host}} }`

// api calls the management and answers its body.
func (s *site) api(method, action, query, body string) map[string]any {
	s.t.Helper()
	a := s.must(s.send(method, s.Functions+"/api/v1/web/whisk.system/apimgmt/"+action+query, body))
	var out map[string]any
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		s.t.Fatalf("%s: %v", a.Body, err)
	}
	return out
}

func endpoint(site *site, base, path, verb, action, more string) string {
	return `{"apidoc":{"namespace":"_","gatewayBasePath":"` + base + `","gatewayPath":"` + path + `","gatewayMethod":"` + verb + `","action":{"name":"` + action +
		`","namespace":"_","backendMethod":"GET","backendUrl":"` + site.Functions + `/api/v1/web/_/default/` + action + `.json","authkey":"` + servertest.GuestKey + `"` + more + `}}`
}

// The walk of spec/openwhisk.md §7: an API is made, served by web actions of this
// process, listed and deleted.
func TestAPIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.webAction("open", echoing, `{"web-export":true}`)
	s.webAction("locked", echoing, `{"web-export":true,"require-whisk-auth":"s3cret"}`)
	guest, _, _ := strings.Cut(servertest.GuestKey, ":")

	made := s.api("POST", "createApi.http", "?accesstoken=DUMMY+TOKEN&responsetype=http&spaceguid="+guest, endpoint(s, "/club", "/books", "GET", "open", "}"))
	url := made["gwApiUrl"].(string)
	if url != s.APIs+"/api/"+guest+"/club" {
		t.Errorf("gwApiUrl %s, served at %s", url, s.APIs)
	}
	// As the npm client calls it, without an extension.
	s.api("POST", "createApi", "?responsetype=http", endpoint(s, "/club", "/books/{id}", "POST", "open", `},"pathParameters":[{"name":"id"}]`))
	s.api("POST", "createApi", "?responsetype=http", endpoint(s, "/club", "/locked", "GET", "locked", `,"secureKey":"s3cret"}`))

	host := strings.TrimPrefix(s.Functions, "http://")
	cases := []struct{ method, path, body, want string }{
		{"GET", "/books?x=1", "", `{"method":"get","path":"","x":"1","host":"` + host + `"}`},
		{"POST", "/books/a%20b?x=1", `{"y":[2]}`, `{"method":"post","path":"/club/books/a%20b","x":"1","y":[2],"host":"` + host + `"}`},
		{"GET", "/locked", "", `{"method":"get","path":"","host":"` + host + `"}`},
		{"PUT", "/books", "", `{"status":404,"message":"Error: Whoops. Verb not supported."}`},
		{"GET", "/none", "", `{"status":404,"message":"Error: Not found."}`},
	}
	for _, c := range cases {
		if a := s.send(c.method, url+c.path, c.body); !sameJSON(a.Body, c.want) {
			t.Errorf("%s %s: %d %s, want %s", c.method, c.path, a.Status, a.Body, c.want)
		}
	}
	if a := s.send("OPTIONS", url+"/books", ""); a.Status != 200 || a.Header.Get("Access-Control-Allow-Methods") != "GET, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", a.Status, a.Header)
	}
	if a := s.send("GET", s.Functions+"/api/v1/web/guest/default/locked.json", ""); a.Status != 401 {
		t.Errorf("without the gateway: %d", a.Status)
	}
	if all := s.api("GET", "getApi.http", "?spaceguid="+guest, ""); len(all["apis"].([]any)) != 1 {
		t.Errorf("getApi: %v", all)
	}
	if a := s.send("DELETE", s.Functions+"/api/v1/web/whisk.system/apimgmt/deleteApi.http?basepath=/other", ""); a.Status != 502 || !sameJSON(a.Body, `{"error":"API deletion failure: API '/other' does not exist."}`) {
		t.Errorf("deleteApi: %d %s", a.Status, a.Body)
	}
	s.api("DELETE", "deleteApi.http", "?basepath=/club", "")
	if a := s.send("GET", url+"/books", ""); a.Status != 404 {
		t.Errorf("after its deletion: %d %s", a.Status, a.Body)
	}
}

// Keys are made, used and taken back as docs/apis.md says.
func TestAPIsWithKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.webAction("open", echoing, `{"web-export":true}`)
	text := `{"basePath":"/club","info":{"title":"t"},"securityDefinitions":{"k":{"type":"apiKey","name":"x-api-key","in":"query"}},
	  "paths":{"/books":{"get":{"x-openwhisk":{"url":"` + s.Functions + `/api/v1/web/_/default/open.json"}}}}}`
	doc, err := json.Marshal(map[string]any{"apidoc": map[string]string{"namespace": "_", "swagger": text}})
	if err != nil {
		t.Fatal(err)
	}
	url := s.api("POST", "createApi.http", "", string(doc))["gwApiUrl"].(string) + "/books?x-api-key="
	made := s.api("POST", "subscriptions.http", "", `{"basepath":"/club","name":"phone"}`)
	if a := s.send("GET", url+made["key"].(string), ""); a.Status != 200 {
		t.Errorf("with the key: %d %s", a.Status, a.Body)
	}
	list := s.api("GET", "subscriptions.http", "?basepath=/club", "")["subscriptions"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["name"] != "phone" {
		t.Errorf("list: %v", list)
	}
	s.api("DELETE", "subscriptions.http", "?basepath=/club&id="+made["id"].(string), "")
	if a := s.send("GET", url+made["key"].(string), ""); a.Status != 401 {
		t.Errorf("with a key that was taken back: %d %s", a.Status, a.Body)
	}
}

// Nobody is taken for somebody by what a request says of itself.
func TestAPIsNeedAKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	management := s.Functions + "/api/v1/web/whisk.system/apimgmt/"
	for query, want := range map[string]int{"": 502, "?__ow_user=guest": 400, "?__OW_USER=guest": 502} {
		resp, err := http.Get(management + "getApi.http" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || want == 502 && !sameJSON(string(body), `{"error":"Invalid authentication."}`) {
			t.Errorf("%q: %d %s", query, resp.StatusCode, body)
		}
	}
	// The actions cannot be called but through the web.
	for _, path := range []string{"/api/v1/namespaces/whisk.system/actions/apimgmt/getApi?blocking=true", "/api/v1/namespaces/whisk.system/packages/apimgmt"} {
		method := "POST"
		if strings.Contains(path, "packages") {
			method = "GET"
		}
		if a := s.send(method, s.Functions+path, `{"__ow_user":"guest"}`); a.Status != 403 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

func TestAPIsOutliveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := func(c *config.Config) { c.Ephemeral, c.Data = false, dir }
	var path string
	t.Run("before", func(t *testing.T) {
		s := start(t, keep)
		s.webAction("open", echoing, `{"web-export":true}`)
		path = strings.TrimPrefix(s.api("POST", "createApi.http", "", endpoint(s, "/a", "/b", "GET", "open", "}"))["gwApiUrl"].(string), s.APIs)
	})
	t.Run("after", func(t *testing.T) {
		s := start(t, keep)
		if a := s.send("GET", s.APIs+path+"/b", ""); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// While everybody knows a key, pages of other sites cannot reach the APIs.
func TestAPIsByTheRuleOfWellKnownKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	for header, want := range map[string]int{"http://localhost:8080": 404, "https://evil.example": 403} {
		req, _ := http.NewRequest("GET", s.APIs+"/api/x/y", nil)
		req.Header.Set("Origin", header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d", header, resp.StatusCode)
		}
	}
}

// sameJSON tells whether two texts are the same JSON.
func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}
