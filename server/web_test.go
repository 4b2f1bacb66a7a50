package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// webAction puts an action with annotations, a JSON object.
func (s *site) webAction(name, code, annotations string) {
	s.t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(annotations), &members); err != nil {
		s.t.Fatal(err)
	}
	var list []map[string]any
	for k, v := range members {
		list = append(list, map[string]any{"key": k, "value": v})
	}
	doc, err := json.Marshal(map[string]any{"exec": map[string]string{"kind": "nodejs:default", "code": code}, "annotations": list})
	if err != nil {
		s.t.Fatal(err)
	}
	s.must(s.send("PUT", s.Functions+"/api/v1/namespaces/_/actions/"+name+"?overwrite=true", string(doc)))
}

// visit makes a request as a browser does: without credentials.
func (s *site) visit(method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.Functions+"/api/v1/web/guest/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // which follows nothing
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// Web actions in Node.js, from the request to the answer and the record.
func TestWebActions(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.webAction("echo", `function main(p) { return p }`, `{"web-export":true}`)
	s.webAction("page", `function main(p) { return {headers: {'Set-Cookie': ['a=1', 'b=2'], 'Content-Type': 'text/html'}, statusCode: 201, body: '<h1>' + p.name} }`, `{"web-export":true}`)
	s.webAction("image", `function main(p) { return {headers: {'Content-Type': 'image/png'}, body: p.__ow_body} }`, `{"web-export":true}`)
	s.webAction("gone", `function main() { return {statusCode: 302, headers: {location: '/there'}} }`, `{"web-export":true}`)
	s.webAction("fails", `function main() { return Promise.reject({statusCode: 418, body: 'teapot'}) }`, `{"web-export":true}`)
	s.webAction("throws", `function main() { throw new Error('secret') }`, `{"web-export":true}`)
	s.webAction("raw", `function main(p) { return {body: {q: p.__ow_query, b: Buffer.from(p.__ow_body, 'base64').toString()}} }`, `{"web-export":true,"raw-http":true}`)
	s.webAction("private", `function main() { return {} }`, `{}`)
	png := "\x89PNG\r\n\x1a\n\x00\xff"
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
		want                            string // of the body
	}{
		{"GET", "default/page?name=you", "", "", 201, "<h1>you"},
		{"POST", "default/page?name=query", "application/json", `{"name":"body"}`, 201, "<h1>body"},
		{"POST", "default/page", "application/x-www-form-urlencoded", `name=a+form`, 201, "<h1>a form"},
		{"POST", "default/image", "image/png", png, 200, png},
		{"GET", "default/gone", "", "", 302, ""},
		{"GET", "default/fails", "", "", 418, "teapot"},
		{"POST", "default/raw?a=%20b", "application/json", `{"x" : 1}`, 200, `{"q":"a=%20b","b":"{\"x\" : 1}"}`},
	} {
		got := s.visit(c.method, c.path, c.body, "Content-Type", c.contentType)
		if got.Status != c.status || got.Body != c.want {
			t.Errorf("%s %s: got %d %q", c.method, c.path, got.Status, got.Body)
		}
	}
	if got := s.visit("GET", "default/page", ""); len(got.Header["Set-Cookie"]) != 2 {
		t.Errorf("cookies: %v", got.Header)
	}
	if got := s.visit("GET", "default/throws", ""); got.Status != 400 || strings.Contains(got.Body, "secret") {
		t.Errorf("an exception: %d %s", got.Status, got.Body)
	}
	if got := s.visit("GET", "default/private", ""); got.Status != 404 {
		t.Errorf("a private action: %d", got.Status)
	}

	got := s.visit("PUT", "default/echo.json/rest?a=1", "")
	var args map[string]any
	if err := json.Unmarshal([]byte(got.Body), &args); err != nil || args["__ow_method"] != "put" || args["__ow_path"] != "/rest" || args["a"] != "1" {
		t.Errorf("the arguments: %v %s", err, got.Body)
	}
	id := got.Header.Get("X-Openwhisk-Activation-Id")
	rec := s.must(s.send("GET", s.Functions+"/api/v1/namespaces/_/activations/"+id, ""))
	if !strings.Contains(rec.Body, `"name":"echo","namespace":"guest"`) {
		t.Errorf("the record: %s", rec.Body)
	}
}

// Where a key that everybody knows is in force, pages from elsewhere reach web
// actions no more than the REST API.
func TestWebActionsOnThisMachineOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.webAction("w", `function main() { return {body: 'hi'} }`, `{"web-export":true}`)
	for _, h := range [][]string{{"Host", "evil.example"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		if got := s.visit("GET", "default/w", "", h...); got.Status != 403 {
			t.Errorf("%v: got %d %s", h, got.Status, got.Body)
		}
	}
	if got := s.visit("GET", "default/w", "", "Origin", s.Console); got.Status != 200 {
		t.Errorf("an own page: %d %s", got.Status, got.Body)
	}
}

// A sequence is a web action like any: its error too becomes the answer.
func TestWebSequence(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.action("first", `function main(p) { return p.bad ? {error: {statusCode: 444, body: 'no'}} : {name: p.name} }`)
	s.action("second", `function main(p) { return {body: 'hi ' + p.name} }`)
	s.must(s.send("PUT", s.Functions+"/api/v1/namespaces/_/actions/both",
		`{"exec":{"kind":"sequence","components":["/_/first","/_/second"]},"annotations":[{"key":"web-export","value":true}]}`))
	if got := s.visit("GET", "default/both?name=you", ""); got.Status != 200 || got.Body != "hi you" {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	if got := s.visit("GET", "default/both?bad=1", ""); got.Status != 444 || got.Body != "no" {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

// So is a composition, whose conductor decides what the answer is.
func TestWebComposition(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.action("double", `function main(p) { return {n: p.n * 2} }`)
	s.webAction("twice", `function main(p) {
		const steps = p.steps || 0
		if (steps < 2) return {action: 'double', params: {n: Number(p.n)}, state: {steps: steps + 1}}
		return {params: {statusCode: 201, body: {n: p.n}}}
	}`, `{"web-export":true,"conductor":true}`)
	if got := s.visit("GET", "default/twice?n=3", ""); got.Status != 201 || got.Body != `{"n":12}` {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

// The arguments of one visitor stay out of those of another.
func TestWebActionsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.webAction("w", `function main(p) { return {body: p.n + p.__ow_headers['x-n']} }`, `{"web-export":true}`)
	ended := make(chan string, 20)
	for i := range cap(ended) {
		go func() {
			n := fmt.Sprint(i)
			if got := s.visit("POST", "default/w", `{"n":"`+n+`,"}`, "Content-Type", "application/json", "X-N", n); got.Body != n+","+n {
				ended <- fmt.Sprintf("visitor %s got %d %s", n, got.Status, got.Body)
				return
			}
			ended <- ""
		}()
	}
	for range cap(ended) {
		if problem := <-ended; problem != "" {
			t.Error(problem)
		}
	}
}
