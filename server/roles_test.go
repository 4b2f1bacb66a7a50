package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/server/servertest"
)

// roleOf is the configuration that APISIX's deployment section makes.
func roleOf(t *testing.T, text string) func(*config.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *config.Config) {
		c.Gateway.Source, c.Gateway.RedirectPort = said.Gateway.Source, said.Gateway.RedirectPort
		c.Roles = slices.DeleteFunc(said.Roles, func(r config.Role) bool { return r != config.RoleGateway && r != config.RoleAdmin })
	}
}

// A control plane has no gateway, a data plane no Admin API; they meet in the etcd.
func TestPlanes(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	text := "deployment: {role: ROLE, etcd: {host: [" + e.URL + "], startup_retry: 30}}\nplugin_attr: {redirect: {https_port: 8443}}\n"
	control := servertest.Start(t, roleOf(t, strings.Replace(text, "ROLE", "control_plane", 1)))
	data := servertest.Start(t, roleOf(t, strings.Replace(text, "ROLE", "data_plane", 1)))
	if control.Gateway != "" || control.Control != "" || control.Admin == "" {
		t.Errorf("the control plane listens on %+v", control)
	}
	if data.Gateway == "" || data.Control == "" || data.Admin != "" {
		t.Errorf("the data plane listens on %+v", data)
	}
	if status, text := adminPut(t, control, "routes/a", strings.Replace(routeTo("/a", upstreamOf(t, "one")), `"id":"x",`, "", 1)); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	awaitAnswer(t, data, "/a", "200 one")
	if got := answerOf(t, data, "/apisix/admin/routes"); got != `404 {"error_msg":"404 Route Not Found"}` {
		t.Errorf("the Admin API on a data plane: %s", got)
	}
	if status, text := adminPut(t, control, "routes/r", `{"uri":"/r","plugins":{"redirect":{"http_to_https":true}}}`); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	awaitLocation(t, data.Gateway+"/r", ":8443/r")
}

func awaitLocation(t *testing.T, url, want string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	location := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if location = resp.Header.Get("Location"); strings.HasSuffix(location, want) {
			return
		}
	}
	t.Errorf("%s leads to %q, want %q", url, location, want)
}
