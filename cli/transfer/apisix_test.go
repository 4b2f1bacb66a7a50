package transfer

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"millrace/config"
	"millrace/internal/fieldcrypt"
	"millrace/server/servertest"
	"millrace/store"
	"millrace/store/mem"
)

// resources are what an APISIX has in its etcd, in the order of its keys.
var resources = map[string]string{
	"/apisix/routes/":                  "init_dir",
	"/apisix/data_plane/server_info/x": `{}`,
	"/apisix/gen_id/1":                 `1`,
	"/apisix/routes/1":                 `{"id":"1","uri":"/a","service_id":"s","create_time":1,"update_time":2}`,
	"/apisix/routes/bad":               `{"id":"bad","uri":"/b","upstream_id":"gone"}`,
	"/apisix/routes/fn":                `{"uri":"/fn","plugins":{"openwhisk":{"api_host":"http://127.0.0.1:3233","namespace":"guest","action":"a","service_token":"3ADkE6U9nhfTup0vRb7T6g=="}}}`,
	"/apisix/services/s":               `{"id":"s","upstream_id":"u","create_time":1,"update_time":2}`,
	"/apisix/upstreams/u":              `{"id":"u","type":"roundrobin","nodes":{"127.0.0.1:1":1}}`,
	"/apisix/consumers/jack":           `{"username":"jack","create_time":1,"update_time":2}`,
	"/apisix/plugin_configs/p":         `{"id":"p","plugins":{}}`,
}

func TestCopyOfResources(t *testing.T) {
	site := servertest.Start(t, func(c *config.Config) { c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin} })
	from := mem.New()
	defer from.Close()
	for key, value := range resources {
		if _, err := from.Put(t.Context(), key, []byte(value), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := fieldcrypt.New(config.Default().Gateway.DataEncryption.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	copied := func(o Resources) []string {
		t.Helper()
		var lines []string
		o.From, o.Keyring, o.Admin, o.AdminKey = from, ring, site.Admin, servertest.AdminKey
		o.Report = func(l Line) { lines = append(lines, l.Outcome.String()+" "+l.Kind+" "+l.Name) }
		if err := CopyResources(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	all := func(outcome string) []string {
		return []string{"skipped gen_id 1", outcome + " upstream u", outcome + " plugin_config p", outcome + " consumer jack", outcome + " service s", outcome + " route 1", outcome + " route fn"}
	}
	same := func(what string, got, want []string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		for _, line := range want {
			if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+line+"\n") {
				t.Errorf("%s: no line %q in %q", what, line, got)
			}
		}
	}
	same("a dry run", copied(Resources{DryRun: true}), append(all("found"), "found route bad"))
	same("the first run", copied(Resources{}), append(all("created"), "failed route bad"))
	same("the second run", copied(Resources{}), append(all("kept"), "failed route bad"))
	same("with Overwrite", copied(Resources{Overwrite: true}), append(all("replaced"), "failed route bad"))

	req, _ := http.NewRequest("GET", site.Admin+"/apisix/admin/routes/fn", nil)
	req.Header.Set("X-API-KEY", servertest.AdminKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), `"service_token":"u:p"`) {
		t.Errorf("the secret field: %s", text)
	}

	err = CopyResources(t.Context(), Resources{From: from, Admin: site.Admin, AdminKey: "wrong", Report: func(Line) {}})
	if err == nil || !strings.Contains(err.Error(), "wrong apikey") {
		t.Errorf("with a wrong key: %v", err)
	}
}
