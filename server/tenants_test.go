package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/internal/sealed"
	"millrace/server"
	"millrace/server/servertest"
	"millrace/whisk/api"
)

// rest makes a request below /api/v1/namespaces/_ with a key.
func (s *site) rest(key, method, path, body string) answer {
	s.t.Helper()
	return s.as(basic(key), method, s.Functions+"/api/v1/namespaces/_/"+path, body)
}

const nothing = `{"exec":{"kind":"nodejs:default","code":"function main() { return {} }"}}`

// A namespace comes, gets limits, is blocked, and goes, and each step is in force
// at the next request.
func TestTenantLife(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config.Config) { c.Ephemeral, c.Data = false, t.TempDir() })
	key := s.namespace("acme")
	s.must(s.rest(key, "PUT", "actions/a", nothing))
	s.must(s.rest(key, "POST", "actions/a?blocking=true", ""))
	id := s.must(s.rest(key, "POST", "actions/a?blocking=true", "")).Header.Get("X-Openwhisk-Activation-Id")
	s.must(s.rest(key, "GET", "activations/"+id, ""))

	limits := func(text string) { t.Helper(); s.must(s.operator("PATCH", "/acme/limits", text)) }
	refused := func(status int, text, method, path, body string) {
		t.Helper()
		if got := s.rest(key, method, path, body); got.Status != status || !strings.Contains(got.Body, text) {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, got.Status, got.Body, status, text)
		}
	}
	limits(`{"concurrentInvocations":0}`)
	refused(429, `Too many concurrent requests in flight (count: 0, allowed: 0).`, "POST", "actions/a?blocking=true", "")
	limits(`{"concurrentInvocations":null,"invocationsPerMinute":0}`)
	refused(429, `, allowed: 0).`, "POST", "actions/a?blocking=true", "")
	limits(`{"invocationsPerMinute":null,"firesPerMinute":0}`)
	s.must(s.rest(key, "PUT", "triggers/t", "{}"))
	refused(429, `Too many requests in the last minute (count: 1, allowed: 0).`, "POST", "triggers/t", "")
	limits(`{"maxPayloadSize":10,"maxParameterSize":20,"maxActionMemory":200,"maxActionInstances":3,"allowedKinds":["python:3"]}`)
	refused(413, `Request larger than allowed: 13 > 10 bytes.`, "POST", "actions/a?blocking=true", `{"a":"aaaaa"}`)
	refused(413, `parameters larger than allowed:`, "PUT", "triggers/u", `{"parameters":[{"key":"aaaaaaaaaaaa","value":"aaaaaaaaaaaaaaaaa"}]}`)
	refused(403, `The supplied authentication is not authorized to access actions of kind 'nodejs:20'.`, "PUT", "actions/b", nothing)
	refused(403, `actions of kind 'nodejs:20'.`, "POST", "actions/a?blocking=true", "")
	limits(`{"allowedKinds":null}`)
	refused(400, `memory size 201 MB exceeds allowed threshold of 200 MB`, "PUT", "actions/b", strings.Replace(nothing, `{"exec"`, `{"limits":{"memory":201},"exec"`, 1))
	refused(400, `Max action instance concurrency must not exceed your namespace concurrency of 3.`, "PUT", "actions/b", strings.Replace(nothing, `{"exec"`, `{"limits":{"instances":4},"exec"`, 1))
	refused(200, `"maxActionInstances":3,"maxParameterSize":"20 B"}`, "GET", "limits", "")
	refused(200, `"maxActionMemory":200,`, "GET", "limits", "")
	if got := s.must(s.rest(servertest.GuestKey, "GET", "limits", "")); !strings.Contains(got.Body, `"maxActionMemory":512`) {
		t.Errorf("the limits of another: %s", got.Body)
	}

	s.must(s.operator("POST", "/acme/block", ""))
	refused(401, `The supplied authentication is invalid`, "GET", "limits", "")
	s.must(s.operator("POST", "/acme/unblock", ""))
	refused(200, ``, "GET", "limits", "")

	if got := s.operator("DELETE", "/acme", ""); got.Status != http.StatusConflict || !strings.Contains(got.Body, "2 entities") {
		t.Errorf("deleting one that is not empty: %d %s", got.Status, got.Body)
	}
	s.must(s.operator("DELETE", "/acme?force=true", ""))
	refused(401, `The supplied authentication is invalid`, "GET", "limits", "")
	key = s.namespace("acme")
	refused(404, ``, "GET", "activations/"+id, "")
	refused(200, `[]`, "GET", "activations", "")
	refused(200, `{"activations":0}`, "GET", "activations?count=true", "")
	s.emptied(key)
}

