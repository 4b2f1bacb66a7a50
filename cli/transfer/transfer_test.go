package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/cli/remote"
	"millrace/config"
	"millrace/server/servertest"
	"millrace/whisk/runtime/process"
)

func TestMain(m *testing.M) {
	process.Main()
	os.Exit(m.Run())
}

const otherKey = "11111111-71f6-4ed5-8c54-816aa4f8c502:otherO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIw"

func client(t *testing.T, host, key string) *remote.Client {
	t.Helper()
	c, err := remote.New(remote.Config{APIHost: host, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func do(t *testing.T, c *remote.Client, method, path, body string) json.RawMessage {
	t.Helper()
	var out json.RawMessage
	var in any
	if body != "" {
		in = json.RawMessage(body)
	}
	if err := c.Do(t.Context(), method, path, nil, in, &out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return out
}

// content is what the source holds: all sorts of entities, and some that a
// destination needs in another order than lists have them.
var content = []struct{ path, body string }{
	{"packages/p", `{"parameters":[{"key":"a","value":1}],"annotations":[{"key":"description","value":"<p>"}],"publish":true}`},
	{"packages/bound", `{"binding":{"namespace":"_","name":"p"},"parameters":[{"key":"b","value":2}]}`},
	{"packages/utils", `{"binding":{"namespace":"whisk.system","name":"utils"}}`},
	{"actions/hello", `{"exec":{"kind":"nodejs:default","code":"function main(p) { return {hello: p.name} }"},"limits":{"timeout":1234,"memory":128,"logs":1},"parameters":[{"key":"name","value":"you"},{"key":"ENV","value":"x","init":true}]}`},
	{"actions/p/inside", `{"exec":{"kind":"nodejs:default","code":"exports.start = () => ({})","main":"start"},"parameters":[{"key":"c","value":3}],"annotations":[{"key":"web-export","value":true},{"key":"provide-api-key","value":true}]}`},
	{"actions/inner", `{"exec":{"kind":"sequence","components":["/_/hello","/_/p/inside"]}}`},
	{"actions/outer", `{"exec":{"kind":"sequence","components":["/_/inner","/whisk.system/utils/echo"]}}`},
	{"triggers/t", `{"parameters":[{"key":"t","value":true}],"annotations":[{"key":"x","value":"y"}]}`},
	{"rules/on", `{"trigger":"/_/t","action":"/_/p/inside"}`},
	{"rules/off", `{"trigger":"/_/t","action":"/_/outer"}`},
}

func TestCopyOfANamespace(t *testing.T) {
	site := servertest.Start(t, func(c *config.Config) {
		uuid, secret, _ := strings.Cut(otherKey, ":")
		c.Functions.Users = append(c.Functions.Users, config.User{Namespace: "other", UUID: uuid, Secret: secret})
	})
	from, to := client(t, site.Functions, servertest.GuestKey), client(t, site.Functions, otherKey)
	for _, e := range content {
		do(t, from, "PUT", "/namespaces/_/"+e.path, e.body)
	}
	if err := from.Do(t.Context(), "POST", "/namespaces/_/rules/off", nil, map[string]string{"status": "inactive"}, nil); err != nil {
		t.Fatal(err)
	}

	names := []string{
		"package p", "binding bound", "binding utils", "action hello", "action p/inside", "sequence inner", "sequence outer",
		"trigger t", "rule on", "rule off",
	}
	check(t, "a dry run", run(t, Options{From: from, To: to, DryRun: true}), "found", names)
	if left := do(t, to, "GET", "/namespaces/_/packages", ""); string(left) != "[]" {
		t.Errorf("a dry run wrote %s", left)
	}
	check(t, "the first run", run(t, Options{From: from, To: to}), "created", names)
	compare(t, from, to)
	check(t, "the second run", run(t, Options{From: from, To: to}), "kept", names)
	check(t, "with Overwrite", run(t, Options{From: from, To: to, Overwrite: true}), "replaced", names)
	compare(t, from, to)
}

func run(t *testing.T, o Options) (lines []string) {
	t.Helper()
	o.Report = func(l Line) { lines = append(lines, fmt.Sprintf("%s %s %s", l.Outcome, l.Kind, l.Name)) }
	if err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return lines
}

func check(t *testing.T, what string, got []string, outcome string, names []string) {
	t.Helper()
	var want []string
	for _, n := range names {
		want = append(want, outcome+" "+n)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// compare holds every document of one namespace against that of the other.
func compare(t *testing.T, from, to *remote.Client) {
	t.Helper()
	for _, e := range content {
		want := decode(t, strings.ReplaceAll(string(do(t, from, "GET", "/namespaces/_/"+e.path, "")), `guest`, `other`))
		got := decode(t, string(do(t, to, "GET", "/namespaces/_/"+e.path, "")))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-source +copy):\n%s", e.path, diff)
		}
	}
}

// decode drops what a copy cannot have.
func decode(t *testing.T, doc string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(doc), &out); err != nil {
		t.Fatal(err)
	}
	delete(out, "updated")
	delete(out, "version") // replacing makes a new one
	delete(out, "actions") // compared on their own
	return out
}

func TestFit(t *testing.T) {
	c := &copying{limits: parseLimits(json.RawMessage(`{"limits":{"min_action_memory":134217728,"max_action_memory":268435456,"min_action_duration":100,"max_action_duration":1000}}`))}
	d := &actionDocument{Limits: map[string]int{"memory": 512, "timeout": 10, "logs": 99}}
	note := c.fit(d)
	if d.Limits["memory"] != 256 || d.Limits["timeout"] != 100 || d.Limits["logs"] != 99 {
		t.Errorf("limits: %v", d.Limits)
	}
	for _, part := range []string{"the limit memory was 512 and is 256", "the limit timeout was 10 and is 100"} {
		if !strings.Contains(note, part) {
			t.Errorf("note %q lacks %q", note, part)
		}
	}
}
