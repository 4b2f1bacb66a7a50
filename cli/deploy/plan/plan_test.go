package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/cli/deploy/platform"
	"millrace/whisk"
)

func action(name string, components ...string) Action {
	a := Action{Head: Head{Name: name}, Exec: Exec{Kind: "nodejs:20"}}
	if components != nil {
		a.Exec = Exec{Kind: whisk.KindSequence, Components: components}
	}
	return a
}

func TestOrdered(t *testing.T) {
	p := &Plan{Actions: []Action{action("outer", "/_/inner", "/ns/x"), action("inner", "/_/a", "/_/a"), action("a")}}
	var names []string
	ordered, cycle := p.Ordered()
	for _, a := range ordered {
		names = append(names, a.Name)
	}
	if diff := cmp.Diff([]string{"a", "inner", "outer"}, names); diff != "" || cycle != nil {
		t.Errorf("%s, cycle %v", diff, cycle)
	}
	for _, actions := range [][]Action{
		{action("self", "/_/self")}, {action("x", "/_/y"), action("y", "/_/z"), action("z", "/_/y")},
	} {
		if _, cycle := (&Plan{Actions: actions}).Ordered(); cycle == nil {
			t.Errorf("%+v: no cycle", actions)
		}
	}
}

// What the plan holds itself is not asked for, by whichever name.
func TestReferences(t *testing.T) {
	p := &Plan{
		Packages: []Package{{Head: Head{Name: "own"}}, {Head: Head{Name: "bound"}, Binding: &whisk.PackageName{Namespace: "me", Name: "own"}}, {Head: Head{Name: "theirs"}, Binding: &whisk.PackageName{Namespace: "ns", Name: "p"}}},
		Actions:  []Action{{Head: Head{Name: "a"}, Package: "own"}, action("s", "/me/own/a", "/_/bound/a", "/_/bound/b", "/_/theirs/c", "/_/d")},
		Triggers: []Trigger{{Head: Head{Name: "t"}, Feed: "/me/own/a"}},
		Rules:    []Rule{{Head: Head{Name: "r"}, Trigger: "/me/t", Action: "/me/s"}, {Head: Head{Name: "q"}, Trigger: "/_/u", Action: "/_/s"}},
		APIs:     []API{{BasePath: "/b", Operations: []Operation{{Action: "/me/s"}, {Action: "/ns/w"}}}},
	}
	p.Own("me")
	var got []string
	for _, r := range p.References() {
		got = append(got, r.By+": "+r.Collection+" "+r.Name.String())
	}
	want := []string{
		"binding theirs: packages /ns/p", "sequence s: actions /_/own/b", "sequence s: actions /ns/p/c", "sequence s: actions /_/d", "rule q: triggers /_/u", "API /b: actions /ns/w",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSizes(t *testing.T) {
	large := whisk.KeyValues{{Key: "k", Value: json.RawMessage(`"` + strings.Repeat("x", maxList) + `"`)}}
	p := &Plan{Packages: []Package{{Head: Head{Name: "p", Parameters: large}}}, Triggers: []Trigger{{Head: Head{Name: "t", Annotations: large}, FeedParameters: large}}}
	if got := p.Check(nil); len(got) != 3 || !strings.Contains(got[0].Msg, "the parameters of p are larger than allowed: 1048579 > 1048576 bytes") {
		t.Errorf("%v", got)
	}
}

func TestProblems(t *testing.T) {
	var l Problems
	if l.Err() != nil {
		t.Error("no problems are an error")
	}
	l.Add(Pos{"b", 2}, "two")
	l.Add(Pos{"b", 1}, "one")
	l.Add(Pos{"b", 1}, "one")
	l.Add(Pos{"a", 0}, "whole %s", "file")
	l.Add(Pos{}, "nowhere")
	if got, want := l.Err().Error(), "nowhere\na: whole file\nb:1: one\nb:2: two"; got != want {
		t.Errorf("%s", got)
	}
	for i := range 2 * maxProblems {
		l.Add(Pos{"c", i}, "many")
	}
	if len(l) != maxProblems {
		t.Errorf("%d problems", len(l))
	}
}

// The limits of a platform are asked for in the units of project files.
func TestRange(t *testing.T) {
	on, err := platform.Parse(json.RawMessage(`{"limits":{"min_action_memory":134217728,"max_action_memory":536870912,"min_action_duration":100,"max_action_duration":300000}}`))
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[string][2]int{"memory": {128, 512}, "duration": {100, 300000}} {
		if least, most, ok := on.Range(limit); !ok || least != want[0] || most != want[1] {
			t.Errorf("%s: %d to %d, %v", limit, least, most, ok)
		}
	}
	if _, _, ok := on.Range("logs"); ok {
		t.Error("logs have no limits")
	}
}
