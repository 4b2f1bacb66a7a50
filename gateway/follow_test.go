package gateway

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"millrace/store"
)

func TestChangesAreServedAtOnce(t *testing.T) {
	r := start(t, nil)
	a, b := ok(t, "a"), ok(t, "b")
	expect := func(want string) {
		t.Helper()
		if rep := r.get("/x"); rep.body != want {
			t.Errorf("got %q, want %q", rep.body, want)
		}
	}
	expect(notFoundBody)
	r.route("1", "/x", a.addr)
	expect("a")
	r.route("1", "/x", b.addr)
	expect("b")
	r.put("routes/1", `{"uri":"/x","status":0,"upstream":{"nodes":{"`+a.addr+`":1}}}`)
	expect(notFoundBody)
	r.put("upstreams/u", `{"nodes":{"`+a.addr+`":1}}`)
	r.put("routes/1", `{"uri":"/x","upstream_id":"u"}`)
	expect("a")
	r.put("upstreams/u", `{"nodes":{"`+b.addr+`":1}}`)
	expect("b")
	r.delete("upstreams/u")
	if rep := r.get("/x"); rep.status != 502 || rep.header.Get("X-APISIX-Upstream-Status") != "" { // spec vector 10
		t.Errorf("deleted upstream: %s %q", rep.line, rep.head)
	}
	r.put("services/s", `{"upstream":{"nodes":{"`+a.addr+`":1}},"hosts":["only.me"]}`)
	r.put("routes/1", `{"uri":"/x","service_id":"s"}`)
	expect(notFoundBody)
	if rep := r.get("/x", "Host: only.me"); rep.body != "a" {
		t.Errorf("host of the service: %s", rep.line)
	}
	r.delete("routes/1")
	if rep := r.get("/x", "Host: only.me"); rep.status != 404 {
		t.Errorf("deleted route: %s", rep.line)
	}
}

