package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"millrace/config"
	"millrace/server/servertest"
)

// TestPluginsOfAFile: a list of plugins in apisix.yaml holds instead of that in
// config.yaml, from when it is read until it is gone.
func TestPluginsOfAFile(t *testing.T) {
	t.Parallel()
	one := upstreamOf(t, "one")
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	write := func(plugins string) {
		t.Helper()
		text := fmt.Sprintf(`%s
plugin_metadata: [{id: http-logger, log_format: {a: $host}}]
routes:
  - uri: /a
    plugins:
      fault-injection: {abort: {http_status: 418, body: "aborted"}}
      mocking: {response_example: mocked, response_status: 202}
    upstream: {nodes: {%q: 1}}
#END
`, plugins, one)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("plugins: [{name: mocking}, {name: ip-restriction, stream: true}]")
	site := servertest.Start(t, func(c *config.Config) {
		c.Roles = []config.Role{config.RoleGateway}
		c.Gateway.Plugins = []string{"fault-injection"}
		c.Gateway.Source = config.Source{Provider: "file", File: path}
	})
	awaitAnswer(t, site, "/a", "202 mocked")
	write("plugins: []")
	awaitAnswer(t, site, "/a", "200 one")
	write("")
	awaitAnswer(t, site, "/a", "418 aborted")
}
