package plugins_test

import (
	"fmt"
	"strings"
	"testing"
)

// As t/stream-plugin/mqtt-proxy.t and mqtt-proxy2.t have it.
func TestStreamMQTTProxy(t *testing.T) {
	s, node := startStreams(t), greeter(t, "node")
	const (
		connect4 = "\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03foo"
		connect5 = "\x10\x15\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\x00\x00\x00\x0a\x00\x03foo"
	)
	route := func(conf, upstream string) {
		s.put("stream_routes/1", `{"plugins":{"mqtt-proxy":%s},%s}`, conf, upstream)
	}
	nodes := fmt.Sprintf(`"upstream":{"nodes":{%q:1}}`, node)
	for _, tt := range []struct{ name, conf, send, want string }{
		{"level 4", `{"protocol_name":"MQTT","protocol_level":4}`, connect4, "node"},
		{"level 5", `{"protocol_name":"MQTT","protocol_level":5}`, connect5, "node"},
		{"no client id", `{"protocol_name":"MQTT","protocol_level":4}`, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "node"},
		{"other level", `{"protocol_name":"MQTT","protocol_level":5}`, connect4, ""},
		{"other name", `{"protocol_name":"MQIsdp","protocol_level":4}`, connect4, ""},
		{"other packet", `{"protocol_name":"MQTT","protocol_level":4}`, "\x30\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03foo", ""},
		{"cut short by its length", `{"protocol_name":"MQTT","protocol_level":4}`, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x03foo", ""},
		{"endless length", `{"protocol_name":"MQTT","protocol_level":4}`, "\x10\xff\xff\xff\xff\x01", ""},
		{"longer than is looked ahead", `{"protocol_name":"MQTT","protocol_level":4}`, "\x10\xff\xff\x7f\xff\xff" + strings.Repeat("a", 100), ""},
		{"no MQTT", `{"protocol_name":"MQTT","protocol_level":4}`, "GET / HTTP/1.1\r\n\r\n", ""},
	} {
		route(tt.conf, nodes)
		if got := answer(s.open(tt.send)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	route(fmt.Sprintf(`{"protocol_name":"MQTT","protocol_level":4,"upstream":{"host":"localhost","port":%s}}`, node[strings.LastIndexByte(node, ':')+1:]), `"desc":"none"`)
	if got := answer(s.open(connect4)); got != "node" {
		t.Errorf("an upstream of the plugin's own: %q", got)
	}
}

// A client goes to the same node each time, others elsewhere.
func TestStreamMQTTClientID(t *testing.T) {
	s, a, b := startStreams(t), greeter(t, "a"), greeter(t, "b")
	s.put("stream_routes/1", `{"plugins":{"mqtt-proxy":{"protocol_name":"MQTT","protocol_level":4}},
		"upstream":{"type":"chash","key":"mqtt_client_id","nodes":{%q:1,%q:1}}}`, a, b)
	seen := map[string]bool{}
	for client := range 20 {
		id := fmt.Sprintf("client%02d", client)
		send := fmt.Sprintf("\x10%c\x00\x04MQTT\x04\x02\x00\x3c\x00\x08%s", rune(12+len(id)), id)
		first, second := answer(s.open(send)), answer(s.open(send))
		if first == "" || first != second {
			t.Errorf("%s went to %q and to %q", id, first, second)
		}
		seen[first] = true
	}
	if len(seen) != 2 {
		t.Errorf("all clients went to %v", seen)
	}
}
