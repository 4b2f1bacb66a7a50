package serverless

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
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

const info = `{"runtimes":{"nodejs":[{"kind":"nodejs:20","default":true}],"python":[{"kind":"python:3.10","default":true}],
	"php":[{"kind":"php:8.1","default":true}],"java":[{"kind":"java:8","default":true}],"swift":[{"kind":"swift:5.3","default":true}]}}`

// files are what the folder of a project holds beside its file.
var files = map[string]string{
	"a.js": "js", "src/b.py": "py", "c.php": "php", "d.jar": "jar", "e.swift": "swift", "bin/run": "elf", "made.zip": "PK", "package.json": `{"type":"module"}`,
	".env": "SECRET=1", ".git/config": "x", "docs/a.md": "md", "values.yml": "k: {deep: [1, '${env:VAR}']}", "values.json": `{"k": "j"}`, "values.txt": "plain\n",
}

func read(t testing.TB, text string) (*plan.Plan, error) {
	t.Helper()
	folder := t.TempDir()
	write := func(name, content string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		write(name, content)
	}
	write("serverless.yml", text)
	p, err := Open(Options{
		File: filepath.Join(folder, "serverless.yml"), Folder: folder, Choices: map[string]string{"stage": "prod"},
		Lookup: func(name string) (string, bool) { return "env-" + name, name == "VAR" },
	})
	if err != nil {
		return nil, err
	}
	on, err := platform.Parse(json.RawMessage(info))
	if err != nil {
		t.Fatal(err)
	}
	return p.Plan(on)
}

