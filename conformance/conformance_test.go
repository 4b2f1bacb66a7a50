package conformance

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"millrace/server/servertest"
	"millrace/whisk/runtime/process"
)

// With the first four the scripts run against servers that are there already,
// such as the originals; without, against our own.
var (
	gateway  = flag.String("gateway", "", "base URL of the gateway")
	admin    = flag.String("admin", "", "base URL of the Admin API")
	whisk    = flag.String("whisk", "", "base URL of the REST API of OpenWhisk")
	apis     = flag.String("apis", "", "base URL of OpenWhisk's API gateway")
	adminKey = flag.String("admin-key", servertest.AdminKey, "key of the Admin API")
	whiskKey = flag.String("whisk-key", servertest.GuestKey, "key of the namespace guest")
	settle   = flag.Duration("settle", 5*time.Second, "how long a change may take to be seen")
)

func TestMain(m *testing.M) {
	process.Main()
	os.Exit(m.Run())
}

func TestScripts(t *testing.T) {
	target := Target{Gateway: *gateway, Admin: *admin, Whisk: *whisk, APIs: *apis, AdminKey: *adminKey, WhiskKey: *whiskKey, Settle: *settle}
	if target.Gateway == "" && target.Admin == "" && target.Whisk == "" && target.APIs == "" {
		site := servertest.Start(t)
		target = Target{Gateway: site.Gateway, Admin: site.Admin, Whisk: site.Functions, APIs: site.APIs, AdminKey: servertest.AdminKey, WhiskKey: servertest.GuestKey, Settle: 30 * time.Second}
		target.Vars = map[string]string{
			"norate_namespace": "conf-norate",
			"norate_auth":      namespace(t, site, "conf-norate", `{"invocationsPerMinute":0,"firesPerMinute":0}`),
			"noroom_auth":      namespace(t, site, "conf-noroom", `{"concurrentInvocations":0}`),
		}
	}
	Run(t, Scripts, target)
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
	names, err := scripts(Scripts)
	if err != nil || len(names) < 5 {
		t.Fatalf("%d scripts, %v", len(names), err)
	}
	for _, name := range names {
		text, err := Scripts.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := parse(txtar.Parse(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen := map[string]bool{}
		for _, c := range cases {
			if seen[c.name] {
				t.Errorf("%s: two cases are named %q", name, c.name)
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
	target := Target{Gateway: srv.URL, AdminKey: "secret", Vars: map[string]string{"own": "variable"}}
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
		problems := newRun(target).try(parsed[0])
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
	if problems := newRun(Target{Whisk: srv.URL}).try(parsed[0]); len(problems) == 0 {
		t.Error("tried again without time to settle")
	}
	if problems := newRun(Target{Whisk: srv.URL, Settle: time.Minute}).try(parsed[0]); len(problems) > 0 {
		t.Error(problems)
	}
}
