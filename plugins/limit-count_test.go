package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/plugin"
	"millrace/plugin/plugintest"
	"millrace/plugins/internal/quota"
)

func TestLimitCountConfiguration(t *testing.T) {
	checkPriority(t, "limit-count", 1002)
	with := func(more string) string { return `{"count":2,"time_window":60` + more + `}` }
	rule := func(key string) string { return `{"count":1,"time_window":1,"key":"` + key + `"}` }
	checkConfs(t, "limit-count", []confCase{
		{with(``), ``},
		{with(`,"key":"$remote_addr $http_x","key_type":"var_combination","rejected_code":429,"rejected_msg":"no","window_type":"sliding","group":"g"`), ``},
		{`{"count":"$http_count","time_window":"${http_w ?? 5}"}`, ``},
		{`{"rules":[` + rule("a") + `,` + rule("b") + `]}`, ``},
		{`{}`, `object matches none of the required: ["count","time_window"] or ["rules"]`},
		{`{"count":1}`, `object matches none of the required: ["count","time_window"] or ["rules"]`},
		{`{"count":0,"time_window":60}`, `property "count" validation failed: value should match only one schema, but matches none`},
		{`{"count":1,"time_window":0}`, `property "time_window" validation failed: value should match only one schema, but matches none`},
		{with(`,"rules":[` + rule("a") + `]`), `count/time_window and rules cannot be specified at the same time`},
		{`{"group":"g","rules":[` + rule("a") + `]}`, `group and rules cannot be specified at the same time`},
		{`{"rules":[` + rule("a") + `,` + rule("a") + `]}`, `duplicate key 'a' in rules`},
		{`{"rules":[{"count":1,"key":"a"}]}`, `property "rules" validation failed: failed to validate item 1: property "time_window" is required`},
		{with(`,"rejected_code":199`), `property "rejected_code" validation failed: expected 199 to be at least 200`},
		{with(`,"rejected_code":600`), `property "rejected_code" validation failed: expected 600 to be at most 599`},
		{with(`,"key_type":"x"`), `property "key_type" validation failed: matches none of the enum values`},
		{with(`,"sync_interval":0.05`), `sync_interval should not be smaller than 0.1`},
		{with(`,"sync_interval":60`), `sync_interval should be smaller than time_window`},
		{with(`,"policy":"redis"`), `then clause did not match`},
		{with(`,"policy":"redis-cluster"`), `else clause did not match`},
		{with(`,"policy":"redis-sentinel"`), `else clause did not match`},
		{with(`,"policy":"redis","redis_host":"127.0.0.1"`), ``},
	})
	conf := map[string]json.RawMessage{"limit-count": []byte(with(`,"policy":"redis","redis_host":"127.0.0.1"`))}
	if _, err := plugin.Compile(conf, plugintest.Env(t)); !errors.Is(err, errPolicy) {
		t.Errorf("a policy that would not be kept: %v", err)
	}
}

// quotas are the headers and the status of an answer.
func quotas(res plugintest.Result, names ...string) string {
	if names == nil {
		names = []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
	}
	text := fmt.Sprint(res.Status)
	for _, name := range names {
		text += " " + res.Header.Get(name)
	}
	return strings.TrimRight(text, " ")
}

// spec §14, vector 19, and the window's end.
func TestLimitCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-count":{"count":2,"time_window":60}}`)
		hit := func(want string) plugintest.Result {
			t.Helper()
			res := plugintest.Run(chain, request("GET /"))
			if got := quotas(res); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			return res
		}
		hit("0 2 1 60")
		time.Sleep(40 * time.Millisecond)
		hit("0 2 0 59.96")
		time.Sleep(60 * time.Millisecond)
		if res := hit("503 2 0 59.9"); !res.Page {
			t.Error("no page")
		}
		time.Sleep(59900 * time.Millisecond)
		hit("0 2 1 60")
	})
}

