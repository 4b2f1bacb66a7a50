package admin_test

import (
	"strings"
	"testing"

	"millrace/admin"
	"millrace/plugin"
)

func init() {
	plugin.RegisterStream[streamTester]("traffic-split", 966, `{"type":"object"}`)
	plugin.RegisterStream[streamTester]("streamer", 5, `{"type":"object","properties":{"level":{"type":"integer"}},"required":["level"]}`,
		plugin.AsMetadata[struct{}](`{"type":"object","properties":{"size":{"type":"integer"}}}`))
}

// streamTester is a plugin of streams that does nothing.
type streamTester struct{}

func (*streamTester) Preread(*plugin.Context) error { return nil }

// As t/admin/stream-routes.t has it.
func TestStreamRoutesWhole(t *testing.T) {
	b := start(t, func(c *admin.Config) {
		c.Stream = true
		c.Plugins = (*plugin.Set)(nil).WithStreams([]string{"streamer"}, []string{"redis"})
	})
	const plain = `"remote_addr":"127.0.0.1","upstream":{"nodes":{"127.0.0.1:8080":1},"type":"roundrobin"}`
	b.run([]step{
		{"put", "PUT", "/stream_routes/1", `{"desc":"a","labels":{"a":"b"},` + plain + `}`, 201, timed("stream_routes/1", `"id":"1","desc":"a","labels":{"a":"b"},`+plain)},
		{"get", "GET", "/stream_routes/1", "", 200, `{"key":"/apisix/stream_routes/1","createdIndex":1,"modifiedIndex":1,
			"value":{"id":"1","desc":"a","labels":{"a":"b"},` + plain + `,"create_time":"T","update_time":"T"}}`},
		{"PATCH", "PATCH", "/stream_routes/1", `{"desc":"b"}`, 405, msg("not supported `PATCH` method for stream route")},
		{"bad address", "PUT", "/stream_routes/2", `{"remote_addr":":8080"}`, 400, msg(`invalid configuration: property "remote_addr" validation failed: object matches none of the required`)},
		{"bad network", "PUT", "/stream_routes/2", `{"server_addr":"::1/300"}`, 400, msg(`invalid server_addr: ::1/300`)},
		{"bad port", "PUT", "/stream_routes/2", `{"server_port":65536}`, 400, msg(`invalid configuration: property "server_port" validation failed: expected 65536 to be at most 65535`)},
		{"unknown attribute", "PUT", "/stream_routes/2", `{"uri":"/a"}`, 400, msg(`invalid configuration: additional properties forbidden, found uri`)},
		{"unknown upstream", "PUT", "/stream_routes/2", `{"upstream_id":"u"}`, 400, msg("failed to fetch upstream info by upstream id [u], response code: 404")},
		{"unknown service", "PUT", "/stream_routes/2", `{"service_id":"s"}`, 400, msg("failed to fetch service info by service id [s], response code: 404")},
		{"chash without key", "PUT", "/stream_routes/2", `{"upstream":{"type":"chash","nodes":{}}}`, 400, msg("missing key")},
		{"client id of MQTT", "PUT", "/stream_routes/2", `{"upstream":{"type":"chash","key":"mqtt_client_id","nodes":{}}}`, 201,
			timed("stream_routes/2", `"id":"2","upstream":{"type":"chash","key":"mqtt_client_id","nodes":{}}`)},
		{"plugin", "PUT", "/stream_routes/2", `{"plugins":{"streamer":{"level":1}}}`, 200, timed("stream_routes/2", `"id":"2","plugins":{"streamer":{"level":1}}`)},
		{"plugin of requests", "PUT", "/stream_routes/2", `{"plugins":{"tester":{}}}`, 400, msg("unknown plugin [tester]")},
		{"plugin that is not listed", "PUT", "/stream_routes/2", `{"plugins":{"traffic-split":{}}}`, 400, msg("unknown plugin [traffic-split]")},
		{"plugin with a fault", "PUT", "/stream_routes/2", `{"plugins":{"streamer":{}}}`, 400,
			msg(`failed to check the configuration of stream plugin [streamer]: property "level" is required`)},
		{"plugin without object", "PUT", "/stream_routes/2", `{"plugins":{"streamer":5}}`, 400, msg("invalid plugin conf 5 for plugin [streamer]")},
		{"protocol", "PUT", "/stream_routes/3", `{"protocol":{"name":"redis","conf":{"faults":[{"commands":["get"],"delay":0.1}]}}}`, 201,
			timed("stream_routes/3", `"id":"3","protocol":{"name":"redis","conf":{"faults":[{"commands":["get"],"delay":0.1}]}}`)},
		{"unknown protocol", "PUT", "/stream_routes/3", `{"protocol":{"name":"pingpong"}}`, 400, msg("unknown protocol [pingpong]")},
		{"protocol with a fault", "PUT", "/stream_routes/3", `{"protocol":{"name":"redis","conf":{"faults":"a"}}}`, 400,
			msg(`property "faults" validation failed: wrong type: expected array, got string`)},
		{"protocol without name", "PUT", "/stream_routes/3", `{"protocol":{}}`, 400, msg(`invalid configuration: property "protocol" validation failed: property "name" is required`)},
		{"metadata", "PUT", "/plugin_metadata/streamer", `{"size":"a"}`, 400, msg(`invalid configuration: property "size" validation failed: wrong type: expected integer, got string`)},
		{"filter", "GET", "/stream_routes?filter=upstream_id%3Du", "", 200, `{"total":0,"list":[]}`},
		{"list", "GET", "/stream_routes?filter=upstream_id%3Du", "", 200, `{"total":0,"list":[]}`},
		{"delete", "DELETE", "/stream_routes/1", "", 200, `{"key":"/apisix/stream_routes/1","deleted":"1"}`},
		{"delete again", "DELETE", "/stream_routes/1", "", 404, keyNotFound},
	})
	b.expect(b.do("GET", "/plugins/list?subsystem=stream", ""), 200, `["streamer"]`)
	if got := b.do("GET", "/plugins/streamer?subsystem=stream", ""); got.status != 200 || !strings.Contains(got.body, `"required":["level"]`) {
		t.Errorf("the schema: %d %s", got.status, got.body)
	}
	b.expect(b.do("GET", "/plugins/streamer", ""), 404, msg("plugin not found in subsystem http"))
	b.expect(b.do("GET", "/plugins/tester?subsystem=stream", ""), 404, msg("plugin not found in subsystem stream"))
	if got := b.do("GET", "/plugins?all=true&subsystem=stream", ""); !strings.HasPrefix(got.body, `{"streamer":{"version":0.1,"priority":5,"schema":`) {
		t.Errorf("all plugins: %s", got.body)
	}
}
