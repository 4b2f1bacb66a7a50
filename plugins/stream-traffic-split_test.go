package plugins_test

import (
	"fmt"
	"testing"
)

func TestStreamTrafficSplit(t *testing.T) {
	s, a, b, c := startStreams(t), greeter(t, "a"), greeter(t, "b"), greeter(t, "c")
	s.put("upstreams/u", `{"nodes":{%q:1}}`, c)
	route := func(rules string) {
		s.put("stream_routes/1", `{"plugins":{"traffic-split":{"rules":[%s]}},"upstream":{"nodes":{%q:1}}}`, rules, a)
	}
	count := func() string {
		seen := map[string]int{}
		for range 6 {
			seen[answer(s.open("hello"))]++
		}
		return fmt.Sprint(seen)
	}
	route(fmt.Sprintf(`{"weighted_upstreams":[{"upstream":{"nodes":{%q:1}},"weight":2},{"weight":1}]}`, b))
	if got := count(); got != "map[a:2 b:4]" {
		t.Errorf("got %s", got)
	}
	route(`{"match":[{"vars":[["remote_addr","==","127.0.0.1"]]}],"weighted_upstreams":[{"upstream_id":"u"}]}`)
	if got := count(); got != "map[c:6]" {
		t.Errorf("got %s", got)
	}
	route(`{"match":[{"vars":[["server_port","==","1"]]}],"weighted_upstreams":[{"upstream_id":"u"}]}`)
	if got := count(); got != "map[a:6]" {
		t.Errorf("got %s", got)
	}
	route(`{"weighted_upstreams":[{"upstream_id":"gone"}]}`)
	if got := answer(s.open("hello")); got != "" {
		t.Errorf("an upstream that is not there answered %q", got)
	}
}
