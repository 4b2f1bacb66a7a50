package gateway

import (
	"testing"

	"millrace/plugin"
)

// TestPluginsReplaced: everything is compiled with the plugins that may be used now,
// and what was counted and connected stays.
func TestPluginsReplaced(t *testing.T) {
	up := ok(t, "hello")
	set := plugin.NewSet([]string{"test-change"})
	r := start(t, func(c *Config) { c.Env.Plugins = set })
	r.put("routes/1", `{"uri":"/a","plugins":{"test-filter":{"status":201},"test-change":{"answer":{"X-A":"1"}}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	r.put("global_rules/1", `{"plugins":{"test-change":{"answer":{"X-G":"1"}}}}`)
	seen := func(status int, own, global string) func() bool {
		return func() bool {
			rep := r.get("/a")
			return rep.status == status && rep.header.Get("X-A") == own && rep.header.Get("X-G") == global
		}
	}
	eventually(t, "one plugin is used", seen(200, "1", "1"))
	set.Replace([]string{"test-filter"}, nil)
	eventually(t, "the other plugin is used", seen(201, "", ""))
	r.put("routes/2", `{"uri":"/b","plugins":{"test-change":{"answer":{"X-A":"1"}}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	r.delete("routes/2")
	set.Replace(nil, nil)
	eventually(t, "all plugins are used", seen(201, "1", "1"))
	if rep := r.get("/b"); rep.status != 404 {
		t.Errorf("a deleted route: %s", rep.line)
	}
}
