package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The seed scenario of the design, with the Admin API where APISIX 2.x has it, and
// patience on machines that take their time to start Node.
const seed = `
$MILLRACE wsk property set --apihost "$API" --auth "$AUTH"
$MILLRACE wsk action update test <(echo 'function main(){return {"ready":true}}') --kind nodejs:14
curl -sf "$GATEWAY/apisix/admin/routes/1" -H "X-API-KEY: $KEY" -X PUT -d '{"uri":"/hello",
  "plugins":{"openwhisk":{"api_host":"'"$API"'","service_token":"'"$AUTH"'","namespace":"guest","action":"test","timeout":60000}},
  "upstream":{"type":"roundrobin","nodes":{}}}'
`

func TestSeedScenario(t *testing.T) {
	s := start(t)
	s.bash(seed)
	if got := s.bash(`curl -sf "$GATEWAY/hello"`); got != `{"ready":true}` {
		t.Errorf("GET /hello: got %q", got)
	}
	// localhost instead of the listener's address is this process too.
	s.bash(strings.ReplaceAll(seed, `"'"$API"'"`, `"'"${API/127.0.0.1/localhost}"'"`))
	if got := s.bash(`curl -sf "$GATEWAY/hello"`); got != `{"ready":true}` {
		t.Errorf("GET /hello by way of localhost: got %q", got)
	}
	// Removing the plugin switches it off for the very next request.
	s.bash(`curl -sf "$GATEWAY/apisix/admin/routes/1" -H "X-API-KEY: $KEY" -X PATCH -d '{"plugins":{"openwhisk":null}}'`)
	if status, _ := s.call("GET", s.gateway+"/hello", ""); status != 503 {
		t.Errorf("GET /hello without the plugin: got status %d, want 503", status)
	}
	if got := s.run("wsk", "activation", "list"); strings.Count(got, "guest/test:0.0.") != 2 {
		t.Errorf("wsk activation list: got\n%s", got)
	}
}

// The same by the npm package openwhisk, for all its resources that exist.
func TestSeedScenarioWithTheNpmClient(t *testing.T) {
	s := start(t)
	s.node("npm/seed.js", s.rest, s.admin, s.gateway, guestKey, adminKey)
}

// An action that calls its own platform with the npm package, as those of
// OpenWhisk's images can.
func TestActionUsesTheNpmClient(t *testing.T) {
	s := start(t)
	s.bash(`$MILLRACE wsk property set --apihost "$API" --auth "$AUTH"
$MILLRACE wsk action update names <(echo 'function main() {
  return require("openwhisk")().actions.list().then(l => ({names: l.map(a => a.name)})) }') --kind nodejs:20 --annotation provide-api-key true`)
	if got := s.run("wsk", "action", "invoke", "names", "-r"); !strings.Contains(got, `"names"`) || strings.Contains(got, "error") {
		t.Errorf("wsk action invoke names -r: got %s", got)
	}
}

func TestStateSurvivesRestartAndKill(t *testing.T) {
	s := start(t)
	s.bash(seed)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := s.stop(sig); sig == syscall.SIGTERM && err != nil {
			t.Fatalf("after SIGTERM: %v", err)
		}
		s.serve()
		if got := s.bash(`curl -sf "$GATEWAY/hello"`); got != `{"ready":true}` {
			t.Errorf("GET /hello after %s: got %q", sig, got)
		}
	}
}

// SIGTERM while calls are running: each of them is answered.
func TestDrain(t *testing.T) {
	s := start(t)
	s.bash(strings.ReplaceAll(seed, `return {"ready":true}`, `return new Promise(done => setTimeout(() => done({"ready":true}), 1000))`))
	answers := make(chan string, 8)
	for range cap(answers) {
		go func() {
			out, err := exec.Command("curl", "-sf", s.gateway+"/hello").Output()
			if err != nil {
				out = []byte(err.Error())
			}
			answers <- string(out)
		}()
	}
	// All of them have been accepted when their activations are on record.
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, body := s.call("GET", s.rest+"/api/v1/namespaces/_/activations?count=true&running=true", ""); body == `{"activations":8}` {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the calls did not start")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("exit after SIGTERM: %v", err)
	}
	for range cap(answers) {
		if got := <-answers; got != `{"ready":true}` {
			t.Errorf("a call accepted before SIGTERM: got %q", got)
		}
	}
}

func TestStartRefusals(t *testing.T) {
	if !*real {
		t.Skip("needs -args -real: builds the binary")
	}
	busy := start(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"port in use", []string{"--config", busy.config, "--ephemeral"}, []string{"address already in use"}},
		{"data folder in use", []string{"--data", busy.data, "--config", write("free.yaml", "apisix: {node_listen: 0}\nfunctions: {listen: 127.0.0.1:0}\n")}, []string{busy.data}},
		{"no such file", []string{"--config", filepath.Join(dir, "none.yaml")}, []string{"none.yaml", "no such file"}},
		{"unknown key", []string{"--config", write("key.yaml", "functions:\n  isolatoin: off\n")}, []string{"key.yaml:2", "isolatoin", "isolation"}},
		{"bad value", []string{"--config", write("value.yaml", "functions:\n  isolation: perhaps\n")}, []string{"value.yaml:2", "functions.isolation", "require"}},
		{"unknown role", []string{"--roles", "gateway,cook"}, []string{"cook", "functions"}},
		{"well-known key exposed", []string{"--ephemeral", "--config", write("open.yaml", "functions: {listen: 0.0.0.0:0}\n")}, []string{"well-known", "functions.users"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // if it starts all the same
			defer cancel()
			cmd := exec.CommandContext(ctx, binary, append([]string{"serve"}, c.args...)...)
			cmd.Env = append(os.Environ(), "HOME="+dir)
			out, err := cmd.CombinedOutput()
			if err == nil || ctx.Err() != nil {
				t.Fatalf("it started:\n%s", out)
			}
			for _, w := range c.want {
				if !strings.Contains(string(out), w) {
					t.Errorf("output lacks %q:\n%s", w, out)
				}
			}
		})
	}
}
