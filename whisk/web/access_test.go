package web

import (
	"net/http"
	"strings"
	"testing"

	"millrace/whisk"
)

// Whatever the reason why there is no such web action, nobody can tell it from
// the answer.
func TestWhatDoesNotExist(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	s.put("private", `{}`)
	s.put("false", `{"web-export":false}`)
	s.put("text", `{"web-export":"true"}`)
	s.put("one", `{"web-export":1}`)
	s.put("closed", `{"require-whisk-auth":true,"web-custom-options":true}`)
	s.putPackage(&whisk.Package{Namespace: "guest", Name: "pkg"})
	s.putPackage(&whisk.Package{Namespace: "guest", Name: "open", Publish: true})
	s.put("pkg/private", `{}`)
	s.putPackage(&whisk.Package{Namespace: "stranger", Name: "bound", Binding: &whisk.PackageName{Namespace: "guest", Name: "pkg"}})
	s.putPackage(&whisk.Package{Namespace: "stranger", Name: "public", Binding: &whisk.PackageName{Namespace: "guest", Name: "open"}})
	s.put("pkg/w", web)
	s.put("open/w", web)
	for _, path := range []string{
		"", "guest", "guest/w", "guest/default", "guest/default/", "nobody/default/w", "_/default/w", "guest/default/none",
		"guest/default/private", "guest/default/false", "guest/default/text", "guest/default/one", "guest/default/closed",
		"guest/none/w", "guest/pkg/private", "guest/pkg/none", "guest/default/pkg", "guest/w/w", "stranger/bound/w", "stranger/default/w",
		"guest/default/w.xml", "guest/default/.json", "guest/default/w.json.json", "guest/default/W", "guest/default/%77%2Fx",
		"guest/default/w%20.json", "guest/default/" + strings.Repeat("w", 257), "guest/default/$w", "guest/../guest/default/w", "guest//w",
	} {
		for _, headers := range [][]string{nil, {"Authorization", basic(guestKey)}, {"Authorization", basic(strangerKey)}} {
			r := s.send("GET", path, "", append([]string{"X-Request-Id", "t"}, headers...)...)
			delete(r.Header, "Content-Length")
			want := http.Header{
				"X-Request-Id": {"t"}, "Content-Type": {"application/json"}, "Access-Control-Allow-Origin": {"*"},
				"Access-Control-Allow-Methods": {"OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"},
				"Access-Control-Allow-Headers": {"Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"},
			}
			if r.StatusCode != 404 || r.refusal(t) != "The requested resource does not exist." || len(r.Header) != len(want) {
				t.Errorf("%s: got %d %v %s", path, r.StatusCode, r.Header, r.body)
			}
			for name, values := range want {
				if r.Header.Get(name) != values[0] {
					t.Errorf("%s: %s is %q", path, name, r.Header[name])
				}
			}
		}
	}
	if s.f.calls > 0 {
		t.Errorf("%d calls", s.f.calls)
	}
	for _, path := range []string{"guest/default/w", "guest/pkg/w.json", "%67uest/default/%77", "guest/default/w.json/.xml", "stranger/public/w.json", "guest/default/w.http"} {
		if r := s.send("GET", path, ""); r.StatusCode > 204 {
			t.Errorf("%s: got %d %s", path, r.StatusCode, r.body)
		}
	}
}

// An extension that is none stays part of the name.
func TestNamesWithDots(t *testing.T) {
	s := newHouse(t)
	for _, name := range []string{"a.xml", "a.json", "a b@c&d.e-f"} {
		s.put(name, web)
	}
	for path, want := range map[string]string{"a.xml": "a.xml", "a.xml.json": "a.xml", "a.json.json": "a.json", "a.json.text": "a.json", "a%20b@c&d.e-f.json": "a b@c&d.e-f"} {
		s.f.last = nil
		s.send("GET", "guest/default/"+path, "")
		if s.f.last == nil || s.f.last.Action.Name != want {
			t.Errorf("%s: called %+v", path, s.f.last)
		}
	}
	if r := s.send("GET", "guest/default/a.json", ""); r.StatusCode != 404 {
		t.Errorf("an extension was taken for a part of the name: %d", r.StatusCode)
	}
}

