package server_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/server/servertest"
)

// Every request has a line, whether a route was found or not, with the format that
// APISIX has.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	site := servertest.Start(t, func(c *config.Config) {
		c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
		c.Ephemeral, c.Data = false, dir
		c.Gateway.AccessLog.Path = "logs/access.log"
	})
	up := upstreamOf(t, "one")
	if status, text := adminPut(t, site, "routes/1", `{"uri":"/a","upstream":{"nodes":{"`+up+`":1}}}`); status != 201 {
		t.Fatal(text)
	}
	answerOf(t, site, "/a?b=%22")
	answerOf(t, site, "/none")
	want := []*regexp.Regexp{
		regexp.MustCompile(`^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:[^\]]+\] 127\.0\.0\.1:\d+ "GET /a\?b=%22 HTTP/1\.1" 200 3 \d\.\d{3} "-" "Go-http-client/1\.1" ` +
			regexp.QuoteMeta(up) + ` 200 \d\.\d{3} "http://127\.0\.0\.1:\d+" "[0-9a-f]{32}"$`),
		regexp.MustCompile(`"GET /none HTTP/1\.1" 404 \d+ \d\.\d{3} "-" "[^"]+" - - - "http://127\.0\.0\.1:\d+" "[0-9a-f]{32}"$`),
	}
	var lines []string
	for end := time.Now().Add(30 * time.Second); len(lines) < len(want) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "logs/access.log"))
		if err != nil {
			t.Fatal(err)
		}
		lines = strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	for i, pattern := range want {
		if i >= len(lines) || !pattern.MatchString(lines[i]) {
			t.Errorf("line %d of %q is not as %s", i+1, lines, pattern)
		}
	}
}

// Every connection of stream routes has a line too; t/cli/test_access_log.sh.
func TestStreamAccessLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	site := servertest.Start(t, streaming, func(c *config.Config) {
		c.Ephemeral, c.Data = false, dir
		c.Gateway.Stream.AccessLog.Enabled = true
	})
	ask := func() {
		conn, err := net.Dial("tcp", strings.TrimPrefix(site.Streams["tcp"], "tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "hi\n")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	}
	ask()
	putStream(t, site, `{"upstream":{"nodes":{"%s":1}}}`, lineServer(t, "one"))
	ask()
	want := []*regexp.Regexp{
		regexp.MustCompile(`(?m)^127\.0\.0\.1 \[[^\]]+\] TCP 500 0 0 \d\.\d{3}$`),
		regexp.MustCompile(`(?m)^127\.0\.0\.1 \[[^\]]+\] TCP 200 [1-9]\d* 3 \d\.\d{3}$`),
	}
	var text []byte
	until(t, "a line for each connection", func() bool {
		text, _ = os.ReadFile(filepath.Join(dir, "logs/access_stream.log"))
		return want[0].Match(text) && want[1].Match(text)
	})
}
