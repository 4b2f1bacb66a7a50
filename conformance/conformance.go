// Package conformance holds readable scripts of what APISIX and OpenWhisk do,
// and runs them from outside: against this project's server, and as well
// against the originals. Each case names where its expectation comes from.
// README.md beside this file has the whole format, and how to run the scripts
// against an APISIX or an OpenWhisk.
//
// A script is a txtar file whose files come in pairs, a case and what is
// expected of it:
//
//	-- t/plugin/openwhisk.t: hit the route with POST --
//	gateway POST /hello
//	Content-Type: application/json
//
//	{"name":"world"}
//	-- expect --
//	status 200
//	header Server ~ .
//	json {"hello":"world"}
//
// Before the first case may come files that the server is started with,
// config.yaml first of all. A server that is there already must have been
// started so, see Target.Configured.
package conformance

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// Scripts are the scripts of this package.
//
//go:embed apisix/*.txtar openwhisk/*.txtar
var Scripts embed.FS

// Target is what the scripts run against.
type Target struct {
	// Bases has the address of each part that there is: a URL without a slash at the
	// end for those that speak HTTP, host:port for tcp, tls and udp, a folder for
	// files. A script that speaks to one that is not there is skipped.
	Bases map[string]string
	// AdminKey is a key with the admin role; WhiskKey (uuid:key) is that of the
	// namespace guest.
	AdminKey, WhiskKey string
	// Settle is how long a change may take until all parts of the target know
	// it: 0 for a target in which it shows at once.
	Settle time.Duration
	// Vars are further variables of scripts. A script that reads one of those that
	// nobody else gives is skipped without it: {{norate_auth}} and
	// {{norate_namespace}}, the Base64 key and the name of a namespace that may call
	// and fire nothing in a minute; {{noroom_auth}}, the key of one that may have no
	// calls in flight.
	Vars map[string]string
	// BackendHost is the address of this machine by which the target reaches what
	// stands behind it in scripts; 127.0.0.1 if it is empty.
	BackendHost string
	// With starts a server with the files of a script. Without it such a script is
	// run if the target is Configured, which says that it has been started with them.
	With       func(t *testing.T, files map[string]string) Target
	Configured bool
}

// parts are what a request may be for. The first speak HTTP.
var parts = []string{"gateway", "secured", "proxied", "admin", "control", "status", "metrics", "whisk", "apis", "etcd", "tcp", "tls", "udp", "file"}

// Run runs the scripts below fsys one after the other, each as a test with its cases
// in order.
func Run(t *testing.T, fsys fs.FS, target Target) {
	t.Helper()
	names, err := scripts(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		s, err := read(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		s.run(t, target)
	}
}

// scripts lists the scripts below fsys.
func scripts(fsys fs.FS) (names []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".txtar" {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// read reads one script.
func read(fsys fs.FS, name string) (*script, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	s, err := parse(txtar.Parse(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.name = strings.TrimSuffix(name, path.Ext(name))
	return s, nil
}

// run runs a script as a test of its name.
func (s *script) run(t *testing.T, target Target) {
	t.Run(s.name, func(t *testing.T) {
		if len(s.files) > 0 {
			switch {
			case target.With != nil:
				target = target.With(t, s.files)
			case !target.Configured:
				t.Skip("it wants a server that was started with its config.yaml; -configured says that this one was")
			}
		}
		b, err := startBackends(cmp.Or(target.BackendHost, "127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		defer b.close()
		r := newRun(target)
		b.nameIn(r.vars)
		r.cases(t, s.cases)
	})
}

// run is one script under way.
type run struct {
	bases  map[string]string
	settle time.Duration
	vars   *variables
}

func newRun(target Target) *run {
	return &run{bases: target.Bases, settle: target.Settle, vars: newVariables(target)}
}

func (r *run) cases(t *testing.T, cases []testCase) {
	for i := range cases {
		if c := &cases[i]; r.bases[c.target] == "" {
			t.Skipf("the target has no %s", c.target)
		} else if name := r.vars.lacking(c); name != "" {
			t.Skipf("the target has no {{%s}}", name)
		}
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			if problems := r.try(c); len(problems) > 0 {
				t.Errorf("%s %s %s\n%s", c.target, c.method, c.path, strings.Join(problems, "\n"))
			}
		})
	}
}

// try runs a case, more than once if it may take time to come true, and answers
// what is wrong.
func (r *run) try(c *testCase) []string {
	deadline := time.Now().Add(r.settle)
	for {
		problems := r.once(c)
		if len(problems) == 0 || !c.eventually || time.Now().After(deadline) {
			return problems
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *run) once(c *testCase) []string {
	if c.method == sendBytes {
		return r.converse(c)
	}
	if c.target == "file" {
		return r.writeFile(c)
	}
	res, err := r.request(c)
	if err != nil {
		res = &response{closed: true, err: err}
	}
	return r.judge(c, res)
}

// judge answers what of an answer is not as expected.
func (r *run) judge(c *testCase, res *response) (problems []string) {
	if res.err != nil && res.status == 0 && len(res.received) == 0 && !c.wantsNothing() {
		return []string{res.err.Error()}
	}
	for _, e := range c.expect {
		if err := e.check(res, r.vars); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) > 0 {
		problems = append(problems, res.String())
	}
	return problems
}
