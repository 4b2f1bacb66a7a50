package console_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/console"
)

func TestConsole(t *testing.T) {
	status := console.Status{
		Version:     "1.2.3",
		Addresses:   []console.Address{{Role: "gateway", What: "data plane", URL: "http://127.0.0.1:9080"}},
		Kinds:       []console.Kind{{Name: "nodejs:20", Runs: "node v20.1.0"}},
		Isolation:   []console.Layer{{Name: "seccomp", Active: true}, {Name: "landlock", Reason: "<the kernel lacks it>"}},
		Credentials: "well-known keys are in force",
	}
	srv := httptest.NewServer(console.New(slog.New(slog.DiscardHandler), func() console.Status { return status }))
	defer srv.Close()

	page := get(t, srv.URL+"/", http.StatusOK)
	for _, want := range []string{"Millrace 1.2.3", "http://127.0.0.1:9080", "nodejs:20", "node v20.1.0", "not active: &lt;the kernel lacks it&gt;", "well-known keys are in force"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	var got console.Status
	if err := json.Unmarshal([]byte(get(t, srv.URL+"/status", http.StatusOK)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(status, got); diff != "" {
		t.Errorf("GET /status (-want +got):\n%s", diff)
	}
	get(t, srv.URL+"/nothing", http.StatusNotFound)
}

func get(t *testing.T, url string, status int) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != status {
		t.Errorf("GET %s: got %s, want %d", url, resp.Status, status)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
