package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonvalue"
)

func TestKeys(t *testing.T) {
	for key, want := range map[string][2]string{
		"/apisix/routes/1":                        {"routes", "1"},
		"/apisix/consumers/jack":                  {"consumers", "jack"},
		"/apisix/consumers/jack/credentials/c1":   {"credentials", "jack/credentials/c1"},
		"/apisix/secrets/vault/1":                 {"secrets", "vault/1"},
		"/apisix/plugin_metadata/http-logger":     {"plugin_metadata", "http-logger"},
		"/apisix/routes/":                         {},
		"/apisix/gen_id":                          {},
		"/apisix/plugins":                         {},
		"/apisix/consumers/jack/x":                {},
		"/apisix/consumers/jack/credentials/":     {},
		"/apisix/consumers/jack/credentials/c1/x": {},
		"/other/routes/1":                         {},
	} {
		folder, id, ok := SplitKey(key)
		if ok != (want[0] != "") || ok && (folder != want[0] || id != want[1] || Key(folder, id) != key) {
			t.Errorf("%s: %q %q %v", key, folder, id, ok)
		}
	}
}

func TestItems(t *testing.T) {
	tests := []struct{ folder, item, key, stored string }{
		{"routes", `{"id":1,"uri":"/a","modifiedIndex":5}`, "/apisix/routes/1", `{"id":1,"uri":"/a"}`},
		{"routes", `{"uri":"/a"}`, "/apisix/routes/arr_3", `{"id":"arr_3","uri":"/a"}`},
		{"consumers", `{"username":"a"}`, "/apisix/consumers/a", `{"username":"a"}`},
		{"consumers", `{"id":"a/credentials/b"}`, "/apisix/consumers/a/credentials/b", `{"id":"b"}`},
		{"secrets", `{"id":"vault/1"}`, "/apisix/secrets/vault/1", `{"id":"vault/1"}`},
		{"plugin_metadata", `{"id":"x"}`, "/apisix/plugin_metadata/x", `{"id":"x"}`},
	}
	for _, tt := range tests {
		doc, err := jsonvalue.Decode([]byte(tt.item))
		if err != nil {
			t.Fatal(err)
		}
		_, key := ItemKey(tt.folder, doc.(map[string]any), 2)
		stored, err := jsonvalue.Encode(ForStore(doc.(map[string]any), key))
		if key != tt.key || err != nil || string(stored) != tt.stored {
			t.Errorf("%s: %s %s %v", tt.item, key, stored, err)
		}
	}
}

func TestCheckStored(t *testing.T) {
	for _, tt := range []struct{ key, value, want string }{
		{"/apisix/routes/1", `{"id":"1","uri":"/a","upstream_id":"none"}`, ``},
		{"/apisix/routes/1", `{"id":"1"}`, `invalid configuration: allOf 1 failed: value should match only one schema, but matches none`},
		{"/apisix/routes/1", `{`, `reading route 1: not valid JSON: unexpected EOF`},
		{"/apisix/routes/1", `{"id":"1","uri":"/a","plugins":{"nope":{}}}`, ``},
		{"/apisix/routes/", `init_dir`, ``},
		{"/apisix/secrets/nope/1", `{"id":"nope/1"}`, `invalid secret manager: nope`},
		{"/apisix/consumers/a/credentials/b", `{"plugins":{"tester":{}}}`, `only supports auth type plugins in consumer credential`},
	} {
		expectError(t, CheckStored(tt.key, []byte(tt.value), World{}), tt.want)
	}
}

func TestReferences(t *testing.T) {
	got := References([]byte(`{"upstream_id":1,"service_id":"s","plugin_config_id":"p","group_id":2,"protocol":{"superior_id":"x"},"plugins":{
		"traffic-split":{"rules":[{"weighted_upstreams":[{"upstream_id":1},{"upstream":{}}]},{"weighted_upstreams":[{"upstream_id":"2"},{"upstream_id":1}]}]},
		"grpc-transcode":{"proto_id":"g"}}}`))
	want := []Reference{
		{"upstreams", "1", false}, {"services", "s", false}, {"plugin_configs", "p", false}, {"consumer_groups", "2", false}, {"stream_routes", "x", false},
		{"upstreams", "1", true}, {"upstreams", "2", true}, {"protos", "g", true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := References([]byte(`{"uri":"/a","plugins":[]}`)); got != nil {
		t.Errorf("references of nothing: %v", got)
	}
}

func TestChecksDefaults(t *testing.T) {
	u, err := Parse[Upstream]([]byte(`{"checks":{"active":{"http_path":"/s","healthy":{"successes":7}}}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Checks{Active: ActiveCheck{
		Type: "http", Timeout: 1, Concurrency: 10, HTTPMethod: "GET", HTTPPath: "/s", HTTPSVerifyCertificate: true,
		Healthy:   ActiveHealthy{Interval: 1, HTTPStatuses: []int{200, 302}, Successes: 7},
		Unhealthy: ActiveUnhealthy{Interval: 1, HTTPStatuses: []int{429, 404, 500, 501, 502, 503, 504, 505}, HTTPFailures: 5, TCPFailures: 2, Timeouts: 3},
	}}
	if diff := cmp.Diff(want, u.Checks); diff != "" {
		t.Error(diff)
	}
	u, err = Parse[Upstream]([]byte(`{"checks":{"active":{},"passive":{"unhealthy":{"http_failures":0}}}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	passive := &PassiveCheck{
		Type:      "http",
		Healthy:   PassiveHealthy{HTTPStatuses: []int{200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308}, Successes: 5},
		Unhealthy: PassiveUnhealthy{HTTPStatuses: []int{429, 500, 503}, TCPFailures: 2, Timeouts: 7},
	}
	if diff := cmp.Diff(passive, u.Checks.Passive); diff != "" {
		t.Error(diff)
	}
}

func TestParseKinds(t *testing.T) {
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	ssl, err := Parse[SSL]([]byte(`{"id":1,"cert":"c","key":"dpwomMlEsHH2L7wSUi6YiQ==","keys":["3ADkE6U9nhfTup0vRb7T6g=="],"client":{"ca":"x"}}`), ring)
	if err != nil || ssl.Key != "a" || ssl.Keys[0] != "u:p" || !ssl.IsServer() || ssl.Client.Depth != nil {
		t.Errorf("ssl %+v %v", ssl, err)
	}
	// The key of an upstream is what it is chosen by, and no secret.
	up, err := Parse[Upstream]([]byte(`{"type":"chash","key":"dpwomMlEsHH2L7wSUi6YiQ=="}`), ring)
	if err != nil || up.Key != "dpwomMlEsHH2L7wSUi6YiQ==" {
		t.Errorf("upstream %+v %v", up, err)
	}
}

// BenchmarkCheckRoute is what a write and the start cost for each route.
func BenchmarkCheckRoute(b *testing.B) {
	raw := []byte(`{"id":"1","uri":"/hello/1","name":"route-1","methods":["GET","POST"],"plugins":{"tester":{"count":5}},"upstream_id":"1","create_time":1,"update_time":1}`)
	for b.Loop() {
		if err := checkRaw("routes", raw); err != nil {
			b.Fatal(err)
		}
	}
}
