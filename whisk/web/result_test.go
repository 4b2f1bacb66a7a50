package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"millrace/whisk"
)

// Results and their answers: spec/openwhisk.md §5.5, §5.6, and the cases of
// WebActionsApiTests.
func TestResults(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	png := base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x00\xff"))
	const html, plain, svg, js = "text/html; charset=UTF-8", "text/plain; charset=UTF-8", "image/svg+xml", "application/json"
	for _, c := range []struct {
		ext, result string
		status      int
		contentType string
		body        string // of an error: its text
	}{
		// .json: the whole result, whatever its members are called.
		{".json", `{"a":1,"b":[1,{"c":"d"}],"e":{}}`, 200, js, "{\n  \"a\": 1,\n  \"b\": [1, {\n    \"c\": \"d\"\n  }],\n  \"e\": {}\n}"},
		{".json", `{"statusCode":404,"headers":{"x":"y"},"body":"b"}`, 200, js, "{\n  \"statusCode\": 404,\n  \"headers\": {\n    \"x\": \"y\"\n  },\n  \"body\": \"b\"\n}"},
		{".json", `{}`, 200, js, "{}"},
		{".json", ` [1, 2 ,"a b"] `, 200, js, `[1, 2, "a b"]`},
		{".json", `[]`, 200, js, `[]`},

		// .html
		{".html", `{"html":"<h1>"}`, 200, html, "<h1>"},
		{".html", `{"body":"<b>","html":"<h1>"}`, 200, html, "<b>"},
		{".html", `{"html":"a\u00e9\n\"\ud83d\ude00"}`, 200, html, "aé\n\"😀"},
		{".html", `{"html":""}`, 200, "", ""},
		{".html", `{"html":1}`, 400, js, "Response is not valid 'text/html'."},
		{".html", `{"body":1,"html":"x"}`, 400, js, "Response is not valid 'text/html'."},
		{".html", `{"a":1}`, 400, js, "Response is not valid 'text/html'."},
		{".html", `["x"]`, 400, js, "Response is not valid 'text/html'."},

		// .svg
		{".svg", `{"svg":"<svg/>"}`, 200, svg, "<svg/>"},
		{".svg", `{"body":"<svg/>"}`, 200, svg, "<svg/>"},
		{".svg", `{"html":"<svg/>"}`, 400, js, "Response is not valid 'image/svg+xml'."},

		// .text
		{".text", `{"text":"hi"}`, 200, plain, "hi"},
		{".text", `{"body":"ho","text":"hi"}`, 200, plain, "ho"},
		{".text", `{"text":1.50}`, 200, plain, "1.50"},
		{".text", `{"text":true}`, 200, plain, "true"},
		{".text", `{"text":null}`, 200, plain, "null"},
		{".text", `{"text":{"a":1}}`, 200, plain, "{\n  \"a\": 1\n}"},
		{".text", `{"text":[1,2]}`, 200, plain, "[1, 2]"},
		{".text", `[1,2]`, 200, plain, "[1, 2]"},
		{".text", `{"a":1}`, 404, js, "Response does not include requested property."},

		// .http: the status
		{"", `{}`, 204, "", ""},
		{".http", `{}`, 204, "", ""},
		{".http", `{"foo":"bar"}`, 204, "", ""},
		{".http", `{"body":null}`, 204, "", ""},
		{".http", `{"body":""}`, 204, "", ""},
		{".http", `{"statusCode":200}`, 200, "", ""},
		{".http", `{"statusCode":200,"body":""}`, 200, "", ""},
		{".http", `{"body":"hi"}`, 200, html, "hi"},
		{".http", `{"statusCode":201,"body":"hi"}`, 201, html, "hi"},
		{".http", `{"statusCode":"201","body":"hi"}`, 201, html, "hi"},
		{".http", `{"statusCode":2.01e2,"body":"hi"}`, 201, html, "hi"},
		{".http", `{"statusCode":444,"body":"hi"}`, 444, html, "hi"},
		{".http", `{"statusCode":999,"body":"hi"}`, 999, html, "hi"},
		{".http", `{"statusCode":1000}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":99}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":101}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":-200}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":200.5}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":1e300}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":"200.0"}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":"ok"}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":null}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":true}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `{"statusCode":[200]}`, 400, js, "Response is not valid 'message/http'."},
		{".http", `[1]`, 400, js, "Response is not valid 'message/http'."},
		// What HTTP gives no body has none.
		{".http", `{"statusCode":204,"body":"hi"}`, 204, "", ""},
		{".http", `{"statusCode":205,"body":"hi"}`, 205, "", ""},
		{".http", `{"statusCode":304,"body":"hi"}`, 304, "", ""},

		// .http: a body that is text
		{".http", `{"headers":{"content-type":"text/plain"},"body":"hi"}`, 200, plain, "hi"},
		{".http", `{"headers":{"Content-Type":"text/plain; charset=iso-8859-1"},"body":"é"}`, 200, plain, "é"},
		{".http", `{"headers":{"CONTENT-TYPE":"text/x-own; a=b"},"body":"hi"}`, 200, "text/x-own; a=b; charset=UTF-8", "hi"},
		{".http", `{"headers":{"content-type":"application/xml"},"body":"<a/>"}`, 200, "application/xml; charset=UTF-8", "<a/>"},
		{".http", `{"headers":{"content-type":"application/x-own; charset=utf-8"},"body":"hi"}`, 200, "application/x-own; charset=UTF-8", "hi"},
		{".http", `{"headers":{"content-type":"application/x-www-form-urlencoded"},"body":"a=b"}`, 200, "application/x-www-form-urlencoded", "a=b"},
		{".http", `{"headers":{"content-type":["text/css","text/plain"]},"body":"a{}"}`, 200, "text/css; charset=UTF-8", "a{}"},

		// .http: a body that is JSON
		{".http", `{"body":{"a":1}}`, 200, js, `{"a":1}`},
		{".http", `{"body":[1,2]}`, 200, js, `[1,2]`},
		{".http", `{"body":5}`, 200, js, `5`},
		{".http", `{"body":false}`, 200, js, `false`},
		{".http", `{"headers":{"content-type":"application/json; charset=utf-8"},"body":{"a":1}}`, 200, js, `{"a":1}`},
		{".http", `{"headers":{"content-type":"application/vnd.api+json"},"body":{"a":1}}`, 200, "application/vnd.api+json", `{"a":1}`},
		{".http", `{"headers":{"content-type":"text/plain"},"body":{"a":1}}`, 400, js, "Response type in header did not match generated content type."},
		{".http", `{"headers":{"content-type":"image/png"},"body":5}`, 400, js, "Response type in header did not match generated content type."},
		{".http", `{"headers":{"content-type":"application/json"},"body":"hello world"}`, 200, js, "hello world"},
		{".http", `{"headers":{"content-type":"application/json"},"body":"` + base64.StdEncoding.EncodeToString([]byte(`{"a":1}`)) + `"}`, 200, js, `{"a":1}`},
		{".http", `{"headers":{"content-type":"application/vnd.api+json"},"body":"` + base64.StdEncoding.EncodeToString([]byte(`{"a":1}`)) + `"}`, 200, "application/vnd.api+json", `{"a":1}`},

		// .http: a body that is binary
		{".http", `{"headers":{"content-type":"image/png"},"body":"` + png + `"}`, 200, "image/png", "\x89PNG\r\n\x00\xff"},
		{".http", `{"headers":{"content-type":"image/png"},"body":"` + strings.TrimRight(png, "=") + `"}`, 200, "image/png", "\x89PNG\r\n\x00\xff"},
		{".http", `{"headers":{"content-type":"image/svg+xml"},"body":"PHN2Zy8+"}`, 200, svg, "<svg/>"},
		{".http", `{"headers":{"content-type":"application/octet-stream"},"body":"AAE="}`, 200, "application/octet-stream", "\x00\x01"},
		{".http", `{"headers":{"content-type":"xyz/bar"},"body":"AAE="}`, 200, "xyz/bar", "\x00\x01"},
		{".http", `{"headers":{"content-type":"multipart/mixed; boundary=AbC"},"body":"LS1BYkM="}`, 200, "multipart/mixed; boundary=AbC", "--AbC"},
		{".http", `{"headers":{"content-type":"image/png"},"body":"not base64"}`, 400, js, "Response type in header did not match generated content type."},

		// .http: a type that is none
		{".http", `{"headers":{"content-type":"xyz"},"body":"hi"}`, 400, js, "Response did not specify a known content-type."},
		{".http", `{"headers":{"content-type":"a/"},"body":"hi"}`, 400, js, "Response did not specify a known content-type."},
		{".http", `{"headers":{"content-type":7},"body":{}}`, 400, js, "Response did not specify a known content-type."},
		{".http", `{"headers":{"content-type":"xyz"}}`, 204, "", ""},
		{".http", `{"headers":{"content-type":"image/png"},"body":""}`, 204, "", ""},
	} {
		s.f.result = c.result
		r := s.send("GET", "guest/default/w"+c.ext, "")
		body := r.body
		if strings.HasPrefix(c.body, "Response") && c.status >= 400 {
			body = r.refusal(t)
		}
		if r.StatusCode != c.status || r.Header.Get("Content-Type") != c.contentType || body != c.body {
			t.Errorf("%s %s:\n got %d %s %q\nwant %d %s %q", c.ext, c.result, r.StatusCode, r.Header.Get("Content-Type"), body, c.status, c.contentType, c.body)
		}
		if r.Header.Get("X-Openwhisk-Activation-Id") != s.f.last.ID {
			t.Errorf("%s %s: no activation id", c.ext, c.result)
		}
	}
}

// The error of an action is transcoded like a result; other failures are not.
func TestFailedCalls(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	for _, c := range []struct {
		ext    string
		status whisk.Status
		result string
		want   int
		body   string
	}{
		{".http", whisk.ApplicationError, `{"error":{"statusCode":444,"headers":{"content-type":"text/plain"},"body":"hello"}}`, 444, "hello"},
		{".json", whisk.ApplicationError, `{"error":{"a":1}}`, 200, "{\n  \"a\": 1\n}"},
		{".html", whisk.ApplicationError, `{"error":"<h1>sorry"}`, 200, "<h1>sorry"},
		{".svg", whisk.ApplicationError, `{"error":"<svg/>"}`, 200, "<svg/>"},
		{".text", whisk.ApplicationError, `{"error":"sorry"}`, 200, "sorry"},
		{".text", whisk.ApplicationError, `{"error":7}`, 200, "7"},
		{".text", whisk.ApplicationError, `{"error":null}`, 200, "null"},
		{".http", whisk.ApplicationError, `{"error":"boom"}`, 400, "Response is not valid 'message/http'."},
		{".json", whisk.ApplicationError, `{"error":"boom"}`, 400, "Response is not valid 'application/json'."},
		{".json", whisk.ApplicationError, `{"error":null}`, 400, "Response is not valid 'application/json'."},
		{".json", whisk.ApplicationError, `{}`, 404, "Response does not include requested property."},
		{".json", whisk.DeveloperError, `{"error":{"a":"secret"}}`, 400, "There was an error processing your request."},
		{".http", whisk.WhiskError, `{"error":{"body":"secret"}}`, 400, "There was an error processing your request."},
	} {
		s.f.status, s.f.result = c.status, c.result
		r := s.send("GET", "guest/default/w"+c.ext, "")
		body := r.body
		if c.want == 400 || c.want == 404 {
			body = r.refusal(t)
		}
		if r.StatusCode != c.want || body != c.body || r.Header.Get("X-Openwhisk-Activation-Id") == "" {
			t.Errorf("%s %v %s: got %d %q", c.ext, c.status, c.result, r.StatusCode, body)
		}
	}
	s.f.late = true
	r := s.send("GET", "guest/default/w", "")
	if r.StatusCode != 202 || r.refusal(t) != "Response not yet ready." || r.Header.Get("X-Openwhisk-Activation-Id") != s.f.last.ID {
		t.Errorf("late: %d %v %s", r.StatusCode, r.Header, r.body)
	}
	s.f.invoke = errOurs
	if r := s.send("GET", "guest/default/w", ""); r.StatusCode != 500 || r.refusal(t) != "There was an internal server error." || r.Header.Get("X-Openwhisk-Activation-Id") != "" {
		t.Errorf("our own failure: %d %s", r.StatusCode, r.body)
	}
}

func TestHeadersOfResults(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	for _, c := range []struct {
		headers string
		status  int
		want    http.Header
	}{
		{`{}`, 200, nil},
		{`{"location":"http://openwhisk.org"}`, 200, http.Header{"Location": {"http://openwhisk.org"}}},
		{`{"Set-Cookie":["a=1; Path=/","b=2"],"x-many":[1,true,"c"]}`, 200, http.Header{"Set-Cookie": {"a=1; Path=/", "b=2"}, "X-Many": {"1", "true", "c"}}},
		{`{"Set-Cookie":"a=1","set-cookie":"b=2"}`, 200, http.Header{"Set-Cookie": {"a=1", "b=2"}}},
		{`{"x-number":1.50,"x-bool":false,"x-empty":"","x-none":[]}`, 200, http.Header{"X-Number": {"1.50"}, "X-Bool": {"false"}, "X-Empty": {""}, "X-None": nil}},
		{`{"x":{}}`, 400, nil},
		{`{"x":null}`, 400, nil},
		{`{"x":[["nested"]]}`, 400, nil},
		{`{"x":[{}]}`, 400, nil},
		{`null`, 400, nil},
		{`"x: y"`, 400, nil},
		{`[]`, 400, nil},
		// Nothing gets out of its line.
		{`{"x":"a\r\nSet-Cookie: b=1"}`, 400, nil},
		{`{"x":"a\nb"}`, 400, nil},
		{`{"x":"a\u0000b"}`, 400, nil},
		{`{"x\r\nSet-Cookie":"b=1"}`, 400, nil},
		{`{"x y":"z"}`, 400, nil},
		{`{"x:":"z"}`, 400, nil},
		{`{"":"z"}`, 400, nil},
		{`{"Trailer:x":"z"}`, 400, nil},
		// More than any client takes.
		{`{"x":"` + strings.Repeat("a", 64<<10-1) + `"}`, 200, nil},
		{`{"x":"` + strings.Repeat("a", 64<<10) + `"}`, 400, nil},
		{`{"x":[` + strings.Repeat(`"",`, 64<<10) + `""]}`, 400, nil},
		// Connection and origin are not an action's to speak for.
		{`{"Connection":"close","Transfer-Encoding":"chunked","content-length":"3","Upgrade":"h2c","Trailer":"x","Keep-Alive":"a","TE":"b",
		   "Date":"c","Server":"d","Proxy-Connection":"e","X-Request-ID":"f","X-OpenWhisk-Activation-Id":"g","Service-Worker-Allowed":"/",
		   "Clear-Site-Data":"*","Strict-Transport-Security":"max-age=9","Alt-Svc":"h3","NEL":"{}","Report-To":"{}","x-kept":"yes"}`, 200, http.Header{
			"Connection": nil, "Transfer-Encoding": nil, "Content-Length": {"2"}, "Upgrade": nil, "Trailer": nil, "Keep-Alive": nil, "Te": nil,
			"Date": nil, "Server": nil, "Proxy-Connection": nil, "X-Request-Id": {"mine"}, "Service-Worker-Allowed": nil,
			"Clear-Site-Data": nil, "Strict-Transport-Security": nil, "Alt-Svc": nil, "Nel": nil, "Report-To": nil, "X-Kept": {"yes"},
		}},
		// An action's own CORS stands in place of the default.
		{`{"access-control-allow-origin":"https://a.example"}`, 200, http.Header{
			"Access-Control-Allow-Origin":  {"https://a.example"},
			"Access-Control-Allow-Methods": {"OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"},
		}},
	} {
		s.f.result = `{"headers":` + c.headers + `,"body":"hi"}`
		r := s.send("GET", "guest/default/w", "", "X-Request-Id", "mine")
		if r.StatusCode != c.status || c.status == 400 && r.refusal(t) != "Response is not valid 'message/http'." {
			t.Errorf("%s: got %d %s", c.headers, r.StatusCode, r.body)
		}
		for name, want := range c.want {
			if got := r.Header[name]; strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
				t.Errorf("%s: %s is %q, want %q", c.headers, name, got, want)
			}
		}
		if id := r.Header.Get("X-Openwhisk-Activation-Id"); id != s.f.last.ID {
			t.Errorf("%s: activation id %q", c.headers, id)
		}
	}
}

// In the sandbox an action can add to the policy, not take from it.
func TestSandbox(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	s.h.Sandbox = true
	for result, want := range map[string][]string{
		`{"body":"hi"}`: {policy},
		`{"body":"hi","headers":{"content-security-policy":"default-src 'self'"}}`: {"default-src 'self'", policy},
		`{"statusCode":"x"}`: {policy},
	} {
		s.f.result = result
		if got := s.send("GET", "guest/default/w", "").Header["Content-Security-Policy"]; strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: got %q", result, got)
		}
	}
	if got := s.send("GET", "guest/default/none", "").Header["Content-Security-Policy"]; len(got) != 1 {
		t.Errorf("an error of ours: %q", got)
	}
}

func TestNegotiation(t *testing.T) {
	s := newHouse(t)
	s.put("w", web)
	for _, c := range []struct {
		ext, result, accept string
		status              int
	}{
		{".html", `{"html":"x"}`, "", 200},
		{".html", `{"html":"x"}`, "*/*", 200},
		{".html", `{"html":"x"}`, "text/html", 200},
		{".html", `{"html":"x"}`, "TEXT/*;q=0.1", 200},
		{".html", `{"html":"x"}`, "application/json, */*;q=0.1", 200},
		{".html", `{"html":"x"}`, "application/json", 406},
		{".html", `{"html":"x"}`, "application/*, image/png;q=1", 406},
		{".html", `{"html":"x"}`, "text/html;q=0, */*", 406},
		{".html", `{"html":"x"}`, "text/*;q=0, text/html;level=1", 200},
		{".html", `{"html":"x"}`, "*/*;q=0", 406},
		{".html", `{"html":"x"}`, "nonsense", 200},
		{".html", `{"html":""}`, "application/json", 200},
		{".json", `{"html":"x"}`, "text/html", 406},
		{".http", `{"body":"x"}`, "application/json", 406},
		{".http", `{"statusCode":302,"headers":{"location":"/x"},"body":"x"}`, "application/json", 406},
		{".http", `{"statusCode":302,"headers":{"location":"/x"}}`, "application/json", 302},
		{".http", `{"statusCode":444,"body":"x"}`, "application/json", 444},
		{".http", `{"statusCode":"x"}`, "text/html", 400},
	} {
		s.f.result = c.result
		var headers []string
		if c.accept != "" {
			headers = []string{"Accept", c.accept}
		}
		r := s.send("GET", "guest/default/w"+c.ext, "", headers...)
		if r.StatusCode != c.status {
			t.Errorf("%s %s, Accept %s: got %d", c.ext, c.result, c.accept, r.StatusCode)
		}
		if c.status == 406 && !strings.HasPrefix(r.refusal(t), "Resource representation is only available with these types:\n") {
			t.Errorf("%s: %s", c.accept, r.body)
		}
	}
	s.f.result = `{"html":"x"}`
	if got := s.send("GET", "guest/default/w.html", "", "Accept", "a/b").refusal(t); got != "Resource representation is only available with these types:\ntext/html; charset=UTF-8" {
		t.Error(got)
	}
}

func TestPretty(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)
	if got := pretty(deep); len(got) > 3*len(deep) {
		t.Errorf("%d bytes became %d", len(deep), len(got))
	}
	large := `{"a":"` + strings.Repeat("x", prettyBytes) + `"}`
	if pretty(large) != large {
		t.Error("a large result was laid out")
	}
	for in, want := range map[string]string{
		`{}`:                               `{}`,
		`{ }`:                              `{}`,
		`[ ]`:                              `[]`,
		`{"a":[],"b":{}}`:                  "{\n  \"a\": [],\n  \"b\": {}\n}",
		`{"a":"{\"x\":[1,2]}"}`:            "{\n  \"a\": \"{\\\"x\\\":[1,2]}\"\n}",
		`[{"a":1},{"b":-1e5}]`:             "[{\n  \"a\": 1\n}, {\n  \"b\": -1e5\n}]",
		"{\"a\"\n:\ttrue ,\r\"b\": null }": "{\n  \"a\": true,\n  \"b\": null\n}",
		`[[1,[2]],"a,b"]`:                  `[[1, [2]], "a,b"]`,
		`{"a":{"b":{"c":[{"d":"\\"}]}}}`:   "{\n  \"a\": {\n    \"b\": {\n      \"c\": [{\n        \"d\": \"\\\\\"\n      }]\n    }\n  }\n}",
	} {
		if got := pretty(in); got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}
