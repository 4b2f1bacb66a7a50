package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/config"
	"millrace/server"
)

// reloaded is a running server whose configuration is read again.
type reloaded struct {
	*testing.T
	file, admin, gateway string
	keys                 []config.AdminKey // at the start
	level                slog.LevelVar
	server               *server.Server
}

func (r *reloaded) load(text string) *config.Config {
	r.Helper()
	text = `roles: [gateway, admin]
ephemeral: true
apisix: {node_listen: "127.0.0.1:0", ssl: {enable: false}, control: {port: 0}}
plugin_attr: {prometheus: {enable_export_server: false}}
` + text
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	cfg, err := config.Load(r.file, nil)
	if err != nil {
		r.Fatal(err)
	}
	return cfg
}

// reload answers the keys that wait for a restart.
func (r *reloaded) reload(text string) []string {
	r.Helper()
	waiting, err := r.server.Reload(r.load(text))
	if err != nil {
		r.Fatal(err)
	}
	return waiting
}

// ask answers the status of a request to the Admin API with a key.
func (r *reloaded) ask(key string) int {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), "GET", r.admin+"/apisix/admin/routes", nil)
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("X-API-KEY", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func startReloaded(t *testing.T, text string) *reloaded {
	r := &reloaded{T: t, file: filepath.Join(t.TempDir(), "config.yaml")}
	cfg := r.load(text)
	r.keys = cfg.Admin.Keys
	var err error
	if r.server, err = server.Open(t.Context(), cfg, server.Options{Log: slog.New(slog.DiscardHandler), Level: &r.level}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for _, a := range r.server.Status().Addresses {
		switch a.What {
		case "Admin API":
			r.admin = a.URL
		case "gateway":
			r.gateway = a.URL
		}
	}
	return r
}

// What a running server takes over, and what it says waits for a restart.
func TestReload(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	r := startReloaded(t, `deployment: {admin: {admin_listen: {port: 0}}}
nginx_config: {http: {access_log: `+log+`, access_log_format: "old $uri", access_log_buffer: 1}}
`)
	const wellKnown = "edd1c9f034335f136f87ad84b625c8f1"
	if got := r.ask(wellKnown); got != 200 {
		t.Fatalf("before: %d", got)
	}
	if waiting := r.reload(`deployment: {admin: {admin_listen: {port: 0}, admin_key: [{name: a, key: own, role: admin}]}}
nginx_config: {error_log_level: error, http: {access_log: ` + log + `.2, access_log_format: "new $uri", access_log_buffer: 1}}
`); len(waiting) > 0 {
		t.Errorf("waiting for a restart: %q", waiting)
	}
	if old, own := r.ask(wellKnown), r.ask("own"); old != 401 || own != 200 {
		t.Errorf("the old key %d, the new one %d", old, own)
	}
	if got := r.level.Level(); got != slog.LevelError {
		t.Errorf("the log's level is %s", got)
	}
	if got := r.server.Status().Credentials; got != "" {
		t.Errorf("said of keys: %s", got)
	}
	res, err := http.Get(r.gateway + "/a")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	until(t, "a line in the new form", func() bool {
		text, _ := os.ReadFile(log + ".2")
		old, _ := os.ReadFile(log)
		return slices.Contains(strings.Split(string(text)+string(old), "\n"), "new /a")
	})
	if _, err := r.server.Reload(r.load(`deployment: {admin: {admin_listen: {port: 0}, admin_key: [{name: b, key: "", role: admin}]}}
nginx_config: {http: {access_log: ` + log + `.3, access_log_buffer: 1}}
`)); err == nil {
		t.Error("a key without a text was taken over")
	}
	if res, err = http.Get(r.gateway + "/b"); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	until(t, "a line where the log was before a reload that failed", func() bool {
		text, _ := os.ReadFile(log + ".2")
		return slices.Contains(strings.Split(string(text), "\n"), "new /b")
	})
	waiting := r.reload(`deployment: {admin: {admin_listen: {port: 0}, allow_admin: [10.0.0.0/8], admin_key: [{name: a, key: own, role: admin}]}}
plugins: [echo]
functions: {limits: {sequence_length: 5}}
`)
	want := []string{"functions.limits.sequence_length", "nginx_config.http.access_log (whether there is one)"}
	if diff := cmp.Diff(want, waiting); diff != "" {
		t.Error(diff)
	}
	if got := r.ask("own"); got != 403 {
		t.Errorf("from an address that is not allowed: %d", got)
	}
	for text, want := range map[string]string{
		`deployment: {admin: {admin_listen: {port: 0}, admin_key: [{name: b, key: "", role: admin}]}}`:                                                    "one is only made, and shown, when the server starts",
		`deployment: {admin: {admin_listen: {ip: 0.0.0.0, port: 0}, allow_admin: []}}`:                                                                    "would accept the well-known admin key from other machines",
		`deployment: {admin: {admin_listen: {port: 0}, admin_key: [{name: a, key: x, role: admin}]}}` + "\nnginx_config: {http: {access_log: rel.log}}\n": "--ephemeral has none",
	} {
		if _, err := r.server.Reload(r.load(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if got := r.ask("own"); got != 403 {
		t.Errorf("after reloads that failed: %d", got)
	}
}

// A key that was made at the start stays, however often the file is read again.
func TestReloadGeneratedKey(t *testing.T) {
	t.Parallel()
	const made = `admin_listen: {port: 0}, admin_key: [{name: a, key: "", role: admin}]`
	r := startReloaded(t, "deployment: {admin: {"+made+"}}\n")
	for _, text := range []string{
		"deployment: {admin: {" + made + "}}\n",
		"deployment: {admin: {" + made + "}}\nlog: {level: error}\n",
		"deployment: {admin: {" + made + ", enable_admin_cors: false}}\n",
		"deployment: {admin: {" + made + "}}\n",
	} {
		if waiting := r.reload(text); len(waiting) > 0 {
			t.Errorf("%s: waiting for a restart: %q", text, waiting)
		}
		if got := r.ask(r.keys[0].Key); got != 200 {
			t.Errorf("%s: %d", text, got)
		}
	}
}
