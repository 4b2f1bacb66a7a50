package plugin

import (
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (p *probe) Init(*Env) error {
	if p.Name == "init fails" {
		return errors.New("no luck")
	}
	p.inited = true
	return nil
}

func (p *probe) Check() error {
	if p.Fail != "" {
		return errors.New(p.Fail)
	}
	return nil
}

func (p *probe) Rewrite(c *Context) error     { return p.note(c, "rewrite") }
func (p *probe) Access(c *Context) error      { return p.end(c, "access") }
func (p *probe) BeforeProxy(c *Context) error { return p.note(c, "before") }
func (p *probe) FilterHeader(c *Context)      { _ = p.note(c, "header") }
func (p *probe) Log(c *Context)               { _ = p.note(c, "log") }
func (p *probe) Close()                       { p.closed = true }
func (p *probe) FilterBody(c *Context, body []byte) []byte {
	if p.Name == "quiet" {
		return body
	}
	return append(slices.Clip(body), p.Name...)
}

type notesKey struct{}

func (p *probe) note(c *Context, phase string) error {
	if notes, ok := c.Value(notesKey{}).(*[]string); ok {
		*notes = append(*notes, phase+" "+p.Name)
	}
	return nil
}

func (p *probe) end(c *Context, phase string) error {
	_ = p.note(c, phase)
	switch {
	case p.Exit != 0:
		return c.Exit(p.Exit, "own body")
	case p.Err == "drop":
		return ErrDrop
	case p.Err != "":
		return errors.New(p.Err)
	}
	return nil
}

func compile(t *testing.T, confs string) (*Chain, error) {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(confs), &m); err != nil {
		t.Fatal(err)
	}
	return Compile(m, &Env{Log: slog.Default()})
}

