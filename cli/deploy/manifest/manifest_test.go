package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/cli/deploy/plan"
	"millrace/cli/deploy/platform"
)

const info = `{"runtimes":{"nodejs":[{"kind":"nodejs:18"},{"kind":"nodejs:20","default":true},{"kind":"nodejs:6","deprecated":true}],
	"python":[{"kind":"python:3.10","default":true}],"java":[{"kind":"java:8","default":true}]}}`

// read makes the plan of a manifest in a folder with some files.
func read(t testing.TB, text string, change ...func(*Options)) (*plan.Plan, error) {
	t.Helper()
	folder := t.TempDir()
	files := map[string]string{"manifest.yaml": text, "a.js": "js", "a.py": "py", "a.txt": "text", "a.zip": "zip", "a.jar": "jar", "dir/index.js": "x"}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Manifest: filepath.Join(folder, "manifest.yaml"), Folder: folder, Lookup: func(name string) (string, bool) { return "env-" + name, name != "UNSET" }}
	for _, c := range change {
		c(&o)
	}
	p, err := Open(o)
	if err != nil {
		return nil, err
	}
	on, err := platform.Parse(json.RawMessage(info))
	if err != nil {
		t.Fatal(err)
	}
	return p.Plan(on)
}

// How a runtime is found: what the manifest says of it, and the file's name.
func TestRuntimes(t *testing.T) {
	for _, test := range []struct{ action, kind, warning, problem string }{
		{"{function: a.js}", "nodejs:default", "", ""},
		{"{function: a.js, runtime: nodejs:18}", "nodejs:18", "", ""},
		{"{function: a.js, runtime: NodeJS}", "nodejs:default", "", ""},
		{"{function: a.js, runtime: 'nodejs:99'}", "nodejs:default", "not one of the platform's", ""},
		{"{function: a.js, runtime: 'nodejs:6'}", "nodejs:default", "not one of the platform's", ""},
		{"{function: a.js, runtime: python}", "nodejs:default", "not for .js files", ""},
		{"{function: a.js, runtime: cobol}", "nodejs:default", "not one of the platform's", ""},
		{"{function: a.py}", "python:default", "", ""},
		{"{function: a.txt}", "", "", "must say its runtime"},
		{"{function: a.txt, runtime: python}", "python:default", "", ""},
		{"{function: a.zip}", "", "", "must say its runtime"},
		{"{function: a.zip, runtime: 'nodejs:99'}", "", "", "not one of the platform's"},
		{"{function: dir, runtime: 'nodejs:20'}", "nodejs:20", "", ""},
		{"{function: a.jar}", "", "", "main must name its class"},
		{"{function: a.jar, main: A}", "java:default", "", ""},
		{"{code: x}", "", "", "must say which runtime"},
		{"{code: x, runtime: 'nodejs:99'}", "", "", "not one of the platform's"},
		{"{code: x, runtime: nodejs}", "nodejs:default", "", ""},
		{"{docker: a/b}", "blackbox", "", ""},
		{"{function: a.zip, native: true}", "blackbox", "", ""},
		{"{function: a.zip, docker: a/b}", "blackbox", "", ""},
	} {
		p, err := read(t, "packages: {p: {actions: {a: "+test.action+"}}}")
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: %v", test.action, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.action, err)
			continue
		}
		if got := p.Actions[0].Exec.Kind; got != test.kind {
			t.Errorf("%s: %s", test.action, got)
		}
		if warned := p.Warnings.Error(); !strings.Contains(warned, test.warning) || test.warning == "" && warned != "" {
			t.Errorf("%s: warnings %s", test.action, warned)
		}
	}
	p, err := read(t, "packages: {p: {actions: {a: {function: a.js, runtime: 'nodejs:99'}}}}", func(o *Options) { o.Strict = true })
	if err != nil || p.Actions[0].Exec.Kind != "nodejs:99" {
		t.Errorf("strict: %v", err)
	}
}