// What variables stand for, as the value of a parameter.
func TestVariables(t *testing.T) {
	for text, want := range map[string]string{
		"${env:VAR}": `"env-VAR"`, "a ${env:VAR} b": `"a env-VAR b"`, "${env:NONE, 'x, y'}": `"x, y"`, "${env:NONE, env:VAR}": `"env-VAR"`,
		"${env:NONE, 5}": `5`, "${env:NONE, true}": `true`, "${env:NONE, null}": `null`, "${opt:stage}": `"prod"`, "${sls:stage}": `"prod"`,
		"${self:custom.map}": `{"x":1,"y":["prod"]}`, "${self:custom.map.y.0}": `"prod"`, "${self:custom.${opt:stage}}": `"of prod"`,
		"${self:custom.by.way.x}": `1`, "${self:service}": `"s"`, "${self:custom.gone, self:custom.gone2, 'last'}": `"last"`,
		"${file(values.yml):k.deep.0}": `1`, "${file(./values.yml):k.deep.1}": `"env-VAR"`, "${file(values.json)}": `{"k":"j"}`,
		"${file(values.txt)}": `"plain"`, "${file(gone.yml), 'none'}": `"none"`, "${file(values.${self:custom.ext}):k}": `"j"`,
		"${strToBool(true)}": `true`, "${strToBool(${self:custom.zero})}": `false`, "$${x}": ``, "$5 {a}": `"$5 {a}"`,
	} {
		p, err := read(t, `
service: s
provider: openwhisk
custom: {map: {x: 1, y: ["${opt:stage}"]}, prod: of prod, by: {way: "${self:custom.map}"}, ext: json, zero: "0"}
functions: {f: {sequence: [/_/a]}}
resources: {triggers: {t: {parameters: {v: "`+text+`"}}}}`)
		if want == "" {
			if err == nil {
				t.Errorf("%s: no problem", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(p.Triggers[0].Parameters.Find("v")); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// What a handler becomes: the kind, what is called and the files of the archive.
func TestHandlers(t *testing.T) {
	for _, test := range []struct{ function, kind, main, content string }{
		{"{handler: a.main}", "nodejs:default", "main", "*package.json={\"main\":\"a.js\",\"type\":\"module\"}"},
		{"{handler: src/b.hello, runtime: python}", "python:default", "hello", "*__main__.py=py"},
		{"{handler: c.main, runtime: 'php:8.1'}", "php:8.1", "main", "*index.php=php"},
		{"{handler: 'd.jar:Main2', runtime: java}", "java:default", "Main2", "jar"},
		{"{handler: d.jar, runtime: java}", "java:default", "Main", "jar"},
		{"{handler: e.main, runtime: swift}", "swift:default", "main", "swift"},
		{"{handler: bin/run, runtime: binary}", "blackbox", "", "*exec=elf"},
		{"{handler: some/image, runtime: docker}", "blackbox", "", ""},
		{"{handler: a.main, image: some/image}", "blackbox", "main", "*a.js=js"},
		{"{handler: a.main, package: {artifact: made.zip}}", "nodejs:default", "main", "PK"},
	} {
		p, err := read(t, "{service: s, provider: openwhisk, functions: {f: "+test.function+"}}")
		if err != nil {
			t.Errorf("%s: %v", test.function, err)
			continue
		}
		e := p.Actions[0].Exec
		if e.Kind != test.kind || e.Main != test.main {
			t.Errorf("%s: %s %s", test.function, e.Kind, e.Main)
		}
		if got := content(t, e.Code, test.content); got != test.content {
			t.Errorf("%s: %s, want %s", test.function, got, test.content)
		}
	}
}

// content is an action's code; where *name=… is wanted, that file of its archive.
func content(t *testing.T, code *string, want string) string {
	t.Helper()
	if code == nil {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(*code)
	if err != nil {
		return *code
	}
	name, _, inside := strings.Cut(strings.TrimPrefix(want, "*"), "=")
	if !inside {
		return string(raw)
	}
	return "*" + name + "=" + unzip(t, raw)[name]
}

func unzip(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, entry := range z.File {
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		out[entry.Name] = b.String()
	}
	return out
}

// Which files a function's archive has.
func TestPackage(t *testing.T) {
	all := []string{"a.js", "bin/run", "c.php", "d.jar", "docs/a.md", "e.swift", "made.zip", "package.json", "src/b.py", "values.json", "values.txt", "values.yml"}
	for _, test := range []struct {
		common, own string
		want        []string
	}{
		{"{}", "{}", all},
		{"{exclude: ['**'], include: [docs/**]}", "{}", []string{"a.js", "docs/a.md", "package.json"}},
		{"{patterns: ['!**', 'docs/**', '!docs/*.md']}", "{}", []string{"a.js", "package.json"}},
		{"{patterns: ['!**']}", "{patterns: [.env]}", []string{".env", "a.js", "package.json"}},
		{"{exclude: ['*.*', docs, src, bin]}", "{include: [c.php]}", []string{"a.js", "c.php", "package.json"}},
	} {
		p, err := read(t, "{service: s, provider: openwhisk, package: "+test.common+", functions: {f: {handler: a.main, package: "+test.own+"}}}")
		if err != nil {
			t.Errorf("%s: %v", test.common, err)
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(*p.Actions[0].Exec.Code)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for name := range unzip(t, raw) {
			got = append(got, name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.common, test.own, diff)
		}
	}
}

func TestSchedules(t *testing.T) {
	for text, want := range map[string]string{
		"rate(1 minute)": "interval minutes=1", "rate(2 hours)": "interval minutes=120", "rate(3 days)": "interval minutes=4320",
		"cron(0 1 * * *)": `alarm cron="0 1 * * *"`, "cron( */5 0 1 * * * )": `alarm cron="*/5 0 1 * * *"`,
		"rate(0 minutes)": "", "rate(1 week)": "", "cron(* *)": "", "daily": "", "rate(99999999999999999999 days)": "",
	} {
		p, err := read(t, "{service: s, provider: openwhisk, functions: {f: {handler: a.main, events: [{schedule: "+text+"}]}}}")
		if (err == nil) != (want != "") {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil {
			continue
		}
		trigger := p.Triggers[0]
		got := filepath.Base(trigger.Feed) + " " + trigger.FeedParameters[0].Key + "=" + string(trigger.FeedParameters[0].Value)
		if got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestTarget(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "serverless.yml")
	if err := os.WriteFile(file, []byte("{service: s, provider: {ignore_certs: true, namespace: ns}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := Open(Options{File: file, Folder: folder, Lookup: func(name string) (string, bool) {
		v, ok := map[string]string{"OW_APIHOST": "h", "OW_AUTH": "k", "OW_NAMESPACE": "other", "OW_APIGW_ACCESS_TOKEN": "t"}[name]
		return v, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := plan.Target{APIHost: "h", Key: "k", Namespace: "ns", Token: "t", Insecure: true, Own: true}
	if diff := cmp.Diff(want, p.Target()); diff != "" {
		t.Error(diff)
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		"service: s\nprovider: openwhisk": true, `{"service":{"name":"s"},"provider":{"name":"openwhisk"}}`: true,
		"packages: {}": false, "service: s": false, "[]": false, "": false, "a: b: c": false,
	} {
		if got := Is([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// docs/deploy.md speaks of every key.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("\n## serverless.yml\n"))
	for _, key := range slices.Concat(rootKeys, providerKeys, functionKeys, packageKeys) {
		if !regexp.MustCompile("[`{ ]" + key + "[`:,}]").Match(text) {
			t.Errorf("docs/deploy.md does not name the key %s of a serverless.yml", key)
		}
	}
}

// Whatever the file, reading it ends with a plan or with problems.
func FuzzServerless(f *testing.F) {
	for _, seed := range []string{
		"{service: s, provider: {runtime: nodejs}, functions: {f: {handler: a.main, events: [{http: GET /x}, {schedule: rate(1 day)}, {trigger: t}]}}}",
		"{service: \"${self:custom.a}\", custom: {a: \"${self:custom.b}${self:custom.b}\", b: \"${env:VAR, 'x'}\"}, functions: {f: {sequence: [f]}}}",
		"{service: s, custom: {a: \"${file(values.yml):k}\", b: \"${self:custom.b}\"}, resources: {apigw: {basepath: x, auth: {key: k}}, packages: {p: {binding: /a/b}}}}",
		"x: &x {<<: *x}", "{service: \"${strToBool(${self:service})}\"}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := read(t, text)
		var problems plan.Problems
		if err != nil && !errors.As(err, &problems) && !strings.Contains(err.Error(), "is empty") {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			p.Check(nil)
		}
	})
}
