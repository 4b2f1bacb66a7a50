package gateway

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"millrace/plugin"
)

const anySchema = `{"type":"object"}`

func init() {
	plugin.Register[exiter]("test-exit", 10, anySchema)
	plugin.Register[changer]("test-change", 9, anySchema)
	plugin.Register[closing]("test-close", 8, anySchema)
	plugin.Register[filter]("test-filter", 7, anySchema)
	plugin.Register[changedStatus]("test-status", 6, anySchema)
	plugin.Register[setQuery]("test-query", 5, anySchema)
}

var exitWith struct {
	sync.Mutex
	status int
	body   any
}

func setExit(status int, body any) {
	exitWith.Lock()
	defer exitWith.Unlock()
	exitWith.status, exitWith.body = status, body
}

// exiter answers with what setExit said.
type exiter struct{}

func (exiter) Access(c *plugin.Context) error {
	exitWith.Lock()
	defer exitWith.Unlock()
	return c.Exit(exitWith.status, exitWith.body)
}

// changer does to the request and to the answer what its configuration says.
type changer struct {
	Target  string            `json:"target"`
	Host    string            `json:"host"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Answer  map[string]string `json:"answer"`
	Echo    bool              `json:"echo"`
	Body    *string           `json:"body"`
	Drop    bool              `json:"drop"`
	Fail    bool              `json:"fail"`
	Limit   int64             `json:"limit"`
}

func (p *changer) Rewrite(c *plugin.Context) error {
	switch {
	case p.Drop:
		return plugin.ErrDrop
	case p.Fail:
		return errors.New("went wrong")
	case p.Echo:
		return p.echo(c)
	}
	for name, value := range p.Headers {
		if value == "" {
			c.Request.DelHeader(name)
		} else {
			c.Request.SetHeader(name, value)
		}
	}
	for name, value := range p.Answer {
		c.Response.SetHeader(name, value)
	}
	c.UpstreamTarget, c.UpstreamHost, c.UpstreamMethod = p.Target, p.Host, p.Method
	if p.Body != nil {
		c.Request.SetBody([]byte(*p.Body))
	}
	return nil
}

func (p *changer) echo(c *plugin.Context) error {
	limit := p.Limit
	if limit == 0 {
		limit = -1
	}
	body, err := c.Request.Body(limit)
	if errors.Is(err, plugin.ErrBodyTooLarge) {
		return c.Exit(413, nil)
	}
	if err != nil {
		return err
	}
	r := c.Request
	lines := []string{r.Method(), r.Target(), r.Path(), r.Query(), r.Host(), c.Conn.RemoteAddr,
		c.Matched.RouteID, c.Matched.Ext, string(r.Header("x-a")), string(body)}
	return c.Exit(200, strings.Join(lines, "|"))
}

// closing counts its instances.
type closing struct {
	closed atomic.Bool
}

var instances, made, closedInUse atomic.Int64

func (p *closing) Init(*plugin.Env) error {
	instances.Add(1)
	made.Add(1)
	return nil
}
func (p *closing) Access(c *plugin.Context) error {
	if p.closed.Load() {
		closedInUse.Add(1)
	}
	return nil
}
func (p *closing) Log(c *plugin.Context) {
	if p.closed.Load() {
		closedInUse.Add(1)
	}
}
func (p *closing) Close() {
	p.closed.Store(true)
	instances.Add(-1)
}

// filter changes answers.
type filter struct {
	Status int  `json:"status"`
	Upper  bool `json:"upper"`
}

var logged sync.Map // route id → status and Content-Type of its last answer

func (p *filter) FilterHeader(c *plugin.Context) {
	if p.Status != 0 {
		c.Response.SetStatus(p.Status)
	}
	c.Response.SetHeader("X-Filtered", "yes")
	c.Response.DelHeader("X-Secret")
}
func (p *filter) FilterBody(c *plugin.Context, body []byte) []byte {
	if p.Upper {
		return bytes.ToUpper(body)
	}
	return body
}
func (p *filter) Log(c *plugin.Context) {
	logged.Store(c.Matched.RouteID, string(c.Response.Header("x-kept")))
}

// changedStatus changes the status and leaves the body alone.
type changedStatus struct {
	Status int `json:"status"`
}

func (p *changedStatus) FilterHeader(c *plugin.Context) { c.Response.SetStatus(p.Status) }

func TestPluginSeesRequest(t *testing.T) {
	r := start(t, nil)
	r.put("routes/e1", `{"uri":"/e/*","plugins":{"test-change":{"echo":true,"limit":5}}}`)
	c := r.dial()
	c.send("POST /e/%61//b?q=1&z HTTP/1.1\r\nHost: A.b:80\r\nX-A: v\r\nContent-Length: 4\r\n\r\nbody")
	rep := c.reply("POST")
	if want := "POST|/e/%61//b?q=1&z|/e/a/b|q=1&z|A.b:80|127.0.0.1|e1|a/b|v|body"; rep.body != want {
		t.Errorf("got  %s\nwant %s", rep.body, want)
	}
	c.send("POST /e/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nT: x\r\n\r\n")
	if rep := c.reply("POST"); !strings.HasSuffix(rep.body, "|abcde") {
		t.Errorf("chunked: %s", rep.body)
	}
	c.send("POST /e/ HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef")
	if rep := c.reply("POST"); rep.status != 413 || !rep.closed {
		t.Errorf("over the limit: %s", rep.line)
	}
	if rep := r.do("POST", "/e/", "Transfer-Encoding: chunked", "", "6", "abcdef", "0", ""); rep.status != 413 {
		t.Errorf("chunked over the limit: %s", rep.line)
	}
}

func TestPluginChangesRequest(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.put("routes/1", `{"uri":"/c","upstream":{"nodes":{"`+up.addr+`":1}},"plugins":{"test-change":{
		"target":"/new?x","host":"other","method":"PUT","body":"new body","headers":{"X-A":"","X-B":"b\r\nEvil: 1","X-C":"c"},
		"answer":{"X-Early":"e"}}}}`)
	rep := r.do("POST", "/c", "X-A: a", "X-B: old", "Content-Length: 3", "", "old")
	if rep.status != 200 || rep.header.Get("X-Early") != "e" {
		t.Errorf("%s %q", rep.line, rep.head)
	}
	host, port, _ := strings.Cut(r.addr, ":")
	_ = host
	want := "PUT /new?x HTTP/1.1\r\nHost: other\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\nContent-Length: 8\r\n" +
		"X-B: b%0D%0AEvil: 1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: test\r\nX-Forwarded-Port: " + port + "\r\nX-C: c\r\n\r\nnew body"
	if got := up.last(t); got != want {
		t.Errorf("upstream got\n%s\nwant\n%s", got, want)
	}
}

// What a plugin says of X-Forwarded-* is what the upstream gets, once.
func TestPluginSetsForwarded(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.put("routes/1", `{"uri":"/c","upstream":{"nodes":{"`+up.addr+`":1}},"plugins":{"test-change":{
		"headers":{"X-Forwarded-Host":"h.example","X-Forwarded-Proto":"https","X-Forwarded-Port":"9882"}}}}`)
	for _, headers := range [][]string{nil, {"X-Forwarded-Proto: grpc", "x-forwarded-host: theirs", "X-Forwarded-Port: 1", "X-Forwarded-Host: again"}} {
		if rep := r.get("/c", headers...); rep.status != 200 {
			t.Fatal(rep.line)
		}
		got := strings.ToLower(up.last(t))
		for _, want := range []string{"x-forwarded-host: h.example\r\n", "x-forwarded-proto: https\r\n", "x-forwarded-port: 9882\r\n"} {
			name, _, _ := strings.Cut(want, ":")
			if !strings.Contains(got, want) || strings.Count(got, name) != 1 {
				t.Errorf("%q: want %q once in\n%s", headers, want, got)
			}
		}
	}
}

func TestPluginDropsAndFails(t *testing.T) {
	r := start(t, nil)
	r.put("routes/1", `{"uri":"/drop","plugins":{"test-change":{"drop":true}}}`)
	r.put("routes/2", `{"uri":"/fail","plugins":{"test-change":{"fail":true}}}`)
	c := r.dial()
	c.send("GET /drop HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		t.Errorf("drop: %q %v", b, err)
	}
	if rep := r.get("/fail"); rep.status != 500 || !rep.closed || !strings.Contains(rep.body, "<title>500 ") {
		t.Errorf("fail: %s", rep.line)
	}
	if !strings.Contains(r.logs.String(), "went wrong") {
		t.Error("the failure was not logged")
	}
}

func TestFilters(t *testing.T) {
	r := start(t, nil)
	up := answer(t, "HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nX-Secret: s\r\nX-Kept: k\r\nContent-Type: text/html\r\n\r\nabc")
	r.put("routes/f1", `{"uri":"/f","upstream":{"nodes":{"`+up.addr+`":1}},"plugins":{"test-filter":{"status":201,"upper":true}}}`)
	rep := r.get("/f")
	if rep.line != "HTTP/1.1 201 Created" || rep.body != "ABC" || rep.header.Get("Transfer-Encoding") != "chunked" {
		t.Errorf("%s %q %q", rep.line, rep.head, rep.body)
	}
	if rep.header.Get("X-Filtered") != "yes" || rep.header.Get("X-Secret") != "" || rep.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("head %q", rep.head)
	}
	eventually(t, "log phase", func() bool { v, _ := logged.Load("f1"); return v == "k" })
	r.put("routes/f2", `{"uri":"/g","upstream":{"nodes":{}},"plugins":{"test-filter":{}}}`)
	if rep := r.get("/g"); rep.status != 503 || rep.header.Get("X-Filtered") != "yes" {
		t.Errorf("filters on a page: %s %q", rep.line, rep.head)
	}
}

// An answer without a body has none whatever a plugin makes of its status or of the
// method, and the next one on the connection is not mistaken.
func TestBodilessAnswersOfPlugins(t *testing.T) {
	r := start(t, nil)
	full := serve(t, func(s *server, c *upstreamConn) {
		for {
			head, _, err := s.request(c)
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
			if !strings.HasPrefix(head, "HEAD ") {
				io.WriteString(c, "abc")
			}
		}
	})
	unchanged := answer(t, "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n")
	for _, test := range []struct {
		name, method, plugins string
		up                    *server
		status                int
		body                  string
	}{
		{"304 through a body filter", "GET", `"test-filter":{"upper":true}`, unchanged, 304, ""},
		{"HEAD through a body filter", "HEAD", `"test-filter":{"upper":true}`, full, 200, ""},
		{"a filter says 204", "GET", `"test-filter":{"status":204}`, full, 204, ""},
		{"a header filter says 304", "GET", `"test-status":{"status":304}`, full, 304, ""},
		{"HEAD sent as GET", "HEAD", `"test-change":{"method":"GET"}`, full, 200, ""},
		{"GET sent as HEAD", "GET", `"test-change":{"method":"HEAD"}`, full, 200, ""},
		{"GET sent as GET", "GET", `"test-change":{"method":"GET"}`, full, 200, "abc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.put("routes/b", `{"uri":"/b","upstream":{"nodes":{"`+test.up.addr+`":1}},"plugins":{`+test.plugins+`}}`)
			c := r.dial()
			for range 2 {
				c.send(test.method + " /b HTTP/1.1\r\nHost: a\r\n\r\n")
				rep, err := c.tryReply(test.method)
				if err != nil || rep.status != test.status || rep.body != test.body || rep.closed || test.body == "" && strings.Contains(rep.head, "chunked") {
					t.Fatalf("%v %+v", err, rep)
				}
			}
		})
	}
}

// A plugin that sets the query changes what the upstream gets.
func TestPluginSetsQuery(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	for query, want := range map[string]string{"a=1&b": "/c%20d?a=1&b", "": "/c%20d"} {
		r.put("routes/1", `{"uri":"/c d","upstream":{"nodes":{"`+up.addr+`":1}},"plugins":{"test-query":{"query":"`+query+`"}}}`)
		if rep := r.get("/c%20d?old=1"); rep.status != 200 || rep.header.Get("X-Seen") != want+"|"+query {
			t.Errorf("%q: %s, seen as %q", query, rep.line, rep.header.Get("X-Seen"))
		}
		if line, _, _ := strings.Cut(up.last(t), "\r\n"); line != "GET "+want+" HTTP/1.1" {
			t.Errorf("%q: sent as %s", query, line)
		}
	}
}

// setQuery sets the query and tells what the request then looks like.
type setQuery struct {
	Query string `json:"query"`
}

func (p *setQuery) Rewrite(c *plugin.Context) error {
	_ = c.Request.Target() // is not kept
	c.Request.SetQuery(p.Query)
	c.Response.SetHeader("X-Seen", c.Request.Target()+"|"+c.Request.Query())
	return nil
}
