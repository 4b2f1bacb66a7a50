package gateway

import (
	"fmt"
	"testing"
)

// What _meta.filter says in a plugin's first phase holds for its others, though
// variables have changed meanwhile.
func TestFilterIsKeptForTheRequest(t *testing.T) {
	r := start(t, nil)
	up := ok(t, "x")
	r.put("routes/1", fmt.Sprintf(`{"uri":"/x","plugins":{
		"test-trace-a":{"name":"1","_meta":{"filter":[["http_x_trace","==",null]]}}},"upstream":{"nodes":{%q:1}}}`, up.addr))
	for request, want := range map[string]string{"": "r1 a1 b1 h1", "X-Trace: set": ""} {
		var lines []string
		if request != "" {
			lines = append(lines, request)
		}
		if rep := r.get("/x", lines...); rep.header.Get("X-Phases") != want {
			t.Errorf("with %q: %q, want %q", request, rep.header.Get("X-Phases"), want)
		}
	}
}
