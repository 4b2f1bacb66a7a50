package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// scripted stores a route with a script to a node.
func (r *rig) scripted(id, uri, script, node, more string) {
	r.Helper()
	text, err := json.Marshal(script)
	if err != nil {
		r.Fatal(err)
	}
	r.put("routes/"+id, fmt.Sprintf(`{"uri":%q,"script":%s,"upstream":{"nodes":{%q:1}}%s}`, uri, text, node, more))
}

func TestScriptPhases(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "body")
	r.scripted("1", "/x", `
		local _M = {}
		local seen = "" -- is of one request
		function _M.access(api_ctx)
			seen = seen .. "a"
			api_ctx.mine = {"kept"}
			ngx.req.set_header("X-Route", api_ctx.route_id)
			if api_ctx.var.arg_stop then ngx.status = 401 ngx.say("stopped") ngx.exit(401) end
			return 500, "means nothing"
		end
		function _M.before_proxy() seen = seen .. "p" end
		function _M.header_filter(api_ctx)
			seen = seen .. "h"
			ngx.header["X-Seen"] = seen .. api_ctx.mine[1]

		end
		function _M.body_filter() ngx.arg[1] = ngx.arg[1]:upper() end
		function _M.log() ngx.log(ngx.WARN, "seen ", seen, "l") error("broken in the log phase") end
		return _M`, up.addr, "")
	for range 3 {
		if rep := r.get("/x"); rep.status != 200 || rep.body != "BODY" || rep.header.Get("X-Seen") != "aphkept" {
			t.Errorf("%s %q %v", rep.line, rep.body, rep.header)
		}
	}
	if rep := r.get("/x?stop=1"); rep.status != 401 || rep.body != "STOPPED\n" || rep.header.Get("X-Seen") != "ahkept" {
		t.Errorf("%s %q %v", rep.line, rep.body, rep.header)
	}
	r.stop()
	for _, want := range []string{"seen aphl", "seen ahl", "broken in the log phase"} {
		if !strings.Contains(r.logs.String(), want) {
			t.Errorf("%q is not in the log: %s", want, r.logs)
		}
	}
}

// What is merged for a route with a script is its script; global rules run.
func TestScriptsAndPlugins(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	mark := func(word string) string {
		return "local _M = {} function _M.header_filter() ngx.header.x_script = '" + word + "' end function _M.access() end return _M"
	}
	text, _ := json.Marshal(mark("service"))
	r.put("services/1", `{"script":`+string(text)+`,"plugins":{"test-change":{"answer":{"X-Plugin":"service"}}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	r.put("routes/1", `{"uri":"/a","service_id":"1","plugins":{"test-change":{"answer":{"X-Plugin":"route"}}}}`)
	r.scripted("2", "/b", mark("route"), up.addr, `,"service_id":"1"`)
	r.put("consumers/jack", `{"username":"jack","plugins":{"test-auth":{"key":"k"},"test-trace-a":{"name":"consumer"}}}`)
	r.put("global_rules/1", `{"plugins":{"test-auth":{},"test-trace-b":{"name":"global"}}}`)
	for uri, want := range map[string]string{"/a": "service", "/b": "route"} {
		rep := r.get(uri, "Key: k")
		got := []string{rep.header.Get("X-Script"), rep.header.Get("X-Plugin"), rep.header.Get("X-Phases")}
		if rep.status != 200 || strings.Join(got, "|") != want+"||rglobal aglobal bglobal hglobal" {
			t.Errorf("%s: %s %q", uri, rep.line, got)
		}
	}
	// The script is not there for what a global rule answers.
	if rep := r.get("/a", "Key: wrong"); rep.status != 401 || rep.header.Get("X-Script") != "" {
		t.Errorf("%s %v", rep.line, rep.header)
	}
}

// A script that fails fails its request; one that cannot run takes its own route away.
func TestBrokenScripts(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	r.route("other", "/other", up.addr)
	for script, want := range map[string]int{
		`local _M = {} function _M.access() error("no") end return _M`:                     500,
		`local _M = {} function _M.access() while true do end end return _M`:               500,
		`local _M = {} function _M.header_filter() error("no") end return _M`:              200,
		`local _M = {} function _M.body_filter() while true do end end return _M`:          200,
		`local _M = {access = "no function"} return _M`:                                    500,
		`local m = ngx.req.get_method() if m == "GET" then error("at load") end return {}`: 500,
		`ngx.exit(403) return {}`: 403,
		`local _M = {} function _M.access() ngx.exit(444) end return _M`: 0,
		`error("broken in the chunk")`:                                   404,
		`while true do end return {}`:                                    404,
		`return "no object, which is a mistake"`:                         404,
		`local _M = {} function M.access() end return _M`:                404,
		`invalid ("test")`:                                               404,
	} {
		r.route("1", "/x", up.addr)
		r.scripted("1", "/x", script, up.addr, "")
		if want == 0 {
			c := r.dial()
			c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("%s: not dropped", script)
			}
			continue
		}
		if rep := r.get("/x"); rep.status != want {
			t.Errorf("%s: %s, want %d", script, rep.line, want)
		}
		if rep := r.get("/other"); rep.status != 200 {
			t.Errorf("%s: another route: %s", script, rep.line)
		}
	}
}

// Requests that run at once have objects of their own, also while the route changes.
func TestScriptsAtOnce(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "up")
	put := func(i int) {
		r.scripted("1", "/x", `
			local _M, mine = {}, nil
			function _M.access() mine = ngx.var.arg_n end
			function _M.header_filter() ngx.header.x_mine = mine end
			return _M`, up.addr, fmt.Sprintf(`,"desc":"%d"`, i))
	}
	put(0)
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for i := range 25 {
				want := fmt.Sprint(n, "-", i)
				if rep := r.get("/x?n=" + want); rep.status != 200 || rep.header.Get("X-Mine") != want {
					t.Errorf("%s: %s %q", want, rep.line, rep.header.Get("X-Mine"))
				}
			}
		})
	}
	for i := range 20 {
		put(i)
	}
	clients.Wait()
}

// A body that is on its way to the node when the answer begins is not read by others.
func TestBodiesOnTheirWay(t *testing.T) {
	r := start(t, nil)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.(http.Flusher).Flush()
		n, err := io.Copy(io.Discard, q.Body)
		fmt.Fprint(w, n, " ", err)
	}))
	t.Cleanup(up.Close)
	r.scripted("1", "/x", `
		local function look(phase)
			return function(ctx) ngx.log(ngx.WARN, phase, " finds ", tostring(ngx.req.get_body_data()), " ", tostring(ctx.var["post_arg.a"])) end
		end
		return {header_filter = look("header"), log = look("log")}`, up.Listener.Addr().String(), "")
	const size = 3 << 20
	c := r.dial()
	c.send(fmt.Sprintf("POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", size))
	go io.CopyN(c, zeros{}, size)
	if rep := c.reply("POST"); rep.body != fmt.Sprint(size, " <nil>") {
		t.Errorf("%s %q", rep.line, rep.body)
	}
	r.stop()
	for _, want := range []string{"header finds nil nil", "log finds nil nil"} {
		if !strings.Contains(r.logs.String(), want) {
			t.Errorf("%q is not in the log: %s", want, r.logs)
		}
	}
}
