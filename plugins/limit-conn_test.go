package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestLimitConnConfiguration(t *testing.T) {
	checkPriority(t, "limit-conn", 1003)
	with := func(more string) string {
		return `{"conn":1,"burst":0,"default_conn_delay":0.1,"key":"remote_addr"` + more + `}`
	}
	const none = `value should match only one schema, but matches none`
	checkConfs(t, "limit-conn", []confCase{
		{with(``), ``},
		{with(`,"only_use_default_delay":true,"key_type":"var_combination","rejected_code":429,"rejected_msg":"no","key_ttl":10`), ``},
		{`{"conn":"$http_conn","burst":"$http_burst","default_conn_delay":1,"key":"remote_addr"}`, ``},
		{`{"default_conn_delay":1,"rules":[{"conn":1,"burst":"$http_b","key":"a"}]}`, ``},
		{`{}`, none},
		{`{"conn":1,"burst":0,"key":"remote_addr"}`, none},
		{`{"rules":[{"conn":1,"burst":1,"key":"a"}]}`, none},
		{with(`,"rules":[{"conn":1,"burst":1,"key":"a"}]`), `value should match only one schema, but matches both schemas 1 and 2`},
		{`{"default_conn_delay":1,"rules":[{"conn":1,"key":"a"}]}`, `property "rules" validation failed: failed to validate item 1: property "burst" is required`},
		{`{"conn":0,"burst":0,"default_conn_delay":0.1,"key":"a"}`, `property "conn" validation failed: ` + none},
		{`{"conn":1,"burst":-1,"default_conn_delay":0.1,"key":"a"}`, `property "burst" validation failed: ` + none},
		{`{"conn":1,"burst":0,"default_conn_delay":0,"key":"a"}`, `property "default_conn_delay" validation failed: expected 0 to be greater than 0`},
		{with(`,"policy":"redis"`), `then clause did not match`},
	})
	conf := map[string]json.RawMessage{"limit-conn": []byte(with(`,"policy":"redis","redis_host":"127.0.0.1"`))}
	if _, err := plugin.Compile(conf, plugintest.Env(t)); !errors.Is(err, errPolicy) {
		t.Errorf("a policy that would not be kept: %v", err)
	}
}

// underWay is a request that has been let in; end is its log phase.
type underWay struct {
	c      *plugin.Context
	status int
	took   time.Duration
	chain  *plugin.Chain
}

func (u underWay) end() { u.chain.Log(u.c) }

func enter(t *testing.T, chain *plugin.Chain, headers ...string) underWay {
	t.Helper()
	c, start := plugintest.NewContext(request("GET /", headers...)), time.Now()
	err := chain.Access(c)
	status, _, _ := c.Exited()
	if err != nil && !errors.Is(err, plugin.ErrExit) && !errors.Is(err, plugin.ErrDrop) {
		t.Errorf("%v", err)
	}
	return underWay{c, status, time.Since(start), chain}
}

func TestLimitConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t),
			`{"limit-conn":{"conn":2,"burst":2,"default_conn_delay":0.5,"key":"http_x","only_use_default_delay":true}}`)
		var under []underWay
		for i, want := range []struct {
			status int
			took   time.Duration
		}{{0, 0}, {0, 0}, {0, 500 * time.Millisecond}, {0, 500 * time.Millisecond}, {503, 0}, {503, 0}} {
			u := enter(t, chain, "X: a")
			if u.status != want.status || u.took != want.took {
				t.Errorf("request %d: %d after %v, want %+v", i+1, u.status, u.took, want)
			}
			under = append(under, u)
		}
		if u := enter(t, chain, "X: b"); u.status != 0 || u.took != 0 {
			t.Errorf("another key: %d after %v", u.status, u.took)
		}
		under[5].end() // was refused: nothing to count out
		if u := enter(t, chain, "X: a"); u.status != 503 {
			t.Errorf("full, but %d", u.status)
		}
		under[0].end()
		under[1].end()
		under[1].end() // counted out once only
		if u := enter(t, chain, "X: a"); u.status != 0 || u.took != 500*time.Millisecond {
			t.Errorf("third of four: %d after %v", u.status, u.took)
		}
	})
}