func TestAuthentication(t *testing.T) {
	s := newHouse(t)
	for name, value := range map[string]string{
		"open": `false`, "key": `true`, "text": `"s3cret"`, "number": `123456789012345678901`, "empty": `""`, "object": `{"a":1}`, "null": `null`,
	} {
		s.put(name, `{"web-export":true,"require-whisk-auth":`+value+`}`)
	}
	s.put("plain", web)
	guest, stranger := []string{"Authorization", basic(guestKey)}, []string{"Authorization", basic(strangerKey)}
	wrong := []string{"Authorization", basic(strings.Replace(guestKey, "123z", "321z", 1))}
	for _, c := range []struct {
		action  string
		headers []string
		allowed bool
		user    any
	}{
		{"plain", nil, true, nil},
		{"plain", guest, true, "guest"},
		{"plain", stranger, true, "stranger"},
		{"plain", wrong, true, nil},
		{"plain", []string{"Authorization", "Basic !"}, true, nil},
		{"plain", []string{"Authorization", "Bearer x"}, true, nil},
		{"plain", []string{"Authorization", "basic " + strings.TrimPrefix(basic(guestKey), "Basic ")}, true, "guest"},
		{"open", nil, true, nil},
		{"key", nil, false, nil},
		{"key", wrong, false, nil},
		{"key", []string{"X-Require-Whisk-Auth", "true"}, false, nil},
		{"key", guest, true, "guest"},
		{"key", stranger, true, "stranger"},
		{"text", nil, false, nil},
		{"text", guest, false, nil},
		{"text", []string{"X-Require-Whisk-Auth", "s3cre"}, false, nil},
		{"text", []string{"X-Require-Whisk-Auth", "s3cret"}, true, nil},
		{"number", []string{"X-Require-Whisk-Auth", "123456789012345678901"}, true, nil},
		{"number", []string{"X-Require-Whisk-Auth", "123456789012345678902"}, false, nil},
		{"empty", nil, false, nil},
		{"object", guest, false, nil},
		{"object", []string{"X-Require-Whisk-Auth", `{"a":1}`}, false, nil},
		{"null", guest, false, nil},
	} {
		calls := s.f.calls
		r := s.send("GET", "guest/default/"+c.action+".json", "", c.headers...)
		if !c.allowed {
			if r.StatusCode != 401 || s.f.calls != calls || r.Header.Get("Www-Authenticate") != "" ||
				r.refusal(t) != "Authentication is possible but has failed or not yet been provided." {
				t.Errorf("%s %q: got %d %v %s", c.action, c.headers, r.StatusCode, r.Header, r.body)
			}
			continue
		}
		args, _ := s.arguments()
		if r.StatusCode != 200 || args["__ow_user"] != c.user || s.f.last.Caller.Namespace != "guest" {
			t.Errorf("%s %q: got %d, user %v", c.action, c.headers, r.StatusCode, args["__ow_user"])
		}
	}
}

// The key of a namespace is not shown to the actions of another.
func TestKeysOfOthers(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	for credentials, shown := range map[string]bool{basic(guestKey): true, basic(strangerKey): false, "Basic Zm9vOmJhcg==": true, "Bearer x": true} {
		s.send("GET", "guest/default/w", "", "Authorization", credentials)
		_, headers := s.arguments()
		if _, there := headers["authorization"]; there != shown {
			t.Errorf("%s: %v", credentials, headers)
		}
	}
}

