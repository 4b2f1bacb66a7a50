package gateway

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"millrace/plugin"
)

func init() {
	plugin.Register[varPlugin]("test-var", 5, anySchema)
	plugin.Register[authPlugin]("test-auth", 100, anySchema, plugin.AsAuth[authKey](`{"type":"object","required":["key"],"properties":{"key":{"type":"string"}}}`, "key"))
	for i, name := range []string{"test-trace-a", "test-trace-b", "test-trace-c", "test-trace-d"} {
		plugin.Register[tracer](name, 50-i, anySchema)
	}
	plugin.Register[metaPlugin]("test-meta", 40, anySchema, plugin.AsMetadata[metaConf](`{"type":"object","properties":{"word":{"type":"string","default":"preset"}}}`))
	plugin.Register[chooser]("test-choose", 39, anySchema)
	plugin.Register[logPlugin]("test-log", 38, anySchema)
	plugin.Register[streamer]("test-stream", 37, anySchema)
	plugin.Register[panicker]("test-panic", 36, anySchema)
}

// varPlugin shows a template's value in a header of the answer.
type varPlugin struct {
	Template string `json:"template"`
}

func (p *varPlugin) Rewrite(c *plugin.Context) error {
	c.Response.SetHeader("X-Var", plugin.CompileTemplate(p.Template).Expand(c.Lookup()))
	return nil
}

// authPlugin finds a consumer by the header Key.
type authPlugin struct{}

type authKey struct {
	Key string `json:"key"`
}

func (authPlugin) Rewrite(c *plugin.Context) error {
	who := c.Consumers.Credential("test-auth", string(c.Request.Header("Key")))
	if who == nil {
		return c.Exit(401, map[string]string{"message": "who?"})
	}
	c.Authenticated(who)
	return nil
}

// tracer tells the upstream and the client in which phases it ran.
type tracer struct {
	Name string `json:"name"`
	Exit int    `json:"exit"`
}

func (p *tracer) note(c *plugin.Context, phase string) error {
	c.Request.SetHeader("X-Trace", strings.TrimSpace(string(c.Request.Header("X-Trace"))+" "+phase+p.Name))
	c.Response.SetHeader("X-Phases", string(c.Request.Header("X-Trace")))
	return nil
}

func (p *tracer) Rewrite(c *plugin.Context) error { return p.note(c, "r") }
func (p *tracer) Access(c *plugin.Context) error {
	_ = p.note(c, "a")
	if p.Exit != 0 {
		return c.Exit(p.Exit, nil)
	}
	return nil
}
func (p *tracer) BeforeProxy(c *plugin.Context) error { return p.note(c, "b") }
func (p *tracer) FilterHeader(c *plugin.Context)      { _ = p.note(c, "h") }

// metaPlugin shows its metadata.
type metaPlugin struct{}

type metaConf struct {
	Word string `json:"word"`
}

func (metaPlugin) Rewrite(c *plugin.Context) error {
	c.Response.SetHeader("X-Word", plugin.MetadataOf[metaConf](c, "test-meta").Word)
	return nil
}

// chooser sends requests to another upstream.
type chooser struct {
	ID     string `json:"id"`
	Node   string `json:"node"`
	handle plugin.UpstreamHandle
}

func (p *chooser) Init(env *plugin.Env) (err error) {
	compiler, ok := plugin.Service[plugin.UpstreamCompiler](env)
	if !ok {
		return fmt.Errorf("no compiler")
	}
	if p.ID != "" {
		p.handle = compiler.SharedUpstream(p.ID)
		return nil
	}
	p.handle, err = compiler.CompileUpstream([]byte(`{"nodes":{"` + p.Node + `":1}}`))
	return err
}

func (p *chooser) Access(c *plugin.Context) error { c.SetUpstream(p.handle); return nil }
func (p *chooser) Close()                         { p.handle.Close() }

// logPlugin keeps what loggers see of the last request.
type logPlugin struct {
	Template string `json:"template"`
}

var lastLogged atomic.Pointer[string]

func (p *logPlugin) Log(c *plugin.Context) {
	line := plugin.CompileTemplate(p.Template).Expand(c.Lookup())
	lastLogged.Store(&line)
}

// streamer writes parts of bodies in capitals, of answers with the header X-Stream.
type streamer struct{}

func (streamer) WantsBody(c *plugin.Context) bool { return c.Response.Header("X-Stream") != nil }
func (streamer) StreamBody(_ *plugin.Context, part []byte, last bool) []byte {
	out := []byte(strings.ToUpper(string(part)))
	if last {
		out = append(out, '.')
	}
	return out
}

// panicker has a mistake in the phase that its configuration names.
type panicker struct {
	Phase string `json:"phase"`
}