// emptied waits until the entities of a namespace are gone.
func (s *site) emptied(key string) {
	s.t.Helper()
	for _, collection := range []string{"actions", "triggers"} {
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			got := s.must(s.rest(key, "GET", collection, ""))
			if got.Body == "[]" {
				break
			}
			if time.Now().After(end) {
				s.t.Errorf("left of the deleted namespace: %s", got.Body)
				break
			}
		}
	}
}

func TestUnrecordedCalls(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := s.namespace("acme")
	s.must(s.operator("PATCH", "/acme/limits", `{"storeActivations":false}`))
	s.must(s.rest(key, "PUT", "actions/a", nothing))
	var ids []string
	for _, query := range []string{"?blocking=true", ""} {
		id := s.must(s.rest(key, "POST", "actions/a"+query, "")).Header.Get("X-Openwhisk-Activation-Id")
		if len(id) != 32 {
			t.Errorf("id %q", id)
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if got := s.rest(key, "GET", "activations/"+id, ""); got.Status != http.StatusNotFound {
			t.Errorf("the record of an unrecorded call: %d %s", got.Status, got.Body)
		}
	}
	if got := s.rest(key, "GET", "activations?count=true", ""); got.Body != `{"activations":0}` {
		t.Errorf("%s", got.Body)
	}
}

// Actions are on this machine, and must not reach the operator API even if they
// know its key.
func TestActionsCannotCallTheOperatorAPI(t *testing.T) {
	t.Parallel()
	s := start(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give actions users of their own, by which they are told apart")
	}
	s.action("fetch", `async function main(p) {
		const r = await fetch(p.url, {headers: {Authorization: p.auth}})
		return {status: r.status, text: await r.text()}
	}`)
	got := s.send("POST", s.Functions+"/api/v1/namespaces/_/actions/fetch?blocking=true&result=true",
		fmt.Sprintf(`{"url":%q,"auth":%q}`, s.Operator+"/v1/namespaces", "Bearer "+servertest.OperatorKey))
	if !strings.Contains(got.Body, `"status":403`) {
		t.Errorf("the operator API to an action: %s", got.Body)
	}
}

// While the well-known keys are in force an action can use that of its own
// namespace, as the npm module openwhisk does, but not that of another.
func TestActionsCannotUseForeignWellKnownKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give actions users of their own, by which they are told apart")
	}
	acme := s.namespace("acme")
	code, err := json.Marshal(`async function main(p) {
		const r = await fetch(p.url, {headers: {Authorization: p.auth}})
		return {status: r.status, text: await r.text()}
	}`)
	if err != nil {
		t.Fatal(err)
	}
	upper := strings.ToUpper(servertest.GuestKey[:36]) + servertest.GuestKey[36:]
	for _, c := range []struct {
		caller, key string
		want        int
	}{
		{servertest.GuestKey, servertest.GuestKey, 200},
		{acme, acme, 200},
		{acme, servertest.GuestKey, 403},
		{acme, upper, 403},
		{servertest.GuestKey, api.SystemKey, 403},
	} {
		s.must(s.rest(c.caller, "PUT", "actions/fetch?overwrite=true", fmt.Sprintf(`{"exec":{"kind":"nodejs:default","code":%s}}`, code)))
		body := fmt.Sprintf(`{"url":%q,"auth":%q}`, s.Functions+"/api/v1/namespaces/_/limits", basic(c.key))
		got := s.must(s.rest(c.caller, "POST", "actions/fetch?blocking=true&result=true", body))
		if !strings.Contains(got.Body, fmt.Sprintf(`"status":%d`, c.want)) {
			t.Errorf("%.8s with the key %.8s: %s, want %d", c.caller, c.key, got.Body, c.want)
		}
	}
}

