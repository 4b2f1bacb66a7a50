package system_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"millrace/blob"
	blobmem "millrace/blob/mem"
	"millrace/store"
	storemem "millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/runtime/builtin"
	"millrace/whisk/system"
)

// site is a catalog that outlives its installers.
type site struct {
	t       *testing.T
	store   store.Store
	blobs   blob.Store
	catalog *catalog.Catalog
}

func newSite(t *testing.T) *site {
	s := &site{t: t, store: storemem.New(), blobs: blobmem.New()}
	t.Cleanup(func() { s.store.Close() })
	s.open()
	return s
}

// open reads the catalog anew, as a start of the server does.
func (s *site) open() {
	c, err := catalog.Open(s.t.Context(), slog.New(slog.DiscardHandler), s.store, s.blobs)
	if err != nil {
		s.t.Fatal(err)
	}
	s.catalog = c
}

func (s *site) revision() int64 {
	_, rev, err := s.store.List(s.t.Context(), "/")
	if err != nil {
		s.t.Fatal(err)
	}
	return rev
}

func (s *site) install(runtimes []whisk.Runtime, packages ...system.Package) {
	s.t.Helper()
	m, err := whisk.NewManifest(runtimes)
	if err != nil {
		s.t.Fatal(err)
	}
	limits := whisk.DefaultSystemLimits()
	i := system.Installer{Log: slog.New(slog.DiscardHandler), Catalog: s.catalog, Manifest: m, Limits: &limits}
	if err := i.Install(s.t.Context(), packages); err != nil {
		s.t.Fatal(err)
	}
}

var withNode = []whisk.Runtime{{Kind: "nodejs:20", Family: "nodejs", Default: true}}

func example() system.Package {
	return system.Package{
		Name:        "example",
		Parameters:  system.Annotations("limit", "3"),
		Annotations: system.Annotations("description", `"for <tests>"`),
		Actions: []system.Action{
			{Name: "own", Function: "example/own", Annotations: system.Annotations("feed", "true", "deep", `{ "a" : 1 }`)},
			{Name: "node", Source: "function main() {}"},
		},
	}
}

func TestInstall(t *testing.T) {
	s := newSite(t)
	s.install(withNode, example())
	p, ok := s.catalog.Package("whisk.system", "example")
	if !ok || !p.Publish || p.Version != "0.0.1" || string(p.Parameters.Find("limit")) != "3" {
		t.Fatalf("the package is %+v", p)
	}
	own, ok := s.catalog.Action("whisk.system", "example", "own")
	if !ok {
		t.Fatal("the builtin action is missing")
	}
	want := `[{"key":"feed","value":true},{"key":"deep","value":{"a":1}},{"key":"provide-api-key","value":false},{"key":"exec","value":"builtin"}]`
	if got, err := json.Marshal(own.Annotations); err != nil || string(got) != want {
		t.Errorf("its annotations are %s, %v, want %s", got, err, want)
	}
	if own.Exec.Kind != builtin.Kind || own.Limits.MemoryMB != builtin.MemoryMB || own.Limits.Concurrency != 1 {
		t.Errorf("it is %+v", own)
	}
	code, err := s.catalog.Code(t.Context(), own.Exec.Digest)
	if err != nil || string(code) != "example/own" {
		t.Errorf("its code is %q, %v", code, err)
	}
	if node, ok := s.catalog.Action("whisk.system", "example", "node"); !ok || node.Exec.Kind != "nodejs:20" || node.Exec.Size != 18 {
		t.Errorf("the action in Node.js is %+v", node)
	}
}

func TestInstallAgain(t *testing.T) {
	s := newSite(t)
	p := example()
	s.install(withNode, p)
	foreign := &whisk.Action{Namespace: "whisk.system", Package: "example", Name: "foreign", Version: "0.0.1"}
	if _, err := s.catalog.PutAction(t.Context(), foreign, nil); err != nil {
		t.Fatal(err)
	}
	before := s.revision()
	s.open()
	s.install(withNode, p)
	if after := s.revision(); after != before {
		t.Errorf("installing the same again wrote %d times", after-before)
	}

	p.Actions[1].Source += "\n"
	s.install(withNode, p)
	if after := s.revision(); after != before+1 {
		t.Errorf("a changed action made %d writes, not one", after-before)
	}
	if a, _ := s.catalog.Action("whisk.system", "example", "node"); a.Version != "0.0.2" {
		t.Errorf("the changed action has version %s", a.Version)
	}
	if _, ok := s.catalog.Action("whisk.system", "example", "foreign"); !ok {
		t.Error("a foreign action is gone")
	}
}

func TestInstallWithoutNode(t *testing.T) {
	s := newSite(t)
	s.install(nil, example())
	if _, ok := s.catalog.Action("whisk.system", "example", "own"); !ok {
		t.Error("the builtin action is missing")
	}
	if _, ok := s.catalog.Action("whisk.system", "example", "node"); ok {
		t.Error("an action was installed that cannot run")
	}
}

func TestNameTaken(t *testing.T) {
	s := newSite(t)
	taken := &whisk.Action{Namespace: "whisk.system", Name: "example", Version: "0.0.1"}
	if _, err := s.catalog.PutAction(t.Context(), taken, nil); err != nil {
		t.Fatal(err)
	}
	s.install(withNode, example(), system.Package{Name: "other"})
	if _, ok := s.catalog.Action("whisk.system", "", "example"); !ok {
		t.Error("the action that had the name is gone")
	}
	if _, ok := s.catalog.Package("whisk.system", "other"); !ok {
		t.Error("the other package was not installed")
	}
}

// What is registered is complete: documented as clients print it.
func TestRegistered(t *testing.T) {
	names := map[string]bool{}
	for _, p := range system.Packages() {
		if p.Annotations.Find("description") == nil {
			t.Errorf("package %s has no description", p.Name)
		}
		for _, a := range p.Actions {
			names[p.Name+"/"+a.Name] = true
			if (a.Source == "") == (a.Function == "") {
				t.Errorf("%s/%s must have either a source or a function", p.Name, a.Name)
			}
			for _, key := range []string{"description", "parameters", "sampleInput", "sampleOutput"} {
				if a.Annotations.Find(key) == nil {
					t.Errorf("%s/%s has no annotation %s", p.Name, a.Name, key)
				}
			}
		}
	}
	for _, want := range []string{"utils/echo", "utils/cat", "utils/date", "utils/head", "utils/sort", "utils/split", "utils/smash",
		"utils/hosturl", "utils/namespace", "samples/greeting", "samples/helloWorld", "samples/wordCount", "samples/curl"} {
		if !names[want] {
			t.Errorf("%s is not registered", want)
		}
	}
}

func TestRegisterTwice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a second package utils was registered")
		}
	}()
	system.Register(system.Package{Name: "utils"})
}