func (p *panicker) in(phase string) error {
	if p.Phase == phase {
		panic("a mistake")
	}
	return nil
}

func (p *panicker) Access(*plugin.Context) error      { return p.in("access") }
func (p *panicker) FilterHeader(*plugin.Context)      { _ = p.in("header_filter") }
func (p *panicker) WatchBody(*plugin.Context, []byte) { _ = p.in("body_filter") }
func (p *panicker) Log(*plugin.Context)               { _ = p.in("log") }

// A plugin's mistake costs the request in which it happened, and nothing else.
func TestPanics(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	r.route("1", "/x", up.addr)
	kept := r.dial()
	for _, phase := range []string{"access", "header_filter", "body_filter", "log"} {
		r.put("routes/2", `{"uri":"/y","plugins":{"test-close":{},"test-panic":{"phase":"`+phase+`"}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
		c := r.dial()
		c.send("GET /y HTTP/1.1\r\nHost: h\r\n\r\n")
		rep, want := c.reply("GET"), 500
		if phase == "log" {
			want = 200
		}
		if rep.status != want || want == 500 && !rep.closed {
			t.Errorf("%s: answered %s, closed %v", phase, rep.line, rep.closed)
		}
		kept.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
		if rep := kept.reply("GET"); rep.body != "up" {
			t.Errorf("%s: %s", phase, rep.line)
		}
	}
	r.delete("routes/2")
	eventually(t, "closing the plugins", func() bool { return instances.Load() == 0 })
	if !strings.Contains(r.logs.String(), "a mistake") {
		t.Error("the panic is not in the log")
	}
}

func TestPrecedenceOfPlugins(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	r.put("upstreams/u", `{"nodes":{"`+up.addr+`":1}}`)
	r.put("services/s", `{"plugins":{"test-trace-a":{"name":"S"},"test-trace-b":{"name":"S"},"test-trace-c":{"name":"S"}}}`)
	r.put("plugin_configs/p", `{"plugins":{"test-trace-b":{"name":"P"},"test-trace-c":{"name":"P"}}}`)
	r.put("routes/1", `{"uri":"/x","service_id":"s","plugin_config_id":"p","upstream_id":"u","plugins":{"test-trace-c":{"name":"R"}}}`)
	check := func(what, want string, headers ...string) {
		t.Helper()
		if rep := r.get("/x", headers...); rep.header.Get("X-Phases") != want {
			t.Errorf("%s: %s, phases %q, want %q", what, rep.line, rep.header.Get("X-Phases"), want)
		}
	}
	check("route over plugin config over service", "rS rP rR aS aP aR bS bP bR hS hP hR")
	r.put("routes/1", `{"uri":"/x","service_id":"s","plugin_config_id":"p","upstream_id":"u","plugins":{"test-trace-c":{"name":"R","_meta":{"disable":true}}}}`)
	check("disabled on the route", "rS rP aS aP bS bP hS hP")
	r.put("global_rules/1", `{"plugins":{"test-trace-d":{"name":"G"},"test-trace-a":{"name":"H"}}}`)
	check("global rules come first in each phase", "rH rG rS rP aH aG aS aP bH bG bS bP hH hG hS hP")
	if rep := r.get("/none"); rep.status != 404 || rep.header.Get("X-Phases") != "rH rG aH aG hH hG" {
		t.Errorf("global rules without route: %s, %q", rep.line, rep.header.Get("X-Phases"))
	}
	r.put("global_rules/2", `{"plugins":{"test-trace-d":{"name":"I"}}}`)
	if rep := r.get("/none"); rep.header.Get("X-Phases") != "rH rG aH aG hH hG" {
		t.Errorf("the same plugin in two global rules: %q", rep.header.Get("X-Phases"))
	}
	r.put("global_rules/3", `{"plugins":{"no-such-plugin":{}}}`)
	r.delete("global_rules/1")
	if rep := r.get("/none"); rep.header.Get("X-Phases") != "rI aI hI" {
		t.Errorf("beside a broken rule: %q", rep.header.Get("X-Phases"))
	}
	r.delete("global_rules/2")
	r.put("plugin_configs/p", `{"plugins":{"test-trace-b":{"name":"Q","_meta":{"priority":1000,"filter":[["arg_q","==",null]],"pre_function":"return function(conf, ctx) ctx.var.pre = conf.name end"}}}}`)
	check("priority", "rQ rS aQ aS bQ bS hQ hS")
	if rep := r.get("/x?q=1"); rep.header.Get("X-Phases") != "rS aS bS hS" {
		t.Errorf("filter: %q", rep.header.Get("X-Phases"))
	}
	r.delete("plugin_configs/p")
	if rep := r.get("/x"); rep.status != 503 {
		t.Errorf("missing plugin config: %s", rep.line)
	}
	r.delete("services/s")
	if rep := r.get("/x"); rep.status != 404 && rep.status != 503 {
		t.Errorf("missing service: %s", rep.line)
	}
}

func TestConsumersAndGroups(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	r.put("routes/1", `{"uri":"/x","plugins":{"test-auth":{},"test-trace-a":{"name":"R"},"test-trace-b":{"name":"R"},"test-trace-c":{"name":"R"}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	r.put("consumer_groups/g", `{"plugins":{"test-trace-b":{"name":"G"},"test-trace-c":{"name":"G"},"test-trace-d":{"name":"G"}}}`)
	r.put("consumers/jack", `{"username":"jack","group_id":"g","labels":{"custom_id":"7"},"plugins":{"test-auth":{"key":"k1"},"test-trace-c":{"name":"C"}}}`)
	r.put("consumers/jack/credentials/c1", `{"plugins":{"test-auth":{"key":"k2"}}}`)
	r.put("consumers/plain", `{"username":"plain","plugins":{"test-auth":{"key":"k3"}}}`)
	check := func(what, key string, status int, phases string) {
		t.Helper()
		rep := r.get("/x", "Key: "+key, "X-Credential-Identifier: forged")
		if rep.status != status || phases != "" && rep.header.Get("X-Phases") != phases {
			t.Errorf("%s: %s %q, want %d %q", what, rep.line, rep.header.Get("X-Phases"), status, phases)
		}
	}
	const merged = "rR rR rR rG aR aG aC aG bR bG bC bG hR hG hC hG"
	check("unknown key", "k0", 401, "")
	check("consumer", "k1", 200, merged)
	sent := up.last(t)
	for _, line := range []string{"X-Consumer-Username: jack", "X-Consumer-Custom-ID: 7"} {
		if !strings.Contains(sent, line) {
			t.Errorf("the upstream did not get %s: %s", line, sent)
		}
	}
	if strings.Contains(sent, "forged") {
		t.Error("a client names its own credential")
	}
	check("credential", "k2", 200, merged)
	if sent := up.last(t); !strings.Contains(sent, "X-Credential-Identifier: c1") {
		t.Errorf("the upstream does not know the credential: %s", sent)
	}
	check("without plugins", "k3", 200, "rR rR rR aR aR aR bR bR bR hR hR hR")

	r.put("consumers/jack", `{"username":"jack","group_id":"g","plugins":{"test-auth":{"key":"k9"},"test-trace-a":{"name":"D"}}}`)
	check("the key before", "k1", 401, "")
	check("changed at once", "k9", 200, "rR rR rR rG aD aG aG aG bD bG bG bG hD hG hG hG")
	r.put("consumer_groups/g", `{"plugins":{}}`)
	check("the group too", "k9", 200, "rR rR rR aD aR aR bD bR bR hD hR hR")
	r.delete("consumer_groups/g")
	check("missing group", "k9", 503, "")
	r.put("consumers/jack", `{"username":"jack","plugins":{"test-auth":{"key":"$secret://vault/1/x/y"}}}`)
	check("an unresolved reference", "$secret://vault/1/x/y", 401, "")
	check("its credential", "k2", 200, "")
	r.put("consumers/plain", `{"username":"plain","plugins":{"test-auth":{"key":"k2"}}}`)
	check("the last of two with one key", "k2", 200, "")
	if sent := up.last(t); !strings.Contains(sent, "X-Consumer-Username: plain") {
		t.Errorf("got %s", sent)
	}
	r.delete("consumers/plain")
	check("the first again", "k2", 200, "")
	r.delete("consumers/jack")
	check("deleted", "k2", 401, "")
}

func TestMetadata(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	r.put("routes/1", `{"uri":"/x","plugins":{"test-meta":{}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	for _, tc := range []struct{ conf, want string }{{"", "preset"}, {`{"word":"a"}`, "a"}, {`{"word":1}`, "a"}, {`{}`, "preset"}, {`{"word":"b"}`, "b"}} {
		if tc.conf != "" {
			r.put("plugin_metadata/test-meta", tc.conf)
		}
		if rep := r.get("/x"); rep.header.Get("X-Word") != tc.want {
			t.Errorf("%s: %q, want %q", tc.conf, rep.header.Get("X-Word"), tc.want)
		}
	}
	r.delete("plugin_metadata/test-meta")
	if rep := r.get("/x"); rep.header.Get("X-Word") != "preset" {
		t.Errorf("deleted: %q", rep.header.Get("X-Word"))
	}
}

func TestPluginsChooseTheUpstream(t *testing.T) {
	r := start(t, nil)
	own, inline, shared, later := ok(t, "own"), ok(t, "inline"), ok(t, "shared"), ok(t, "later")
	nodes := `"upstream":{"nodes":{"` + own.addr + `":1}}`
	r.put("upstreams/u", `{"nodes":{"`+shared.addr+`":1}}`)
	r.put("routes/1", `{"uri":"/own",`+nodes+`}`)
	r.put("routes/2", `{"uri":"/inline","plugins":{"test-choose":{"node":"`+inline.addr+`"}}}`)
	r.put("routes/3", `{"uri":"/shared","plugins":{"test-choose":{"id":"u"}},`+nodes+`}`)
	check := func(target, body string, status int) {
		t.Helper()
		if rep := r.get(target); rep.status != status || status == 200 && rep.body != body {
			t.Errorf("%s: %s %q, want %s", target, rep.line, rep.body, body)
		}
	}
	check("/own", "own", 200)
	check("/inline", "inline", 200)
	check("/shared", "shared", 200)
	r.put("upstreams/u", `{"nodes":{"`+later.addr+`":1}}`)
	check("/shared", "later", 200)
	r.delete("upstreams/u")
	check("/shared", "", 502)
}

func TestWhatLoggersSee(t *testing.T) {
	r := start(t, nil)
	up := answer(t, "HTTP/1.1 200 OK\r\nX-Up: u\r\nContent-Length: 5\r\n\r\nhello")
	dead := closedAddr(t)
	r.put("routes/1", `{"name":"n","uri":"/x","plugins":{"test-log":{"template":"$status $upstream_status $upstream_addr $body_bytes_sent $request_length $route_name $upstream_http_x_up $upstream_host $upstream_uri $balancer_ip:$balancer_port $upstream_scheme"}},
		"upstream":{"nodes":[{"host":"127.0.0.1","port":`+dead[strings.LastIndexByte(dead, ':')+1:]+`,"weight":1,"priority":1},{"host":"127.0.0.1","port":`+up.addr[strings.LastIndexByte(up.addr, ':')+1:]+`,"weight":1}]}}`)
	lastLogged.Store(nil)
	c := r.dial()
	const request = "GET /x?a=1 HTTP/1.1\r\nHost: h\r\n\r\n"
	c.send(request)
	c.reply("GET")
	eventually(t, "a line of the log", func() bool { return lastLogged.Load() != nil })
	port := up.addr[strings.LastIndexByte(up.addr, ':')+1:]
	want := fmt.Sprintf("200 502, 200 %s, %s 5 %d n u h  127.0.0.1:%s http", dead, up.addr, len(request), port)
	if got := *lastLogged.Load(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	lastLogged.Store(nil)
	r.put("routes/1", `{"uri":"/x","plugins":{"test-log":{"template":"$status $body_bytes_sent [$upstream_addr]"},"test-trace-a":{"name":"a","exit":403}}}`)
	rep := r.get("/x")
	eventually(t, "a line of the log", func() bool { return lastLogged.Load() != nil })
	if got, want := *lastLogged.Load(), fmt.Sprintf("403 %d []", len(rep.body)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Parts of a body reach the client as they come, though a plugin changes them.
func TestBodiesAreFilteredInParts(t *testing.T) {
	r := start(t, nil)
	next := make(chan string)
	up := serve(t, func(s *server, c *upstreamConn) {
		if _, _, err := s.request(c); err != nil {
			return
		}
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Stream: 1\r\nContent-Length: 6\r\n\r\n"))
		for part := range next {
			c.Write([]byte(part))
		}
	})
	r.put("routes/1", `{"uri":"/x","plugins":{"test-stream":{}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	c := r.dial()
	c.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
	go func() { next <- "abc" }()
	var got strings.Builder
	buf := make([]byte, 1024)
	read := func(until string) {
		t.Helper()
		for !strings.Contains(got.String(), until) {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("reading up to %q: %v after %q", until, err, got.String())
			}
			got.Write(buf[:n])
		}
	}
	read("ABC")
	next <- "def"
	close(next)
	read("DEF")
	read("0\r\n\r\n")
	if s := got.String(); !strings.Contains(s, "Transfer-Encoding: chunked") || strings.Contains(s, "Content-Length") || !strings.Contains(s, ".") {
		t.Errorf("got %q", s)
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	r.route("1", "/x", up.addr)
	before := r.g.Connections()
	c := r.dial()
	for range 3 {
		c.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
		c.reply("GET")
	}
	eventually(t, "the connection to wait", func() bool {
		n := r.g.Connections()
		return n.Requests-before.Requests == 3 && n.Accepted-before.Accepted == 1 && n.Active-before.Active == 1 && n.Waiting-before.Waiting == 1
	})
}
