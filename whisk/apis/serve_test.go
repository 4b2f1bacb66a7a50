package apis

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"millrace/store"
)

var putAny = store.PutOptions{}

func TestServing(t *testing.T) {
	a := open(t, newStore(t))
	addEndpoint(t, a, "/hello", "/world", "GET", "hello")
	addEndpoint(t, a, "/hello", "/world", "POST", "other")
	addEndpoint(t, a, "/", "/root", "GET", "root")
	base := serve(t, a) + "/" + guestID
	seen := got(t, "GET", base+"/hello/world?a=1&b=%20x", http.Header{"X-Mine": {"yes"}, "Host": {"apis.example:99"}}, "")
	want := map[string]string{"method": "GET", "path": "/api/v1/web/guest/default/hello.json", "query": "a=1&b=%20x", "host": "localhost:3233"}
	for k, v := range want {
		if seen[k] != v {
			t.Errorf("%s: %v, want %s", k, seen[k], v)
		}
	}
	headers := seen["headers"].(map[string]any)
	for name, want := range map[string]string{
		"X-Mine": "yes", "X-Forwarded-Host": "apis.example:99", "X-Forwarded-Proto": "http", "X-Forwarded-For": "127.0.0.1",
		"X-Forwarded-Url": "http://apis.example:99/api/" + guestID + "/hello/world?a=1&b=%20x",
	} {
		if got := fmt.Sprint(headers[name]); got != "["+want+"]" {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if seen := got(t, "POST", base+"/hello/world/", nil, `{"x":1}`); seen["body"] != `{"x":1}` || seen["path"] != "/api/v1/web/guest/default/other.json" {
		t.Errorf("POST: %v", seen)
	}
	if seen := got(t, "GET", base+"/root", nil, ""); seen["path"] != "/api/v1/web/guest/default/root.json" {
		t.Errorf("base path /: %v", seen)
	}
	got(t, "GET", strings.Replace(base, guestID, strings.ToUpper(guestID), 1)+"/hello/world", nil, "")
}

func TestServingFailures(t *testing.T) {
	names := someTenants()
	a := open(t, newStore(t), func(c *Config) { c.Tenants = names })
	addEndpoint(t, a, "/hello", "/world", "GET", "hello")
	base := serve(t, a)
	for _, path := range []string{"", "/", "/" + otherID + "/hello/world", "/" + guestID, "/" + guestID + "/hello", "/" + guestID + "/hello/none",
		"/" + guestID + "/hello/world/more", "/" + guestID + "/hello//world", "/" + guestID + "/hello/./world", "/guest/hello/world", "/" + guestID + "//hello/world",
		"/" + guestID + "/hello/world//", "/" + guestID + strings.Repeat("/a", 100)} {
		wantFailure(t, "GET", base+path, nil, 404, "Error: Not found.")
	}
	wantFailure(t, "GET", strings.TrimSuffix(base, "/api")+"/elsewhere", nil, 404, "Error: Not found.")
	for _, method := range []string{"POST", "BREW"} {
		wantFailure(t, method, base+"/"+guestID+"/hello/world", nil, 404, "Error: Whoops. Verb not supported.")
	}
	delete(names, "guest")
	wantFailure(t, "GET", base+"/"+guestID+"/hello/world", nil, 404, "Error: Not found.")
}

func TestPathParameters(t *testing.T) {
	a := open(t, newStore(t))
	add := func(path, action string, names ...string) {
		must(t, a, "guest", "createApi", args{"responsetype": "http", "apidoc": endpointDoc("/club", path, "GET", action, func(doc, _ map[string]any) {
			if names != nil {
				doc["pathParameters"] = parametersOf(names...)
			}
		})})
	}
	add("/books/{id}", "book", "id")
	add("/books/{id}/pages/{page}", "page", "id", "page")
	add("/books/new", "fresh")
	base := serve(t, a) + "/" + guestID + "/club"
	cases := map[string]string{
		"/books/12":            "book.http/club/books/12",
		"/books/a%2Fb%20c":     "book.http/club/books/a%2Fb%20c",
		"/books/12/pages/3?x=": "page.http/club/books/12/pages/3",
		"/books/new":           "fresh.http",
		"/books/new/pages/1":   "page.http/club/books/new/pages/1",
	}
	for path, want := range cases {
		seen := got(t, "GET", base+path, nil, "")
		if seen["path"] != "/api/v1/web/guest/default/"+want {
			t.Errorf("%s: %v", path, seen["path"])
		}
		if uri := strings.TrimSuffix(seen["uri"].(string), "?x="); uri != seen["path"] {
			t.Errorf("%s: %v", path, seen["uri"])
		}
	}
	for _, path := range []string{"/books", "/books/", "/books/1/2", "/books/1/pages", "/books/%2e%2e", "/books/..%2f..%2fx", "/books/%2E", "/books/a%2f..", `/books/..%5cx`, "/books/%00", "/books//pages/1"} {
		wantFailure(t, "GET", base+path, nil, 404, "Error: Not found.")
	}
	doc := must(t, a, "guest", "getApi", nil)
	if target := at(t, doc, "apis", 0, "value", "apidoc", "x-ibm-configuration", "assembly", "execute", 0, "operation-switch", "case", 0, "execute", 0, "invoke", "target-url"); target != "http://localhost:3233/api/v1/web/guest/default/book.http$(request.path)" {
		t.Errorf("target %v", target)
	}
	for _, path := range []string{"/a{b}", "/{a}b", "/{}", "/a}", "/{a}{b}", "/{a", "/a//b", "/../b"} {
		refused(t, a, "guest", "createApi", args{"responsetype": "http", "apidoc": endpointDoc("/club", path, "GET", "book", func(doc, _ map[string]any) { doc["pathParameters"] = parametersOf("a", "b", "") })}, msgBadPath(path))
	}
}

func TestTheLongestBasePathIsServed(t *testing.T) {
	a := open(t, newStore(t))
	addEndpoint(t, a, "/a", "/b/c", "GET", "short")
	addEndpoint(t, a, "/a", "/b/d", "GET", "short")
	addEndpoint(t, a, "/a/b", "/c", "GET", "long")
	base := serve(t, a) + "/" + guestID
	for path, action := range map[string]string{"/a/b/c": "long", "/a/b/d": "short", "/%61/b/c": "long"} {
		if seen := got(t, "GET", base+path, nil, ""); seen["path"] != "/api/v1/web/guest/default/"+action+".json" {
			t.Errorf("%s: %v", path, seen["path"])
		}
	}
}

func TestTheSecretIsAdded(t *testing.T) {
	a := open(t, newStore(t))
	must(t, a, "guest", "createApi", args{"apidoc": endpointDoc("/x", "/y", "GET", "hello", func(_, action map[string]any) { action["secureKey"] = "s3cret" })})
	seen := got(t, "GET", serve(t, a)+"/"+guestID+"/x/y", http.Header{"X-Require-Whisk-Auth": {"guess"}}, "")
	if v := fmt.Sprint(at(t, seen, "headers", "X-Require-Whisk-Auth")); v != "[s3cret]" {
		t.Errorf("X-Require-Whisk-Auth: %s", v)
	}
}

// swaggerOf is an API at /x with GET /y and what else is given at top level.
func swaggerOf(target, cors, more string) string {
	return fmt.Sprintf(`{"basePath":"/x","info":{"title":"t"},"paths":{"/y":{"get":{"operationId":"o"},"post":{"operationId":"p"}}}%s,
	  "x-ibm-configuration":{%s"assembly":{"execute":[{"operation-switch":{"case":[
	    {"operations":["o","p"],"execute":[{"invoke":{"target-url":%q,"verb":"keep"}}]}]}}]}}}`, more, cors, target)
}

const ownTarget = "http://localhost:3233/api/v1/web/_/default/hello.json"

// The Serverless plugin writes https:// in front of whatever its API host is.
func TestTargetWithTwoSchemes(t *testing.T) {
	a := open(t, newStore(t))
	addSwagger(t, a, "guest", swaggerOf("https://"+ownTarget, "", ""))
	if seen := got(t, "GET", serve(t, a)+"/"+guestID+"/x/y", nil, ""); seen["path"] != "/api/v1/web/guest/default/hello.json" {
		t.Errorf("the action's path: %v", seen["path"])
	}
}

func TestCORS(t *testing.T) {
	cases := []struct{ cors, allowed string }{
		{"", "https://backend.example"},
		{`"cors":{"enabled":true},`, "https://backend.example"},
		{`"cors":{"enabled":false},`, ""},
	}
	for _, c := range cases {
		a := open(t, newStore(t))
		addSwagger(t, a, "guest", swaggerOf(ownTarget, c.cors, ""))
		url := serve(t, a) + "/" + guestID + "/x/y"
		if res, _ := send(t, "GET", url, nil, ""); res.Header.Get("Access-Control-Allow-Origin") != c.allowed {
			t.Errorf("%s: %v", c.cors, res.Header)
		}
		if !strings.Contains(c.cors, "true") {
			wantFailure(t, "OPTIONS", url, nil, 404, "Error: Whoops. Verb not supported.")
			continue
		}
		res, body := send(t, "OPTIONS", url, http.Header{"Access-Control-Request-Headers": {"x-mine"}}, "")
		h := res.Header
		if res.StatusCode != 200 || body != "" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") != "GET, POST, OPTIONS" || h.Get("Access-Control-Allow-Headers") != "x-mine" {
			t.Errorf("preflight: %d %q %v", res.StatusCode, body, h)
		}
		if res, _ := send(t, "DELETE", url, nil, ""); res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("a failure: %v", res.Header)
		}
		wantFailure(t, "OPTIONS", strings.TrimSuffix(url, "/y"), nil, 404, "Error: Not found.")
	}
}

