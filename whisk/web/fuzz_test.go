package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"golang.org/x/net/http/httpguts"
)

// FuzzResult: whatever a result is, there is an answer, which is valid HTTP, and
// an error of ours is one that clients know.
func FuzzResult(f *testing.F) {
	for _, seed := range []string{
		`{"statusCode":200,"headers":{"content-type":"text/html; a=b","set-cookie":["a","b"],"x":1.5},"body":"hi"}`,
		`{"headers":{"content-type":"image/png"},"body":"AAE="}`, `{"body":{"a":[1,{"b":"\u00e9\n"}]}}`, `{"error":"x"}`, `[1,[2,{"a":3}]]`,
		`{"statusCode":"204","headers":{"a\r\nb":"c"}}`, `{"html":"x","svg":"y","text":[]}`, `{"headers":{"content-type":"a/b; charset=\"x\""},"body":"QQ"}`,
		`"text"`, `null`, `1e999`, `{"statusCode":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, result []byte) {
		if !json.Valid(result) {
			return
		}
		for e := range suffixes {
			x := &exchange{Request: httptest.NewRequest("GET", "/", nil), tid: "t", activationID: "a"}
			w := httptest.NewRecorder()
			x.w = w
			res, err := extension(e).transcode(gjson.Parse(string(result)))
			if err != nil {
				res = failureOf(t, err)
			}
			x.send(&res)
			checkHTTP(t, w)
		}
	})
}

// checkHTTP reads an answer back as a client would.
func checkHTTP(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code < 200 || w.Code > 999 {
		t.Fatalf("status %d", w.Code)
	}
	for name, values := range w.Header() {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				t.Fatalf("header %q: %q", name, v)
			}
		}
	}
	var wire bytes.Buffer
	if err := w.Result().Write(&wire); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(&wire), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != w.Code || len(resp.Header["Content-Type"]) > 1 {
		t.Fatalf("read back as %d %v", resp.StatusCode, resp.Header)
	}
}

// FuzzArguments: whatever a request is, its action gets one JSON object, in which
// what is reserved is ours, or none at all.
func FuzzArguments(f *testing.F) {
	for _, seed := range [][3]string{
		{"a=b&c", "application/json", `{"a":1,"__ow_x":[{}]}`}, {"%61=%22&__ow_user=x", "", "x"}, {"", "application/x-www-form-urlencoded", "a=%zz&b=+"},
		{"a=1", "application/json", `[1]`}, {"", "text/plain; charset=\"\"", "\xff"}, {"", "image/png", "\x00"}, {"a=1", "application/a+json", ` {} `},
		{"", "application/json", "{\"\\u005f_ow_user\":1}"}, {"\xff==&&", "application/json", "{\"\xff\":1}"},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]), false)
		f.Add(seed[0], seed[1], []byte(seed[2]), true)
	}
	s := newHouse(f)
	s.put("w", web)
	s.put("raw", `{"web-export":true,"raw-http":true}`)
	f.Fuzz(func(t *testing.T, query, contentType string, body []byte, raw bool) {
		name := "w"
		if raw {
			name = "raw"
		}
		r := httptest.NewRequest("POST", "/api/v1/web/guest/default/"+name+"/rest", bytes.NewReader(body))
		r.URL.RawQuery, r.RequestURI = query, "/"
		r.Header.Set("Content-Type", contentType)
		calls := s.f.calls
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		s.h.ServeHTTP(w, r)
		if s.f.calls == calls {
			if w.Code != 400 && w.Code != 413 {
				t.Fatalf("not called, and answered with %d", w.Code)
			}
			return
		}
		var args map[string]json.RawMessage
		if err := json.Unmarshal([]byte(s.f.args), &args); err != nil {
			t.Fatalf("%v: %s", err, s.f.args)
		}
		if string(args["__ow_method"]) != `"post"` || string(args["__ow_path"]) != `"/rest"` || args["__ow_user"] != nil {
			t.Fatalf("%s", s.f.args)
		}
		if !raw && (args["__ow_query"] != nil || strings.Count(s.f.args, `"__ow_method":"post"`) != 1) && !strings.Contains(query+string(body), "__ow_") {
			t.Fatalf("%s", s.f.args)
		}
	})
}

// FuzzAddress: a path names an action by valid names or not at all, and the rest
// is a path that says the same.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"guest/default/w", "guest/p/a.json/x%2fy/é%zz", "//", "a/b/c.http.http", "%67/%/%2F"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		a, ok := parseAddress(prefix + path)
		if !ok {
			return
		}
		if a.rest != "" && a.rest[0] != '/' || normal(a.rest) != a.rest {
			t.Fatalf("%q: rest %q", path, a.rest)
		}
		for i := range len(a.rest) {
			if c := a.rest[i]; c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
				t.Fatalf("%q: rest %q", path, a.rest)
			}
		}
	})
}

// FuzzMedia: whatever a client accepts and an action calls its answer, there is a
// decision, and the type that goes out is one.
func FuzzMedia(f *testing.F) {
	for _, seed := range [][2]string{{"*/*", "text/html"}, {"a/b;q=0.5, */*;q=x", "a/b; c=\"d;,\""}, {",;/,", "application/json;charset="}, {"text/*;q=0", "multipart/mixed; boundary=\"a b\""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, accept, contentType string) {
		m, known := parseMedia(contentType)
		if !known {
			return
		}
		res := response{status: 200, contentType: m.header(), body: "x"}
		if !acceptable([]string{"*/*"}, &res) {
			t.Fatalf("%q is not covered by */*", res.contentType)
		}
		acceptable([]string{accept}, &res)
		if again, known := parseMedia(res.contentType); !known || again.name != m.name {
			t.Fatalf("%q went out as %q", contentType, res.contentType)
		}
	})
}
