package gateway

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

const notFoundBody = "{\"error_msg\":\"404 Route Not Found\"}\n"

func TestRouteNotFound(t *testing.T) {
	r := start(t, nil)
	tests := []struct{ target, contentType string }{
		{"/nope", "text/plain; charset=utf-8"}, // spec vector 1
		{"/x.json", "application/json"},        // spec vector 2
		{"/x.html", "text/html; charset=utf-8"},
		{"/x.XML", "text/xml; charset=utf-8"},
		{"/x.unknown?a=b.json", "text/plain; charset=utf-8"},
		{"/a.json/b", "text/plain; charset=utf-8"},
	}
	for _, test := range tests {
		rep := r.get(test.target)
		if rep.line != "HTTP/1.1 404 Not Found" || rep.body != notFoundBody {
			t.Errorf("%s: %s %q", test.target, rep.line, rep.body)
		}
		if got := rep.header.Get("Content-Type"); got != test.contentType {
			t.Errorf("%s: Content-Type %q, want %q", test.target, got, test.contentType)
		}
		if rep.header.Get("Transfer-Encoding") != "chunked" || rep.header.Get("Server") != "millrace/1.2.3" || rep.closed {
			t.Errorf("%s: head %q", test.target, rep.head)
		}
	}
	if rep := r.do("HEAD", "/nope"); rep.status != 404 || rep.body != "" {
		t.Errorf("HEAD: %s %q", rep.line, rep.body)
	}
}

func TestOrderOfOwnHeaders(t *testing.T) {
	r := start(t, nil)
	var names []string
	for line := range strings.Lines(r.get("/nope").head) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	if got, want := strings.Join(names, " "), "Date Content-Type Transfer-Encoding Connection Server"; got != want {
		t.Errorf("headers %q, want %q", got, want)
	}
}

func TestUpstreamStatus(t *testing.T) {
	up := serve(t, func(_ *server, c *upstreamConn) {
		if req, err := http.ReadRequest(c.r); err == nil {
			io.WriteString(c, "HTTP/1.1 "+req.URL.Path[1:]+" Any\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
	})
	r := start(t, nil)
	r.route("1", "/*", up.addr)
	for status, want := range map[string]string{"200": "", "499": "", "500": "500", "599": "599", "600": "", "799": ""} {
		if rep := r.get("/" + status); rep.header.Get("X-APISIX-Upstream-Status") != want || strconv.Itoa(rep.status) != status {
			t.Errorf("%s: %d, X-APISIX-Upstream-Status %q", status, rep.status, rep.header.Get("X-APISIX-Upstream-Status"))
		}
	}
}

func TestPages(t *testing.T) {
	r := start(t, nil)
	dead := closedAddr(t)
	r.route("dead", "/dead", dead)
	r.put("routes/empty", `{"uri":"/empty","upstream":{"nodes":{}}}`)
	r.put("routes/array", `{"uri":"/array","upstream":{"nodes":[]}}`)
	r.put("routes/type", `{"uri":"/type","upstream":{"type":"nope","nodes":{"127.0.0.1:1":1}}}`)
	r.put("routes/upstream", `{"uri":"/upstream","upstream_id":"gone"}`)
	r.put("routes/service", `{"uri":"/service","service_id":"gone"}`)
	r.put("routes/config", `{"uri":"/config","plugin_config_id":"gone","upstream":{"nodes":{"127.0.0.1:1":1}}}`)
	r.put("routes/none", `{"uri":"/none","plugins":{}}`)
	r.put("routes/name", `{"uri":"/name","upstream":{"nodes":{"no-such-name.invalid:80":1}}}`)
	tests := []struct {
		target, line, title, status string
		closed                      bool
	}{
		{"/dead", "502 Bad Gateway", "502 Bad Gateway", "502", false},
		{"/empty", "503 Service Temporarily Unavailable", "503 Service Temporarily Unavailable", "", false},
		{"/array", "503 Service Temporarily Unavailable", "503 Service Temporarily Unavailable", "", false},
		{"/none", "503 Service Temporarily Unavailable", "503 Service Temporarily Unavailable", "", false},
		{"/name", "503 Service Temporarily Unavailable", "503 Service Temporarily Unavailable", "", false},
		{"/type", "500 Internal Server Error", "500 Internal Server Error", "", true},
		{"/upstream", "502 Bad Gateway", "502 Bad Gateway", "", false},
		{"/service", "404 Not Found", "404 Not Found", "", false},
		{"/config", "503 Service Temporarily Unavailable", "503 Service Temporarily Unavailable", "", false},
	}
	for _, test := range tests {
		rep := r.get(test.target)
		if rep.line != "HTTP/1.1 "+test.line {
			t.Errorf("%s: %s", test.target, rep.line)
		}
		if !strings.Contains(rep.body, "<title>"+test.title+"</title>") || !strings.Contains(rep.body, "millrace") {
			t.Errorf("%s: %q", test.target, rep.body)
		}
		if got := rep.header.Get("X-APISIX-Upstream-Status"); got != test.status {
			t.Errorf("%s: X-APISIX-Upstream-Status %q, want %q", test.target, got, test.status)
		}
		if rep.header.Get("Content-Type") != "text/html; charset=utf-8" || rep.closed != test.closed {
			t.Errorf("%s: head %q", test.target, rep.head)
		}
	}
}

func TestExit(t *testing.T) {
	r := start(t, nil)
	tests := []struct {
		name   string
		status int
		body   any
		line   string
		want   string
		head   string // a header line that must be there
	}{
		{"text", 200, "hi", "200 OK", "hi", "Transfer-Encoding: chunked"},
		{"bytes", 201, []byte("hi"), "201 Created", "hi", "Transfer-Encoding: chunked"},
		{"object", 403, map[string]any{"message": "<no>"}, "403 Forbidden", "{\"message\":\"<no>\"}\n", "Content-Type: text/plain; charset=utf-8"},
		{"nothing", 200, nil, "200 OK", "", "Transfer-Encoding: chunked"},
		{"no content", 204, nil, "204 No Content", "", ""},
		{"no reason", 407, map[string]int{"statusCode": 407}, "407 ", "{\"statusCode\":407}\n", ""},
		{"no page", 418, nil, "418 ", "", "Content-Length: 0"},
		{"redirect", 302, nil, "302 Moved Temporarily", "302 Found", "Content-Type: text/html\r\n"},
		{"unauthorized", 401, nil, "401 Unauthorized", "401 Authorization Required", "Connection: keep-alive"},
		{"too large", 413, nil, "413 Request Entity Too Large", "413 Request Entity Too Large", "Connection: close"},
		{"out of range", 1000, "x", "200 OK", "x", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setExit(test.status, test.body)
			r.put("routes/1", `{"uri":"/x","plugins":{"test-exit":{}}}`)
			rep := r.get("/x")
			if rep.line != "HTTP/1.1 "+test.line {
				t.Errorf("line %q, want %q", rep.line, test.line)
			}
			isPage := strings.HasPrefix(rep.body, "<!doctype")
			if isPage && !strings.Contains(rep.body, "<title>"+test.want) || !isPage && rep.body != test.want {
				t.Errorf("body %q, want %q", rep.body, test.want)
			}
			if !strings.Contains(rep.head, test.head) {
				t.Errorf("head %q lacks %q", rep.head, test.head)
			}
		})
	}
}
