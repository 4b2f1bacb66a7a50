package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/whisk"
	"millrace/whisk/request"
)

func TestActionLifeCycle(t *testing.T) {
	s := newSystem(t, nil)
	const withoutCode = `"exec":{"kind":"nodejs:20","binary":false}`
	updated := strings.Replace(strings.Replace(helloDoc, `"0.0.1"`, `"0.0.2"`, 1), `"parameters":[]`, `"parameters":[{"key":"b","value":{"x":"<&>"}},{"key":"a","value":1}]`, 1)
	s.run([]step{
		{"GET", "…/actions/hello", "", 404, failed(whisk.MsgNotFound)},
		{"DELETE", "…/actions/hello", "", 404, failed(whisk.MsgNotFound)},
		{"PUT", "…/actions/hello?overwrite=true", `{"exec":{"kind":"nodejs:20","code":"` + helloCode + `"}}`, 200, helloDoc},
		{"GET", "…/actions/hello", "", 200, helloDoc},
		{"GET", "/api/v1/namespaces/guest/actions/hello?code=true", "", 200, helloDoc},
		{"GET", "…/actions/hello?code=false", "", 200, regexp.MustCompile(`"exec":\{.*\},"limits"`).ReplaceAllLiteralString(helloDoc, withoutCode+`,"limits"`)},
		{"GET", "…/actions/hello?code=x", "", 400, failed("The query parameter 'code' was malformed:\n'x' is not a valid Boolean value")},
		{"PUT", "…/actions/hello?overwrite=yes", `{"parameters":[{"key":"b","value": {"x": "<&>"}},{"key":"a","value":1}]}`, 200, updated},
		{"GET", "…/actions/hello", "", 200, updated},
		{"PUT", "…/actions/hello?overwrite=x", `{}`, 400, failed("The query parameter 'overwrite' was malformed:\n'x' is not a valid Boolean value")},
		{"DELETE", "…/actions/hello", "", 200, updated},
		{"GET", "…/actions/hello", "", 404, failed(whisk.MsgNotFound)},
		{"PUT", "…/actions/hello?overwrite=true", `{"exec":{"kind":"nodejs:20","code":"` + helloCode + `"}}`, 200, helloDoc},
		{"PUT", "…/actions/HELLO", `{"exec":{"kind":"java:8","code":"","main":"M"},"limits":{"instances":3}}`, 200,
			`{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"java:8"}],"exec":{"kind":"java:8","code":"","binary":false,"main":"M"},` +
				`"limits":{"concurrency":1,"instances":3,"logs":10,"memory":256,"timeout":60000},"name":"HELLO","namespace":"guest","parameters":[],"publish":false,"updated":{ms},"version":"0.0.1"}`},
	})
}

func TestActionNames(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a%20b@c.d&e-f")
	if r := s.send("GET", "/api/v1/namespaces/guest/actions/a%20b@c.d&e-f", ""); r.status != 200 || !strings.Contains(r.body, `"name":"a b@c.d&e-f"`) {
		t.Errorf("odd name: %d %s", r.status, r.body)
	}
	illegal := failed(whisk.MsgNameIllegal)
	s.run([]step{
		{"GET", "…/actions/%20", "", 400, illegal},
		{"GET", "…/actions/hi+there", "", 400, illegal},
		{"PUT", "…/actions/$hola", "{}", 400, illegal},
		{"POST", "…/actions/dora%3F", "", 400, illegal},
		{"DELETE", "…/actions/%7Ca%7C", "", 400, illegal},
		{"GET", "…/actions/a%2Fb", "", 400, illegal},
		{"GET", "…/actions/%2e%2e", "", 400, illegal},
		{"GET", "…/actions/" + strings.Repeat("a", 257), "", 400, failed("Name segement longer than allowed: 257 > 256.")},
		{"GET", "/api/v1/namespaces/$x/actions/a", "", 400, failed(whisk.MsgNamespaceIllegal)},
	})
}

// Of updates at the same time each either takes effect or answers 409.
func TestUpdatesAtTheSameTime(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a")
	var wg sync.WaitGroup
	var done atomic.Int32
	for range 8 {
		wg.Go(func() {
			for range 20 {
				r := s.send("PUT", "/api/v1/namespaces/_/actions/a?overwrite=true", `{}`)
				switch {
				case r.status == 200:
					done.Add(1)
				case r.status != 409 || normal(r.body) != failed(whisk.MsgConcurrentChange):
					t.Errorf("%d %s", r.status, r.body)
				}
			}
		})
	}
	wg.Wait()
	r := s.send("GET", "/api/v1/namespaces/_/actions/a", "")
	if want := fmt.Sprintf(`"version":"0.0.%d"`, 1+done.Load()); !strings.Contains(r.body, want) {
		t.Errorf("%s after %d updates", r.body, done.Load())
	}
}