func TestKeys(t *testing.T) {
	a := open(t, newStore(t))
	addSwagger(t, a, "guest", swaggerOf(ownTarget, "", `,"securityDefinitions":{"key":{"type":"apiKey","name":"x-api-key","in":"header"}}`))
	url := serve(t, a) + "/" + guestID + "/x/y"
	wantFailure(t, "GET", url, nil, 401, "Error: Unauthorized")
	wantFailure(t, "GET", url, http.Header{"X-Api-Key": {""}}, 401, "Error: Unauthorized")
	sub := must(t, a, "guest", "subscriptions", args{"basepath": "/x"})
	key := sub["key"].(string)
	wantFailure(t, "GET", url, http.Header{"X-Api-Key": {key + "x"}}, 401, "Error: Unauthorized")
	got(t, "GET", url, http.Header{"X-Api-Key": {key}}, "")
	must(t, a, "guest", "subscriptions", args{"basepath": "/x", "__ow_method": "delete", "id": sub["id"]})
	wantFailure(t, "GET", url, http.Header{"X-Api-Key": {key}}, 401, "Error: Unauthorized")

	addSwagger(t, a, "guest", swaggerOf(ownTarget, "", `,"securityDefinitions":{"Client Secret":{"type":"apiKey","name":"X-Client-Secret","in":"header"},"id":{"type":"apiKey","name":"client_id","in":"query"}}`))
	sub = must(t, a, "guest", "subscriptions", args{"basepath": "/x"})
	key, secret := sub["key"].(string), sub["secret"].(string)
	other := must(t, a, "guest", "subscriptions", args{"basepath": "/x"})
	got(t, "GET", url+"?client_id="+key, http.Header{"X-Client-Secret": {secret}}, "")
	wantFailure(t, "GET", url+"?client_id="+key, nil, 401, "Error: Unauthorized")
	wantFailure(t, "GET", url, http.Header{"X-Client-Secret": {secret}}, 401, "Error: Unauthorized")
	wantFailure(t, "GET", url+"?client_id="+key, http.Header{"X-Client-Secret": {other["secret"].(string)}}, 401, "Error: Unauthorized")

	for _, unsafe := range []string{`{"a":{"type":"oauth2"}}`, `{"a":{"type":"basic"}}`, `{"a":{"type":"apiKey","name":"secret","in":"header"}}`,
		`{"a":{"type":"apiKey","name":"x","in":"cookie"}}`, `{"a":{"type":"apiKey","name":"x","in":"header"},"b":{"type":"apiKey","name":"y","in":"header"}}`} {
		text := swaggerOf(ownTarget, "", `,"securityDefinitions":`+unsafe)
		refused(t, a, "guest", "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": text}}, msgBadSecurity("a"))
	}
}

