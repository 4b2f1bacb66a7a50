// Package conformance holds readable scripts of what APISIX and OpenWhisk do,
// and runs them over plain HTTP: against this project's server, and as well
// against the originals. Each case names where its expectation comes from.
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
// The first line is the target (gateway, admin, whisk or apis), the method and the raw
// request target; header lines, an empty line and the body follow. {{name}} is
// replaced by a variable, see Target, and {{text*1000}} by so many times the text.
// An expectation is one line:
//
//	status 200 201          one of these
//	header Name: value      the first value is exactly this
//	header Name ~ regexp    it matches
//	no header Name          there is none
//	body "quoted"           the body is exactly this Go string
//	body ~ regexp           it matches
//	json {…}                it is this JSON, to the end of the section; see match
//	capture name path       keep what gjson finds at path of the body as {{name}}
//	eventually              try again for Target.Settle until all of it holds
package conformance

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
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
	// Gateway, Admin and Whisk are base URLs without a slash at the end. A
	// script that speaks to one that is empty is skipped.
	Gateway, Admin, Whisk, APIs string
	// AdminKey is a key with the admin role; WhiskKey (uuid:key) is that of the
	// namespace guest.
	AdminKey, WhiskKey string
	// Settle is how long a change may take until all parts of the target know
	// it: 0 for a target in which it shows at once.
	Settle time.Duration
	// Vars are further variables of scripts, beside {{gateway_addr}} (host and
	// port), {{whisk}}, {{apis}},
	// {{admin_key}}, {{whisk_key}}, {{whisk_auth}} (its Base64 form) and
	// {{whisk_uuid}} (its first half). A script is skipped that needs one of these and
	// does not get it: {{norate_auth}} and {{norate_namespace}}, the Base64 key and the
	// name of a namespace that may call and fire nothing in a minute; {{noroom_auth}},
	// the key of one that may have no calls in flight.
	Vars map[string]string
}

// Run runs the scripts below fsys, each as a test with its cases in order.
func Run(t *testing.T, fsys fs.FS, target Target) {
	t.Helper()
	files, err := scripts(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(name, path.Ext(name)), func(t *testing.T) {
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				t.Fatal(err)
			}
			cases, err := parse(txtar.Parse(text))
			if err != nil {
				t.Fatal(err)
			}
			newRun(target).cases(t, cases)
		})
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

// run is one script under way.
type run struct {
	bases  map[string]string
	settle time.Duration
	vars   map[string]string
	client *http.Client
}

func newRun(target Target) *run {
	r := &run{
		bases:  map[string]string{"gateway": target.Gateway, "admin": target.Admin, "whisk": target.Whisk, "apis": target.APIs},
		settle: target.Settle,
		vars:   map[string]string{},
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
			Timeout:       time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	maps.Copy(r.vars, target.Vars)
	r.vars["gateway_addr"] = strings.TrimPrefix(strings.TrimPrefix(target.Gateway, "http://"), "https://")
	r.vars["whisk"], r.vars["apis"] = target.Whisk, target.APIs
	r.vars["admin_key"] = target.AdminKey
	r.vars["whisk_key"] = target.WhiskKey
	r.vars["whisk_auth"] = base64.StdEncoding.EncodeToString([]byte(target.WhiskKey))
	r.vars["whisk_uuid"], _, _ = strings.Cut(target.WhiskKey, ":")
	return r
}

func (r *run) cases(t *testing.T, cases []testCase) {
	for _, c := range cases {
		if r.bases[c.target] == "" {
			t.Skipf("the target has no %s", c.target)
		}
	}
	if name := r.lacking(cases); name != "" {
		t.Skipf("the target has no {{%s}}", name)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if problems := r.try(c); len(problems) > 0 {
				t.Errorf("%s %s %s\n%s", c.target, c.method, c.path, strings.Join(problems, "\n"))
			}
		})
	}
}

// try runs a case, more than once if it may take time to come true, and answers
// what is wrong.
func (r *run) try(c testCase) []string {
	deadline := time.Now().Add(r.settle)
	for {
		problems := r.once(c)
		if len(problems) == 0 || !c.eventually || time.Now().After(deadline) {
			return problems
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *run) once(c testCase) []string {
	res, err := r.send(c)
	if err != nil {
		return []string{err.Error()}
	}
	var problems []string
	for _, e := range c.expect {
		if err := e.check(res, r.vars); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) > 0 {
		problems = append(problems, fmt.Sprintf("the answer was %d %q", res.status, res.body))
	}
	return problems
}

// response is what a case has been answered.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (r *run) send(c testCase) (*response, error) {
	raw := replace(c.path, r.vars)
	base, err := url.Parse(r.bases[c.target])
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(c.method, base.String(), bytes.NewReader([]byte(replace(c.body, r.vars))))
	if err != nil {
		return nil, err
	}
	// An opaque URL is sent as it is, be it normal or not.
	req.URL.Opaque = raw
	for _, h := range c.header {
		value := replace(h.value, r.vars)
		if strings.EqualFold(h.name, "Host") {
			req.Host = value
		}
		req.Header.Add(h.name, value)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return &response{res.StatusCode, res.Header, body}, err
}

// repetition is {{text*count}}.
var repetition = regexp.MustCompile(`\{\{([^{}*]+)\*([0-9]{1,8})\}\}`)

// replace puts the variables and repetitions into text.
func replace(text string, vars map[string]string) string {
	for name, value := range vars {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	return repetition.ReplaceAllStringFunc(text, func(found string) string {
		parts := repetition.FindStringSubmatch(found)
		count, _ := strconv.Atoi(parts[2]) // digits, and few of them
		return strings.Repeat(parts[1], count)
	})
}

// lacking answers the first of some variables of Target.Vars that a script reads and
// this run has not, or nothing.
func (r *run) lacking(cases []testCase) string {
	for _, name := range givenVars {
		for i := range cases {
			if _, known := r.vars[name]; !known && cases[i].reads(name) {
				return name
			}
		}
	}
	return ""
}

// givenVars are the variables that only Target.Vars has.
var givenVars = []string{"norate_auth", "norate_namespace", "noroom_auth"}

// reads tells whether the request of a case has a variable in it.
func (c *testCase) reads(name string) bool {
	v := "{{" + name + "}}"
	return strings.Contains(c.path, v) || strings.Contains(c.body, v) ||
		slices.ContainsFunc(c.header, func(h field) bool { return strings.Contains(h.value, v) })
}