// The delay follows how long requests take: (latency + delay) / 2.
func TestLimitConnDelayAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-conn":{"conn":1,"burst":1,"default_conn_delay":1,"key":"remote_addr"}}`)
		first := enter(t, chain)
		time.Sleep(3 * time.Second)
		first.end() // (3 + 1) / 2
		enter(t, chain)
		second := enter(t, chain)
		if second.took != 2*time.Second {
			t.Errorf("waited %v", second.took)
		}
		second.c.Upstream.Addr, second.c.Upstream.ResponseTime = "127.0.0.1:1", 4*time.Second
		second.end() // (4 + 2) / 2
		if u := enter(t, chain); u.took != 3*time.Second {
			t.Errorf("waited %v", u.took)
		}
	})
}

func TestLimitConnRules(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-conn":{"default_conn_delay":0.001,"rejected_msg":"full","rules":[
		{"conn":1,"burst":0,"key":"${http_user}"},{"conn":"${http_conn ?? 2}","burst":0,"key":"${http_project}"}]}}`)
	jack := enter(t, chain, "User: jack", "Project: p")
	jill := enter(t, chain, "User: jill", "Project: p")
	cases := []struct {
		name    string
		headers []string
		status  int
	}{
		{"one user", []string{"User: jack", "Project: q"}, 503},
		{"one project", []string{"User: joe", "Project: p"}, 503},
		{"the place by the first rule is free again", []string{"User: joe"}, 0},
		{"another bound", []string{"User: jim", "Project: p", "Conn: 3"}, 0},
		{"no key", nil, 500},
	}
	for _, tc := range cases {
		if u := enter(t, chain, tc.headers...); u.status != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, u.status, tc.status)
		}
	}
	jack.end()
	jill.end()
	if u := enter(t, chain, "User: jack", "Project: p"); u.status != 0 {
		t.Errorf("after the end of others: %d", u.status)
	}
}

func TestLimitConnBounds(t *testing.T) {
	cases := []struct {
		conf    string
		headers []string
		want    [2]int
	}{
		{`"conn":"$http_conn","burst":"$http_burst"`, []string{"Conn: 1", "Burst: 0"}, [2]int{0, 503}},
		{`"conn":"$http_conn","burst":0`, []string{"Conn: 2"}, [2]int{0, 0}},
		{`"conn":"$http_conn","burst":0`, nil, [2]int{500, 500}},
		{`"conn":1,"burst":"$http_burst"`, []string{"Burst: x"}, [2]int{500, 500}},
		{`"conn":1,"burst":"$http_burst","allow_degradation":true`, []string{"Burst: x"}, [2]int{0, 0}},
		{`"conn":1,"burst":0,"rejected_code":429`, nil, [2]int{0, 429}},
	}
	for _, tc := range cases {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-conn":{"default_conn_delay":0.001,"key":"remote_addr",`+tc.conf+`}}`)
		if got := [2]int{enter(t, chain, tc.headers...).status, enter(t, chain, tc.headers...).status}; got != tc.want {
			t.Errorf("%s: %v, want %v", tc.conf, got, tc.want)
		}
	}
}

// A client that goes while it waits gives its place back.
func TestLimitConnWhenTheClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-conn":{"conn":1,"burst":1,"default_conn_delay":10,"key":"remote_addr"}}`)
		enter(t, chain)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if res := plugintest.Run(chain, request("GET /").WithContext(ctx)); !errors.Is(res.Err, plugin.ErrDrop) {
				t.Errorf("%d %v", res.Status, res.Err)
			}
			cancel()
		}
	})
}
