package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/freeport"
)

// Every resource of the npm package openwhisk.
func TestResourcesOfTheNpmClient(t *testing.T) {
	s := start(t)
	s.node("npm/resources.js", s.rest, guestKey)
}

// Compositions of the npm package openwhisk-composer, by library and commands.
func TestComposer(t *testing.T) {
	s := start(t)
	s.node("npm/composer.js", s.rest, guestKey, startRedis(t))
}

// startRedis starts a Redis that keeps nothing, and answers its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	addr := freeport.Address(t)
	_, port, _ := strings.Cut(addr, ":")
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Redis, which scripts/install.sh installs: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return "redis://" + addr
		}
		if time.Now().After(end) {
			t.Fatalf("Redis does not listen: %v", err)
		}
	}
}

// A service of the Serverless Framework, with the plugin serverless-openwhisk.
func TestServerless(t *testing.T) {
	s := start(t)
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(dir, os.DirFS("npm/serverless")); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("npm/node_modules/serverless/bin/serverless.js")
	if err != nil {
		t.Fatal(err)
	}
	sls := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("node", append([]string{"--no-deprecation", script}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "CI=1", "SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off", "SLS_GEO_LOCATION=us",
			"OW_APIHOST="+s.rest, "OW_AUTH="+guestKey, "OW_NAMESPACE=guest")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("serverless %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	wants := func(what, got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", what, w, got)
			}
		}
	}
	shop := s.apigw + "/api/" + guestUUID + "/shop"

	wants("deploy", sls("deploy"), "Deployment successful!", "shop/hello", "shop-dev-shout", "shop-dev-both", "arrived", "shop_hello_schedule_trigger",
		"shop_arrived_to_hello", "shop_hello_schedule_rule", "GET "+shop+"/hello --> hello", "POST "+shop+"/both --> shop-dev-both")
	wants("invoke", sls("invoke", "-f", "hello", "-d", `{"name":"you"}`), `"text": "Hello you"`)
	wants("invoke a sequence", sls("invoke", "-f", "both"), `"text": "HELLO WORLD!"`)
	wants("logs", sls("logs", "-f", "hello"), "greeting you")

	_, got := s.call("GET", shop+"/hello?name=api", "")
	wants("an API", got, `"text": "Hello api"`)
	_, got = s.call("GET", shop+"/goods/12", "")
	wants("an API with path parameters", got, "/goods/12")
	_, got = s.call("POST", shop+"/both", `{"name":"x"}`)
	wants("an API of a sequence", got, `"text": "HELLO X!"`)

	status, _ := s.call("POST", s.rest+"/api/v1/namespaces/_/triggers/arrived", `{"name":"guest"}`)
	if status != 202 {
		t.Errorf("firing a trigger of the service: got status %d, want 202", status)
	}
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(got, "greeting guest") {
		if time.Now().After(deadline) {
			t.Fatal("the trigger's rule did not call its action")
		}
		_, got = s.call("GET", s.rest+"/api/v1/namespaces/_/activations?docs=true&name=shop/hello", "")
	}

	wants("deploy again", sls("deploy"), "Deployment successful!")
	wants("remove", sls("remove"), "Resource removal successful!")
	for _, noun := range []string{"actions", "packages", "triggers", "rules"} {
		if _, got := s.call("GET", s.rest+"/api/v1/namespaces/_/"+noun+"?count=true", ""); got != `{"`+noun+`":0}` {
			t.Errorf("after remove: %s", got)
		}
	}
	if status, _ := s.call("GET", shop+"/hello", ""); status != 404 {
		t.Errorf("an API after remove: got status %d, want 404", status)
	}
}