func TestPluginPrecedence(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.put("services/s", `{"plugins":{"test-change":{"target":"/service"}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	r.put("plugin_configs/p", `{"plugins":{"test-change":{"target":"/config"}}}`)
	for _, test := range [][2]string{
		{`"service_id":"s"`, "/service"},
		{`"service_id":"s","plugin_config_id":"p"`, "/config"},
		{`"service_id":"s","plugin_config_id":"p","plugins":{"test-change":{"target":"/route"}}`, "/route"},
	} {
		r.put("routes/1", `{"uri":"/x",`+test[0]+`}`)
		r.get("/x")
		if got := up.last(t); !strings.HasPrefix(got, "GET "+test[1]+" ") {
			t.Errorf("%s: %s", test[0], got)
		}
	}
}

func TestBrokenRouteStaysAsItWas(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "good")
	r.route("1", "/x", up.addr)
	r.route("2", "/y", up.addr)
	for _, broken := range []string{
		`{"uri":"/x","plugins":{"no-such-plugin":{}}}`, `{"uri":"/x","remote_addr":"?"}`, `{"plugins":{}}`, `[1]`,
		`{"uri":"/x","upstream":{"scheme":"kafka","nodes":{}}}`, `{"uri":"/x","vars":[["a","=","b"]]}`,
		`{"uri":"/x","filter_func":"function(vars) retur"}`, `{"uri":"/x","filter_func":"function"}`,
	} {
		r.put("routes/1", broken)
		if a, b := r.get("/x"), r.get("/y"); a.body != "good" || b.body != "good" {
			t.Errorf("%s: %s, %s", broken, a.line, b.line)
		}
	}
	if logs := r.logs.String(); !strings.Contains(logs, "no-such-plugin") || !strings.Contains(logs, "route=1") {
		t.Errorf("log lacks the reason: %s", logs)
	}
}

func TestRouterIsChecked(t *testing.T) {
	if _, err := New(Config{Log: slog.New(slog.DiscardHandler), Router: "radixtree"}); err == nil {
		t.Error("a router that is not served was accepted")
	}
	r := start(t, func(c *Config) { c.Router = "radixtree_uri" })
	a, b := ok(t, "a"), ok(t, "b")
	r.put("routes/1", `{"uri":"/h/*","host":"*.foo.com","upstream":{"nodes":{"`+a.addr+`":1}}}`)
	r.route("2", "/h/x", b.addr)
	if rep := r.get("/h/x", "Host: z.foo.com"); rep.body != "b" {
		t.Errorf("got %q", rep.body)
	}
}

// Under load, each answer must be of the configuration before or after a change,
// nothing may fail, and replaced plugin instances are closed, but not in use.
func TestChangesUnderLoad(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	put := func(i int) {
		r.put("routes/1", fmt.Sprintf(`{"uri":"/x","plugins":{"test-close":{},"test-change":{"answer":{"X-Version":"%d"}}},"upstream":{"nodes":{"%s":1}}}`, i, up.addr))
	}
	put(0)
	var current atomic.Int64
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		c := r.dial()
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := current.Load()
				c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
				rep, err := c.tryReply("GET")
				if err != nil || rep.status != 200 || rep.body != "x" {
					t.Errorf("answer %+v %v", rep, err)
					return
				}
				v, _ := strconv.ParseInt(rep.header.Get("X-Version"), 10, 64)
				if v < before || v > current.Load()+1 {
					t.Errorf("version %d was served, %d to %d expected", v, before, current.Load()+1)
				}
			}
		})
	}
	for i := 1; i <= 200; i++ {
		put(i)
		current.Store(int64(i))
	}
	close(stop)
	clients.Wait()
	eventually(t, "closing replaced plugins", func() bool { return instances.Load() == 1 })
	r.delete("routes/1")
	eventually(t, "closing the last plugin", func() bool { return instances.Load() == 0 })
	if n := closedInUse.Load(); n > 0 {
		t.Errorf("%d times a request met a closed plugin", n)
	}
}

// A plugin instance holds connections and counters, so it must outlive a change
// of anything but its configuration.
func TestUnchangedPluginsAreKept(t *testing.T) {
	r := start(t, nil)
	a, b := ok(t, "a"), ok(t, "b")
	check := func(key string, want int64) {
		t.Helper()
		if rep := r.get("/x"); rep.status != 200 {
			t.Fatalf("%s: got %s", key, rep.line)
		}
		if n := made.Load(); n != want {
			t.Errorf("%s: %d instances were made, want %d", key, n, want)
		}
	}
	made.Store(0)
	r.put("upstreams/u", `{"nodes":{"`+a.addr+`":1}}`)
	r.put("services/s", `{"plugins":{"test-change":{"target":"/y"}}}`)
	r.put("routes/1", `{"uri":"/x","plugins":{"test-close":{}},"upstream_id":"u","service_id":"s"}`)
	check("routes/1", 1)
	for key, value := range map[string]string{
		"upstreams/u": `{"nodes":{"` + b.addr + `":1}}`,
		"routes/1":    `{"uris":["/x"],"desc":"d","plugins":{ "test-close": {} },"upstream_id":"u","service_id":"s"}`,
		"services/s":  `{"desc":"d","plugins":{"test-change":{"target":"/y"}}}`,
	} {
		r.put(key, value)
		check(key, 1)
	}
	r.put("services/s", `{"plugins":{"test-change":{"target":"/other"}}}`)
	check("another plugin of the service", 1)
	r.put("routes/2", `{"uri":"/z","plugins":{"test-close":{}},"upstream_id":"u"}`)
	check("another route", 2)
	r.put("routes/1", `{"uri":"/x","plugins":{"test-close":{"other":1}},"upstream_id":"u","service_id":"s"}`)
	check("the plugin's own configuration", 3)
	r.delete("routes/1")
	r.delete("routes/2")
	eventually(t, "closing the plugins", func() bool { return instances.Load() == 0 })
}

// One batch may delete a route and change what it used, in this order.
func TestDeletedRouteInABatch(t *testing.T) {
	r := start(t, nil)
	r.stop()
	f := newFollower(r.g)
	event := func(key, value string, deleted bool) store.Event {
		return store.Event{Entry: store.Entry{Key: "/apisix/" + key, Value: []byte(value), ModRevision: 1, CreateRevision: 1}, Deleted: deleted}
	}
	f.apply(t.Context(), []store.Event{event("routes/1", `{"uri":"/x","upstream_id":"u","service_id":"s"}`, false)})
	f.apply(t.Context(), []store.Event{
		event("routes/1", "", true), event("upstreams/u", `{"nodes":{}}`, false),
		event("services/s", `{}`, false), event("plugin_configs/p", `{"plugins":{}}`, false),
	})
	if len(f.routes) != 0 {
		t.Errorf("routes left: %v", f.routes)
	}
}

// JSON has no integers: 1.0 and 1e0 are what clients may write for 1.
func TestNumbersOfResources(t *testing.T) {
	r := start(t, nil)
	a := ok(t, "a")
	host, port, _ := strings.Cut(a.addr, ":")
	r.put("upstreams/u", `{"retries":1e0,"nodes":[{"host":"`+host+`","port":`+port+`.0,"weight":1.0}]}`)
	r.put("services/s", `{"upstream":{"nodes":{"`+a.addr+`":1.0}}}`)
	r.put("routes/1", `{"uri":"/1","upstream_id":"u"}`)
	r.put("routes/2", `{"uri":"/2","service_id":"s","priority":1.0}`)
	for _, path := range []string{"/1", "/2"} {
		if rep := r.get(path); rep.body != "a" {
			t.Errorf("%s: %s", path, rep.line)
		}
	}
}

// An upstream that is down must not fill the log.
func TestFailuresDoNotFloodTheLog(t *testing.T) {
	r := start(t, nil)
	r.route("1", "/x", closedAddr(t))
	c := r.dial()
	const calls = 200
	for range calls {
		c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
		c.reply("GET")
	}
	if n := strings.Count(r.logs.String(), "calling an upstream"); n == 0 || n >= calls/2 {
		t.Errorf("%d of %d failures were logged", n, calls)
	}
}

func TestEachRevision(t *testing.T) {
	r := start(t, nil)
	r.put("services/1", `{"upstream":{"nodes":{}}}`)
	r.put("routes/1", `{"uri":"/a","service_id":"1"}`)
	got := map[string]int64{}
	if !r.g.EachRevision(func(of string, revision int64) { got[of] = revision }) {
		t.Error("the store is not followed")
	}
	if got["services"] == 0 || got["routes"] <= got["services"] || got["max_modify_index"] != got["routes"] || got["x_etcd_index"] < got["routes"] || got["prev_index"] != got["x_etcd_index"] {
		t.Errorf("%v", got)
	}
	if n, ok := got["ssls"]; n != 0 || !ok || len(got) != 11 {
		t.Errorf("%v", got)
	}
}

// A global rule that keeps clients out goes on to do so when it is changed to what
// cannot run.
func TestGlobalRuleThatCannotRun(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.route("1", "/x", up.addr)
	setExit(403, "no")
	const broken = `"test-choose":{"node":"\"no address"}`
	expect := func(what string, status int) {
		t.Helper()
		if rep := r.get("/x"); rep.status != status {
			t.Errorf("%s: %s, want %d", what, rep.line, status)
		}
	}
	r.put("global_rules/2", `{"id":"2","plugins":{"test-exit":{},`+broken+`}}`)
	expect("a rule that never ran", 200)
	r.put("global_rules/1", `{"id":"1","plugins":{"test-exit":{}}}`)
	expect("a good rule", 403)
	r.put("global_rules/1", `{"id":"1","plugins":{`+broken+`}}`)
	expect("changed to what cannot run", 403)
	r.put("global_rules/2", `{"id":"2","plugins":{"test-var":{"template":"v"}}}`)
	expect("another rule has changed since", 403)
	r.put("global_rules/1", `{"id":"1","plugins":{"test-trace-a":{}}}`)
	expect("changed to another that runs", 200)
	r.put("global_rules/1", `{"id":"1","plugins":{"test-exit":{}}}`)
	r.put("global_rules/1", `{"id":"1","plugins":{`+broken+`}}`)
	r.delete("global_rules/1")
	expect("deleted", 200)
}
