package apis

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/whisk/runtime"
)

// The documents of spec/openwhisk.md §7.1 and §7.3.
func TestCreateAnswersAsTheOriginal(t *testing.T) {
	a := open(t, newStore(t))
	doc := endpointDoc("/hello", "/world", "GET", "hello")
	body := must(t, a, "guest", "createApi", args{"apidoc": doc, "accesstoken": "DUMMY TOKEN", "spaceguid": guestID, "responsetype": "json"})
	want := parse(t, `{"namespace":"Not Used","tenantId":"Not Used","gwApiActivated":true,
	 "gwApiUrl":"http://localhost:3234/api/23bc46b1-71f6-4ed5-8c54-816aa4f8c502/hello",
	 "apidoc":{"swagger":"2.0","basePath":"/hello","info":{"title":"/hello","version":"1.0.0"},
	 "paths":{"/world":{"get":{"operationId":"getWorld",
	   "x-openwhisk":{"action":"hello","namespace":"guest","package":"","url":"http://localhost:3233/api/v1/web/guest/default/hello.json"},
	   "responses":{"default":{"description":"Default response"}}}}},
	 "x-ibm-configuration":{"cors":{"enabled":true},"assembly":{"execute":[{"operation-switch":{"case":[
	   {"operations":["getWorld"],"execute":[{"invoke":{"target-url":"http://localhost:3233/api/v1/web/guest/default/hello.json","verb":"keep"}}]}]}}]}}}}`)
	if diff := cmp.Diff(want, any(body)); diff != "" {
		t.Error(diff)
	}
	all := must(t, a, "guest", "getApi", args{"basepath": "/hello"})
	if diff := cmp.Diff(map[string]any{"apis": []any{map[string]any{"id": "Not Used", "key": "Not Used", "value": want}}}, all); diff != "" {
		t.Error(diff)
	}
	if out := must(t, a, "guest", "deleteApi", args{"basepath": "/hello"}); len(out) != 0 {
		t.Errorf("delete: %v", out)
	}
	if diff := cmp.Diff(map[string]any{"apis": []any{}}, must(t, a, "guest", "getApi", nil)); diff != "" {
		t.Error(diff)
	}
}

