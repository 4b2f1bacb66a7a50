package plugins_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/freeport"
)

// startRedis starts a Redis and answers its address.
func startRedis(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip(err)
	}
	addr := freeport.Address(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	waitFor(t, "Redis listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

// redisClient speaks to a Redis.
type redisClient struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *streamSite) redis() *redisClient {
	c := s.open("")
	return &redisClient{s.TB, c, bufio.NewReader(c)}
}

func (c *redisClient) send(args ...string) {
	fmt.Fprintf(c, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(c, "$%d\r\n%s\r\n", len(a), a)
	}
}

// reply reads a reply as text: strings as they are, arrays in brackets.
func (c *redisClient) reply() string {
	c.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	line = strings.TrimSuffix(line, "\r\n")
	n, _ := strconv.Atoi(line[1:])
	switch {
	case line[0] == '$' && n >= 0:
		b := make([]byte, n+2)
		_, _ = io.ReadFull(c.r, b)
		return string(b[:n])
	case line[0] == '*' && n >= 0, line[0] == '>':
		parts := make([]string, n)
		for i := range parts {
			parts[i] = c.reply()
		}
		return fmt.Sprint(parts)
	}
	return line[1:]
}

func (c *redisClient) ask(args ...string) string {
	c.Helper()
	c.send(args...)
	return c.reply()
}

// As t/xrpc/redis.t has it.
func TestRedisCalls(t *testing.T) {
	t.Parallel()
	s, redis := startStreams(t), startRedis(t)
	route := func(faults string) {
		s.put("stream_routes/1", `{"protocol":{"name":"redis","conf":{"faults":[{"delay":0.25,"commands":["mget"],"key":"slow"}%s]}},"upstream":{"nodes":{%q:1}}}`, faults, redis)
	}
	route("")
	c := s.redis()
	long := strings.Repeat("x", 200_000)
	for _, tt := range []struct{ command, want string }{
		{"ping", "PONG"}, {"HMSET animals dog bark cat meow", "OK"}, {"hmget animals dog cat eel", "[bark meow -1]"}, {"hgetall animals", "[dog bark cat meow]"},
		{"set big " + long, "OK"}, {"get big", long}, {"mget big none", "[" + long + " -1]"}, {"set " + long + " v", "OK"}, {"get " + long, "v"},
		{"nonsense", "ERR unknown command 'nonsense', with args beginning with: "}, {"multi", "OK"}, {"incr n", "QUEUED"}, {"incr n", "QUEUED"}, {"exec", "[1 2]"},
		{"keys none*", "[]"},
	} {
		if got := c.ask(strings.Fields(tt.command)...); got != tt.want {
			t.Errorf("%.50s: got %.100q", tt.command, got)
		}
	}
	// A pipeline, of which one command is held back.
	began := time.Now()
	for range 500 {
		c.send("incr", "count")
	}
	c.send("mget", "slow")
	c.send("incr", "count")
	for i := range 500 {
		if got := c.reply(); got != strconv.Itoa(i+1) {
			t.Fatalf("got %q at %d", got, i)
		}
	}
	if got := c.reply() + c.reply(); got != "[-1]501" || time.Since(began) < 250*time.Millisecond {
		t.Errorf("got %q after %v", got, time.Since(began))
	}
	// Inline, as with telnet.
	_, _ = io.WriteString(c, "\r\nset a 1\r\nget a\r\n")
	if got := c.reply() + c.reply(); got != "OK1" {
		t.Errorf("inline: %q", got)
	}
	// What was open keeps its faults, what comes later has others.
	route(`,{"delay":0.2,"commands":["GET"]}`)
	began = time.Now()
	if got := s.redis().ask("get", "a"); got != "1" || time.Since(began) < 200*time.Millisecond {
		t.Errorf("got %q after %v", got, time.Since(began))
	}
	// What is not Redis ends the connection.
	other := s.open("*1\r\n+x\r\n")
	if b, _ := io.ReadAll(other); len(b) > 0 {
		t.Errorf("got %q", b)
	}
}

func TestRedisSubscriptions(t *testing.T) {
	t.Parallel()
	s, redis := startStreams(t), startRedis(t)
	s.put("stream_routes/1", `{"protocol":{"name":"redis"},"upstream":{"nodes":{%q:1}}}`, redis)
	sub, pub := s.redis(), s.redis()
	sub.send("subscribe", "foo", "bar")
	if got := sub.reply() + sub.reply(); got != "[subscribe foo 1][subscribe bar 2]" {
		t.Errorf("got %s", got)
	}
	if got := sub.ask("psubscribe", "ho*"); got != "[psubscribe ho* 3]" {
		t.Errorf("got %s", got)
	}
	for _, message := range [][2]string{{"foo", "[message foo text]"}, {"bar", "[message bar text]"}, {"hour", "[pmessage ho* hour text]"}} {
		if got := pub.ask("publish", message[0], "text"); got != "1" {
			t.Errorf("%s is heard by %s", message[0], got)
		}
		if got := sub.reply(); got != message[1] {
			t.Errorf("got %s", got)
		}
	}
	sub.send("unsubscribe")
	if got := sub.reply() + sub.reply(); got != "[unsubscribe foo 2][unsubscribe bar 1]" && got != "[unsubscribe bar 2][unsubscribe foo 1]" {
		t.Errorf("got %s", got)
	}
	if got := sub.ask("punsubscribe", "ho*"); got != "[punsubscribe ho* 0]" {
		t.Errorf("got %s", got)
	}
	if got := sub.ask("echo", "again"); got != "again" {
		t.Errorf("got %s", got)
	}
}

// As t/xrpc/redis2.t and prometheus.t have it: slow calls are logged, all are counted.
func TestRedisLoggersAndMetrics(t *testing.T) {
	t.Parallel()
	s, redis := startStreams(t), startRedis(t)
	logs, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	_, port, _ := net.SplitHostPort(logs.LocalAddr().String())
	s.put("plugin_metadata/syslog", `{"log_format":{"time":"$rpc_time","line":"$redis_cmd_line","client":"$remote_addr","cmd":"$cmd"}}`)
	logger := func(filter string) string {
		return fmt.Sprintf(`{"name":"syslog",%s"conf":{"host":"127.0.0.1","port":%s,"sock_type":"udp","batch_max_size":1}}`, filter, port)
	}
	s.put("stream_routes/1", `{"protocol":{"name":"redis","conf":{"faults":[{"delay":0.2,"commands":["hmget"]}]},"metric":{"enable":true},
		"logger":[%s,{"name":"nope","conf":{}},%s,%s]},"upstream":{"nodes":{%q:1}}}`,
		logger(`"filter":[["rpc_time",">=",0.2],["cmd","~=","blpop"]],`), logger(`"filter":[["nonsense"]],`), logger(`"filter":[["cmd","==","blpop"]],`), redis)
	c := s.redis()
	if got := c.ask("hmset", "animals", "dog", "bark") + c.ask("hmget", "animals", "dog"); got != "OK[bark]" {
		t.Errorf("got %q", got)
	}
	heard := func() string {
		_ = logs.SetReadDeadline(time.Now().Add(patience))
		buf := make([]byte, 2000)
		n, _, err := logs.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	want := regexp.MustCompile(`{"client":"127.0.0.1","cmd":"hmget","line":"hmget animals dog","time":\d+\.\d{6},"route_id":"1"}\n$`)
	if got := heard(); !want.MatchString(got) {
		t.Errorf("got %q, want %s", got, want)
	}
	// A call whose connection ends before it is answered is over too.
	c.send("blpop", "none", "0")
	waitFor(t, "the call is with Redis", func() bool { return strings.Contains(s.redis().ask("client", "list"), "cmd=blpop") })
	c.Close()
	if got := heard(); !strings.Contains(got, `"line":"blpop none 0"`) {
		t.Errorf("logged %s", got)
	}
	w := httptest.NewRecorder()
	s.process.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/apisix/prometheus/metrics", nil))
	for _, line := range []string{
		`apisix_redis_commands_total{route="1",command="hmset"} 1`, `apisix_redis_commands_total{route="1",command="hmget"} 1`,
		`apisix_redis_commands_latency_seconds_bucket{route="1",command="hmget",le="+Inf"} 1`, `apisix_redis_commands_latency_seconds_count{route="1",command="hmget"} 1`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("%s is not in\n%s", line, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), `command="hmget",le="0.1"`) {
		t.Errorf("the delay is not part of the latency:\n%s", w.Body)
	}
}