func TestThrottlesAndLimitsOfTheOwner(t *testing.T) {
	s := newHouse(t)
	s.put("w", `{"web-export":true,"require-whisk-auth":true}`)
	s.put("private", `{}`)
	owner := s.h.Identities.Namespace("guest") // made for this test alone
	owner.System = &whisk.SystemLimits{Payload: 10}
	if r := s.send("POST", "guest/default/w", "12345678901"); r.StatusCode != 413 || r.refusal(t) != "Request larger than allowed: 11 > 10 bytes." {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	s.f.admit = &whisk.Error{Status: 429, Msg: "Too many requests in the last minute (count: 2, allowed: 1)."}
	for _, method := range []string{"POST", "OPTIONS"} {
		if r := s.send(method, "guest/default/w", "12345678901"); r.StatusCode != 429 || r.refusal(t) != "Too many requests in the last minute (count: 2, allowed: 1)." {
			t.Errorf("%s: %d %s", method, r.StatusCode, r.body)
		}
	}
	if r := s.send("POST", "guest/default/private", "12345678901"); r.StatusCode != 404 {
		t.Errorf("a private action: %d", r.StatusCode)
	}
	owner.Kinds = []string{"python:3"}
	if r := s.send("POST", "guest/default/w", ""); r.StatusCode != 403 {
		t.Errorf("a kind that is not allowed: %d", r.StatusCode)
	}
}

func TestMethods(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"} {
		s.send(method, "guest/default/w", "")
		if args, _ := s.arguments(); args["__ow_method"] != strings.ToLower(method) {
			t.Errorf("%s: %v", method, args)
		}
	}
	calls := s.f.calls
	for _, method := range []string{"TRACE", "CONNECT", "PROPFIND", "get"} {
		r := s.send(method, "guest/default/w", "")
		if r.StatusCode != 405 || r.Header.Get("Allow") == "" || s.f.calls != calls {
			t.Errorf("%s: %d", method, r.StatusCode)
		}
	}
}

// CORS and OPTIONS: spec/openwhisk.md §5.7.
func TestCORS(t *testing.T) {
	s := newHouse(t)
	s.f.result = `{"headers":{"access-control-allow-methods":"OPTIONS, GET"},"statusCode":200}`
	s.put("w", web)
	s.put("key", `{"web-export":true,"require-whisk-auth":true}`)
	s.put("own", `{"web-export":true,"web-custom-options":true,"require-whisk-auth":true}`)
	s.put("off", `{"web-export":true,"web-custom-options":false}`)
	const methods, headers = "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH", "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"
	for _, c := range []struct {
		method, path, asked      string
		status, calls            int
		origin, methods, headers string
	}{
		{"OPTIONS", "guest/default/w", "", 200, 0, "*", methods, headers},
		{"OPTIONS", "guest/default/w.json/x", "X-A, X-B", 200, 0, "*", methods, "X-A, X-B"},
		{"OPTIONS", "guest/default/off", "", 200, 0, "*", methods, headers},
		{"OPTIONS", "guest/default/key", "", 200, 0, "*", methods, headers},
		{"OPTIONS", "guest/default/own", "X-A", 200, 1, "", "OPTIONS, GET", ""},
		{"OPTIONS", "guest/default/none", "", 404, 0, "*", methods, headers},
		{"OPTIONS", "guest", "", 200, 0, "*", methods, headers},
		{"GET", "guest/default/w", "X-A", 200, 1, "*", "OPTIONS, GET", "X-A"},
		{"GET", "guest/default/key", "", 401, 0, "*", methods, headers},
		{"GET", "guest/default/own", "", 401, 0, "", "", ""},
	} {
		calls := s.f.calls
		var given []string
		if c.asked != "" {
			given = []string{"Access-Control-Request-Headers", c.asked}
		}
		r := s.send(c.method, c.path, "", given...)
		h := r.Header
		if r.StatusCode != c.status || s.f.calls-calls != c.calls || h.Get("Access-Control-Allow-Origin") != c.origin ||
			h.Get("Access-Control-Allow-Methods") != c.methods || h.Get("Access-Control-Allow-Headers") != c.headers || c.status == 200 && r.body != "" {
			t.Errorf("%s %s: got %d, %d calls, %v", c.method, c.path, r.StatusCode, s.f.calls-calls, h)
		}
	}
}
