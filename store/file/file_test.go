package file

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"millrace/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const example = `routes:
  - id: 1
    uri: /hello
    upstream_id: 1
  - uri: ${{PATH_OF_IT:=/x}}
    name: "${{ PATH_OF_IT := {a}b }}"
upstreams:
  - id: 1
    nodes: {"127.0.0.1:${{PORT}}": 1}
    type: roundrobin
consumers:
  - username: jack
    plugins: {key-auth: {key: k}}
  - id: jack/credentials/c1
    plugins: {key-auth: {key: k2}}
plugin_metadata:
  - id: http-logger
    log_format: {host: $host}
plugins: [{name: key-auth}]
#END
`

var environment = func(name string) (string, bool) { return "1980", name == "PORT" }

func contents(t *testing.T, s *Store) map[string]string {
	t.Helper()
	entries, _, err := s.List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		out[e.Key] = string(e.Value)
	}
	return out
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// A time of its own, whatever the clock of the file system can tell apart.
	when := time.Now().Add(time.Duration(len(text)) * time.Second)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, name, text string, check func(string, []byte) error) (*Store, string, error) {
	path := filepath.Join(t.TempDir(), name)
	write(t, path, text)
	s, err := Open(t.Context(), Config{Log: slog.New(slog.DiscardHandler), Path: path, Lookup: environment, Check: check})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, path, err
}

func TestContent(t *testing.T) {
	want := map[string]string{
		"/apisix/routes/1":                      `{"id":1,"upstream_id":1,"uri":"/hello"}`,
		"/apisix/routes/arr_2":                  `{"id":"arr_2","name":"{a}b","uri":"/x"}`,
		"/apisix/upstreams/1":                   `{"id":1,"nodes":{"127.0.0.1:1980":1},"type":"roundrobin"}`,
		"/apisix/consumers/jack":                `{"plugins":{"key-auth":{"key":"k"}},"username":"jack"}`,
		"/apisix/consumers/jack/credentials/c1": `{"id":"jack/credentials/c1","plugins":{"key-auth":{"key":"k2"}}}`,
		"/apisix/plugin_metadata/http-logger":   `{"id":"http-logger","log_format":{"host":"$host"}}`,
		"/apisix/plugins":                       `[{"name":"key-auth"}]`,
	}
	s, _, err := open(t, "apisix.yaml", example, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, contents(t, s)); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Put(t.Context(), "/apisix/routes/9", nil, store.PutOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Put: %v", err)
	}
	if _, err := s.Delete(t.Context(), "/apisix/routes/1", store.Any); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Delete: %v", err)
	}
	j, _, err := open(t, "apisix.json", `{"routes":[{"id":"a","uri":"/j"}]}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"/apisix/routes/a": `{"id":"a","uri":"/j"}`}, contents(t, j)); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	for name, text := range map[string]string{
		"no #END": "routes: []\n", "#END in between": "routes: []\n#END\nservices: []\n", "no list": "routes: {}\n#END\n",
		"no mapping": "routes: [1]\n#END\n", "twice": "routes: [{id: 1}, {id: \"1\"}]\n#END\n", "no YAML": "routes: [\n#END\n",
		"no variable": "routes: [{uri: ${{NOBODY}}}]\n#END\n", "no variable in a comment": "routes: [] # ${{NOBODY}}\n#END\n",
	} {
		_, _, err := open(t, "apisix.yaml", text, nil)
		if err == nil || strings.Contains(text, "NOBODY") && !strings.HasSuffix(err.Error(), "failed to handle configuration: can't find environment variable NOBODY") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "none.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// What changes in the file changes in the store; what is wrong leaves it alone.
func TestFollowing(t *testing.T) {
	refuse := func(key string, value []byte) error {
		if string(value) == `{"id":2,"uri":"bad"}` {
			return errors.New("bad")
		}
		return nil
	}
	s, path, err := open(t, "apisix.yaml", "routes: [{id: 1, uri: /a}, {id: 2, uri: /b}]\n#END", refuse)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text string
		want map[string]string
	}{
		{"routes: [{id: 1, uri: /changed}, {id: 2, uri: bad}]\n#END\n", map[string]string{
			"/apisix/routes/1": `{"id":1,"uri":"/changed"}`, "/apisix/routes/2": `{"id":2,"uri":"/b"}`}},
		{"routes: [{id: 1, uri: /half", map[string]string{
			"/apisix/routes/1": `{"id":1,"uri":"/changed"}`, "/apisix/routes/2": `{"id":2,"uri":"/b"}`}},
		{"routes: [{id: 3, uri: /new}]\n\n#END\n\n", map[string]string{"/apisix/routes/3": `{"id":3,"uri":"/new"}`}},
		{"{}\n#END\n", map[string]string{}},
	} {
		write(t, path, step.text)
		if _, err := s.load(context.Background()); err != nil && len(step.want) < 2 {
			t.Errorf("%q: %v", step.text, err)
		}
		if diff := cmp.Diff(step.want, contents(t, s)); diff != "" {
			t.Errorf("%q: %s", step.text, diff)
		}
	}
}

