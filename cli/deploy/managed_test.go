package deploy

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/server/servertest"
)

// sync deploys a folder as a managed project.
func (s *site) sync(folder string) string {
	s.t.Helper()
	o, out := s.options(filepath.Join("testdata", folder))
	o.Managed = true
	return must(s.t, deploying(s.t), o, out)
}

// What a managed project does not have any more goes; what others have stays.
func TestSync(t *testing.T) {
	s := serve(t)
	s.put("actions/mine", `{"exec":{"kind":"nodejs:default","code":"function main() { return {} }"}}`)
	s.sync("sync1")
	var m mark
	if err := json.Unmarshal([]byte(annotation(s.get("packages/first"), annotationManaged)), &m); err != nil || m.Project != "growing" || len(m.Hash) != 40 {
		t.Errorf("mark: %+v, %v", m, err)
	}
	s.put("actions/second/guest", `{"exec":{"kind":"nodejs:default","code":"function main() { return {} }"}}`)
	o, printed := s.options("testdata/sync2")
	o.Managed, o.Preview = true, true
	if out := must(t, deploying(t), o, printed); !strings.Contains(out, "* trigger [ticking]\n") {
		t.Errorf("preview: %s", out)
	}
	out := s.sync("sync2")
	want := []string{"actions/first/kept", "actions/mine", "actions/second/guest", "packages/first", "packages/second"}
	if diff := cmp.Diff(want, sorted(s.left())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, line := range []string{
		"Info: rule [rule] has been successfully undeployed.\n", "Info: api [/base/lost GET] has been successfully undeployed.\n",
		"Info: api [/base/kept POST] has been successfully undeployed.\n",
		"Info: package [second] is kept: it holds actions that are not the project's.\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in the output:\n%s", line, out)
		}
	}
	if got := s.invoke("first/kept", `{}`); got != `{"version":2}` {
		t.Errorf("kept: %s", got)
	}
	if old := annotation(s.get("actions/first/kept"), "old"); old != "" {
		t.Errorf("an annotation is left: %s", old)
	}
	for path, want := range map[string]int{"GET /base/kept": 204, "POST /base/kept": 404, "GET /base/lost": 404} {
		method, path, _ := strings.Cut(path, " ")
		if status, body := s.call(method, path); status != want && (want == 204 || status == 204) {
			t.Errorf("%s %s: %d %s", method, path, status, body)
		}
	}

	o, printed = s.options(t.TempDir())
	o.Project = "growing"
	o.Preview = true
	if out := must(t, undeploying(t), o, printed); !strings.Contains(out, "* action [first/kept]\n") {
		t.Errorf("preview: %s", out)
	}
	o.Preview = false
	must(t, undeploying(t), o, printed)
	if diff := cmp.Diff([]string{"actions/mine", "actions/second/guest", "packages/second"}, sorted(s.left())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A failure half way tells what is done and what is not.
func TestPartialFailure(t *testing.T) {
	s := serve(t)
	folder := t.TempDir()
	manifest := `packages:
  p:
    actions:
      one: {runtime: "nodejs:default", code: "function main() { return {} }"}
    triggers:
      two: {feed: failing}
      three: {}
    rules:
      four: {trigger: three, action: one}
`
	if err := os.WriteFile(filepath.Join(folder, "manifest.yml"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	s.put("packages/p", `{}`)
	s.put("actions/p/failing", `{"exec":{"kind":"nodejs:default","code":"function main() { return {error: 'no feed today'} }"}}`)
	o, out := s.options(folder)
	err := Deploy(t.Context(), o)
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("%v\n%s", err, out)
	}
	if failed.Done != 2 || cmp.Diff([]string{"trigger [three]", "rule [four]"}, failed.Left) != "" || !strings.Contains(err.Error(), "no feed today") {
		t.Errorf("error: %v", err)
	}
	if !strings.Contains(out.String(), "action [p/one] has been successfully deployed.") {
		t.Errorf("output: %s", out)
	}
	if diff := cmp.Diff([]string{"actions/p/failing", "actions/p/one", "packages/p"}, sorted(s.left())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPreviewWritesNothing(t *testing.T) {
	s := serve(t)
	o, out := s.options("testdata/hello")
	o.Preview = true
	text := must(t, deploying(t), o, out)
	for _, line := range []string{
		"----==== OpenWhisk Deployment Plan ====----\n", "Name: hello\n", "  * action: hello/greet (nodejs:default)\n",
		"  * sequence: hello/both\n", "* trigger: tick\n", "* rule: on-arrived\n", "    - GET /page: /_/hello/page (http)\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in the preview:\n%s", line, text)
		}
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("written: %v", left)
	}
}

// The user's key goes to no host but its own unless the user says so.
func TestKeyIsNotSentElsewhere(t *testing.T) {
	s := serve(t)
	folder := t.TempDir()
	write := func(project string) {
		text := "project:\n  name: x\n" + project + "packages:\n  p: {}\n"
		if err := os.WriteFile(filepath.Join(folder, "manifest.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o, out := s.options(folder)
	write("  apiHost: http://127.0.0.1:1\n")
	if err := Deploy(t.Context(), o); err == nil || !strings.Contains(err.Error(), "without a credential") {
		t.Errorf("a foreign host: %v", err)
	}
	write("  apiHost: https://" + strings.TrimPrefix(s.Functions, "http://") + "\n")
	if err := Deploy(t.Context(), o); err == nil || !strings.Contains(err.Error(), "without a credential") {
		t.Errorf("another scheme: %v", err)
	}
	write("  apiHost: " + strings.TrimPrefix(s.Functions, "http://") + "\n")
	must(t, deploying(t), o, out)
	write("  apiHost: " + s.Functions + "/\n  namespace: guest\n")
	must(t, deploying(t), o, out)
	write("  namespace: somebody\n")
	if err := Deploy(t.Context(), o); err == nil || !strings.Contains(err.Error(), "belongs to the namespace somebody") {
		t.Errorf("a foreign namespace: %v", err)
	}
	write("  apiHost: " + s.Functions + "\n  credential: $KEY\n")
	s.env["KEY"] = servertest.GuestKey
	o.Settings = func() (string, string, error) { return "", "", nil }
	must(t, deploying(t), o, out)
	write("")
	o.APIHost, o.Key = s.Functions, servertest.GuestKey
	must(t, deploying(t), o, out)
}

// --param goes before inputs, and can be named as a variable; the deployment file
// before the manifest.
func TestParameters(t *testing.T) {
	s := serve(t)
	o, out := s.options("testdata/hello")
	o.Parameters = o.Parameters.With("greeting", json.RawMessage(`"Salut"`)).With("place", json.RawMessage(`"Lyon"`)).With("COUNT", json.RawMessage(`8`))
	must(t, deploying(t), o, out)
	if got := s.invoke("hello/greet", `{}`); got != `{"text":"Salut, Ada of Lyon 8 $5"}` {
		t.Errorf("greet: %s", got)
	}
}

func TestWhichProject(t *testing.T) {
	s := serve(t)
	folder := t.TempDir()
	o, _ := s.options(folder)
	if err := Deploy(t.Context(), o); err == nil || !strings.Contains(err.Error(), "has no manifest.yaml") {
		t.Errorf("an empty folder: %v", err)
	}
	for _, name := range []string{"manifest.yml", "serverless.yml"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("packages: {p: {}}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Deploy(t.Context(), o); err == nil || !strings.Contains(err.Error(), "has manifest.yml and serverless.yml") {
		t.Errorf("two projects: %v", err)
	}
	o.File = filepath.Join(folder, "manifest.yml")
	o.Managed = true
	if err := Deploy(t.Context(), o); err == nil || !strings.Contains(err.Error(), "names no project") {
		t.Errorf("a managed project without a name: %v", err)
	}
}