func TestRateLimits(t *testing.T) {
	for _, name := range []string{"x-gateway-rate-limit", "x-ibm-rate-limit"} {
		a := open(t, newStore(t))
		limited := swaggerOf(ownTarget, "", `,"`+name+`":[{"unit":"day","units":400,"rate":2}]`)
		addSwagger(t, a, "guest", limited)
		url := serve(t, a) + "/" + guestID + "/x/y"
		got(t, "GET", url, nil, "")
		addSwagger(t, a, "guest", limited) // the count goes on
		got(t, "POST", url, nil, "")
		wantFailure(t, "GET", url, nil, 429, "Error: Rate limit exceeded")
		addSwagger(t, a, "guest", swaggerOf(ownTarget, "", `,"`+name+`":[{"unit":"day","units":400,"rate":3}],"securityDefinitions":{"k":{"type":"apiKey","name":"key","in":"header"}}`))
		for range 2 { // each client has its own
			key := must(t, a, "guest", "subscriptions", args{"basepath": "/x"})["key"].(string)
			for range 3 {
				got(t, "GET", url, http.Header{"Key": {key}}, "")
			}
			wantFailure(t, "GET", url, http.Header{"Key": {key}}, 429, "Error: Rate limit exceeded")
		}
		for _, bad := range []string{`[{"unit":"minute","units":0,"rate":1}]`, `[{"units":1}]`, `[{"units":1,"rate":0}]`, `{}`, `[{"units":1,"rate":"x"}]`} {
			refused(t, a, "guest", "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": swaggerOf(ownTarget, "", `,"`+name+`":`+bad)}}, msgBadRate)
		}
	}
}

