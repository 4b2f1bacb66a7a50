package gateway

import (
	"fmt"
	"strings"
	"testing"

	"millrace/plugin"
	"millrace/resource"
)

// fragile panics when it is made ready.
type fragile struct{}

func (fragile) Init(*plugin.Env) error       { panic("a mistake at the start") }
func (fragile) Access(*plugin.Context) error { return nil }

func init() { plugin.Register[fragile]("test-fragile", 1, `{"type":"object"}`) }

// Whatever one resource holds, the others are served, and it itself as it was before.
func TestBrokenResources(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Check = func(key string, value []byte) error { return resource.CheckStored(key, value, resource.World{}) }
	})
	good, other := ok(t, "good"), ok(t, "other")
	upstream := fmt.Sprintf(`"upstream":{"nodes":{%q:1}}`, good.addr)
	r.route("other", "/other", other.addr)
	for name, value := range map[string]string{
		"no uri":              `{` + upstream + `}`,
		"unknown attribute":   `{"uri":"/x","bogus":1,` + upstream + `}`,
		"bad vars":            `{"uri":"/x","vars":[["uri","~~","("]],` + upstream + `}`,
		"bad operator":        `{"uri":"/x","vars":[["uri","??","a"]],` + upstream + `}`,
		"bad filter_func":     `{"uri":"/x","filter_func":"function(vars) return",` + upstream + `}`,
		"bad plugin":          `{"uri":"/x","plugins":{"test-status":{"status":"x"},"limit-count":{}},` + upstream + `}`,
		"plugin that panics":  `{"uri":"/x","plugins":{"test-fragile":{}},` + upstream + `}`,
		"unknown plugin":      `{"uri":"/x","plugins":{"nobody-knows":{}},` + upstream + `}`,
		"bad _meta.filter":    `{"uri":"/x","plugins":{"test-drop":{"_meta":{"filter":[["a"]]}}},` + upstream + `}`,
		"bad pre_function":    `{"uri":"/x","plugins":{"test-close":{"_meta":{"pre_function":"return ("}}},` + upstream + `}`,
		"bad address":         `{"uri":"/x","remote_addr":"1.2.3.4.5",` + upstream + `}`,
		"bad host":            `{"uri":"/x","host":"a b",` + upstream + `}`,
		"bad balancer":        `{"uri":"/x","upstream":{"type":"chash","key":"?","nodes":{"127.0.0.1:1":1}}}`,
		"text for an object":  `"x"`,
		"a list":              `[]`,
		"nothing":             `null`,
		"deep":                strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"a number for a text": `{"uri":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			r.route("x", "/x", good.addr)
			if rep := r.get("/x"); rep.body != "good" {
				t.Fatalf("before: %s", rep.line)
			}
			logged := len(r.logs.String())
			r.put("routes/x", value)
			if rep := r.get("/x"); rep.body != "good" {
				t.Errorf("it is no longer as it was: %s", rep.line)
			}
			if rep := r.get("/other"); rep.body != "other" {
				t.Errorf("the other route: %s", rep.line)
			}
			if lines := strings.Count(r.logs.String()[logged:], "level=ERROR"); lines != 1 {
				t.Errorf("%d lines in the log: %s", lines, r.logs.String()[logged:])
			}
		})
	}
	for _, folder := range []string{"services", "upstreams", "plugin_configs", "consumers", "consumer_groups", "global_rules", "ssls", "plugin_metadata", "protos", "secrets/vault"} {
		r.put(folder+"/bad", `{"plugins":{"test-fragile":1},"nodes":"x","username":3,"cert":"x","key":7}`)
	}
	if rep := r.get("/other"); rep.body != "other" {
		t.Errorf("after bad resources of all kinds: %s", rep.line)
	}
}