func TestCreateRefusals(t *testing.T) {
	a := open(t, newStore(t))
	without := func(field string) args {
		doc := endpointDoc("/a", "/b", "GET", "hello")
		delete(doc, field)
		return args{"apidoc": doc}
	}
	withoutAction := func(field string) args {
		doc := endpointDoc("/a", "/b", "GET", "hello")
		delete(doc["action"].(map[string]any), field)
		return args{"apidoc": doc}
	}
	withSwagger := func(text any) args { return args{"apidoc": map[string]any{"namespace": "_", "swagger": text}} }
	cases := []struct {
		in   args
		want string
	}{
		{args{}, "apidoc is required."},
		{args{"apidoc": ""}, "apidoc is required."},
		{args{"apidoc": "{"}, "apidoc field cannot be parsed. Ensure it is valid JSON."},
		{args{"apidoc": 1}, "apidoc field is of type number and should be a JSON object or a JSON string."},
		{without("namespace"), "apidoc is missing the namespace field"},
		{without("gatewayBasePath"), "apidoc is missing the gatewayBasePath field"},
		{without("gatewayPath"), "apidoc is missing the gatewayPath field"},
		{without("gatewayMethod"), "apidoc is missing the gatewayMethod field"},
		{without("action"), "apidoc is missing the action field."},
		{withoutAction("backendMethod"), "action is missing the backendMethod field."},
		{withoutAction("backendUrl"), "action is missing the backendUrl field."},
		{withoutAction("namespace"), "action is missing the namespace field."},
		{withoutAction("name"), "action is missing the name field."},
		{withoutAction("authkey"), "action is missing the authkey field."},
		{args{"apidoc": map[string]any{"namespace": "_", "swagger": "{}", "gatewayBasePath": "/a"}},
			"swagger and gatewayBasePath are mutually exclusive and cannot be specified together."},
		{withSwagger("{"), "swagger field cannot be parsed. Ensure it is valid JSON."},
		{withSwagger(7), "swagger field is number and should be an object or a JSON string."},
		{withSwagger(`{"info":{"title":"t"},"paths":{}}`), "swagger is missing the basePath field."},
		{withSwagger(`{"basepath":"/x","info":{"title":"t"},"paths":{}}`), "swagger is missing the basePath field."},
		{withSwagger(`{"info":{"title":"t"},"basePath":"/x"}`), "swagger is missing the paths field."},
		{withSwagger(`{"basePath":"/x","paths":{}}`), "swagger is missing the info field."},
		{args{"apidoc": endpointDoc("/a", "/b", "FETCH", "hello")},
			"API creation failure: Unable to configure the API Gateway (status code 400): Error: Resource verb 'fetch' not supported"},
		{withSwagger(`{"basePath":"/x","info":{"title":"t"},"paths":{"/a":{"look":{}}}}`),
			"API creation failure: Unable to configure the API Gateway (status code 400): Error: Resource verb 'look' not supported"},
		{args{"apidoc": endpointDoc("/a/{id}", "/b", "GET", "hello")},
			"API creation failure: The base path (/a/{id}) cannot have parameters. Only the relative path supports path parameters."},
		{args{"apidoc": endpointDoc("/a", "/b/{id}", "GET", "hello", func(doc, _ map[string]any) { doc["pathParameters"] = parametersOf("id") })},
			"API creation failure: The action must use a response type of '.http' in order to receive the path parameters."},
		{args{"responsetype": "http", "apidoc": endpointDoc("/a", "/b/{id}", "GET", "hello", func(doc, _ map[string]any) { doc["pathParameters"] = parametersOf("ID") })},
			"API creation failure: The parameter 'id' defined in path '/b/{id}' does not match any of the parameters defined for the path in the swagger file."},
		{withSwagger(`{"basePath":"/x","info":{"title":"t"},"paths":{"/a/{id}":{"parameters":[{"name":"id"}],"get":{"operationId":"o"}}},"x-ibm-configuration":{"assembly":{"execute":[
			{"operation-switch":{"case":[{"operations":["o"],"execute":[{"invoke":{"target-url":"http://localhost/api/v1/web/guest/default/a.http"}}]}]}}]}}}`),
			"API creation failure: The target-url for operationId 'o' must end in '$(request.path)' in order for actions to receive the path parameters."},
		{args{"responsetype": "../x", "apidoc": endpointDoc("/a", "/b", "GET", "hello")}, msgResponseType},
		{args{"apidoc": endpointDoc("/a", "/b", "GET", "he?llo")}, msgActionName},
		{args{"apidoc": endpointDoc("/a", "/b", "GET", "hello", func(_, action map[string]any) { action["backendUrl"] = "file:///etc/passwd" })}, msgBackendURL},
	}
	for _, c := range cases {
		refused(t, a, "guest", "createApi", c.in, c.want)
	}
	refused(t, a, "", "createApi", args{"apidoc": endpointDoc("/a", "/b", "GET", "hello")}, "A valid auth key is required.")
	if all := must(t, a, "guest", "getApi", nil); len(all["apis"].([]any)) != 0 {
		t.Errorf("left behind: %v", all)
	}
}

func TestGetAndDeleteRefusals(t *testing.T) {
	a := open(t, newStore(t))
	addEndpoint(t, a, "/x", "/y", "GET", "hello")
	refused(t, a, "", "getApi", nil, "Invalid authentication.")
	refused(t, a, "", "deleteApi", args{"basepath": "/x"}, "Invalid authentication.")
	refused(t, a, "guest", "deleteApi", nil, "basepath is required.")
	refused(t, a, "guest", "deleteApi", args{"basepath": "/x", "operation": "get"}, "When specifying an operation, the path is required.")
	refused(t, a, "guest", "deleteApi", args{"basepath": "/z"}, "API deletion failure: API '/z' does not exist.")
	refused(t, a, "guest", "deleteApi", args{"basepath": "/x", "relpath": "/z"}, "API deletion failure: path '/z' does not exist in the API")
	refused(t, a, "guest", "deleteApi", args{"basepath": "/x", "relpath": "/y", "operation": "POST"},
		"API deletion failure: path '/y' with operation 'post' does not exist in the API")
}