func mustCompile(t *testing.T, confs string) *Chain {
	t.Helper()
	chain, err := compile(t, confs)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// walk runs all phases and answers which plugin ran when.
func walk(chain *Chain) (notes []string, c *Context, err error) {
	c = &Context{}
	c.SetValue(notesKey{}, &notes)
	if err = chain.Rewrite(c); err == nil {
		err = chain.Access(c)
	}
	if err == nil {
		err = chain.BeforeProxy(c)
	}
	chain.FilterHeader(c)
	chain.Log(c)
	return notes, c, err
}

func TestPhasesRunByPriority(t *testing.T) {
	cases := []struct {
		confs string
		want  []string
	}{
		{`{"probe-low":{"name":"l"},"probe-same":{"name":"s"},"probe":{"name":"p"}}`,
			[]string{"rewrite p", "rewrite s", "rewrite l", "access p", "access s", "access l", "before p", "before s", "before l",
				"header p", "header s", "header l", "log p", "log s", "log l"}},
		{`{"probe-low":{"name":"l","_meta":{"priority":11}},"probe":{"name":"p"}}`,
			[]string{"rewrite l", "rewrite p", "access l", "access p", "before l", "before p", "header l", "header p", "log l", "log p"}},
		{`{"probe-low":{"name":"l","_meta":{"disable":true}},"probe":{"name":"p"}}`,
			[]string{"rewrite p", "access p", "before p", "header p", "log p"}},
		{`{"probe":{"name":"p","_meta":{"disable":true}}}`, nil},
		{`{}`, nil},
	}
	for _, tc := range cases {
		chain := mustCompile(t, tc.confs)
		notes, _, err := walk(chain)
		if err != nil {
			t.Errorf("%s: %v", tc.confs, err)
		}
		if diff := cmp.Diff(tc.want, notes); diff != "" {
			t.Errorf("%s: %s", tc.confs, diff)
		}
		if chain.Empty() != (tc.want == nil) || bodyPlan(chain).Whole() == (tc.want == nil) {
			t.Errorf("%s: Empty %t, whole body %t", tc.confs, chain.Empty(), bodyPlan(chain).Whole())
		}
	}
}

func bodyPlan(chain *Chain) *BodyPlan {
	plan := &BodyPlan{}
	chain.PlanBody(&Context{}, plan)
	return plan
}

func TestBodyFiltersRunOneAfterTheOther(t *testing.T) {
	chain := mustCompile(t, `{"probe-low":{"name":"2"},"probe":{"name":"1"}}`)
	if got := string(bodyPlan(chain).Run(&Context{}, []byte("body"), true)); got != "body12" {
		t.Errorf("got %q", got)
	}
}

func TestPhaseEnds(t *testing.T) {
	cases := []struct {
		name, conf string
		err        error
		text       string
		body       any
	}{
		{"exit", `"exit":200`, ErrExit, "", "own body"},
		{"error_response below 400", `"exit":399,"_meta":{"error_response":"hidden"}`, ErrExit, "", "own body"},
		{"error_response text", `"exit":400,"_meta":{"error_response":"hi <b>"}`, ErrExit, "", []byte("hi <b>")},
		{"error_response object", `"exit":503,"_meta":{"error_response":{"m":"a<b/c"}}`, ErrExit, "", []byte("{\"m\":\"a<b/c\"}\n")},
		{"drop", `"err":"drop"`, ErrDrop, "", nil},
		{"failure", `"err":"broken"`, nil, "plugin probe: broken", nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := mustCompile(t, `{"probe":{"name":"p",`+tc.conf+`},"probe-low":{"name":"never"}}`)
			notes, c, err := walk(chain)
			if tc.err != nil && err != tc.err || tc.text != "" && (err == nil || err.Error() != tc.text) {
				t.Errorf("error %v", err)
			}
			if strings.Contains(strings.Join(notes, " "), "access never") {
				t.Error("the phase went on")
			}
			if _, body, _ := c.Exited(); !cmp.Equal(body, tc.body) {
				t.Errorf("body %q, want %q", body, tc.body)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	cases := []struct{ confs, want string }{
		{`{"nope":{}}`, "unknown plugin [nope]"},
		{`{"probe":{}}`, `configuration of plugin probe: property "name" is required`},
		{`{"probe":{"name":"p","_meta":{"filter":[["a","=","b"]]}}}`, "configuration of plugin probe: failed to validate the 'vars' expression: invalid operator '='"},
		{`{"probe":{"name":"init fails"}}`, "initialising plugin probe: no luck"},
	}
	for _, tc := range cases {
		if _, err := compile(t, tc.confs); err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", tc.confs, err, tc.want)
		}
	}
}

func TestPluginsThatAreNotListed(t *testing.T) {
	env := &Env{Log: slog.New(slog.DiscardHandler), Plugins: NewSet([]string{"probe", "missing"})}
	confs := map[string]json.RawMessage{"probe": []byte(`{"name":"p"}`), "probe-low": []byte(`{"name":"l"}`), "nope": []byte(`{}`)}
	chain, err := Compile(confs, env)
	if err != nil {
		t.Fatal(err)
	}
	if chain.Len() != 1 {
		t.Errorf("%d plugins run, want the listed one", chain.Len())
	}
	if _, err := Compile(map[string]json.RawMessage{"missing": []byte(`{}`)}, env); err == nil {
		t.Error("a listed plugin that does not exist is passed over")
	}
	if names := env.Plugins.Names(); !slices.Equal(names, []string{"probe"}) {
		t.Errorf("names %q", names)
	}
}

func TestDefaultsInitAndClose(t *testing.T) {
	chain := mustCompile(t, `{"probe":{"name":"p"}}`)
	p := chain.rewrite[0].plugin.(*probe)
	if p.Size != 7 || !p.inited || p.closed {
		t.Errorf("after Compile: %+v", p)
	}
	chain.Close()
	if !p.closed {
		t.Error("Close did not reach the plugin")
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	c := &Context{}
	body, plan := []byte("body"), &BodyPlan{}
	for name, confs := range map[string]string{"empty": `{}`, "plain": `{"probe":{"name":"quiet"},"probe-low":{"name":"quiet"}}`} {
		chain := mustCompile(t, confs)
		allocs := testing.AllocsPerRun(100, func() {
			if chain.Rewrite(c) != nil || chain.Access(c) != nil || chain.BeforeProxy(c) != nil {
				t.Error("the walk ended early")
			}
			chain.FilterHeader(c)
			plan.Reset()
			chain.PlanBody(c, plan)
			plan.Run(c, body, true)
			chain.Log(c)
		})
		if allocs != 0 {
			t.Errorf("%s chain: %v allocations", name, allocs)
		}
	}
}
