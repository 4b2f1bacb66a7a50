package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"millrace/config"
	"millrace/server/servertest"
	"millrace/store/etcd/etcdtest"
)

// etcd is a real one.
type etcd struct {
	*etcdtest.Server
	t *testing.T
}

// startEtcd starts one; with arguments for TLS its URL is https.
func startEtcd(t *testing.T, args ...string) *etcd {
	t.Helper()
	return &etcd{etcdtest.Start(t, args...), t}
}

// answerOf gets a path of the gateway.
func answerOf(t *testing.T, site *servertest.Site, path string) string {
	t.Helper()
	resp, err := http.Get(site.Gateway + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body)))
}

func awaitAnswer(t *testing.T, site *servertest.Site, path, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = answerOf(t, site, path); got == want {
			return
		}
	}
	t.Fatalf("%s answers %s, want %s", path, got, want)
}

func adminPut(t *testing.T, site *servertest.Site, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest("PUT", site.Admin+"/apisix/admin/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-KEY", servertest.AdminKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// upstreamOf is an upstream that answers everything with its name.
func upstreamOf(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

func routeTo(uri, upstream string) string {
	return fmt.Sprintf(`{"id":"x","uri":%q,"upstream":{"type":"roundrobin","nodes":{%q:1}}}`, uri, upstream)
}

func TestRoutesInAnEtcd(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	tools, err := clientv3.New(clientv3.Config{Endpoints: []string{e.URL}, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer tools.Close()
	put := func(key, value string) {
		t.Helper()
		if _, err := tools.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	one, two := upstreamOf(t, "one"), upstreamOf(t, "two")
	put("/apisix/routes/", "init_dir") // as APISIX leaves it there
	put("/apisix/routes/x", routeTo("/before", one))

	site := servertest.Start(t, func(c *config.Config) {
		c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
		c.Gateway.Source.Provider = "etcd"
		c.Gateway.Source.Etcd = config.Etcd{Hosts: []string{e.URL}, Prefix: "/apisix", Timeout: 5 * time.Second, Retries: 10}
	})
	awaitAnswer(t, site, "/before", "200 one")
	put("/apisix/routes/y", routeTo("/by-others", two))
	awaitAnswer(t, site, "/by-others", "200 two")
	if status, text := adminPut(t, site, "routes/z", strings.Replace(routeTo("/by-admin", one), `"id":"x",`, "", 1)); status != 201 {
		t.Fatalf("Admin API: %d %s", status, text)
	}
	if got := answerOf(t, site, "/by-admin"); got != "200 one" {
		t.Errorf("right after the Admin API's answer: %s", got)
	}
	if r, err := tools.Get(t.Context(), "/apisix/routes/z"); err != nil || len(r.Kvs) != 1 || !strings.Contains(string(r.Kvs[0].Value), `"/by-admin"`) {
		t.Errorf("what others see: %v, %v", r, err)
	}

	e.Stop()
	for _, path := range []string{"/before", "/by-others", "/by-admin"} {
		if got := answerOf(t, site, path); !strings.HasPrefix(got, "200 ") {
			t.Errorf("%s while etcd is away: %s", path, got)
		}
	}
	if status, text := adminPut(t, site, "routes/w", strings.Replace(routeTo("/w", one), `"id":"x",`, "", 1)); status != 503 || text != `{"error_msg":"has no healthy etcd endpoint available"}`+"\n" {
		t.Errorf("a write while etcd is away: %d %s", status, text)
	}
	e.Start()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if _, err = tools.Put(t.Context(), "/apisix/routes/y", routeTo("/by-others", one)); err == nil {
			break
		}
	}
	awaitAnswer(t, site, "/by-others", "200 one")
}

func TestRoutesInAFile(t *testing.T) {
	t.Parallel()
	one := upstreamOf(t, "one")
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	write := func(uri string) {
		t.Helper()
		text := fmt.Sprintf("routes:\n  - id: 1\n    uri: %s\n    upstream: {type: roundrobin, nodes: {%q: 1}}\n#END\n", uri, one)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("/a")
	site := servertest.Start(t, func(c *config.Config) {
		c.Roles = []config.Role{config.RoleGateway}
		c.Gateway.Source = config.Source{Provider: "file", File: path}
	})
	awaitAnswer(t, site, "/a", "200 one")
	write("/longer")
	awaitAnswer(t, site, "/longer", "200 one")
	awaitAnswer(t, site, "/a", `404 {"error_msg":"404 Route Not Found"}`)
}
