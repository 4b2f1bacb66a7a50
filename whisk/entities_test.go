package whisk

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseFullName(t *testing.T) {
	const few = "requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity."
	for in, want := range map[string]string{
		"/ns/a": "/ns/a", "ns/a": "/ns/a", "/ns/p/a": "/ns/p/a", "_/a": "/guest/a", "/_/p/a b": "/guest/p/a b",
		"": few, "a": few, "/a": few, "/a/b/c/d": few,
		"//a": "fully qualified name malformed", "/ns/": "fully qualified name malformed", "/ns/p/$": "fully qualified name malformed",
		"/ns/ a": "fully qualified name malformed", "/ns/" + strings.Repeat("a", 257): "fully qualified name malformed",
	} {
		got, err := ParseFullName(in, "guest")
		if answer := got.String(); err == nil && answer != want || err != nil && err.Error() != want {
			t.Errorf("%q: %s, %v; want %s", in, answer, err, want)
		}
	}
}

// Texts of spec/openwhisk.md §1.11 for exec objects that are not code.
func TestSequencePut(t *testing.T) {
	m, s := manifest(t), DefaultSystemLimits()
	for body, want := range map[string]string{
		`{"kind":"sequence"}`:                   "'components' must be defined for sequence kind",
		`{"kind":"sequence","components":null}`: "'components' must be defined for sequence kind",
		`{"kind":"sequence","components":"/a"}`: "'components' must be an array",
		`{"kind":"sequence","components":{}}`:   "'components' must be an array",
		`{"kind":"sequence","components":["a"]}`: "requirement failed: The fully qualified name of the entity must contain at least the namespace" +
			" and the name of the entity.",
		`{"kind":"sequence","components":[1]}`:       "fully qualified name malformed",
		`{"kind":"sequence","components":["/_/$"]}`:  "fully qualified name malformed",
		`{"kind":"blackbox"}`:                        "'image' must be a string defined in 'exec' for 'blackbox' actions",
		`{"kind":"blackbox","image":7}`:              "'image' must be a string defined in 'exec' for 'blackbox' actions",
		`{"kind":" BlackBox ","image":"a/b","x":""}`: "'blackbox' actions are not supported by this platform: it runs no container images.",
	} {
		_, err := ParseActionPut([]byte(`{"exec":`+body+`}`), m, &s)
		if want = "The request content was malformed:\n" + want; message(err) != want {
			t.Errorf("%s\n got %q\nwant %q", body, message(err), want)
		}
	}
}

