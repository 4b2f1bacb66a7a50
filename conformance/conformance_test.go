package conformance

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

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
// for what another waits for: those of functions in two lanes against one server, those
// of the gateway alone against another, and those that bring a configuration each
// against its own.
func runOwn(t *testing.T) {
	var slowest, functions, gateway, configured []*script
	for _, s := range readAll(t) {
		switch {
		case len(s.files) > 0:
			configured = append(configured, s)
		case slices.Contains(slow, s.name):
			slowest = append(slowest, s)
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
	lane(slowest, whole)
	lane(functions, whole)
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

func TestParseErrors(t *testing.T) {
	const expect = "-- expect --\nstatus 200\n"
	cases := []struct{ script, want string }{
		{"", "pairs of a case"},
		{"-- t/a --\ngateway GET /\n", "pairs of a case"},
		{"-- t/a --\ngateway GET /\n-- t/b --\n", "not followed by expect"},
		{"-- a --\ngateway GET /\n" + expect, "does not begin with an origin"},
		{"-- t/a --\nGET /\n" + expect, "bad request line"},
		{"-- t/a --\nelsewhere GET /\n" + expect, "bad request line"},
		{"-- t/a --\ngateway GET /\nHeader\n" + expect, "bad header line"},
		{"-- t/a --\ngateway GET /\n-- expect --\n", "nothing is expected"},
		{"-- t/a --\ngateway GET /\n-- expect --\nstatus ok\n", "invalid syntax"},
		{"-- t/a --\ngateway GET /\n-- expect --\nfine\n", "no such expectation"},
		{"-- t/a --\ngateway GET /\n-- expect --\nbody ~ (\n", "missing closing )"},
		{"-- t/a --\ngateway GET /\n-- expect --\nbody text\n", "invalid syntax"},
		{"-- t/a --\ngateway GET /\n-- expect --\nheader A\n", "neither a value nor a pattern"},
	}
	for _, tc := range cases {
		if _, err := parse(txtar.Parse([]byte(tc.script))); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %s", tc.script, err, tc.want)
		}
	}
}

// The runner must see what is wrong, and nothing else.
func TestRunner(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Target", r.RequestURI)
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("X-Key", r.Header.Get("X-API-KEY"))
		w.Header().Set("X-Repeated", r.Header.Get("X-Repeated"))
		w.WriteHeader(201)
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	target := Target{Bases: map[string]string{"gateway": srv.URL}, AdminKey: "secret", Vars: map[string]string{"own": "variable"}}
	const request = "-- t/x --\ngateway POST /a%2Fb/../c?{{own}}\nHost: a.example\nX-API-KEY: {{admin_key}}\nX-Repeated: {{ab*3}}\n\n{\"a\":[1,\"{{own}}\"],\n\n\"b\":{}}\n-- expect --\n"
	cases := []struct{ expect, problem string }{
		{"status 200 201", ""},
		{"status 200", "status 201, want [200]"},
		{"header X-Target: /a%2Fb/../c?variable", ""},
		{"header X-Repeated: ababab", ""},
		{"header X-Host: a.example", ""},
		{"header X-Key: secret", ""},
		{"header X-Key: other", `header X-Key is "secret", want "other"`},
		{"header X-Key ~ ^sec", ""},
		{"header X-Key ~ ^x", `header X-Key is "secret", want a match of ^x`},
		{"no header X-None", ""},
		{"no header X-Key", `header X-Key is there: ["secret"]`},
		{`body "{\"a\":[1,\"variable\"],\n\n\"b\":{}}"`, ""},
		{`body ""`, `the body is not ""`},
		{"body ~ variable", ""},
		{"body ~ ^variable", "the body does not match ^variable"},
		{"capture got a.1\nbody ~ {{got}}|variable", ""},
		{"capture got c", "the body has no c"},
		{`json {"a":[1,"{{own}}"],"b":{}}`, ""},
		{`json {"a":"<any>",` + "\n" + `"...":"..."}`, ""},
		{`json {"a":["<number>","<~ ^var>"],"b":{}}`, ""},
		{`json {"a":[1,"..."],"b":{}}`, ""},
		{`json {"a":"<any>"}`, ".b is not expected: map[]"},
		{`json {"...":"...","c":1}`, ".c is missing"},
		{`json {"...":"...","a":[1]}`, ".a has 2 elements, want 1"},
		{`json {"...":"...","a":[1,2]}`, ".a[1] is variable, want 2"},
		{`json {"...":"...","a":[1,"<~ ^x>"]}`, `.a[1] is variable, want "<~ ^x>"`},
		{`json {"...":"...","a":[1,"<number>"]}`, `.a[1] is variable, want "<number>"`},
		{`json {"...":"...","b":[]}`, ".b is map[], want an array"},
		{`json []`, "the body is map[a:[1 variable] b:map[]], want an array"},
	}
	for _, tc := range cases {
		parsed, err := parse(txtar.Parse([]byte(request + tc.expect + "\n")))
		if err != nil {
			t.Errorf("%s: %v", tc.expect, err)
			continue
		}
		problems := newRun(target).try(&parsed.cases[0])
		if tc.problem == "" && len(problems) > 0 || tc.problem != "" && (len(problems) == 0 || problems[0] != tc.problem) {
			t.Errorf("%s: got %q, want %q", tc.expect, problems, tc.problem)
		}
	}
}

func TestRunnerTriesAgain(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls < 3 {
			w.WriteHeader(404)
		}
	}))
	defer srv.Close()
	parsed, err := parse(txtar.Parse([]byte("-- t/x --\nwhisk GET /\n-- expect --\nstatus 200\neventually\n")))
	if err != nil {
		t.Fatal(err)
	}
	bases := map[string]string{"whisk": srv.URL}
	if problems := newRun(Target{Bases: bases}).try(&parsed.cases[0]); len(problems) == 0 {
		t.Error("tried again without time to settle")
	}
	if problems := newRun(Target{Bases: bases, Settle: time.Minute}).try(&parsed.cases[0]); len(problems) > 0 {
		t.Error(problems)
	}
}