func TestInputs(t *testing.T) {
	for text, want := range map[string]string{
		"a: x":                                `"x"`,
		"a: 1":                                `1`,
		"a: [1, two]":                         `[1,"two"]`,
		"a: {k: v}":                           `{"k":"v"}`,
		"a: $VAR":                             `"env-VAR"`,
		"a: string":                           `""`,
		"a: integer":                          `0`,
		"a: {type: string}":                   `""`,
		"a: {type: boolean}":                  `false`,
		"a: {type: float}":                    `0`,
		"a: {type: object}":                   `{}`,
		"a: {type: list}":                     `[]`,
		"a: {type: integer, value: 5}":        `5`,
		"a: {type: integer, value: '5'}":      `5`,
		"a: {type: boolean, default: 'true'}": `true`,
		"a: {type: string, value: 5}":         `"5"`,
		"a: {type: string, value: '', default: d}": `""`,
		"a: {value: v, default: d}":                `"v"`,
		"a: {default: d, description: text}":       `"d"`,
		"a: {type: object, value: {x: [$VAR]}}":    `{"x":["env-VAR"]}`,
		"a: {type: json, value: '{\"x\": 1}'}":     `{"x": 1}`,
		"a: {type: t, other: o}":                   `{"type":"t","other":"o"}`,
		"a: null":                                  `null`,
	} {
		p, err := read(t, "packages: {p: {actions: {x: {code: c, runtime: nodejs, inputs: {"+text+"}}}}}")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(p.Actions[0].Parameters.Find("a")); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Names of actions are of the package at hand unless they say otherwise.
func TestNames(t *testing.T) {
	p, err := read(t, `
packages:
  p:
    sequences: {s: {actions: ["a, q/b", /_/c, /ns/d, /ns/r/e, default/f]}}
    triggers: {t: {feed: own}, u: {source: /whisk.system/alarms/alarm}}
    rules: {r: {trigger: t, action: a}, r2: {trigger: /_/t, action: q/b}}
  DEFAULT:
    sequences: {s: {actions: a}}
    rules: {r3: {trigger: t, action: a}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/_/p/a", "/_/q/b", "/_/c", "/ns/d", "/ns/r/e", "/_/f"}, p.Actions[0].Exec.Components); diff != "" {
		t.Error(diff)
	}
	if got := p.Actions[1]; got.Path() != "s" || got.Exec.Components[0] != "/_/a" {
		t.Errorf("default package: %+v", got)
	}
	var rules []string
	for _, r := range p.Rules {
		rules = append(rules, r.Trigger+" "+r.Action)
	}
	if diff := cmp.Diff([]string{"/_/t /_/p/a", "/_/t /_/q/b", "/_/t /_/a"}, rules); diff != "" {
		t.Error(diff)
	}
	if p.Triggers[0].Feed != "/_/p/own" || p.Triggers[1].Feed != "/whisk.system/alarms/alarm" {
		t.Errorf("feeds: %+v", p.Triggers)
	}
	if len(p.Packages) != 1 {
		t.Errorf("packages: %+v", p.Packages)
	}
}

func TestWeb(t *testing.T) {
	for text, want := range map[string]string{
		"web: true": "true false true", "web: yes": "true false true", "web-export: 'yes'": "true false true", "web: raw": "true true true",
		"web: no": "false false false", "web: $W": "", "annotations: {web-export: true}": "true  ", "conductor: true": "  ",
	} {
		p, err := read(t, "packages: {p: {actions: {x: {code: c, runtime: nodejs, "+text+"}}}}")
		if (err != nil) != (want == "") {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil {
			continue
		}
		list := p.Actions[0].Annotations
		got := string(list.Find("web-export")) + " " + string(list.Find("raw-http")) + " " + string(list.Find("final"))
		if got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// The old places of a manifest's content are read, with a warning.
func TestOldKeys(t *testing.T) {
	for _, text := range []string{
		"package: {name: p, actions: {x: {location: a.js}}}",
		"package: {p: {actions: {x: {function: a.js}}}}",
		"application: {name: n, packages: {p: {actions: {x: {function: a.js}}}}}",
		"project: {name: n, package: {p: {actions: {x: {function: a.js}}}}}",
	} {
		p, err := read(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if len(p.Actions) != 1 || p.Actions[0].Path() != "p/x" || !strings.Contains(p.Warnings.Error(), "deprecated") {
			t.Errorf("%s: %+v %v", text, p.Actions, p.Warnings)
		}
	}
}

func TestSwagger(t *testing.T) {
	write := func(text string) func(*Options) {
		return func(o *Options) {
			if err := os.WriteFile(filepath.Join(o.Folder, "api.json"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	const manifest = "project: {config: api.json}"
	p, err := read(t, manifest, write(`{"swagger":"2.0","basePath":"\/b","info":{"title":"T"},"paths":{"/$X":{}}}`))
	if err != nil || len(p.APIs) != 1 || p.APIs[0].BasePath != "/b" || p.APIs[0].Name != "T" || !strings.Contains(p.APIs[0].Swagger, `"/$X"`) {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := read(t, manifest, write(`{}`)); err == nil || !strings.Contains(err.Error(), "it lacks swagger") {
		t.Errorf("%v", err)
	}
}

func TestDownload(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.js":
			w.Write([]byte("loaded"))
		case "/away.js":
			http.Redirect(w, r, "http://example.org/", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	p, err := read(t, "packages: {p: {actions: {x: {function: '"+server.URL+"/a.js'}}}}")
	if err != nil || *p.Actions[0].Exec.Code != "loaded" || p.Actions[0].Exec.Kind != "nodejs:default" {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"/away.js", "/gone.js"} {
		if _, err := read(t, "packages: {p: {actions: {x: {function: '"+server.URL+name+"'}}}}"); err == nil || !strings.Contains(err.Error(), " answers ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a deployment file names and the manifest does not have is told.
func TestDeployment(t *testing.T) {
	const deployment = `
project:
  name: other
  packages:
    p:
      inputs: {a: 2}
      actions: {x: {inputs: {b: $VAR}, annotations: {c: d}}, gone: {}}
    q: {}
`
	const text = "project: {name: n, packages: {p: {inputs: {a: 1, z: $a}, actions: {x: {code: c, runtime: nodejs, inputs: {b: '', r: {required: true}}}}}}}"
	with := func(text string) func(*Options) {
		return func(o *Options) {
			o.Deployment = filepath.Join(o.Folder, "deployment.yaml")
			if err := os.WriteFile(o.Deployment, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := read(t, text, with(deployment))
	if err == nil || !strings.Contains(err.Error(), `deployment.yaml:3: the project is called "other" here and "n" in the manifest`) {
		t.Errorf("names: %v", err)
	}
	deployed := strings.ReplaceAll(strings.Replace(deployment, "other", "n", 1), "b: $VAR", "b: $VAR, r: set")
	p, err := read(t, text, with(deployed))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(p.Packages[0].Parameters.Find("a")); got != "2" {
		t.Errorf("package: %s", got)
	}
	if a := p.Actions[0]; string(a.Parameters.Find("b")) != `"env-VAR"` || string(a.Parameters.Find("r")) != `"set"` || string(a.Annotations.Find("c")) != `"d"` {
		t.Errorf("action: %+v", a)
	}
	for _, warning := range []string{"the manifest has no gone in actions of the package p", "the manifest has no package q"} {
		if !slices.ContainsFunc(p.Warnings, func(w plan.Problem) bool { return w.Msg == warning }) {
			t.Errorf("%q is not among %v", warning, p.Warnings)
		}
	}
}

// docs/deploy.md speaks of every key.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("\n## manifest.yaml\n"))
	text, _, _ = bytes.Cut(text, []byte("\n## serverless.yml\n"))
	for _, key := range slices.Concat(projectKeys, packageKeys, actionKeys, grammar[:5]) {
		if !regexp.MustCompile("[`{ ]" + key + "[`:,}]").Match(text) {
			t.Errorf("docs/deploy.md does not name the key %s of manifests", key)
		}
	}
}

// Whatever the manifest, reading it ends with a plan or with problems.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		"packages: {p: {actions: {a: {function: a.js, include: [[x, y]]}}}}", "packages: {p: {apis: {n: {b: {p: {a: [GET, {method: PUT}]}}}}}}",
		"project: {name: $X, inputs: {a: {type: integer, value: $Y}}, packages: {$a: {triggers: {t: {feed: f}}}}}", "packages: {p: {dependencies: {d: /a/b}}}",
		"packages: {p: {actions: {a: {function: dir, runtime: nodejs, exclude: ['**'], include: [['d*/**', 'z/']]}}}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "http") {
			return // no requests
		}
		p, err := read(t, text)
		var problems plan.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			p.Check(nil)
		}
	})
}