// However a file changes, what it says last counts: with the time and the size of
// before, by a link to another file, or gone for a while. What is wrong is told once.
func TestChangesOfTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "apisix.yaml")
	old := time.Now().Add(-time.Hour)
	put := func(name, uri string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte("routes: [{id: 1, uri: "+uri+"}]\n #END \n"), 0o600), os.Chtimes(name, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) { // as Kubernetes does it, at once
		t.Helper()
		name = filepath.Join(dir, name)
		if err := errors.Join(os.Symlink(to, name+".new"), os.Rename(name+".new", name)); err != nil {
			t.Fatal(err)
		}
	}
	put("..1/apisix.yaml", "/a")
	put("..2/apisix.yaml", "/b")
	link("..1", "..data")
	link("..data/apisix.yaml", "apisix.yaml")
	s, err := Open(t.Context(), Config{Log: slog.New(slog.DiscardHandler), Path: path, Lookup: environment})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, step := range []struct {
		what    string
		change  func()
		changed bool
		want    string
	}{
		{"nothing", func() {}, false, "/a"},
		{"another folder", func() { link("..2", "..data") }, true, "/b"},
		{"the same again", func() { put("..2/apisix.yaml", "/b") }, false, "/b"},
		{"the same time and size", func() { put("..2/apisix.yaml", "/c") }, true, "/c"},
		{"at once again", func() { put("..2/apisix.yaml", "/d") }, true, "/d"},
		{"gone", func() { os.Remove(path) }, false, "/d"},
		{"still gone", func() {}, false, "/d"},
		{"a file in its place", func() { put("apisix.yaml", "/e") }, true, "/e"},
		{"broken", func() { put("apisix.yaml", "[") }, false, "/e"},
		{"half written", func() { os.Truncate(path, 10) }, false, "/e"},
		{"whole", func() { put("apisix.yaml", "/f") }, true, "/f"},
	} {
		step.change()
		changed, _ := s.load(t.Context())
		if got := contents(t, s)["/apisix/routes/1"]; changed != step.changed || got != `{"id":1,"uri":"`+step.want+`"}` {
			t.Errorf("%s: changed %t, %s", step.what, changed, got)
		}
	}
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// What is wrong with a file is told once, and again when it is wrong again.
func TestComplaints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "apisix.yaml")
		write(t, path, "routes: []\n#END\n")
		var log logged
		s, err := Open(t.Context(), Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Path: path, Lookup: environment})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		for what, change := range []func(){
			func() { write(t, path, "routes: [") },
			func() { os.Remove(path) },
			func() { write(t, path, "routes: [{id: 1}]\n#END\n") },
			func() { os.Remove(path) },
		} {
			change()
			time.Sleep(5*pollEvery + pollEvery/2)
			synctest.Wait()
			if n := strings.Count(log.String(), "what was there before stays"); n != []int{1, 2, 2, 3}[what] {
				t.Errorf("after change %d there are %d complaints: %s", what, n, log.String())
			}
		}
		cancel()
		<-ended
	})
}

// The list of plugins is told before what else the file has is checked, and only when
// it is another.
func TestListOfPlugins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	var told []string
	conf := Config{
		Log: slog.New(slog.DiscardHandler), Path: path, Lookup: environment,
		Plugins: func(list []byte) { told = append(told, "list:"+string(list)) },
		Check:   func(key string, _ []byte) error { told = append(told, key); return nil },
	}
	var s *Store
	for _, step := range []struct{ text, told string }{
		{"plugins: [{name: a}]\nglobal_rules: [{id: 1}]", `list:[{"name":"a"}] /apisix/global_rules/1 /apisix/plugins`},
		{"plugins: [{name: a}]\nglobal_rules: [{id: 2}]", `/apisix/global_rules/2`},
		{"plugins: []\nglobal_rules: [{id: 2}]", `list:[] /apisix/plugins`},
		{"plugins:\nglobal_rules: [{id: 2}]", `list:`},
		{"global_rules: [{id: 3}]", `/apisix/global_rules/3`},
	} {
		told = nil
		write(t, path, step.text+"\n#END\n")
		var err error
		if s == nil {
			if s, err = Open(t.Context(), conf); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
		} else {
			_, err = s.load(t.Context())
		}
		if got := strings.Join(told, " "); err != nil || got != step.told {
			t.Errorf("%q: told %q, %v", step.text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("routes: [{1: {2: x}}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = parse(text, slog.New(slog.DiscardHandler))
	})
}