func TestWindowsOfTime(t *testing.T) {
	l := &limit{rate: 2, seconds: 60}
	start := time.Unix(6_000_000, 0)
	for i, step := range []struct {
		after time.Duration
		ok    bool
	}{{0, true}, {time.Second, true}, {59 * time.Second, false}, {60 * time.Second, true}, {61 * time.Second, true}, {62 * time.Second, false}, {10 * time.Minute, true}} {
		if ok := l.admit(nil, start.Add(step.after)); ok != step.ok {
			t.Errorf("%d: %v", i, ok)
		}
	}
}

// backend is a server that is not the platform.
func backend(t *testing.T, h http.HandlerFunc) string {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestBackendsElsewhere(t *testing.T) {
	url := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Clear-Site-Data", `"*"`)
		w.Header().Set("X-Own", "yes")
		echo{}.ServeHTTP(w, r)
	})
	text := swaggerOf(url+"/some/where?own=1", "", "")
	a := open(t, newStore(t))
	addSwagger(t, a, "guest", text)
	wantFailure(t, "GET", serve(t, a)+"/"+guestID+"/x/y", nil, 502, "Error: The backend does not answer.")

	a = open(t, newStore(t), func(c *Config) { c.Backends = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	addSwagger(t, a, "guest", text)
	g := a.Gateway(echo{})
	srv := httptest.NewServer(g)
	t.Cleanup(func() { srv.Close(); g.proxy.(*http.Transport).CloseIdleConnections() })
	seen := got(t, "POST", srv.URL+"/api/"+guestID+"/x/y?q=a;b", http.Header{"X-Forwarded-For": {"10.1.1.1"}}, "body")
	if seen["path"] != "/some/where" || seen["query"] != "own=1&q=a;b" || seen["body"] != "body" || "http://"+seen["host"].(string) != url {
		t.Errorf("backend saw %v", seen)
	}
	if v := fmt.Sprint(at(t, seen, "headers", "X-Forwarded-For")); v != "[10.1.1.1, 127.0.0.1]" {
		t.Errorf("X-Forwarded-For: %s", v)
	}
	// What speaks for the origin that all tenants share does not pass.
	if res, _ := send(t, "GET", srv.URL+"/api/"+guestID+"/x/y", nil, ""); res.Header.Get("X-Own") != "yes" || res.Header.Get("Clear-Site-Data") != "" {
		t.Errorf("headers %v", res.Header)
	}
	// An API whose backend is itself.
	addSwagger(t, a, "guest", swaggerOf(srv.URL+"/api/"+guestID+"/x/y", "", ""))
	wantFailure(t, "GET", srv.URL+"/api/"+guestID+"/x/y", nil, 508, "Error: The backend of this API leads back to it.")
}

func TestAnswersStream(t *testing.T) {
	next := make(chan struct{})
	url := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		io.WriteString(w, "one\n")
		w.(http.Flusher).Flush()
		<-next
		io.WriteString(w, "two\n")
	})
	a := open(t, newStore(t), func(c *Config) { c.Backends = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	addSwagger(t, a, "guest", swaggerOf(url, `"cors":{"enabled":true},`, ""))
	g := a.Gateway(echo{})
	srv := httptest.NewServer(g)
	t.Cleanup(func() { srv.Close(); g.proxy.(*http.Transport).CloseIdleConnections() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/api/"+guestID+"/x/y", nil)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 4)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "one\n" {
		t.Fatalf("%q %v", first, err)
	}
	close(next)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "two\n" {
		t.Errorf("%q %v", rest, err)
	}
}

func TestWhichBackendsAreOurs(t *testing.T) {
	a := open(t, newStore(t), func(c *Config) { c.Local = func(base string) bool { return base == "http://10.0.0.5:3233" } })
	cases := map[string]bool{
		"http://localhost:3233/api/v1/web/a/b/c":     true,
		"http://127.0.0.1/api/v1/web/a/b/c":          true,
		"http://[::1]:99/api/v1/web/a/b/c":           true,
		"http://10.0.0.5:3233/api/v1/web/a/b/c":      true,
		"https://whisk.example:8443/api/v1/web/a/b":  true,
		"https://whisk.example/api/v1/web/a/b":       false,
		"http://10.0.0.6:3233/api/v1/web/a/b/c":      false,
		"http://localhost:3233/api/v1/namespaces":    false,
		"http://localhost.evil.example/api/v1/web/a": false,
	}
	for target, want := range cases {
		doc := &document{Tenant: guestID, Host: "whisk.example:8443", Swagger: []byte(swaggerOf(target, "", ""))}
		p, err := a.compile("guest", doc)
		if err != nil {
			t.Fatal(err)
		}
		if act := p.root.match([]string{"y"}).actions["GET"]; act.local != want {
			t.Errorf("%s: %v", target, act.local)
		}
	}
}

func TestAddressesOfBackends(t *testing.T) {
	allowed := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	cases := map[string]bool{
		"1.2.3.4:80": true, "[2606:4700::1]:443": true, "10.1.2.3:80": true,
		"10.2.0.1:80": false, "127.0.0.1:80": false, "[::1]:80": false, "[::ffff:127.0.0.1]:80": false, "169.254.169.254:80": false, "192.168.1.1:80": false,
		"172.16.0.1:80": false, "0.0.0.0:80": false, "[::]:80": false, "[fe80::1%eth0]:80": false, "[fd00::1]:80": false, "224.0.0.1:80": false,
		"255.255.255.255:80": false, "100.64.1.1:80": false, "[64:ff9b::7f00:1]:80": false, "[2002:7f00:1::]:80": false, "x:80": false,
	}
	for address, want := range cases {
		if err := checkAddress(address, allowed); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestBackendsOfOperations(t *testing.T) {
	a := open(t, newStore(t))
	addSwagger(t, a, "guest", `{"basePath":"/x","info":{"title":"t"},"paths":{
	  "/none":{"get":{}},
	  "/own":{"get":{"x-openwhisk":{"url":"http://localhost/api/v1/web/_/default/own.json"}}},
	  "/own/{id}":{"get":{"parameters":[{"name":"id"}],"x-openwhisk":{"url":"http://localhost/api/v1/web/_/default/own.http"}}}}}`)
	base := serve(t, a) + "/" + guestID + "/x"
	wantFailure(t, "GET", base+"/none", nil, 404, "Error: Whoops. Verb not supported.")
	if seen := got(t, "GET", base+"/own", nil, ""); seen["path"] != "/api/v1/web/guest/default/own.json" {
		t.Errorf("/own: %v", seen["path"])
	}
	if seen := got(t, "GET", base+"/own/7", nil, ""); seen["path"] != "/api/v1/web/guest/default/own.http/x/own/7" {
		t.Errorf("/own/7: %v", seen["path"])
	}
	// One backend for all operations, with another verb and headers.
	addSwagger(t, a, "guest", `{"basePath":"/x","info":{"title":"t"},"paths":{"/a":{"get":{"operationId":"a"}}},"x-gateway-configuration":{"assembly":{"execute":[
	  {"invoke":{"target-url":"http://localhost/api/v1/web/_/default/all.json","verb":"POST"}},
	  {"set-variable":{"actions":[{"set":"message.headers.X-One","value":1},{"set":"message.body","value":"ignored"}]}}]}}}`)
	seen := got(t, "GET", base+"/a", nil, "")
	if seen["path"] != "/api/v1/web/guest/default/all.json" || seen["method"] != "POST" || fmt.Sprint(at(t, seen, "headers", "X-One")) != "[1]" {
		t.Errorf("/a: %v", seen)
	}
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "A B", ""} {
		text := swaggerOf(ownTarget, "", "")
		text = strings.Replace(text, `"verb":"keep"}}`, `"verb":"keep"}},{"set-variable":{"actions":[{"set":"message.headers.`+name+`","value":"x"}]}}`, 1)
		refused(t, a, "guest", "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": text}}, msgUnreadable("message.headers."+name))
	}
	for _, target := range []string{"ftp://x/y", "http:///y", "//x/y", "http://u:p@x/y", "http://x/%zz", "mailto:x"} {
		refused(t, a, "guest", "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": swaggerOf(target, "", "")}}, msgBadBackend("o"))
	}
}

