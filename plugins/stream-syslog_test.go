package plugins_test

import (
	"bufio"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// As t/stream-plugin/syslog.t has it.
func TestStreamSyslog(t *testing.T) {
	s, node := startStreams(t), greeter(t, "node")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	const own = `"log_format":{"client":"$remote_addr","bytes":"$bytes_received","status":"$status"},`
	s.put("stream_routes/1", `{"plugins":{"syslog":{%s"host":"127.0.0.1","port":%s,"batch_max_size":1}},"upstream":{"nodes":{%q:1}}}`, own, port, node)
	want := regexp.MustCompile(`^<46>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ apisix \d+ - - \{"bytes":"5","client":"127.0.0.1","status":"200","route_id":"1"\}\n$`)
	if line := logged(t, s, ln); !want.MatchString(line) {
		t.Errorf("got %q", line)
	}
	// The form may stand in the metadata.
	s.put("plugin_metadata/syslog", `{"log_format":{"protocol":"$protocol"}}`)
	s.put("stream_routes/1", `{"plugins":{"syslog":{"host":"127.0.0.1","port":%s,"batch_max_size":1}},"upstream":{"nodes":{%q:1}}}`, port, node)
	if line := logged(t, s, ln); !strings.HasSuffix(line, ` - - {"protocol":"TCP","route_id":"1"}`+"\n") {
		t.Errorf("got %q", line)
	}
}

// logged makes a connection and answers the line that comes of it.
func logged(t *testing.T, s *streamSite, ln net.Listener) string {
	t.Helper()
	c := s.open("hello")
	if got := answer(c); got != "node" {
		t.Fatalf("got %q", got)
	}
	c.Close()
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	_ = server.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(server).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}
