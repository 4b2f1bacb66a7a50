package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/config"
	"millrace/server/servertest"
)

// askAdmin sends a request with the admin key and answers the status and the body.
func askAdmin(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-KEY", servertest.AdminKey)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestWholeConfiguration puts the resources as a whole and meets them in the
// gateway with the next request.
func TestWholeConfiguration(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "from ", r.URL.Path) }))
	defer backend.Close()
	site := servertest.Start(t, func(c *config.Config) {
		c.Gateway.Source.Provider = "api"
		c.Gateway.Status = config.Status{Enabled: true, Listen: c.Gateway.Control.Listen}
	})
	put := func(digest, uri string) {
		t.Helper()
		doc := `{"routes":[{"id":"r","uri":"` + uri + `","upstream_id":"u"}],"upstreams":[{"id":"u","nodes":{"` + strings.TrimPrefix(backend.URL, "http://") + `":1}}]}`
		if got, body := askAdmin(t, "PUT", site.Admin+"/apisix/admin/configs", doc, "X-Digest", digest); got != http.StatusAccepted {
			t.Fatalf("PUT: %d %s", got, body)
		}
	}
	expect := func(url string, want int, text string) {
		t.Helper()
		if got, body := askAdmin(t, "GET", url, ""); got != want || text != "" && body != text {
			t.Errorf("%s: %d %q, want %d %q", url, got, body, want, text)
		}
	}
	put("1", "/a")
	expect(site.Gateway+"/a", 200, "from /a")
	put("2", "/b")
	expect(site.Gateway+"/b", 200, "from /b")
	expect(site.Gateway+"/a", 404, "")
	expect(site.Admin+"/apisix/admin/routes", 404, "")
	expect(site.Status+"/status", 200, `{"status":"ok"}`)
	expect(site.Status+"/status/ready", 200, `{"status":"ok"}`)
}
