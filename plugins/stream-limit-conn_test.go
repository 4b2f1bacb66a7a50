package plugins_test

import "testing"

// As t/stream-plugin/limit-conn.t has it.
func TestStreamLimitConn(t *testing.T) {
	s, node := startStreams(t), greeter(t, "node")
	s.put("stream_routes/1", `{"plugins":{"limit-conn":{"conn":1,"burst":1,"default_conn_delay":0.01,"key":"remote_addr"}},"upstream":{"nodes":{%q:1}}}`, node)
	a, b := s.open("hello"), s.open("hello")
	for _, c := range []interface {
		Close() error
	}{a, b} {
		defer c.Close()
	}
	if one, two := answer(a), answer(b); one != "node" || two != "node" {
		t.Fatalf("got %q and %q", one, two)
	}
	if got := answer(s.open("hello")); got != "" {
		t.Errorf("a third connection got %q", got)
	}
	a.Close()
	waitFor(t, "there is room again", func() bool { return answer(s.open("hello")) == "node" })
}