// What §1.7 says of sequences, one PUT after the other.
func TestApplySequence(t *testing.T) {
	m, s := manifest(t), DefaultSystemLimits()
	var a *Action
	for i, tt := range []struct{ body, kind, components, parameters string }{
		{`{"exec":{"kind":"Sequence","components":["/_/a","_/p/b","/other/c",{"path":"_/p","name":"d"}]},"parameters":[{"key":"x","value":1}]}`,
			"sequence", `["/guest/a","/guest/p/b","/other/c","/guest/p/d"]`,
			`[{"key":"_actions","value":["/guest/a","/guest/p/b","/other/c","/guest/p/d"]}]`},
		{`{"parameters":[{"key":"x","value":1}]}`, "sequence", `["/guest/a","/guest/p/b","/other/c","/guest/p/d"]`,
			`[{"key":"_actions","value":["/guest/a","/guest/p/b","/other/c","/guest/p/d"]}]`},
		{`{"exec":{"kind":"sequence","components":[]}}`, "sequence", `null`, `[{"key":"_actions","value":[]}]`},
		{`{"exec":{"kind":"nodejs:20","code":"x"}}`, "nodejs:20", `null`, `[]`},
		{`{"parameters":[{"key":"x","value":1}]}`, "nodejs:20", `null`, `[{"key":"x","value":1}]`},
		{`{"exec":{"kind":"nodejs:18","code":"x"}}`, "nodejs:18", `null`, `[{"key":"x","value":1}]`},
		{`{"exec":{"kind":"sequence","components":["/_/a"]}}`, "sequence", `["/guest/a"]`, `[{"key":"_actions","value":["/guest/a"]}]`},
		{`{"exec":{"kind":"nodejs:18","code":"x"},"parameters":[{"key":"y","value":1}]}`, "nodejs:18", `null`, `[{"key":"y","value":1}]`},
	} {
		p, err := ParseActionPut([]byte(tt.body), m, &s)
		if err != nil {
			t.Fatal(err)
		}
		if a, err = p.Apply(a, "guest", "", "seq", s.Defaults(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if a.Exec.Kind != tt.kind || asJSON(t, a.Exec.Components) != tt.components || asJSON(t, a.Parameters) != tt.parameters {
			t.Errorf("%d: %s %s %s", i, a.Exec.Kind, asJSON(t, a.Exec.Components), asJSON(t, a.Parameters))
		}
		if got := string(a.Annotations.Find(AnnotationExec)); got != `"`+tt.kind+`"` {
			t.Errorf("%d: annotation exec is %s", i, got)
		}
	}
}

func TestBindingPut(t *testing.T) {
	s := DefaultSystemLimits()
	for body, want := range map[string]string{
		`{"binding":{"namespace":"ns"}}`:            "entity name malformed",
		`{"binding":{"name":"p"}}`:                  "namespace malformed",
		`{"binding":{"namespace":"$","name":"p"}}`:  "namespace malformed",
		`{"binding":{"namespace":"ns","name":"/"}}`: "entity name malformed",
		`{"binding":"p"}`:                           "JSON object expected",
	} {
		_, err := ParsePackagePut([]byte(body), &s)
		if want = "The request content was malformed:\n" + want; message(err) != want {
			t.Errorf("%s\n got %q\nwant %q", body, message(err), want)
		}
	}
	var p *Package
	for i, tt := range []struct{ body, binding, annotations string }{
		{`{"binding":{"namespace":"_","name":"p"},"annotations":[{"key":"binding","value":1},{"key":"a","value":1}]}`,
			`{"namespace":"guest","name":"p"}`, `[{"key":"binding","value":{"namespace":"guest","name":"p"}},{"key":"a","value":1}]`},
		{`{"binding":{}}`, `{"namespace":"guest","name":"p"}`, `[{"key":"binding","value":{"namespace":"guest","name":"p"}},{"key":"a","value":1}]`},
		{`{"binding":{"namespace":"other","name":"q"}}`, `{"namespace":"other","name":"q"}`,
			`[{"key":"binding","value":{"namespace":"other","name":"q"}},{"key":"a","value":1}]`},
		{`{"annotations":[]}`, `{"namespace":"other","name":"q"}`, `[{"key":"binding","value":{"namespace":"other","name":"q"}}]`},
	} {
		put, err := ParsePackagePut([]byte(tt.body), &s)
		if err != nil {
			t.Fatal(err)
		}
		p = put.Apply(p, "guest", "mine", time.Now())
		if asJSON(t, p.Binding) != tt.binding || asJSON(t, p.Annotations) != tt.annotations {
			t.Errorf("%d: %s %s", i, asJSON(t, p.Binding), asJSON(t, p.Annotations))
		}
	}
	if p.Version != "0.0.4" || p.Public() {
		t.Errorf("version %s, public %v", p.Version, p.Public())
	}
}

func TestApplyTrigger(t *testing.T) {
	s := DefaultSystemLimits()
	for feed, valid := range map[string]bool{
		`"/whisk.system/alarms/alarm"`: true, `"/_/f"`: true, `"f"`: true, `"p/f"`: true,
		`""`: false, `"/"`: false, `7`: false, `null`: false, `"a//b"`: false, `"/ns/$"`: false, `true`: false,
	} {
		body := `{"annotations":[{"key":"feed","value":` + feed + `}]}`
		put, err := ParseTriggerPut([]byte(body), &s)
		if err != nil {
			t.Fatal(err)
		}
		_, err = put.Apply(nil, "guest", "t", time.Now())
		if valid != (err == nil) || err != nil && message(err) != "Feed name is not valid" {
			t.Errorf("%s: %v", feed, err)
		}
		if tr, err := put.Apply(&Trigger{Version: "1.0.9", ID: "x"}, "guest", "t", time.Now()); err != nil || tr.Version != "1.0.10" || tr.ID != "x" {
			t.Errorf("update with feed %s: %+v, %v", feed, tr, err)
		}
	}
	put, err := ParseTriggerPut([]byte(`{"version":"2","publish":true,"parameters":[{"key":"a","value":1}],"limits":{"x":1}}`), &s)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := put.Apply(nil, "guest", "t", time.UnixMilli(5))
	if err != nil || tr.Version != "2.0.0" || !tr.Publish || tr.Updated != 5 || asJSON(t, tr.Parameters) != `[{"key":"a","value":1}]` {
		t.Errorf("%+v, %v", tr, err)
	}
	s.Parameters = 3
	if _, err := ParseTriggerPut([]byte(`{"parameters":[{"key":"a","value":123}]}`), &s); message(err) != "parameters larger than allowed: 4 > 3 bytes." {
		t.Errorf("large parameters: %v", err)
	}
}

func TestRulePut(t *testing.T) {
	s := DefaultSystemLimits()
	const few = "requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity."
	for body, want := range map[string]string{
		`{"trigger":"t"}`:                            few,
		`{"trigger":7}`:                              "fully qualified name malformed",
		`{"trigger":"/_/p/t"}`:                       "fully qualified name malformed",
		`{"trigger":{"path":"_"}}`:                   "fully qualified name malformed",
		`{"action":{"name":"a"}}`:                    "fully qualified name malformed",
		`{"action":"/_/a b /"}`:                      "fully qualified name malformed",
		`{"action":"/a/b/c/d"}`:                      few,
		`{"version":"x"}`:                            "semantic version malformed",
		`{"annotations":{}}`:                         "parameters malformed!",
		`{"publish":"x"}`:                            "'publish' must be a boolean",
		`[]`:                                         "JSON object expected",
		`{"action":{"path":1}`:                       "unexpected end of JSON input",
		`{"trigger":{"path":"_/p",` + `"name":"t"}}`: "fully qualified name malformed",
	} {
		_, err := ParseRulePut([]byte(body), &s)
		if want = "The request content was malformed:\n" + want; message(err) != want {
			t.Errorf("%s\n got %q\nwant %q", body, message(err), want)
		}
	}
	var r *Rule
	for i, tt := range []struct{ body, trigger, action, version string }{
		{`{"name":"r","status":"","trigger":"/_/t","action":"/_/p/hello"}`, "/guest/t", "/guest/p/hello", "0.0.1"},
		{`{"trigger":null,"action":null,"status":null,"publish":null}`, "/guest/t", "/guest/p/hello", "0.0.2"},
		{`{"trigger":{"path":"_","name":"u"},"action":{"path":"other/p","name":"a"}}`, "/guest/u", "/other/p/a", "0.0.3"},
		{`{"version":"1"}`, "/guest/u", "/other/p/a", "1.0.0"},
	} {
		put, err := ParseRulePut([]byte(tt.body), &s)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = put.Apply(r, "guest", "r", time.Now()); err != nil {
			t.Fatal(err)
		}
		if r.Trigger.String() != tt.trigger || r.Action.String() != tt.action || r.Version != tt.version || !r.Active {
			t.Errorf("%d: %+v", i, r)
		}
		r.Revision = int64(i)
	}
	for _, body := range []string{`{}`, `{"trigger":"/_/t"}`, `{"action":"/_/a"}`} {
		put, err := ParseRulePut([]byte(body), &s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := put.Apply(nil, "guest", "r", time.Now()); message(err) != "rule requires a valid trigger and a valid action" {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Members and items in numbers that only an attacker sends are not read.
func TestManyMembers(t *testing.T) {
	m, s := manifest(t), DefaultSystemLimits()
	for body, want := range map[string]string{
		`{"a0":0` + numbered(1<<16, `,"a%d":0`) + `}`:                                                "an object has too many members",
		`{"parameters":[{"key":"a"}` + strings.Repeat(`,{"key":"a"}`, 1<<20) + `]}`:                  "parameters malformed!",
		`{"parameters":[{}` + strings.Repeat(`,{}`, 1<<20) + `]}`:                                    "parameters malformed!",
		`{"annotations":[{"key":"a"` + numbered(1<<16, `,"a%d":0`) + `}]}`:                           "parameters malformed!",
		`{"delAnnotations":[""` + strings.Repeat(`,""`, 1<<20) + `]}`:                                "annotations malformed!",
		`{"exec":{"kind":"sequence","components":["/_/a"` + strings.Repeat(`,"/_/a"`, 1<<20) + `]}}`: "Too many actions in the sequence.",
	} {
		_, err := ParseActionPut([]byte(body), m, &s)
		if want = "The request content was malformed:\n" + want; message(err) != want {
			t.Errorf("%.60s…: %q, want %q", body, message(err), want)
		}
	}
	// A body with a few members more than we know is an ordinary one.
	if _, err := ParseActionPut([]byte(`{"a0":0`+numbered(500, `,"a%d":0`)+`,"ex\u0065c":{"kind":"nodejs:20","code":"x"}}`), m, &s); err != nil {
		t.Error(err)
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// What is read member by member is what encoding/json reads.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[{"c":"}"}]}`, ` { "a" : "\u0062" , "a":null } `, `{"\ud800":1,"\\":-1.5e3}`, `{}`, `{"":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if CheckJSON(raw) != nil || !IsObject(raw) {
			return
		}
		got, err := object(raw)
		var want map[string]json.RawMessage
		if uerr := json.Unmarshal(raw, &want); uerr != nil || err != nil {
			return
		}
		for key, value := range want {
			if string(got[key]) != string(value) && !strings.Contains(key, "\uFFFD") {
				t.Errorf("%q: %q is %q, want %q", raw, key, got[key], value)
			}
		}
	})
}

func TestParseRuleState(t *testing.T) {
	for body, want := range map[string]string{
		`{"status":"active","trigger":null,"action":null}`: "true", `{"status":"inactive"}`: "false",
		`{"status":"x"}`: "'x' is not a recognized rule state, must be one of ['active', 'inactive']",
		`{"status":7}`:   "'7' is not a recognized rule state, must be one of ['active', 'inactive']",
		`{}`:             "'' is not a recognized rule state, must be one of ['active', 'inactive']",
		`"active"`:       "JSON object expected",
	} {
		active, err := ParseRuleState([]byte(body))
		got := fmt.Sprint(active)
		if err != nil {
			got = strings.TrimPrefix(message(err), "The request content was malformed:\n")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// Whatever a body is, the answer is an entity or a 4xx, and what an entity refers
// to has the form of a name.
func FuzzEntityPut(f *testing.F) {
	for _, s := range []string{
		`{"trigger":"/_/t","action":{"path":"_/p","name":"a"}}`, `{"binding":{"namespace":"_","name":"p"}}`,
		`{"annotations":[{"key":"feed","value":"/_/f"}]}`, `{"status":"active"}`, `[`, `{"trigger":"//"}`,
	} {
		f.Add([]byte(s))
	}
	s := DefaultSystemLimits()
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(err error) {
			if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || e.Status < 400 || e.Status > 499) {
				t.Errorf("%q: %v", body, err)
			}
		}
		rule, err := ParseRulePut(body, &s)
		check(err)
		if err == nil && rule.Trigger != nil && rule.Action != nil {
			r, err := rule.Apply(nil, "guest", "r", time.Now())
			check(err)
			for _, n := range []FullName{r.Trigger, r.Action} {
				if back, err := ParseFullName(n.String(), "x"); err != nil || back != n {
					t.Errorf("%q: %s came back as %v, %v", body, n, back, err)
				}
			}
		}
		pkg, err := ParsePackagePut(body, &s)
		check(err)
		if err == nil {
			pkg.Apply(nil, "guest", "p", time.Now())
		}
		trigger, err := ParseTriggerPut(body, &s)
		check(err)
		if err == nil {
			_, err = trigger.Apply(nil, "guest", "t", time.Now())
			check(err)
		}
		_, err = ParseRuleState(body)
		check(err)
	})
}
