package plugins

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestFaultInjectionConfiguration(t *testing.T) {
	checkPriority(t, "fault-injection", 11000)
	checkConfs(t, "fault-injection", []confCase{
		{`{"abort":{"http_status":200,"body":"","headers":{"X":"$arg_a","Y":1},"percentage":50,"vars":[[["arg_a","==","1"]]]},"delay":{"duration":0.1}}`, ``},
		{`{}`, `expect object to have at least 1 properties`},
		{`{"abort":{}}`, `property "abort" validation failed: property "http_status" is required`},
		{`{"abort":{"http_status":100}}`, `property "abort" validation failed: property "http_status" validation failed: expected 100 to be at least 200`},
		{`{"delay":{}}`, `property "delay" validation failed: property "duration" is required`},
		{`{"delay":{"duration":-1}}`, `property "delay" validation failed: property "duration" validation failed: expected -1 to be at least 0`},
		{`{"delay":{"duration":"test"}}`, `property "delay" validation failed: property "duration" validation failed: wrong type: expected number, got string`},
		{`{"delay":{"duration":1,"percentage":101}}`, `property "delay" validation failed: property "percentage" validation failed: expected 101 to be at most 100`},
		{`{"abort":{"http_status":200,"vars":[[["arg_a","!=","1"]]]}}`, `invalid operator '!='`},
		{`{"abort":{"http_status":200,"headers":{}}}`, `property "abort" validation failed: property "headers" validation failed: expect object to have at least 1 properties`},
	})
}

func TestFaultInjectionAborts(t *testing.T) {
	either := `"vars":[[["arg_name","==","jack"],["arg_age","!","<",18]],[["http_apikey","==","api-key"]]]`
	cases := []struct {
		name, conf, line string
		status           int
		body             string
		page             bool
	}{
		{"vector 12", `{"http_status":200,"body":"hi $arg_a"}`, "GET /?a=1", 200, "hi 1", false},
		{"no body", `{"http_status":405}`, "GET /", 405, "", true},
		{"no body, fine", `{"http_status":204}`, "GET /", 204, "", false},
		{"an empty body", `{"http_status":405,"body":""}`, "GET /", 405, "", false},
		{"JSON text", `{"http_status":403,"body":"{\"a\":\"${arg_a ?? b}\"}"}`, "GET /", 403, `{"a":"b"}`, false},
		{"never", `{"http_status":403,"percentage":0}`, "GET /", 0, "", false},
		{"always", `{"http_status":403,"percentage":100}`, "GET /", 403, "", true},
		{"conditions hold", `{"http_status":403,` + either + `}`, "GET /?name=jack&age=19", 403, "", true},
		{"conditions do not hold", `{"http_status":403,` + either + `}`, "GET /?name=jack&age=17", 0, "", false},
		{"no conditions", `{"http_status":403,"vars":[]}`, "GET /", 0, "", false},
		{"conditions and percentage", `{"http_status":403,"percentage":0,` + either + `}`, "GET /?name=jack&age=19", 0, "", false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"fault-injection":{"abort":`+tc.conf+`}}`)
			res := plugintest.Run(chain, request(tc.line))
			if res.Status != tc.status || string(res.Body) != tc.body || res.Page != tc.page {
				t.Errorf("%d %q %t", res.Status, res.Body, res.Page)
			}
		})
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"fault-injection":{"abort":{"http_status":200,"body":"x","headers":{"X-A":"v-$arg_a","X-N":2}}}}`)
	if h := plugintest.Run(chain, request("GET /?a=1")).Header; h.Get("X-A") != "v-1" || h.Get("X-N") != "2" {
		t.Errorf("headers %q", h)
	}
	chain = plugintest.Compile(t, plugintest.Env(t), `{"fault-injection":{"abort":{"http_status":403}},"key-auth":{}}`)
	if res := plugintest.Run(chain, request("GET /")); res.Status != 403 {
		t.Errorf("authentication came first: %d", res.Status)
	}
}

func TestFaultInjectionPercentage(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"fault-injection":{"abort":{"http_status":403,"percentage":50}}}`)
	hits := 0
	for range 1000 {
		if plugintest.Run(chain, request("GET /")).Status == 403 {
			hits++
		}
	}
	if hits < 350 || hits > 650 {
		t.Errorf("%d of 1000", hits)
	}
}

func TestFaultInjectionDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := plugintest.Compile(t, plugintest.Env(t),
			`{"fault-injection":{"delay":{"duration":1.5,"vars":[[["arg_slow","==","1"]]]},"abort":{"http_status":503,"vars":[[["arg_slow","==","1"]]]}}}`)
		for line, want := range map[string]time.Duration{"GET /?slow=1": 1500 * time.Millisecond, "GET /": 0} {
			start := time.Now()
			res := plugintest.Run(chain, request(line))
			if took := time.Since(start); took != want || (res.Status == 503) != (want > 0) {
				t.Errorf("%s: %d after %v", line, res.Status, took)
			}
		}
		for n, want := range map[float64]time.Duration{0: 0, 0.25: 250 * time.Millisecond, 1e15: 365 * 24 * time.Hour} {
			if got := seconds(n); got != want {
				t.Errorf("%g seconds are %v", n, got)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if res := plugintest.Run(chain, request("GET /?slow=1").WithContext(ctx)); !errors.Is(res.Err, plugin.ErrDrop) {
			t.Errorf("the client went: %v", res.Err)
		}
	})
}