func TestResetText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Millisecond: "0", 5 * time.Millisecond: "0.01", 100 * time.Millisecond: "0.1", 59*time.Second + 960*time.Millisecond: "59.96",
		59*time.Second + 996*time.Millisecond: "60", time.Minute: "60", time.Hour + 90*time.Millisecond: "3600.09", 1<<31*time.Second + 500*time.Millisecond: "2147483648.5",
	} {
		if got := resetText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestLimitCountKeys(t *testing.T) {
	cases := []struct {
		name, conf string
		headers    [3]string
		want       [3]int
	}{
		{"client", `{"count":1,"time_window":60}`, [3]string{"X: a", "X: b", "X: a"}, [3]int{0, 503, 503}},
		{"variable", `{"count":1,"time_window":60,"key":"http_x"}`, [3]string{"X: a", "X: b", "X: a"}, [3]int{0, 0, 503}},
		{"variable that is not there: the client", `{"count":1,"time_window":60,"key":"http_y"}`, [3]string{"X: a", "X: b", "X: a"}, [3]int{0, 503, 503}},
		{"combination", `{"count":1,"time_window":60,"key":"$remote_addr $http_x","key_type":"var_combination"}`, [3]string{"X: a", "X: b", "X: a"}, [3]int{0, 0, 503}},
		{"combination without a variable: the client", `{"count":1,"time_window":60,"key":"$http_y $http_z","key_type":"var_combination"}`,
			[3]string{"X: a", "X: b", "X: a"}, [3]int{0, 503, 503}},
		{"constant", `{"count":2,"time_window":60,"key":"http_x","key_type":"constant","rejected_code":429}`, [3]string{"X: a", "X: b", "X: c"}, [3]int{0, 0, 429}},
		{"count from a variable", `{"count":"$http_x","time_window":60}`, [3]string{"X: 2", "X: 2", "X: 2"}, [3]int{0, 0, 503}},
		{"count with a preset", `{"count":"${http_y ?? 1}","time_window":60}`, [3]string{"X: 2", "X: 2", "X: 2"}, [3]int{0, 503, 503}},
		{"no such count", `{"count":"$http_y","time_window":60}`, [3]string{"X: a", "X: a", "X: a"}, [3]int{500, 500, 500}},
		{"no number", `{"count":1,"time_window":"$http_x"}`, [3]string{"X: a", "X: 0", "X: -1"}, [3]int{500, 500, 500}},
		{"no such count, degraded", `{"count":"$http_y","time_window":60,"allow_degradation":true}`, [3]string{"X: a", "X: a", "X: a"}, [3]int{0, 0, 0}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-count":`+tc.conf+`}`)
			var got [3]int
			for i, header := range tc.headers {
				got[i] = plugintest.Run(chain, request("GET /", header)).Status
			}
			if got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestLimitCountRejection(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-count":{"count":1,"time_window":60,"rejected_msg":"Requests are too frequent.","show_limit_quota_header":false}}`)
	plugintest.Run(chain, request("GET /"))
	res := plugintest.Run(chain, request("GET /"))
	if quotas(res) != "503" || string(res.Body) != `{"error_msg":"Requests are too frequent."}`+"\n" {
		t.Errorf("%q %q", quotas(res), res.Body)
	}
}

func TestLimitCountMetadata(t *testing.T) {
	typ, _ := plugin.Lookup("limit-count")
	m, err := typ.LoadMetadata(json.RawMessage(`{"limit_header":"RateLimit-Limit"}`))
	if err != nil {
		t.Fatal(err)
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-count":{"count":5,"time_window":60}}`)
	c := plugintest.NewContext(request("GET /"))
	c.Metadata = plugin.Metadata{"limit-count": m}
	if got := quotas(plugintest.RunContext(chain, c), "RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Limit"); got != "0 5 4" {
		t.Error(got)
	}
}

func TestLimitCountRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-count":{"rules":[
			{"count":1,"time_window":10,"key":"${http_user}"},
			{"count":"${http_count ?? 2}","time_window":60,"key":"${http_project}","header_prefix":"project"}]}}`)
		hit := func(want string, headers ...string) {
			t.Helper()
			res := plugintest.Run(chain, request("GET /", headers...))
			got := quotas(res, "X-1-RateLimit-Limit", "X-1-RateLimit-Remaining", "X-1-RateLimit-Reset",
				"X-project-RateLimit-Limit", "X-project-RateLimit-Remaining", "X-project-RateLimit-Reset")
			if got != want || res.Header.Get("X-RateLimit-Limit") != "" {
				t.Errorf("%s, want %s", got, want)
			}
		}
		hit("0 1 0 10 2 1 60", "User: jack", "Project: p")
		hit("503 1 0 10", "User: jack", "Project: p")
		hit("0 1 0 10 2 0 60", "User: jill", "Project: p")
		hit("503 1 0 10 2 0 60", "User: joe", "Project: p")
		hit("0    9 8 60", "Project: q", "Count: 9")
		hit("500")
	})
	chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-count":{"allow_degradation":true,"rules":[{"count":1,"time_window":10,"key":"$http_user"}]}}`)
	if res := plugintest.Run(chain, request("GET /")); res.Status != 0 {
		t.Errorf("degraded, no rule: %d", res.Status)
	}
}

