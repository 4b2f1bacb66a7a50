package server_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"millrace/config"
	"millrace/server/servertest"
)

// fetch answers the status and the body of a request.
func fetch(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-KEY", servertest.AdminKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// Requests show in the metrics on their listener, and server-info on the Control API.
func TestMetricsListener(t *testing.T) {
	t.Parallel()
	site := servertest.Start(t)
	fetch(t, "PUT", site.Admin+"/apisix/admin/routes/m", `{"uri":"/m","plugins":{"prometheus":{}},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
	if status, _ := fetch(t, "GET", site.Gateway+"/m", ""); status != 502 {
		t.Fatalf("status %d", status)
	}
	wants := []string{
		`apisix_http_status{code="502",route="m",matched_uri="/m",matched_host="",service="",consumer="",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model="",response_source="nginx"} 1`,
		`apisix_nginx_http_current_connections{state="accepted"} 1`,
		`apisix_http_requests_total 1`,
	}
	until(t, "the metrics of a request, which are counted behind its answer", func() bool {
		status, text := fetch(t, "GET", site.Metrics+"/apisix/prometheus/metrics", "")
		return status == 200 && !slices.ContainsFunc(wants, func(want string) bool { return !strings.Contains(text, want+"\n") })
	})
	if status, _ := fetch(t, "GET", site.Metrics+"/", ""); status != 404 {
		t.Errorf("another path: %d", status)
	}
	if status, text := fetch(t, "GET", site.Control+"/v1/server_info", ""); status != 200 || !strings.Contains(text, `"boot_time":`) {
		t.Errorf("server_info: %d %s", status, text)
	}
}

// A process has the same id after a restart, unless the configuration names one.
func TestProcessID(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	id := func(change func(*config.Config)) (found string) {
		t.Run("", func(t *testing.T) {
			site := servertest.Start(t, func(c *config.Config) {
				c.Roles, c.Data, c.Ephemeral = []config.Role{config.RoleGateway}, data, false
				change(c)
			})
			_, text := fetch(t, "GET", site.Control+"/v1/server_info", "")
			found = gjson.Get(text, "id").String()
		})
		return found
	}
	keep := func(*config.Config) {}
	if first, second := id(keep), id(keep); len(first) != 36 || first != second {
		t.Errorf("first %q, then %q", first, second)
	}
	if got := id(func(c *config.Config) { c.Gateway.ID = "gw" }); got != "gw" {
		t.Errorf("%q", got)
	}
}

// What has been logged is written before the server ends.
func TestLogsAreWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "requests.log")
	t.Run("server", func(t *testing.T) {
		site := servertest.Start(t)
		fetch(t, "PUT", site.Admin+"/apisix/admin/routes/l", `{"uri":"/l","plugins":{"file-logger":{"path":"`+path+`","log_format":{"u":"$uri"}}},"upstream":{"nodes":{}}}`)
		for range 20 {
			fetch(t, "GET", site.Gateway+"/l", "")
		}
	})
	text, err := os.ReadFile(path)
	if err != nil || string(text) != strings.Repeat(`{"u":"/l","route_id":"l"}`+"\n", 20) {
		t.Errorf("%v, %q", err, text)
	}
}
