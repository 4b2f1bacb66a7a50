package conformance

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/config"
	"millrace/server/servertest"
	"millrace/store/etcd/etcdtest"
	"millrace/whisk/runtime/process"
)

// With an address the scripts run against a server that is there already, such as the
// originals; without any, against our own.
var (
	addresses  = map[string]*string{}
	adminKey   = flag.String("admin-key", servertest.AdminKey, "key of the Admin API")
	whiskKey   = flag.String("whisk-key", servertest.GuestKey, "key of the namespace guest")
	settle     = flag.Duration("settle", 5*time.Second, "how long a change may take to be seen")
	backend    = flag.String("backend-host", "127.0.0.1", "address by which the server reaches what the scripts have behind it")
	configured = flag.Bool("configured", false, "the server was started with the config.yaml of the script that -run names")
)

func TestMain(m *testing.M) {
	process.Main()
	for _, part := range parts {
		addresses[part] = flag.String(part, "", "address of what scripts call "+part)
	}
	os.Exit(m.Run())
}

// TestScripts runs all scripts: against the server that the flags name, or against
// our own.
func TestScripts(t *testing.T) {
	target := Target{Bases: map[string]string{}, AdminKey: *adminKey, WhiskKey: *whiskKey, Settle: *settle, Configured: *configured, BackendHost: *backend}
	for part, address := range addresses {
		if *address != "" {
			target.Bases[part] = *address
		}
	}
	if len(target.Bases) > 0 {
		Run(t, Scripts, target)
		return
	}
	runOwn(t)
}

// slow are the scripts that wait longest, for processes and for limits of time. They
// name nothing that the others name.
var slow = []string{"openwhisk/nodejs", "openwhisk/python"}

// runOwn runs the scripts against servers of ours, so that one script need not wait
// for what another waits for: those of functions in lanes against one server, those of
// the gateway alone against another, and those that bring a configuration each against
// its own.
func runOwn(t *testing.T) {
	var alone [][]*script
	var functions, gateway, configured []*script
	for _, s := range readAll(t) {
		switch {
		case len(s.files) > 0:
			configured = append(configured, s)
		case slices.Contains(slow, s.name):
			alone = append(alone, []*script{s})
		case slices.ContainsFunc(s.cases, func(c testCase) bool { return c.target == "whisk" || c.target == "apis" }):
			functions = append(functions, s)
		default:
			gateway = append(gateway, s)
		}
	}
	whole := wholeTarget(t)
	small := targetOf(servertest.Start(t, asByDefault))
	var lanes sync.WaitGroup
	lane := func(scripts []*script, target Target) {
		lanes.Go(func() {
			for _, s := range scripts {
				s.run(t, target)
			}
		})
	}
	for _, scripts := range append(alone, functions) {
		lane(scripts, whole)
	}
	lane(gateway, small)
	lane(configured, Target{With: withFiles})
	lanes.Wait()
}

// asByDefault has what an APISIX has that nobody configured.
func asByDefault(c *config.Config) {
	c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
	secured := c.Gateway.Listen[0]
	secured.HTTP2 = true
	c.Gateway.TLS.Enabled, c.Gateway.TLS.Listen = true, []config.Listener{secured}
}

// readAll reads the scripts of this package.
func readAll(t *testing.T) (all []*script) {
	t.Helper()
	names, err := scripts(Scripts)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		s, err := read(Scripts, name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// wholeTarget starts a server of ours that does everything.
func wholeTarget(t *testing.T) Target {
	t.Helper()
	site := servertest.Start(t)
	target := targetOf(site)
	target.Vars = map[string]string{
		"norate_namespace": "conf-norate",
		"norate_auth":      namespace(t, site, "conf-norate", `{"invocationsPerMinute":0,"firesPerMinute":0}`),
		"noroom_auth":      namespace(t, site, "conf-noroom", `{"concurrentInvocations":0}`),
	}
	return target
}

// withFiles starts a server of ours with the files of a script, and the etcd that its
// config.yaml may name.
func withFiles(t *testing.T, files map[string]string) Target {
	t.Helper()
	folder, etcd := t.TempDir(), ""
	if strings.Contains(files["config.yaml"], "{{etcd}}") {
		etcd = etcdtest.Start(t).URL
	}
	for name, text := range files {
		text = strings.ReplaceAll(text, "{{etcd}}", etcd)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	target := targetOf(servertest.StartFile(t, filepath.Join(folder, "config.yaml")))
	target.Bases["file"] = folder
	if etcd != "" {
		target.Bases["etcd"] = etcd
	}
	return target
}

// targetOf answers what a server of ours has.
func targetOf(site *servertest.Site) Target {
	bases := map[string]string{
		"gateway": site.Gateway, "secured": site.Secured, "admin": site.Admin, "control": site.Control, "status": site.Status,
		"metrics": site.Metrics, "whisk": site.Functions, "apis": site.APIs,
	}
	maps.Copy(bases, site.Streams)
	if len(site.Proxied) > 0 {
		bases["proxied"] = "http://" + site.Proxied[0]
	}
	maps.DeleteFunc(bases, func(_, base string) bool { return base == "" })
	return Target{Bases: bases, AdminKey: servertest.AdminKey, WhiskKey: servertest.GuestKey, Settle: 30 * time.Second}
}

// namespace makes a namespace with limits of its own and answers its key in Base64.
func namespace(t *testing.T, site *servertest.Site, name, limits string) string {
	t.Helper()
	req, err := http.NewRequest("PUT", site.Operator+"/v1/namespaces/"+name, strings.NewReader(`{"limits":`+limits+`}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+servertest.OperatorKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct{ Key string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Key == "" {
		t.Fatalf("making namespace %s: %d, %v", name, resp.StatusCode, err)
	}
	return base64.StdEncoding.EncodeToString([]byte(made.Key))
}

func TestScriptsParse(t *testing.T) {
	for _, s := range readAll(t) {
		seen := map[string]bool{}
		for _, c := range s.cases {
			if seen[c.name] {
				t.Errorf("%s: two cases are named %q", s.name, c.name)
			}
			seen[c.name] = true
		}
	}
}