func TestLimitCountSliding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"limit-count":{"count":2,"time_window":10,"window_type":"sliding"}}`)
		hit := func(want string) {
			t.Helper()
			if got := quotas(plugintest.Run(chain, request("GET /"))); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		hit("0 2 1 10")
		hit("0 2 0 10")
		hit("503 2 0 10")
		time.Sleep(11 * time.Second)
		hit("503 2 0 9")
		time.Sleep(4 * time.Second)
		hit("0 2 0 5")
	})
}

// Routes of a group count together and have the same configuration.
func TestLimitCountGroup(t *testing.T) {
	env := plugintest.Env(t, NewCounters())
	conf := func(count int) string {
		return fmt.Sprintf(`{"limit-count":{"count":%d,"time_window":60,"group":"services_1#2","key_type":"constant","key":"all"}}`, count)
	}
	a, b := plugintest.Compile(t, env, conf(2)), plugintest.Compile(t, env, conf(2))
	got := []int{plugintest.Run(a, request("GET /")).Status, plugintest.Run(b, request("GET /")).Status, plugintest.Run(a, request("GET /")).Status}
	if got[0] != 0 || got[1] != 0 || got[2] != 503 {
		t.Errorf("%v", got)
	}
	var other map[string]json.RawMessage
	if err := json.Unmarshal([]byte(conf(3)), &other); err != nil {
		t.Fatal(err)
	}
	if _, err := plugin.Compile(other, env); !errors.Is(err, quota.ErrMismatch) || !strings.HasSuffix(err.Error(), "group conf mismatched") {
		t.Errorf("another configuration: %v", err)
	}
	typ, _ := plugin.Lookup("limit-count")
	if err := typ.CheckIn(other["limit-count"], env); err == nil || err.Error() != "group conf mismatched" {
		t.Errorf("the Admin API says of another configuration: %v", err)
	}
	if err := errors.Join(typ.CheckIn(other["limit-count"], nil), typ.CheckIn(other["limit-count"], plugintest.Env(t))); err != nil {
		t.Errorf("where nothing is in force: %v", err)
	}
	alone := plugintest.Compile(t, env, `{"limit-count":{"count":2,"time_window":60,"key_type":"constant","key":"all"}}`)
	if res := plugintest.Run(alone, request("GET /")); res.Status != 0 {
		t.Error("a route outside the group counts with it")
	}
}

// An instance that stays counts on; one with another configuration starts anew.
func TestLimitCountAfterAChange(t *testing.T) {
	env := plugintest.Env(t, NewCounters())
	first := plugintest.Compile(t, env, `{"limit-count":{"time_window":60,"count":1}}`)
	if res := plugintest.Run(first, request("GET /")); res.Status != 0 {
		t.Fatal(res.Status)
	}
	for count, want := range map[string]int{"1": 503, "2": 200} {
		c := map[string]json.RawMessage{"limit-count": []byte(`{"time_window":60,"count":` + count + `}`), "mocking": []byte(`{"response_example":"x","_meta":{"priority":1}}`)}
		next, err := plugin.Recompile(c, env, first)
		if err != nil {
			t.Fatal(err)
		}
		if res := plugintest.Run(next, request("GET /")); res.Status != want {
			t.Errorf("count %s: %d, want %d", count, res.Status, want)
		}
		next.Close()
	}
}

func BenchmarkLimitCount(b *testing.B) {
	chain := plugintest.Compile(b, plugintest.Env(b, NewCounters()), `{"limit-count":{"count":1000000000,"time_window":60,"show_limit_quota_header":false}}`)
	c := plugintest.NewContext(request("GET /"))
	b.ReportAllocs()
	for b.Loop() {
		if err := chain.Access(c); err != nil {
			b.Fatal(err)
		}
	}
}