func TestCallersAreWhoTheyProveToBe(t *testing.T) {
	names := someTenants()
	names["guest"] = []string{guestID, "99999999-0000-0000-0000-000000000000"}
	a := open(t, newStore(t), func(c *Config) { c.Tenants = names })
	addEndpoint(t, a, "/x", "/y", "GET", "hello")
	for _, own := range []string{guestID, strings.ToUpper(guestID), names["guest"][1]} {
		if all := must(t, a, "guest", "getApi", args{"spaceguid": own}); len(all["apis"].([]any)) != 1 {
			t.Errorf("spaceguid %s: %v", own, all)
		}
	}
	refused(t, a, "other", "getApi", args{"spaceguid": guestID}, "Invalid authentication.")
	refused(t, a, "other", "deleteApi", args{"spaceguid": guestID, "basepath": "/x"}, "Invalid authentication.")
	refused(t, a, "other", "createApi", args{"spaceguid": guestID, "apidoc": endpointDoc("/x", "/y", "GET", "mine")}, "A valid auth key is required.")
	refused(t, a, "other", "deleteApi", args{"basepath": "/x"}, "API deletion failure: API '/x' does not exist.")
	if all := must(t, a, "other", "getApi", nil); len(all["apis"].([]any)) != 0 {
		t.Errorf("other sees %v", all)
	}
	refused(t, a, "gone", "getApi", nil, "Invalid authentication.")
	// A field that only looks like the one that the web handler sets.
	refused(t, a, "", "getApi", args{"__OW_USER": "guest"}, "Invalid authentication.")
	// A call that is no web request.
	out, err := a.Functions()["apimgmt/getApi"](t.Context(), &runtime.Run{Namespace: "other", Args: json.RawMessage(`{"__ow_user":"guest"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := answerOf(t, out); status != 502 || body["error"] != "Invalid authentication." {
		t.Errorf("call from another namespace: %d %v", status, body)
	}
}

func TestTheTenantIDStaysWhenKeysChange(t *testing.T) {
	names := someTenants()
	a := open(t, newStore(t), func(c *Config) { c.Tenants = names })
	addEndpoint(t, a, "/x", "/y", "GET", "hello")
	names["guest"] = []string{"99999999-0000-0000-0000-000000000000"}
	body := addEndpoint(t, a, "/z", "/y", "GET", "hello")
	if want := "http://localhost:3234/api/" + guestID + "/z"; body["gwApiUrl"] != want {
		t.Errorf("URL %v, want %s", body["gwApiUrl"], want)
	}
	must(t, a, "guest", "getApi", args{"spaceguid": guestID})
}

func TestAnEndpointIsMergedIntoItsAPI(t *testing.T) {
	a := open(t, newStore(t))
	must(t, a, "guest", "createApi", args{"apidoc": endpointDoc("/x", "/y", "GET", "first", func(doc, _ map[string]any) { doc["apiName"] = "Mine" })})
	addEndpoint(t, a, "/x", "/y", "POST", "second")
	body := must(t, a, "guest", "createApi", args{"responsetype": "http", "apidoc": endpointDoc("/x", "/z", "get", "pkg/third", func(doc, action map[string]any) {
		doc["apiName"] = "Other"
		action["secureKey"] = 12345
	})})
	doc := body["apidoc"]
	if title := at(t, doc, "info", "title"); title != "Mine" {
		t.Errorf("title %v", title)
	}
	for _, o := range [][2]string{{"/y", "get"}, {"/y", "post"}, {"/z", "get"}} {
		if at(t, doc, "paths", o[0], o[1]) == nil {
			t.Errorf("%v is missing", o)
		}
	}
	want := parse(t, `{"action":"third","namespace":"guest","package":"pkg","url":"http://localhost:3233/api/v1/web/guest/pkg/third.http"}`)
	if diff := cmp.Diff(want, at(t, doc, "paths", "/z", "get", "x-openwhisk")); diff != "" {
		t.Error(diff)
	}
	cases := at(t, doc, "x-ibm-configuration", "assembly", "execute", 0, "operation-switch", "case")
	want = parse(t, `{"operations":["getZ"],"execute":[{"invoke":{"target-url":"http://localhost:3233/api/v1/web/guest/pkg/third.http","verb":"keep"}},
	  {"set-variable":{"actions":[{"set":"message.headers.X-Require-Whisk-Auth","value":"12345"}]}}]}`)
	if diff := cmp.Diff(want, at(t, cases, 2)); diff != "" {
		t.Error(diff)
	}
	// Again without a secret and with another action: nothing of the old is left.
	body = addEndpoint(t, a, "/x", "/z", "GET", "fourth")
	if text := fmt.Sprint(body); strings.Contains(text, "12345") || strings.Contains(text, "third") || !strings.Contains(text, "fourth") {
		t.Errorf("after a change: %s", text)
	}
	if cases := at(t, body["apidoc"], "x-ibm-configuration", "assembly", "execute", 0, "operation-switch", "case"); len(cases.([]any)) != 3 {
		t.Errorf("cases: %v", cases)
	}
}

func TestSecretsOfTheCallAreNotKept(t *testing.T) {
	s := newStore(t)
	a := open(t, s)
	body := addEndpoint(t, a, "/x", "/y", "GET", "hello")
	entries, _, err := s.List(t.Context(), "/")
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if text := string(entries[0].Value) + fmt.Sprint(body); strings.Contains(text, ":secret") {
		t.Errorf("the key is in %s", text)
	}
}

func TestNamesOfActions(t *testing.T) {
	a := open(t, newStore(t))
	cases := []struct{ name, namespace, want string }{
		{"hello", "_", "guest/default/hello"},
		{"pkg/hello", "_", "guest/pkg/hello"},
		{"/_/hello", "_", "guest/default/hello"},
		{"/guest/pkg/hello", "guest", "guest/pkg/hello"},
		{"guest/pkg/hello", "guest", "guest/pkg/hello"},
		{"pkg/hello", "other", "other/pkg/hello"},
		{"my pkg/say it", "_", "guest/my%20pkg/say%20it"},
	}
	for _, c := range cases {
		body := must(t, a, "guest", "createApi", args{"apidoc": endpointDoc("/x", "/y", "GET", "x", func(_, action map[string]any) {
			action["name"], action["namespace"], action["backendUrl"] = c.name, c.namespace, "https://whisk.example:8443/whatever"
		})})
		if url := at(t, body["apidoc"], "paths", "/y", "get", "x-openwhisk", "url"); url != "https://whisk.example:8443/api/v1/web/"+c.want+".json" {
			t.Errorf("%v: %v", c, url)
		}
	}
}

func TestOperationIDs(t *testing.T) {
	cases := map[[2]string]string{
		{"get", "/foo/{id}"}: "getFooId", {"POST", "/Hello-World/a_b/CC"}: "postHello-worldA_bCc", {"get", "/"}: "get", {"put", "/a.b/ü"}: "putAB",
	}
	for in, want := range cases {
		if id := operationID(in[1], in[0]); id != want {
			t.Errorf("%v: %s, want %s", in, id, want)
		}
	}
	// Two paths that make the same id keep their own backends.
	a := open(t, newStore(t))
	addEndpoint(t, a, "/x", "/a/b", "GET", "first")
	addEndpoint(t, a, "/x", "/a-b", "GET", "second")
	addEndpoint(t, a, "/x", "/a.b", "GET", "third")
	url := serve(t, a) + "/" + guestID + "/x"
	for path, action := range map[string]string{"/a/b": "first", "/a-b": "second", "/a.b": "third"} {
		if seen := got(t, "GET", url+path, nil, ""); seen["path"] != "/api/v1/web/guest/default/"+action+".json" {
			t.Errorf("%s: %v", path, seen["path"])
		}
	}
}

func TestASwaggerTextReplacesTheAPI(t *testing.T) {
	a := open(t, newStore(t))
	addEndpoint(t, a, "/x", "/old", "GET", "hello")
	text := `{"swagger":"2.0","basePath":"/x","info":{"title":"Name <&>","version":"2"},"schemes":["https"],
	 "paths":{"/new":{"get":{"operationId":"one","x-openwhisk":{"namespace":"_","package":"default","action":"hello","url":"https://h.example/api/v1/web/_/default/hello.json"}}}},
	 "x-ibm-configuration":{"assembly":{"execute":[{"operation-switch":{"case":[{"operations":["one"],
	   "execute":[{"invoke":{"target-url":"https:\/\/h.example\/api\/v1\/web\/_\/default\/hello.json","verb":"keep"}}]}]}}]}}}`
	doc := addSwagger(t, a, "guest", text)["apidoc"]
	want := parse(t, strings.NewReplacer("/web/_/", "/web/guest/", `"namespace":"_"`, `"namespace":"guest"`, `\/web\/_\/`, `\/web\/guest\/`).Replace(text))
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Error(diff)
	}
	// As an object instead of a text, and the whole document as a text.
	must(t, a, "guest", "createApi", args{"apidoc": fmt.Sprintf(`{"namespace":"_","swagger":%s}`, text)})
	if all := must(t, a, "guest", "getApi", nil)["apis"].([]any); len(all) != 1 {
		t.Errorf("%d APIs", len(all))
	}
	// An endpoint goes into what the text had.
	doc = addEndpoint(t, a, "/x", "/more", "PUT", "more")["apidoc"]
	if at(t, doc, "paths", "/new", "get") == nil || at(t, doc, "paths", "/more", "put") == nil || at(t, doc, "schemes", 0) != "https" {
		t.Errorf("merged: %v", doc)
	}
}

func TestGetFilters(t *testing.T) {
	a := open(t, newStore(t))
	for _, base := range []string{"/a", "/b", "/c", "/d"} {
		must(t, a, "guest", "createApi", args{"apidoc": endpointDoc(base, "/y", "GET", "x", func(doc, _ map[string]any) { doc["apiName"] = "Name of " + base })})
	}
	cases := []struct {
		in   args
		want []string
	}{
		{nil, []string{"/a", "/b", "/c", "/d"}},
		{args{"basepath": "/b"}, []string{"/b"}},
		{args{"basepath": "/b/"}, []string{"/b"}},
		{args{"basepath": "Name of /c"}, []string{"/c"}},
		{args{"basepath": "/none"}, nil},
		{args{"basepath": "none"}, nil},
		{args{"basepath": "/b", "relpath": "/none", "operation": "put"}, []string{"/b"}},
		{args{"limit": "2"}, []string{"/a", "/b"}},
		{args{"limit": "2", "skip": "1"}, []string{"/b", "/c"}},
		{args{"limit": 0, "skip": 3}, []string{"/d"}},
		{args{"limit": "-1", "skip": "9"}, nil},
	}
	for _, c := range cases {
		var bases []string
		for _, p := range must(t, a, "guest", "getApi", c.in)["apis"].([]any) {
			bases = append(bases, at(t, p, "value", "apidoc", "basePath").(string))
		}
		if diff := cmp.Diff(c.want, bases); diff != "" {
			t.Errorf("%v: %s", c.in, diff)
		}
	}
}

func TestDeletionOfParts(t *testing.T) {
	a := open(t, newStore(t))
	fill := func() {
		for _, o := range [][2]string{{"/y", "get"}, {"/y", "post"}, {"/z", "get"}} {
			addEndpoint(t, a, "/x", o[0], o[1], "hello")
		}
	}
	left := func() string {
		var out []string
		for _, p := range must(t, a, "guest", "getApi", nil)["apis"].([]any) {
			for path, verbs := range at(t, p, "value", "apidoc", "paths").(map[string]any) {
				for verb := range verbs.(map[string]any) {
					out = append(out, verb+path)
				}
			}
			cases := at(t, p, "value", "apidoc", "x-ibm-configuration", "assembly", "execute", 0, "operation-switch", "case").([]any)
			if len(cases) != len(out) {
				t.Errorf("%d cases for %v", len(cases), out)
			}
		}
		return fmt.Sprint(len(out), strings.Contains(strings.Join(out, " "), "get/y"))
	}
	fill()
	must(t, a, "guest", "deleteApi", args{"basepath": "/x", "relpath": "/y", "operation": "GET"})
	if l := left(); l != "2 false" {
		t.Error(l)
	}
	must(t, a, "guest", "deleteApi", args{"basepath": "/x", "relpath": "/y"})
	if l := left(); l != "1 false" {
		t.Error(l)
	}
	must(t, a, "guest", "deleteApi", args{"basepath": "/x", "relpath": "/z", "operation": "get"})
	if l := left(); l != "0 false" {
		t.Error(l)
	}
	fill()
	must(t, a, "guest", "deleteApi", args{"basepath": "/x", "force": "true"})
	if l := left(); l != "0 false" {
		t.Error(l)
	}
}

func TestLimits(t *testing.T) {
	a := open(t, newStore(t))
	paths := make([]string, maxOperations+1)
	for i := range paths {
		paths[i] = fmt.Sprintf(`"/p%d":{"get":{}}`, i)
	}
	text := `{"basePath":"/x","info":{"title":"t"},"paths":{` + strings.Join(paths, ",") + `}}`
	refused(t, a, "guest", "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": text}}, "API creation failure: There are more operations than the 2000 allowed.")
	text = `{"basePath":"/x","info":{"title":"` + strings.Repeat("t", maxDocument) + `"},"paths":{}}`
	refused(t, a, "guest", "createApi", args{"apidoc": map[string]any{"namespace": "_", "swagger": text}}, "API creation failure: There are more bytes in the Swagger text than the 1048576 allowed.")
	// All APIs of a namespace together.
	a.quota = quota{apis: 3, bytes: 1000}
	sized := func(i, n int) args {
		text := fmt.Sprintf(`{"basePath":"/x%d","info":{"title":%q},"paths":{}}`, i, strings.Repeat("t", n))
		return args{"apidoc": map[string]any{"namespace": "_", "swagger": text}}
	}
	must(t, a, "guest", "createApi", sized(1, 400))
	must(t, a, "guest", "createApi", sized(2, 400))
	refused(t, a, "guest", "createApi", sized(3, 400), "API creation failure: There are more bytes in the Swagger texts of the namespace than the 1000 allowed.")
	must(t, a, "guest", "createApi", sized(2, 300))
	must(t, a, "guest", "createApi", sized(3, 1))
	refused(t, a, "guest", "createApi", sized(4, 1), "API creation failure: There are more APIs in the namespace than the 3 allowed.")
	must(t, a, "other", "createApi", sized(4, 400))
}

func TestChangesAtOnceAllCount(t *testing.T) {
	s := newStore(t)
	nodes := []*APIs{open(t, s), open(t, s)} // only told of each other's writes by conflicts
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			doc := endpointDoc("/x", fmt.Sprint("/p", i), "GET", "hello")
			if status, body := call(t, nodes[i%2], "guest", "createApi", args{"apidoc": doc}); status != 200 {
				t.Errorf("%d: %d %v", i, status, body)
			}
		})
	}
	wg.Wait()
	fresh := open(t, s)
	if n := len(at(t, must(t, fresh, "guest", "getApi", nil), "apis", 0, "value", "apidoc", "paths").(map[string]any)); n != 8 {
		t.Errorf("%d paths", n)
	}
}

func TestNodesFollowTheStore(t *testing.T) {
	s := newStore(t)
	a, b := open(t, s), open(t, s)
	run(t, a)
	run(t, b)
	addEndpoint(t, a, "/x", "/y", "GET", "hello")
	url := serve(t, b) + "/" + guestID + "/x/y"
	eventually(t, "the other node serves it", func() bool { res, _ := send(t, "GET", url, nil, ""); return res.StatusCode == 200 })
	must(t, a, "guest", "deleteApi", args{"basepath": "/x"})
	eventually(t, "the other node forgets it", func() bool { res, _ := send(t, "GET", url, nil, ""); return res.StatusCode == 404 })
	// What cannot be read is passed over.
	if _, err := s.Put(t.Context(), "/whisk/apis/guest/%2Fbad", []byte(`{"swagger":7}`), putAny); err != nil {
		t.Fatal(err)
	}
	addEndpoint(t, a, "/x", "/z", "GET", "hello")
	eventually(t, "the other node goes on", func() bool { return len(b.list("guest")) == 1 })
}

func TestSubscriptions(t *testing.T) {
	s := newStore(t)
	a := open(t, s)
	addEndpoint(t, a, "/x", "/y", "GET", "hello")
	refused(t, a, "", "subscriptions", args{"basepath": "/x"}, "Invalid authentication.")
	refused(t, a, "other", "subscriptions", args{"basepath": "/x"}, "API '/x' does not exist.")
	refused(t, a, "guest", "subscriptions", nil, "basepath is required.")
	refused(t, a, "guest", "subscriptions", args{"basepath": "/x", "key": "short"}, msgKeyLength)
	made := must(t, a, "guest", "subscriptions", args{"basepath": "/x", "name": "phone"})
	own := must(t, a, "guest", "subscriptions", args{"basepath": "/x", "key": "a-key-of-my-own-choice"})
	if own["key"] != "a-key-of-my-own-choice" || len(made["key"].(string)) < 20 || made["key"] == made["secret"] {
		t.Errorf("made %v and %v", made, own)
	}
	list := must(t, a, "guest", "subscriptions", args{"basepath": "/x", "__ow_method": "get"})
	if len(list["subscriptions"].([]any)) != 2 || at(t, list, "subscriptions", 0, "name") != "phone" || at(t, list, "subscriptions", 0, "id") != made["id"] {
		t.Errorf("list: %v", list)
	}
	entries, _, err := s.List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []any{made["key"], made["secret"], own["key"]} {
		if strings.Contains(string(entries[0].Value)+fmt.Sprint(list), secret.(string)) {
			t.Errorf("%v is kept", secret)
		}
	}
	// They outlive a change of the API.
	addSwagger(t, a, "guest", `{"basePath":"/x","info":{"title":"t"},"paths":{}}`)
	must(t, a, "guest", "subscriptions", args{"basepath": "/x", "__ow_method": "delete", "id": made["id"]})
	refused(t, a, "guest", "subscriptions", args{"basepath": "/x", "__ow_method": "delete", "id": made["id"]}, msgNoSubscription(made["id"].(string)))
	refused(t, a, "guest", "subscriptions", args{"basepath": "/x", "__ow_method": "delete"}, "id is required.")
	list = must(t, a, "guest", "subscriptions", args{"basepath": "/x", "__ow_method": "get"})
	if len(list["subscriptions"].([]any)) != 1 {
		t.Errorf("list: %v", list)
	}
}

func TestURLs(t *testing.T) {
	cases := []struct{ url, host, want string }{
		{"", "localhost:3233", "http://localhost:3234/api/"},
		{"", "whisk.example", "http://whisk.example:3234/api/"},
		{"", "[::1]:3233", "http://[::1]:3234/api/"},
		{"", "a b", "http://localhost:3234/api/"},
		{"", "user@evil/", "http://localhost:3234/api/"},
		{"https://apis.example/", "localhost:3233", "https://apis.example/api/"},
	}
	for _, c := range cases {
		a := open(t, newStore(t), func(cfg *Config) { cfg.URL = c.url })
		body := must(t, a, "guest", "createApi", args{"__ow_headers": map[string]string{"host": c.host}, "apidoc": endpointDoc("/x", "/y", "GET", "hello")})
		if body["gwApiUrl"] != c.want+guestID+"/x" {
			t.Errorf("%v: %v", c, body["gwApiUrl"])
		}
		body = addEndpoint(t, a, "/", "/y", "GET", "hello")
		if url := body["gwApiUrl"].(string); strings.HasSuffix(url, "/") {
			t.Errorf("of the base path /: %s", url) // clients put a path behind it
		}
	}
}
