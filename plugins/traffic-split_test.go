package plugins

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

// upstreams compiles upstreams to their names and counts those that are open.
type upstreams struct {
	open    int
	missing bool // of shared ones
}

type namedUpstream struct {
	of   *upstreams
	name string
}

func (u *upstreams) CompileUpstream(conf json.RawMessage) (plugin.UpstreamHandle, error) {
	if strings.Contains(string(conf), "broken") {
		return nil, errors.New("broken")
	}
	u.open++
	return namedUpstream{u, string(conf)}, nil
}

func (u *upstreams) SharedUpstream(id string) plugin.UpstreamHandle {
	u.open++
	return namedUpstream{u, "id " + id}
}

func (n namedUpstream) Close() { n.of.open-- }

func (n namedUpstream) Exists() bool { return !n.of.missing }

func TestTrafficSplitConfiguration(t *testing.T) {
	checkPriority(t, "traffic-split", 966)
	const rule = `property "rules" validation failed: failed to validate item 1: `
	const upstream = rule + `property "weighted_upstreams" validation failed: `
	const inline = upstream + `failed to validate item 1: property "upstream" validation failed: `
	checkConfs(t, "traffic-split", []confCase{
		{`{}`, ""},
		{`{"rules":[{}]}`, ""},
		{`{"rules":{}}`, `property "rules" validation failed: wrong type: expected array, got table`},
		{`{"rules":[{"match":[{"vars":[["arg_name","==","jack"]]}],"weighted_upstreams":[{"upstream":{"nodes":{"127.0.0.1:1981":1}},"weight":2},{"upstream_id":1},{}]}]}`, ""},
		{`{"rules":[{"weighted_upstreams":[]}]}`, upstream + `expect array to have at least 1 items`},
		{`{"rules":[{"weighted_upstreams":[{"weight":-1}]}]}`, upstream + `failed to validate item 1: property "weight" validation failed: expected -1 to be at least 0`},
		{`{"rules":[{"weighted_upstreams":[{"upstream":{}}]}]}`, inline + `value should match only one schema, but matches none`},
		{`{"rules":[{"weighted_upstreams":[{"upstream":{"service_name":"a"}}]}]}`, inline + `value should match only one schema, but matches none`},
		{`{"rules":[{"weighted_upstreams":[{"upstream":{"service_name":"a","discovery_type":"dns"}}]}]}`, ""},
		{`{"rules":[{"weighted_upstreams":[{"upstream":{"nodes":{},"x":1}}]}]}`, inline + `additional properties forbidden, found x`},
		{`{"rules":[{"weighted_upstreams":[{"upstream":{"nodes":{},"retries":-1}}]}]}`, inline + `property "retries" validation failed: expected -1 to be at least 0`},
		{`{"rules":[{"match":[{"vars":[["arg_name","=","jack"]]}]}]}`, `failed to validate the 'vars' expression: invalid operator '='`},
	})
}

// picks answers which upstream n requests for a target go to.
func picks(chain *plugin.Chain, target string, n int) map[string]int {
	got := map[string]int{}
	for range n {
		c := plugintest.NewContext(request("GET " + target))
		plugintest.RunContext(chain, c)
		if h, ok := c.ChosenUpstream().(namedUpstream); ok {
			got[h.name]++
		} else {
			got["route"]++
		}
	}
	return got
}

func TestTrafficSplit(t *testing.T) {
	cases := []struct {
		name, rules, target string
		want                map[string]int // of 10 requests
	}{
		{"no rules", ``, "/", map[string]int{"route": 10}},
		{"a share", `{"weighted_upstreams":[{"upstream_id":"2","weight":4},{"weight":6}]}`, "/", map[string]int{"id 2": 4, "route": 6}},
		{"default weights", `{"weighted_upstreams":[{"upstream_id":2},{}]}`, "/", map[string]int{"id 2": 5, "route": 5}},
		{"weight 0", `{"weighted_upstreams":[{"upstream_id":2,"weight":0},{"upstream_id":3}]}`, "/", map[string]int{"id 3": 10}},
		{"only weights 0", `{"weighted_upstreams":[{"upstream_id":2,"weight":0}]}`, "/", map[string]int{"route": 10}},
		{"inline", `{"weighted_upstreams":[{"upstream":{"nodes":{"a:1":1},"checks":{},"retries":3}}]}`, "/",
			map[string]int{`{"nodes":{"a:1":1},"pass_host":"pass","scheme":"http","type":"roundrobin"}`: 10}},
		{"match", `{"match":[{"vars":[["arg_a","==","1"]]},{"vars":[["arg_b","==","1"]]}],"weighted_upstreams":[{"upstream_id":2}]}`, "/?b=1", map[string]int{"id 2": 10}},
		{"no match", `{"match":[{"vars":[["arg_a","==","1"]]},{"vars":[["arg_b","==","1"]]}],"weighted_upstreams":[{"upstream_id":2}]}`, "/?a=2", map[string]int{"route": 10}},
		{"first match", `{"match":[{"vars":[["arg_a","==","1"]]}],"weighted_upstreams":[{"upstream_id":2}]},{"weighted_upstreams":[{"upstream_id":3}]}`, "/?a=1", map[string]int{"id 2": 10}},
		{"second rule", `{"match":[{"vars":[["arg_a","==","1"]]}],"weighted_upstreams":[{"upstream_id":2}]},{"weighted_upstreams":[{"upstream_id":3}]}`, "/", map[string]int{"id 3": 10}},
		{"match alone", `{"match":[{"vars":[["arg_a","==","1"]]}]},{"weighted_upstreams":[{"upstream_id":3}]}`, "/?a=1", map[string]int{"route": 10}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			u := &upstreams{}
			t.Cleanup(func() { // after the chain has been closed
				if u.open != 0 {
					t.Errorf("%d upstreams left open", u.open)
				}
			})
			chain := plugintest.Compile(t, plugintest.Env(t, u), `{"traffic-split":{"rules":[`+tc.rules+`]}}`)
			got := picks(chain, tc.target, 10)
			for name, n := range tc.want {
				if got[name] != n {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			}
		})
	}
}

func TestTrafficSplitToWhatIsMissing(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t, &upstreams{missing: true}), `{"traffic-split":{"rules":[{"weighted_upstreams":[{"upstream_id":7}]}]}}`)
	if res := plugintest.Run(chain, request("GET /")); res.Status != 500 || string(res.Body) != "failed to fetch upstream info by upstream id: 7" {
		t.Errorf("%d %q", res.Status, res.Body)
	}
}

func TestTrafficSplitThatCannotBeServed(t *testing.T) {
	u := &upstreams{}
	conf := map[string]json.RawMessage{"traffic-split": []byte(`{"rules":[{"weighted_upstreams":[{"upstream_id":1},{"upstream":{"key":"broken"}}]}]}`)}
	if _, err := plugin.Compile(conf, plugintest.Env(t, u)); err == nil || u.open != 0 {
		t.Errorf("error %v, %d upstreams open", err, u.open)
	}
}
