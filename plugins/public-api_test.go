package plugins

import (
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestPublicAPI(t *testing.T) {
	checkPriority(t, "public-api", 501)
	checkConfs(t, "public-api", []confCase{
		{`{}`, ""},
		{`{"uri":1}`, `property "uri" validation failed: wrong type: expected string, got number`},
	})
	cases := []struct {
		conf, request string
		status        int
		page          bool
	}{
		{`{}`, "GET /apisix/status", 200, false},
		{`{"uri":"/apisix/status"}`, "GET /mine", 200, false},
		{`{"uri":"/apisix/status"}`, "POST /mine", 404, true},
		{`{}`, "GET /apisix/status/", 404, true},
		{`{}`, "GET /none", 404, true},
		{`{"uri":"/apisix/prometheus/metrics"}`, "GET /", 200, false},
	}
	for _, tc := range cases {
		env, _ := processEnv(t, ProcessConfig{})
		res := plugintest.Run(plugintest.Compile(t, env, `{"public-api":`+tc.conf+`}`), request(tc.request))
		if res.Status != tc.status || res.Page != tc.page || res.Err != nil {
			t.Errorf("%s %s: %d, page %t, %v", tc.conf, tc.request, res.Status, res.Page, res.Err)
		}
	}
}

func TestPublicAPIOfPluginsThatAreNotListed(t *testing.T) {
	env, _ := processEnv(t, ProcessConfig{})
	env.Plugins = plugin.NewSet([]string{"public-api"})
	if res := plugintest.Run(plugintest.Compile(t, env, `{"public-api":{}}`), request("GET /apisix/status")); res.Status != 404 {
		t.Errorf("status %d", res.Status)
	}
}

func TestPublicMetrics(t *testing.T) {
	for own, want := range map[bool]int{false: 200, true: 404} {
		env, _ := processEnv(t, ProcessConfig{Prometheus: PrometheusConfig{ExportServer: own}})
		chain := plugintest.Compile(t, env, `{"public-api":{}}`)
		if res := plugintest.Run(chain, request("GET /apisix/prometheus/metrics")); res.Status != want {
			t.Errorf("with a listener of its own %t: %d", own, res.Status)
		}
	}
	env, _ := processEnv(t, ProcessConfig{Prometheus: PrometheusConfig{ExportURI: "/m"}})
	if res := plugintest.Run(plugintest.Compile(t, env, `{"public-api":{}}`), request("GET /m")); res.Status != 200 {
		t.Errorf("at a URI of the configuration: %d", res.Status)
	}
}
