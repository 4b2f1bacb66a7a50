package plugins_test

import "testing"

// As t/stream-plugin/ip-restriction.t has it.
func TestStreamIPRestriction(t *testing.T) {
	s, node := startStreams(t), greeter(t, "node")
	for conf, want := range map[string]string{
		`{"whitelist":["127.0.0.0/24"]}`:                                            "node",
		`{"whitelist":["10.0.0.0/8","::1"]}`:                                        "",
		`{"blacklist":["127.0.0.1"]}`:                                               "",
		`{"blacklist":["127.0.0.2"]}`:                                               "node",
		`{"blacklist":["127.0.0.1"],"_meta":{"disable":true}}`:                      "node",
		`{"blacklist":["127.0.0.1"],"_meta":{"filter":[["server_port","==","1"]]}}`: "node",
	} {
		s.put("stream_routes/1", `{"plugins":{"ip-restriction":%s},"upstream":{"nodes":{%q:1}}}`, conf, node)
		if got := answer(s.open("hello")); got != want {
			t.Errorf("%s: got %q, want %q", conf, got, want)
		}
	}
}