func TestPutBodies(t *testing.T) {
	s := newSystem(t, func(c *Config) { c.Limits.Exec, c.Limits.Parameters = 50, 50 })
	const path = "/api/v1/namespaces/_/actions/x"
	for _, tt := range []struct {
		mime, body string
		status     int
		want       string
	}{
		{"text/plain", "{}", 415, "The request's Content-Type [text/plain] is not supported. Expected:\napplication/json"},
		{"", "{}", 415, "The request's Content-Type [application/octet-stream] is not supported. Expected:\napplication/json"},
		{"application/json", "", 400, whisk.MsgBodyMissing},
		{"", "", 400, whisk.MsgBodyMissing},
		{"application/json; charset=utf-8", "{}", 400, "exec undefined"},
		{"application/json", `{"exec":{"kind":"nodejs:20","code":"` + strings.Repeat("x", 51) + `"}}`, 413, "exec larger than allowed: 51 > 50 bytes."},
		{"application/json", `{"parameters":[{"key":"a","value":"` + strings.Repeat("x", 50) + `"}]}`, 413, "parameters larger than allowed: 53 > 50 bytes."},
		{"application/json", `{"exec":{"kind":"java:8","code":"x"}}`, 400, "The request content was malformed:\n'main' must be a string defined in 'exec' for 'java:8' actions"},
		{"application/json", strings.Repeat(" ", request.MaxBody+1), 413, whisk.MsgTransportLimit},
	} {
		r := s.send("PUT", path, tt.body, "Content-Type", tt.mime)
		if r.status != tt.status || normal(r.body) != failed(tt.want) {
			t.Errorf("%s %.60s: %d %s", tt.mime, tt.body, r.status, r.body)
		}
	}
	for _, body := range []string{"test=test", "{", `{"a":1}x`, `{"exec":{"kind":"nodejs:20","code":"x"},}`} {
		r := s.send("PUT", path, body)
		if want := `"error":"The request content was malformed:\n`; r.status != 400 || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

func TestLists(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("packages/pkg", `{}`)
	for _, name := range []string{"first", "pkg/second", "third"} {
		s.mustPut("actions/" + name)
	}
	namesIn := func(path string) string {
		r := s.send("GET", "/api/v1/namespaces/_/"+path, "")
		var l []struct{ Name, Namespace string }
		if err := json.Unmarshal([]byte(r.body), &l); err != nil {
			return fmt.Sprint(r.status, r.body)
		}
		var out []string
		for _, e := range l {
			out = append(out, e.Namespace+"/"+e.Name)
		}
		return strings.Join(out, " ")
	}
	for path, want := range map[string]string{
		"actions":                "guest/third guest/pkg/second guest/first",
		"actions/":               "guest/third guest/pkg/second guest/first",
		"actions?limit=0":        "guest/third guest/pkg/second guest/first",
		"actions?limit=1&skip=1": "guest/pkg/second",
		"actions?skip=3":         "",
		"actions/pkg/":           "guest/pkg/second",
		"packages":               "guest/pkg",
	} {
		if got := namesIn(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	malformed := func(what, detail string) string {
		return failed("The query parameter '" + what + "' was malformed:\n" + detail)
	}
	s.run([]step{
		{"GET", "…/actions?limit=1", "", 200, `[{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"exec":{"binary":false},` +
			`"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},"name":"third","namespace":"guest","publish":false,"updated":{ms},"version":"0.0.1"}]`},
		{"GET", "…/actions?count=true", "", 200, `{"actions":3}`},
		{"GET", "…/actions?count=true&skip=2&limit=1", "", 200, `{"actions":1}`},
		{"GET", "…/actions?count=ON&skip=9", "", 200, `{"actions":0}`},
		{"GET", "…/actions/pkg/?count=true", "", 200, `{"actions":1}`},
		{"GET", "…/actions?limit=-1", "", 400, malformed("limit", "The value '-1' is not in the range of 0 to 200 for actions.")},
		{"GET", "…/actions?limit=x", "", 400, malformed("limit", "The value 'x' is not an integer for actions.")},
		{"GET", "…/actions?skip=-1", "", 400, malformed("skip", "The value '-1' is not greater than or equal to 0 for actions.")},
		{"GET", "…/packages?skip=x", "", 400, malformed("skip", "The value 'x' is not an integer for packages.")},
		{"GET", "…/actions?count=maybe", "", 400, malformed("count", "'maybe' is not a valid Boolean value")},
		{"GET", "…/actions/none/", "", 404, failed("The requested resource 'guest/none' does not exist.")},
		{"GET", "…/actions/first/", "", 409, failed(whisk.MsgOtherCollection)},
	})
}

func TestPackages(t *testing.T) {
	s := newSystem(t, nil)
	const doc = `"annotations":[],"binding":{},"name":"p","namespace":"guest","parameters":[{"key":"a","value":1},{"key":"b","value":2}],"publish":false,"updated":{ms},"version":"0.0.1"}`
	const codeless = `{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"exec":{"kind":"nodejs:20","binary":false},` +
		`"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},"name":"act","namespace":"guest/p",`
	s.run([]step{
		{"PUT", "…/actions/p/act", `{"exec":{"kind":"nodejs:20","code":"x"}}`, 404, failed("The requested resource 'guest/p' does not exist.")},
		{"GET", "…/packages/p", "", 404, failed("The requested resource 'guest/p' does not exist.")},
		{"DELETE", "…/packages/p", "", 404, failed(whisk.MsgNotFound)},
		{"PUT", "…/packages/default", `{}`, 400, failed("Package name 'default' is reserved.")},
		{"PUT", "…/packages/p", `{"binding":{},"parameters":[{"key":"a","value":1},{"key":"b","value":2}]}`, 200, `{` + doc},
		{"PUT", "…/packages/p", `{}`, 409, failed(whisk.MsgExists)},
		{"GET", "…/packages/p", "", 200, `{"actions":[],"feeds":[],` + doc},
		{"GET", "…/packages", "", 200, `[{"annotations":[],"binding":false,"name":"p","namespace":"guest","publish":false,"updated":{ms},"version":"0.0.1"}]`},
		{"GET", "…/packages?count=true", "", 200, `{"packages":1}`},
		{"GET", "…/actions/p", "", 409, failed(whisk.MsgOtherCollection)},
		{"PUT", "…/actions/p", `{"exec":{"kind":"nodejs:20","code":"x"}}`, 409, failed(whisk.MsgOtherCollection)},
		{"POST", "…/actions/p/none", "", 404, failed(whisk.MsgNotFound)},
	})
	s.mustPut("actions/p/act", `{"exec":{"kind":"nodejs:20","code":"x"},"parameters":[{"key":"b","value":3},{"key":"c","value":4}]}`)
	s.mustPut("actions/p/f", `{"exec":{"kind":"nodejs:20","code":"x"},"annotations":[{"key":"feed","value":false}]}`)
	s.mustPut("actions/single")
	s.run([]step{
		{"GET", "…/actions/p/act?code=false", "", 200, codeless + `"parameters":[{"key":"a","value":1},{"key":"b","value":3},{"key":"c","value":4}],"publish":false,"updated":{ms},"version":"0.0.1"}`},
		{"GET", "…/packages/p", "", 200, `{"actions":[{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"name":"act","version":"0.0.1"}],` +
			`"feeds":[{"annotations":[{"key":"feed","value":false},{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"name":"f","version":"0.0.1"}],` + doc},
		{"POST", "…/actions/p/act?blocking=true&result=true", "", 200, `{"greeting":"Hi A"}`},
		{"PUT", "…/packages/single", `{}`, 409, failed(whisk.MsgOtherCollection)},
		{"GET", "…/packages/single", "", 409, failed(whisk.MsgOtherCollection)},
		{"DELETE", "…/packages/p", "", 409, failed("Package not empty (contains 2 entities). Set force param or delete package contents.")},
		{"DELETE", "…/packages/p?force=true", "", 200, `{` + doc},
		{"GET", "…/actions?count=true", "", 200, `{"actions":1}`},
	})
	if got := string(s.invoke.last.Inherited.AppendJSON(nil)); got != `[{"key":"a","value":1},{"key":"b","value":2}]` {
		t.Errorf("inherited parameters: %s", got)
	}
}

// A stranger must not see, list, change or call anything of guest's, and must
// not learn what exists.
func TestStranger(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("packages/private", `{}`)
	s.mustPut("packages/public", `{"publish":true}`)
	s.mustPut("actions/single")
	s.mustPut("actions/private/act")
	s.mustPut("actions/public/act")
	id := s.send("POST", "/api/v1/namespaces/_/actions/single?blocking=true", "").header.Get("X-Openwhisk-Activation-Id")
	no := func(resource string) string {
		return failed("The supplied authentication is not authorized to access '" + resource + "'.")
	}
	const exec = `{"exec":{"kind":"nodejs:20","code":"x"}}`
	for _, tt := range []step{
		{"GET", "limits", "", 403, no("guest")},
		{"GET", "actions", "", 403, no("guest")},
		{"GET", "actions?count=true", "", 403, no("guest")},
		{"GET", "actions/single", "", 403, no("guest/single")},
		{"GET", "actions/none", "", 403, no("guest/none")},
		{"PUT", "actions/new", exec, 403, no("guest/new")},
		{"PUT", "actions/single?overwrite=true", exec, 403, no("guest/single")},
		{"DELETE", "actions/single", "", 403, no("guest/single")},
		{"POST", "actions/single?blocking=true", "{}", 403, no("guest/single")},
		{"GET", "actions/private/", "", 403, no("guest/private")},
		{"GET", "actions/none/", "", 403, no("guest/none")},
		{"GET", "actions/single/", "", 403, no("guest/single")},
		{"GET", "actions/private/act", "", 403, no("guest/private/act")},
		{"POST", "actions/private/act", "", 403, no("guest/private/act")},
		{"POST", "actions/none/act", "", 403, no("guest/none/act")},
		{"PUT", "actions/public/act?overwrite=true", exec, 403, no("guest/public/act")},
		{"DELETE", "actions/public/act", "", 403, no("guest/public/act")},
		{"GET", "packages/private", "", 403, no("guest/private")},
		{"GET", "packages/none", "", 403, no("guest/none")},
		{"PUT", "packages/public?overwrite=true", "{}", 403, no("guest/public")},
		{"DELETE", "packages/public", "", 403, no("guest/public")},
		{"GET", "activations", "", 403, no("guest")},
		{"GET", "activations?count=true", "", 403, no("guest")},
		{"GET", "activations/" + id, "", 403, no("guest/" + id)},
		{"GET", "activations/" + id + "/logs", "", 403, no("guest/" + id)},
		{"GET", "activations/" + id + "/result", "", 403, no("guest/" + id)},
		// What is public, and only that.
		{"GET", "packages", "", 200, `[{"annotations":[],"binding":false,"name":"public","namespace":"guest","publish":true,"updated":{ms},"version":"0.0.1"}]`},
		{"GET", "packages?count=true", "", 200, `{"packages":1}`},
		{"GET", "actions/public/?count=true", "", 200, `{"actions":1}`},
		{"POST", "actions/public/act?blocking=true&result=true", "", 200, `{"greeting":"Hi A"}`},
	} {
		r := s.send(tt.method, "/api/v1/namespaces/guest/"+tt.path, tt.body, "Authorization", basic(strangerKey))
		if r.status != tt.status || normal(r.body) != tt.want {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, r.status, r.body)
		}
	}
	if got := s.invoke.last.Caller.Namespace; got != "stranger" {
		t.Errorf("the call of a public action is charged to %s", got)
	}
	// The guest's activation is not in the stranger's own namespace either.
	if r := s.send("GET", "/api/v1/namespaces/_/activations/"+id, "", "Authorization", basic(strangerKey)); r.status != 404 {
		t.Errorf("another's activation under _: %d %s", r.status, r.body)
	}
}

func TestActivations(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("packages/pkg", `{}`)
	s.mustPut("actions/hello")
	s.mustPut("actions/slow")
	s.mustPut("actions/pkg/hello")
	idOf := func(path string) string {
		r := s.send("POST", "/api/v1/namespaces/_/actions/"+path, "")
		var doc struct{ ActivationID string }
		if err := json.Unmarshal([]byte(r.body), &doc); err != nil || doc.ActivationID == "" || doc.ActivationID != r.header.Get("X-Openwhisk-Activation-Id") {
			t.Fatalf("%s: %s", path, r.body)
		}
		return doc.ActivationID
	}
	id, packaged := idOf("hello"), idOf("pkg/hello?blocking=true")
	const (
		head      = `{"activationId":"{id}","annotations":[{"key":"path","value":"guest/`
		mid       = `"}],"duration":12,"end":1012,`
		tail      = `"name":"hello","namespace":"guest","publish":false,`
		response  = `{"result":{"greeting":"Hi A"},"size":19,"status":"success","success":true}`
		log       = `["2026-01-01T00:00:00.000000000Z stdout: hi"]`
		full      = `"logs":` + log + `,` + tail + `"response":` + response + `,"start":1000,"subject":"guest","version":"0.0.1"}`
		summary   = tail + `"start":1000,"statusCode":0,"version":"0.0.1"}`
		malformed = "The query parameter '%s' was malformed:\n%s"
	)
	s.run([]step{
		{"GET", "…/activations/" + id, "", 200, head + "hello" + mid + full},
		{"GET", "…/activations/" + id + "/logs", "", 200, `{"logs":` + log + `}`},
		{"GET", "…/activations/" + id + "/result", "", 200, response},
		{"GET", "…/activations/" + packaged, "", 200, head + "pkg/hello" + mid + full},
		{"GET", "…/activations?name=hello", "", 200, "[" + head + "hello" + mid + summary + "]"},
		{"GET", "…/activations?name=pkg/hello&docs=true", "", 200, "[" + head + "pkg/hello" + mid + full + "]"},
		{"GET", "…/activations/?count=true", "", 200, `{"activations":2}`},
		{"GET", "…/activations?count=true&skip=1", "", 200, `{"activations":1}`},
		{"GET", "…/activations?count=true&name=", "", 200, `{"activations":2}`},
		{"GET", "…/activations?count=true&since=1000&upto=1000", "", 200, `{"activations":2}`},
		{"GET", "…/activations?count=true&since=1001", "", 200, `{"activations":0}`},
		{"GET", "…/activations?upto=999", "", 200, `[]`},
		{"GET", "…/activations?count=true&docs=true", "", 400, failed("The parameter 'docs' is not permitted with 'count'.")},
		{"GET", "…/activations?name=a/b/c", "", 400, failed(fmt.Sprintf(malformed, "name", "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c"))},
		{"GET", "…/activations?since=x", "", 400, failed(fmt.Sprintf(malformed, "since", "Parameter is not a valid value for epoch seconds: x"))},
		{"GET", "…/activations?upto=-1", "", 400, failed(fmt.Sprintf(malformed, "upto", "Parameter is not a valid value for epoch seconds: -1"))},
		{"GET", "…/activations?limit=201", "", 400, failed(fmt.Sprintf(malformed, "limit", "The value '201' is not in the range of 0 to 200 for activations."))},
		{"GET", "…/activations?docs=2", "", 400, failed(fmt.Sprintf(malformed, "docs", "'2' is not a valid Boolean value"))},
		{"GET", "…/activations/" + strings.Repeat("0", 32), "", 404, failed(whisk.MsgNotFound)},
		{"GET", "…/activations/" + strings.Repeat("0", 32) + "/logs", "", 404, failed(whisk.MsgNotFound)},
		{"GET", "…/activations/" + strings.Repeat("F", 32), "", 400, failed(whisk.MsgActivationIDIllegal)},
	})
	running := idOf("slow?blocking=true&timeout=1")
	s.run([]step{
		{"GET", "…/activations/" + running, "", 200, head + `slow"}],"logs":[],"name":"slow","namespace":"guest","publish":false,"response":{"status":"running","success":false},"start":1000,"state":"running","subject":"guest","version":"0.0.1"}`},
		{"GET", "…/activations?name=slow", "", 200, `[]`},
		{"GET", "…/activations?name=slow&count=true", "", 200, `{"activations":0}`},
		{"GET", "…/activations?name=slow&count=true&running=true", "", 200, `{"activations":1}`},
		{"GET", "…/activations?name=slow&running=true", "", 200, `[` + head + `slow"}],"name":"slow","namespace":"guest","publish":false,"start":1000,"state":"running","version":"0.0.1"}]`},
	})
}

func TestUpdatedIsNow(t *testing.T) {
	s := newSystem(t, nil)
	before := time.Now().UnixMilli()
	s.mustPut("actions/a")
	var doc struct{ Updated int64 }
	if err := json.Unmarshal([]byte(s.send("GET", "/api/v1/namespaces/_/actions/a", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Updated < before || doc.Updated > time.Now().UnixMilli() {
		t.Errorf("updated %d", doc.Updated)
	}
}