// Namespaces, their keys and the platform's own keys outlive a restart; without the
// right master key there is no start.
func TestKeysAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inDir := func(c *config.Config) { c.Ephemeral, c.Data, c.Operator.Key = false, dir, "" }
	var key, operatorKey string
	t.Run("first start", func(t *testing.T) {
		s := start(t, inDir)
		for _, name := range []string{"master.key", "operator.key"} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		text, err := os.ReadFile(filepath.Join(dir, "operator.key"))
		if err != nil {
			t.Fatal(err)
		}
		operatorKey = "Bearer " + strings.TrimSpace(string(text))
		var made struct{ Key string }
		got := s.must(s.as(operatorKey, "PUT", s.Operator+"/v1/namespaces/acme", ""))
		if err := json.Unmarshal([]byte(got.Body), &made); err != nil {
			t.Fatal(err)
		}
		key = made.Key
		if !strings.Contains(got.Body, `"apihost":"`+s.Functions+`"`) {
			t.Errorf("where the key is used: %s", got.Body)
		}
	})
	t.Run("second start", func(t *testing.T) {
		s := start(t, inDir)
		s.must(s.rest(key, "GET", "limits", ""))
		s.must(s.as(operatorKey, "GET", s.Operator+"/v1/namespaces/acme", ""))
	})
	master := filepath.Join(dir, "master.key")
	right, err := os.ReadFile(master)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(master, []byte(sealed.NewKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, inDir); err == nil || !strings.Contains(err.Error(), "sealed under another master key: restore the file master.key") {
		t.Errorf("another master key: %v", err)
	}
	if err := os.Remove(master); err != nil {
		t.Fatal(err)
	}
	if err := open(t, inDir); err == nil || !strings.Contains(err.Error(), "master.key is missing") {
		t.Errorf("no master key: %v", err)
	}
	fromConfig := func(c *config.Config) { inDir(c); c.Functions.MasterKey = strings.TrimSpace(string(right)) }
	t.Run("with the key in the configuration", func(t *testing.T) {
		s := start(t, fromConfig)
		s.must(s.rest(key, "GET", "limits", ""))
	})
}

// open answers why a server does not start.
func open(t *testing.T, change func(*config.Config)) error {
	t.Helper()
	cfg := config.Default()
	cfg.Roles = []config.Role{config.RoleFunctions, config.RoleOperator}
	anyPort := netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Functions.Listen[0].Addr, cfg.Functions.APIGatewayListen[0].Addr, cfg.Operator.Listen.Addr = anyPort, anyPort, anyPort
	change(cfg)
	_, err := server.Open(t.Context(), cfg, server.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	return err
}

// Without users in the configuration there are the platform's own namespace and
// those that are made.
func TestNoFixedUsers(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config.Config) { c.Functions.Users = nil })
	key := s.namespace("acme")
	if got := s.must(s.rest(key, "GET", "limits", "")); got.Status != http.StatusOK {
		t.Errorf("%s", got.Body)
	}
	if got := s.rest(servertest.GuestKey, "GET", "limits", ""); got.Status != http.StatusUnauthorized {
		t.Errorf("the well-known key: %d", got.Status)
	}
	if got := s.must(s.operator("GET", "/whisk.system", "")); !strings.Contains(got.Body, `"fixed":true`) {
		t.Errorf("%s", got.Body)
	}
}

func TestOperatorNeedsFunctions(t *testing.T) {
	t.Parallel()
	err := open(t, func(c *config.Config) { c.Ephemeral, c.Roles = true, []config.Role{config.RoleOperator} })
	if err == nil || !strings.Contains(err.Error(), "the role operator needs the role functions") {
		t.Errorf("%v", err)
	}
}