// proxied serves APIs that may call loopback, with little patience for clients.
func proxied(t *testing.T, target string) string {
	a := open(t, newStore(t), func(c *Config) { c.Backends = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	addSwagger(t, a, "guest", swaggerOf(target, "", ""))
	g := a.Gateway(echo{})
	g.pause = 20 * time.Millisecond
	srv := httptest.NewServer(g)
	t.Cleanup(func() { srv.Close(); g.proxy.(*http.Transport).CloseIdleConnections() })
	return srv.URL + "/api/" + guestID + "/x/y"
}

func TestABackendMayTakeLongerThanAClient(t *testing.T) {
	url := proxied(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(100 * time.Millisecond) // longer than a client may pause
		io.WriteString(w, "done")
	}))
	if res, body := send(t, "POST", url, nil, "body"); res.StatusCode != 200 || body != "done" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestAClientThatStopsInItsBody(t *testing.T) {
	url := proxied(t, backend(t, echo{}.ServeHTTP))
	r, _ := io.Pipe() // nothing is ever written
	defer r.Close()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, r)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != 408 || string(text) != `{"status":408,"message":"Error: The request body comes too slowly."}` {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

func TestCountsOfClientsThatAreGoneAreForgotten(t *testing.T) {
	a := open(t, newStore(t))
	addSwagger(t, a, "guest", swaggerOf(ownTarget, "", `,"x-ibm-rate-limit":[{"units":1,"rate":9}],"securityDefinitions":{"k":{"type":"apiKey","name":"key","in":"header"}}`))
	url := serve(t, a) + "/" + guestID + "/x/y"
	for range 3 {
		sub := must(t, a, "guest", "subscriptions", args{"basepath": "/x"})
		got(t, "GET", url, http.Header{"Key": {sub["key"].(string)}}, "")
		must(t, a, "guest", "subscriptions", args{"basepath": "/x", "__ow_method": "delete", "id": sub["id"]})
	}
	n := 0
	a.find("guest", "/x").limit.windows.Range(func(any, any) bool { n++; return true })
	if n != 0 {
		t.Errorf("%d counts", n)
	}
}
