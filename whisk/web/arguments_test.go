package web

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/whisk"
)

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// arguments are those of the last call but for the headers, which are apart.
func (s *house) arguments() (args map[string]any, headers map[string]any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.f.args), &args); err != nil {
		s.t.Fatalf("the arguments are not JSON: %v: %s", err, s.f.args)
	}
	headers, _ = args["__ow_headers"].(map[string]any)
	delete(args, "__ow_headers")
	return args, headers
}

// What the action gets: spec/openwhisk.md §5.3, §5.4.
func TestArguments(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	s.put("raw", `{"web-export":true,"raw-http":true}`)
	const png = "\x89PNG\x00\xff"
	for _, c := range []struct {
		method, path, contentType, body string
		want                            string // the members besides __ow_method, __ow_headers, __ow_path
	}{
		// Query.
		{"GET", "w", "", "", `{}`},
		{"GET", "w?a=b&c=d", "", "", `{"a":"b","c":"d"}`},
		{"GET", "w?a=1&a=2&b&c=&&%61=3", "", "", `{"a":"3","b":"","c":""}`},
		{"GET", "w?a=x+y%20z%2B&e%3D=%C3%A9&s=a=b", "", "", `{"a":"x y z+","e=":"é","s":"a=b"}`},
		{"GET", "w?q=%22%5C%0A&bad=%FF&semi=1;2", "", "", `{"q":"\"\\\n","bad":"\ufffd","semi":"1;2"}`},
		{"GET", "w?blocking=false&result=true&code=1", "", "", `{"blocking":"false","result":"true","code":"1"}`},

		// JSON.
		{"POST", "w", "application/json", `{"a":1,"b":{"c":[]}}`, `{"a":1,"b":{"c":[]}}`},
		{"POST", "w?a=q&z=q", "application/json", ` {"a":1} `, `{"a":1,"z":"q"}`},
		{"POST", "w?a=q", "application/json", `{"\u0061":1}`, `{"a":1}`},
		{"POST", "w", "application/json; charset=utf-8", `{}`, `{}`},
		{"POST", "w", "Application/JSON", `{"a":"\ud83d\ude00"}`, `{"a":"😀"}`},
		{"POST", "w", "application/json", "{\"a\":\"\xff\"}", `{"a":"\ufffd"}`},
		{"POST", "w", "application/vnd.api+json", `{"a":1}`, `{"a":1}`},
		{"POST", "w?a=q", "application/json", `[1,{"a":2}]`, `{"a":"q","__ow_body":[1,{"a":2}]}`},
		{"POST", "w", "application/json", `"text"`, `{"__ow_body":"text"}`},
		{"POST", "w", "application/json", `5`, `{"__ow_body":5}`},
		{"POST", "w", "application/json", `true`, `{"__ow_body":true}`},
		{"POST", "w", "application/json", `null`, `{"__ow_body":null}`},
		{"POST", "w", "application/vnd.api+json", `["a"]`, `{"__ow_body":["a"]}`},
		{"POST", "w?a=q", "application/json", ``, `{"a":"q"}`},

		// Forms.
		{"POST", "w", "application/x-www-form-urlencoded", "a=1&b=x+y&a=2", `{"a":"2","b":"x y"}`},
		{"PUT", "w?a=q&z=q", "application/x-www-form-urlencoded; charset=UTF-8", "a=1", `{"a":"1","z":"q"}`},
		{"POST", "w?a=q", "application/x-www-form-urlencoded", "", `{"a":"q"}`},

		// Other bodies.
		{"POST", "w", "text/plain", "hi \"you\"", `{"__ow_body":"hi \"you\""}`},
		{"POST", "w", "text/x-own", "hi", `{"__ow_body":"hi"}`},
		{"POST", "w", "application/xml", "<a/>", `{"__ow_body":"<a/>"}`},
		{"POST", "w", "application/x-own; charset=utf-8", "hi", `{"__ow_body":"hi"}`},
		{"POST", "w", "text/plain", "\xff", `{"__ow_body":"\ufffd"}`},
		{"POST", "w?a=q", "image/png", png, `{"a":"q","__ow_body":"` + encoded(png) + `"}`},
		{"POST", "w", "image/svg+xml; charset=utf-8", "<svg/>", `{"__ow_body":"` + encoded("<svg/>") + `"}`},
		{"POST", "w", "application/octet-stream", png, `{"__ow_body":"` + encoded(png) + `"}`},
		{"POST", "w", "application/x-own", "hi", `{"__ow_body":"` + encoded("hi") + `"}`},
		{"POST", "w", "multipart/form-data; boundary=b", "--b--", `{"__ow_body":"` + encoded("--b--") + `"}`},
		{"POST", "w", "nonsense", "hi", `{"__ow_body":"` + encoded("hi") + `"}`},
		{"POST", "w", "", "hi", `{"__ow_body":"` + encoded("hi") + `"}`},
		{"POST", "w", "text/plain", "", `{}`},
		{"POST", "w", "image/png", "", `{}`},
		{"DELETE", "w", "text/plain", "hi", `{"__ow_body":"hi"}`},

		// Raw.
		{"GET", "raw", "", "", `{"__ow_query":"","__ow_body":""}`},
		{"GET", "raw?a=b&c=%20+d&__ow_body=x", "", "", `{"__ow_query":"a=b&c=%20+d&__ow_body=x","__ow_body":""}`},
		{"POST", "raw?x=%zz", "application/json", `{"a":1}`, `{"__ow_query":"x=%zz","__ow_body":"` + encoded(`{"a":1}`) + `"}`},
		{"POST", "raw", "application/json; charset=utf-8", `not JSON`, `{"__ow_query":"","__ow_body":"` + encoded("not JSON") + `"}`},
		{"POST", "raw", "application/vnd.api+json", `{"a":1}`, `{"__ow_query":"","__ow_body":"{\"a\":1}"}`},
		{"POST", "raw", "application/x-www-form-urlencoded", "a=1&b", `{"__ow_query":"","__ow_body":"a=1&b"}`},
		{"POST", "raw", "text/html", "<b>", `{"__ow_query":"","__ow_body":"<b>"}`},
		{"POST", "raw", "image/png", png, `{"__ow_query":"","__ow_body":"` + encoded(png) + `"}`},
		{"POST", "raw", "", png, `{"__ow_query":"","__ow_body":"` + encoded(png) + `"}`},
		{"POST", "raw", "multipart/form-data; boundary=b", "--b--", `{"__ow_query":"","__ow_body":"` + encoded("--b--") + `"}`},
	} {
		var headers []string
		if c.contentType != "" {
			headers = []string{"Content-Type", c.contentType}
		}
		name := fmt.Sprintf("%s %s %s %q", c.method, c.path, c.contentType, c.body)
		s.f.args = "{}"
		if r := s.send(c.method, "guest/default/"+c.path, c.body, headers...); r.StatusCode > 299 {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
			continue
		}
		args, given := s.arguments()
		var want map[string]any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		want["__ow_method"], want["__ow_path"] = strings.ToLower(c.method), ""
		if d := cmp.Diff(want, args); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
		if got, _ := given["content-type"].(string); got != c.contentType {
			t.Errorf("%s: content-type is %q", name, got)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	s.putPackage(&whisk.Package{Namespace: "guest", Name: "pkg", Parameters: keyValues(t, `{"p":1,"none":null}`)})
	s.put("pkg/final", `{"web-export":true,"final":true}`, `{"a":1,"empty":null}`)
	const reserved = "Request defines parameters that are not allowed (e.g., reserved properties)."
	for _, c := range []struct {
		path, contentType, body string
		status                  int
		want                    string // its beginning
	}{
		{"default/w?__ow_method=x", "", "", 400, reserved},
		{"default/w?a=1&__ow_path", "", "", 400, reserved},
		{"default/w?%5F_ow_user=x", "", "", 400, reserved},
		{"default/w?__ow_query=", "", "", 400, reserved},
		{"default/w", "application/json", `{"a":{},"__ow_user":"x"}`, 400, reserved},
		{"default/w", "application/json", `{"\u005f_ow_headers":{}}`, 400, reserved},
		{"default/w?__ow_body=1", "application/json", `{"__ow_body":1}`, 400, reserved},
		{"default/w?__ow_body=1", "application/json", `[]`, 400, reserved},
		{"default/w", "application/x-www-form-urlencoded", "a=1&__ow_body=x", 400, reserved},
		{"default/w?__ow_body=x", "text/plain", "hi", 400, reserved},
		{"default/w?__ow_body=x", "image/png", "hi", 400, reserved},
		{"default/w?__ow_other=x", "", "", 200, ""},
		{"pkg/final?a=2", "", "", 400, reserved},
		{"pkg/final?p=2", "", "", 400, reserved},
		{"pkg/final", "application/json", `{"p":2}`, 400, reserved},
		{"pkg/final", "application/x-www-form-urlencoded", `x=1&a=2`, 400, reserved},
		{"pkg/final?empty=1&none=2&other=3", "", "", 200, ""},
		{"default/w", "application/json", `{"a":`, 400, "The request content was malformed:\nunexpected end of JSON input"},
		{"default/w", "application/json", `{} {}`, 400, "The request content was malformed:\n"},
		{"default/w", "application/json", ` `, 400, "The request content was malformed:\n"},
		{"default/w", "application/json", "\xff", 400, "The request content was malformed:\n"},
		{"default/w", "application/json", strings.Repeat(`{"a":`, 513) + "1" + strings.Repeat("}", 513), 400, "The request content was malformed:\nJSON nests too deep"},
		{"default/w?a=%zz", "", "", 400, "The request content was malformed:\nthe query string is not well-formed"},
		{"default/w", "application/x-www-form-urlencoded", "a=%z", 400, "The request content was malformed:\nthe form is not well-formed or has too many fields"},
		{"default/w", "text/plain", strings.Repeat("x", 1<<20+1), 413, "Request larger than allowed: 1048577 > 1048576 bytes."},
		{"default/w?" + strings.Repeat("x", 8<<10), "", "", 414, "URI length exceeds"},
	} {
		calls := s.f.calls
		r := s.send("POST", "guest/"+c.path, c.body, "Content-Type", c.contentType)
		name := fmt.Sprintf("%.60s %s %.60s", c.path, c.contentType, c.body)
		if c.status == 200 {
			if s.f.calls != calls+1 {
				t.Errorf("%s: not called, %d %s", name, r.StatusCode, r.body)
			}
			continue
		}
		if got := r.refusal(t); r.StatusCode != c.status || !strings.HasPrefix(got, c.want) || s.f.calls != calls {
			t.Errorf("%s: got %d %q, %d calls", name, r.StatusCode, got, s.f.calls-calls)
		}
	}
}

// Very many names cost time and memory in proportion, and no form has too many.
func TestManyFields(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	var names, members strings.Builder
	for i := range maxFields {
		fmt.Fprintf(&names, "&n%d=%d", i, i)
		fmt.Fprintf(&members, `,"m%d":0`, i)
	}
	s.send("POST", "guest/default/w", names.String(), "Content-Type", "application/x-www-form-urlencoded")
	if args, _ := s.arguments(); len(args) != maxFields+2 || args["n9999"] != "9999" {
		t.Errorf("%d arguments", len(args))
	}
	if r := s.send("POST", "guest/default/w", names.String()+"&one=more", "Content-Type", "application/x-www-form-urlencoded"); r.StatusCode != 400 {
		t.Errorf("too many fields: %d", r.StatusCode)
	}
	s.send("POST", "guest/default/w?m7=q&"+names.String()[:4000], `{"a":1`+members.String()+`}`, "Content-Type", "application/json")
	if args, _ := s.arguments(); len(args) < maxFields+100 || args["m7"] != 0.0 || args["n7"] != "7" {
		t.Errorf("%d arguments", len(args))
	}
}

func TestHeadersOfRequests(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	s.send("POST", "guest/default/w", "hi", "Host", "example.org:1", "X-Own", "a", "X-Own", "b", "Authorization", "Bearer t", "Content-Type", "text/plain", "Content-Length", "2", "X-Quote", `"\`)
	_, headers := s.arguments()
	want := map[string]any{"host": "example.org:1", "x-own": "b", "authorization": "Bearer t", "content-type": "text/plain", "x-quote": `"\`}
	if d := cmp.Diff(want, headers); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestRestOfThePath(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	for path, want := range map[string]string{
		"":                   "",
		"/":                  "/",
		"/a/b":               "/a/b",
		"/a//b/":             "/a//b/",
		"/a%2Fb/%41":         "/a%2Fb/A",
		"/x%20y/%c3%a9":      "/x%20y/%C3%A9",
		"/!$&'()*+,;=:@-._~": "/!$&'()*+,;=:@-._~",
		"/%21%25%3F":         "/!%25%3F",
		"/.json/../x":        "/.json/../x",
	} {
		s.send("GET", "guest/default/w.json"+path+"?x=1", "")
		if args, _ := s.arguments(); args["__ow_path"] != want {
			t.Errorf("%s: got %v, want %s", path, args["__ow_path"], want)
		}
	}
}

// Stored parameters go with the call, not into its payload: the invoker merges.
func TestParametersOfThePackage(t *testing.T) {
	s := newHouse(t)
	s.putPackage(&whisk.Package{Namespace: "guest", Name: "pkg", Parameters: keyValues(t, `{"p":1}`)})
	s.putPackage(&whisk.Package{Namespace: "guest", Name: "bound", Parameters: keyValues(t, `{"b":2}`), Binding: &whisk.PackageName{Namespace: "guest", Name: "pkg"}})
	s.put("pkg/w", web, `{"a":1}`)
	s.send("GET", "guest/bound/w?x=1", "")
	c := s.f.last
	if c == nil || c.Caller.Namespace != "guest" || c.Action.Path() != "guest/pkg/w" || c.Binding != "guest/bound" || !c.Blocking || c.Wait.Seconds() != 60 || len(c.TransactionID) != 32 {
		t.Fatalf("call: %+v", c)
	}
	if string(c.Inherited.Find("p")) != "1" || string(c.Inherited.Find("b")) != "2" {
		t.Errorf("inherited: %v", c.Inherited)
	}
}
