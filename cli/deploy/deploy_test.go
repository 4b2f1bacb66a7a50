package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/cli/deploy/plan"
	"millrace/cli/remote"
	"millrace/server/servertest"
	"millrace/whisk"
	"millrace/whisk/runtime/process"
)

func TestMain(m *testing.M) {
	process.Main()
	os.Exit(m.Run())
}

// site is a running platform and what a test does with it.
type site struct {
	*servertest.Site
	t      *testing.T
	client *remote.Client
	env    map[string]string
}

func serve(t *testing.T) *site {
	s := servertest.Start(t)
	client, err := remote.New(remote.Config{APIHost: s.Functions, Key: servertest.GuestKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &site{s, t, client, map[string]string{"COUNT": "7"}}
}

// options deploy a folder of testdata.
func (s *site) options(folder string) (Options, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return Options{
		Folder:   folder,
		Settings: func() (string, string, error) { return s.Functions, servertest.GuestKey, nil },
		Lookup: func(name string) (string, bool) {
			v, ok := s.env[name]
			return v, ok
		},
		Out: out,
	}, out
}

// must runs a command that must go well and answers what it printed.
func must(t *testing.T, run func(Options) error, o Options, out *bytes.Buffer) string {
	t.Helper()
	if err := run(o); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out.String()
}

func deploying(t *testing.T) func(Options) error {
	return func(o Options) error { return Deploy(t.Context(), o) }
}

func undeploying(t *testing.T) func(Options) error {
	return func(o Options) error { return Undeploy(t.Context(), o) }
}

// deploy deploys a folder of testdata.
func (s *site) deploy(folder string) string {
	s.t.Helper()
	o, out := s.options(filepath.Join("testdata", folder))
	return must(s.t, deploying(s.t), o, out)
}

// invoke calls an action and answers its result.
func (s *site) invoke(action, parameters string) string {
	s.t.Helper()
	path := remote.Path(append([]string{"namespaces", "_", "actions"}, strings.Split(action, "/")...)...)
	var result json.RawMessage
	query := url.Values{"blocking": {"true"}, "result": {"true"}}
	if err := s.client.Do(s.t.Context(), http.MethodPost, path, query, json.RawMessage(parameters), &result); err != nil {
		s.t.Errorf("invoking %s: %v", action, err)
	}
	return string(result)
}

// fire fires a trigger.
func (s *site) fire(trigger, payload string) {
	s.t.Helper()
	if err := s.client.Do(s.t.Context(), http.MethodPost, "/namespaces/_/triggers/"+trigger, nil, json.RawMessage(payload), nil); err != nil {
		s.t.Errorf("firing %s: %v", trigger, err)
	}
}

// result is that of the newest call of an action of hello that speaks of Rosa, as
// the trigger does: it is waited for.
func (s *site) result(action string) string {
	s.t.Helper()
	type activation struct {
		End      int64 `json:"end"`
		Response struct {
			Result json.RawMessage `json:"result"`
		} `json:"response"`
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		var all []activation
		if err := s.client.Do(s.t.Context(), http.MethodGet, "/namespaces/_/activations", url.Values{"docs": {"true"}, "name": {"hello/" + action}}, nil, &all); err != nil {
			s.t.Fatal(err)
		}
		if len(all) > 0 && all[0].End > 0 && strings.Contains(string(all[0].Response.Result), "Rosa") {
			return string(all[0].Response.Result)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "no call"
}

// get answers a document of the namespace.
func (s *site) get(path string) map[string]json.RawMessage {
	s.t.Helper()
	var doc map[string]json.RawMessage
	if err := s.client.Do(s.t.Context(), http.MethodGet, "/namespaces/_/"+path, nil, nil, &doc); err != nil {
		s.t.Errorf("%s: %v", path, err)
	}
	return doc
}

// left are the names of all that the namespace holds.
func (s *site) left() []string {
	s.t.Helper()
	var names []string
	for _, collection := range []string{"packages", "actions", "triggers", "rules"} {
		docs, err := s.client.List(s.t.Context(), "/namespaces/_/"+collection)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, doc := range docs {
			var l listed
			if err := json.Unmarshal(doc, &l); err != nil {
				s.t.Fatal(err)
			}
			names = append(names, collection+"/"+l.path())
		}
	}
	return names
}

// call sends a request to the API gateway.
func (s *site) call(method, path string) (int, string) {
	s.t.Helper()
	uuid, _, _ := strings.Cut(servertest.GuestKey, ":")
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.APIs+"/api/"+uuid+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func annotation(doc map[string]json.RawMessage, key string) string {
	list, err := whisk.ParseKeyValues(doc["annotations"])
	if err != nil {
		return err.Error()
	}
	return string(list.Find(key))
}

// checkHello calls what testdata/hello deploys.
func (s *site) checkHello() {
	t := s.t
	t.Helper()
	for _, test := range []struct{ action, parameters, want string }{
		{"hello/greet", `{}`, `{"text":"Hello, Ada of Paris 7 $5"}`},
		{"hello/inline", `{"text":"x"}`, `{"text":"x!"}`},
		{"hello/packed", `{}`, `{"files":["index.js","lib","package.json","shared"],"three":3,"two":2}`},
		{"hello/both", `{"name":"Eve"}`, `{"text":"Hello, Eve of Paris 7 $5!"}`},
		{"alone", `{}`, `{"alone":true}`},
		{"tools/split", `{"payload":"a,b"}`, `{"lines":["a","b"],"payload":"a,b"}`},
	} {
		if diff := cmp.Diff(decode(t, test.want), decode(t, s.invoke(test.action, test.parameters))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.action, diff)
		}
	}
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/greetings/page", 200, "<h1>Hello</h1>"},
		{"POST", "/greetings/items/12", 200, "/greetings/items/12"},
	} {
		if status, body := s.call(test.method, test.path); status != test.status || body != test.body {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
	}
}

func TestManifest(t *testing.T) {
	s := serve(t)
	out := s.deploy("hello")
	if !strings.HasSuffix(out, "Success: Deployment completed successfully.\n") || !strings.Contains(out, "Info: action [hello/greet] has been successfully deployed.\n") {
		t.Errorf("output:\n%s", out)
	}
	s.checkHello()
	greet := s.get("actions/hello/greet?code=false")
	if got := string(greet["limits"]); !strings.Contains(got, `"timeout":5000`) || !strings.Contains(got, `"memory":128`) {
		t.Errorf("limits: %s", got)
	}
	if got := annotation(greet, "kind"); got != `"friendly"` {
		t.Errorf("annotation: %s", got)
	}
	if pkg := s.get("packages/hello"); string(pkg["version"]) != `"1.0.1"` || string(pkg["publish"]) != "true" {
		t.Errorf("package: %s", pkg)
	}
	if got := annotation(s.get("triggers/tick"), "feed"); got != `"/whisk.system/alarms/alarm"` {
		t.Errorf("feed: %s", got)
	}
	if rule := s.get("rules/on-arrived"); string(rule["status"]) != `"active"` {
		t.Errorf("rule: %s", rule)
	}
	s.fire("arrived", `{"count":8}`)
	if got, want := s.result("greet"), `{"text":"Hello, Rosa of Paris 8 $5"}`; got != want {
		t.Errorf("the rule's call: %s, want %s", got, want)
	}
	before := s.documents()
	s.deploy("hello") // again
	if diff := cmp.Diff(before, s.documents()); diff != "" {
		t.Errorf("deployed again (-before +after):\n%s", diff)
	}

	o, printed := s.options(without(t, "testdata/hello", "src/greet.js")) // names are enough
	if out := must(t, undeploying(t), o, printed); !strings.HasSuffix(out, "Success: Undeployment completed successfully.\n") {
		t.Errorf("undeploying:\n%s", out)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if status, body := s.call("GET", "/greetings/page"); status != http.StatusNotFound {
		t.Errorf("the API is left: %d %s", status, body)
	}
	must(t, undeploying(t), o, printed) // nothing is there
}

// without is a copy of a folder that lacks a file.
func without(t *testing.T, folder, file string) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(copied, file)); err != nil {
		t.Fatal(err)
	}
	return copied
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return v
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// problems are the lines of an error.
func problems(t *testing.T, err error) []string {
	t.Helper()
	var all plan.Problems
	if !errors.As(err, &all) {
		t.Fatalf("not a list of problems: %v", err)
	}
	return strings.Split(all.Error(), "\n")
}

// What is exported deploys to the same, whether it is a project or a namespace.
func TestExport(t *testing.T) {
	for _, project := range []string{"", "greetings"} {
		t.Run("project "+project, func(t *testing.T) {
			s := serve(t)
			o, out := s.options("testdata/hello")
			o.Managed = true
			must(t, deploying(t), o, out)
			if project != "" { // what is not the project's stays out
				s.put("actions/other", `{"exec":{"kind":"nodejs:default","code":"function main() { return {} }"}}`)
			}
			before := s.documents()
			exported := t.TempDir()
			x, out := s.options(exported)
			x.Project = project
			must(t, func(o Options) error { return Export(t.Context(), o) }, x, out)
			if strings.Contains(out.String(), "Warning") {
				t.Errorf("export: %s", out)
			}
			if err := Export(t.Context(), x); err == nil || !strings.Contains(err.Error(), "exists") {
				t.Errorf("a second export: %v", err)
			}
			must(t, undeploying(t), o, out)
			x.Managed, x.Project = project != "", ""
			must(t, deploying(t), x, out)
			if project == "" {
				s.checkHello()
			}
			if diff := cmp.Diff(before, s.documents()); diff != "" {
				text, _ := os.ReadFile(filepath.Join(exported, "manifest.yaml"))
				t.Errorf("(-before +after):\n%s\n%s", diff, text)
			}
		})
	}
}

// A rule whose trigger is gone would keep what is exported from being deployed.
func TestExportWithoutOrphans(t *testing.T) {
	s := serve(t)
	s.put("actions/hello", `{"exec":{"kind":"nodejs:default","code":"function main() { return {} }"}}`)
	s.put("triggers/gone", `{}`)
	s.put("rules/orphan", `{"trigger":"/_/gone","action":"/_/hello"}`)
	if err := s.client.Do(t.Context(), http.MethodDelete, "/namespaces/_/triggers/gone", nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	o, out := s.options(t.TempDir())
	said := must(t, func(o Options) error { return Export(t.Context(), o) }, o, out)
	if want := "the rule orphan is left out, since its trigger gone is gone"; !strings.Contains(said, want) {
		t.Errorf("export: %s", said)
	}
	must(t, deploying(t), o, out)
}

func (s *site) put(path, body string) {
	s.t.Helper()
	if err := s.client.Do(s.t.Context(), http.MethodPut, "/namespaces/_/"+path, overwrite, json.RawMessage(body), nil); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
}

// documents are all entities, without what differs between two deployments.
func (s *site) documents() map[string]any {
	s.t.Helper()
	out := map[string]any{}
	for _, path := range s.left() {
		doc := s.get(path)
		for _, key := range []string{"updated", "version", "actions"} {
			delete(doc, key)
		}
		list, err := whisk.ParseKeyValues(doc["annotations"])
		if err != nil {
			s.t.Fatal(err)
		}
		annotations := map[string]any{}
		for _, kv := range list.Without([]string{annotationManaged}) {
			annotations[kv.Key] = string(kv.Value)
		}
		all := map[string]any{"annotations": annotations}
		delete(doc, "annotations")
		for key, value := range doc {
			all[key] = decode(s.t, string(value))
		}
		out[path] = all
	}
	return out
}
