package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/server/servertest"
)

// bad are resources in which there is a fault, each of another kind.
var bad = []string{
	`{"uri":"/one","bogus":1,"upstream":{"nodes":{"127.0.0.1:1":1}}}`,
	`{"uri":"/one","vars":[["uri","~~","("]],"upstream":{"nodes":{"127.0.0.1:1":1}}}`,
	`{"uri":"/one","plugins":{"limit-count":{"count":"x"}}}`,
	`{"uri":"/one","plugins":{"serverless-pre-function":{"functions":["return ("]}}}`,
	`{"uri":"/one"}`,
	`no JSON`,
}

// Faults that others write into an etcd leave what was there before.
func TestFaultsInAnEtcd(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	tools, one := e.client(), upstreamOf(t, "one")
	put := func(key, value string) {
		t.Helper()
		if _, err := tools.Put(t.Context(), "/apisix/routes/"+key, value); err != nil {
			t.Fatal(err)
		}
	}
	put("x", routeTo("/one", one))
	put("never", bad[0])
	site := servertest.Start(t, onEtcd("/apisix", e.URL))
	awaitAnswer(t, site, "/one", "200 one")
	for i, value := range bad {
		put("x", value)
		marker := fmt.Sprintf("/marker%d", i) // is in force after the fault
		put("marker", routeTo(marker, one))
		awaitAnswer(t, site, marker, "200 one")
		if got := answerOf(t, site, "/one"); got != "200 one" {
			t.Errorf("after %s: %s", value, got)
		}
	}
	put("x", routeTo("/two", one))
	awaitAnswer(t, site, "/two", "200 one")
	awaitAnswer(t, site, "/one", `404 {"error_msg":"404 Route Not Found"}`)
}

// Faults in a file leave out what has them, and nothing else.
func TestFaultsInAFile(t *testing.T) {
	t.Parallel()
	one := upstreamOf(t, "one")
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	write := func(marker, fault string) {
		t.Helper()
		text := fmt.Sprintf("routes:\n  - %s\n  - %s\n%s#END\n", routeTo("/one", one), strings.Replace(routeTo(marker, one), `"x"`, `"marker"`, 1), fault)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("/start", "")
	site := servertest.Start(t, func(c *config.Config) {
		c.Roles = []config.Role{config.RoleGateway}
		c.Gateway.Source = config.Source{Provider: "file", File: path}
	})
	awaitAnswer(t, site, "/start", "200 one")
	faults := ""
	for i, value := range bad[:5] {
		faults += "  - " + strings.Replace(value, `{"uri"`, fmt.Sprintf(`{"id":"bad%d","uri"`, i), 1) + "\n"
	}
	write("/marker", faults)
	awaitAnswer(t, site, "/marker", "200 one")
	if got := answerOf(t, site, "/one"); got != "200 one" {
		t.Errorf("with faults beside it: %s", got)
	}
}

// What config.yaml says of clients holds.
func TestClientLimitsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	const text = "nginx_config: {http: {client_header_timeout: 100ms, client_body_timeout: 100ms, client_max_body_size: 10, keepalive_requests: 2, large_client_header_buffers: 2 1k}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := config.Load(file, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	site := servertest.Start(t, func(c *config.Config) {
		g := &read.Gateway
		c.Roles = []config.Role{config.RoleGateway}
		c.Gateway.ClientHeaderTimeout, c.Gateway.ClientBodyTimeout = g.ClientHeaderTimeout, g.ClientBodyTimeout
		c.Gateway.MaxBodySize, c.Gateway.ClientLimits = g.MaxBodySize, g.ClientLimits
	})
	const end = " HTTP/1.1\r\nHost: a\r\n"
	for request, statuses := range map[string]string{
		"GET /" + end: "408",
		"POST /" + end + "Content-Length: 11\r\n\r\n":                           "413",
		"GET /" + strings.Repeat("a", 1100) + end + "\r\n":                      "414",
		"GET /" + end + "X: " + strings.Repeat("a", 1100) + "\r\n\r\n":          "400",
		"GET /" + end + strings.Repeat("X: 123456789\r\n", 150) + "\r\n":        "400",
		strings.Repeat("GET /"+end+"\r\n", 3):                                   "404 404",
		"GET /" + end + "X: " + strings.Repeat("a", 900) + "\r\n" + "\r\nGET /": "404 408",
	} {
		got := ""
		for range 50 { // a test that is slow itself has sent nothing in time
			if got = statusesOf(t, site.Gateway, request); got != "" {
				break
			}
		}
		if got != statuses {
			t.Errorf("%.60q: %s, want %s", request, got, statuses)
		}
	}
}

// statusesOf answers the statuses of all that is answered to bytes.
func statusesOf(t *testing.T, gateway, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(gateway, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(conn, request)
	var got []string
	for r := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return strings.Join(got, " ")
		}
		io.Copy(io.Discard, res.Body)
		got = append(got, fmt.Sprint(res.StatusCode))
	}
}
