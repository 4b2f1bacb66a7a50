package route

import (
	"fmt"
	"testing"

	"millrace/internal/expr"
)

func TestParameters(t *testing.T) {
	withParams := func(s *Spec[string]) { s.Params = true }
	tab := table(t, true,
		spec("id", "/u/:id", withParams), spec("me", "/u/me", withParams), spec("post", "/u/:id/p/:post", withParams),
		spec("rest", "/u/:id/files/*", withParams), spec("colon", "/t/a:b", withParams), spec("inner", "/w/:a/*/z", withParams))
	for path, want := range map[string]string{
		"/u/7": "id [{id 7}] ", "/u/me": "me [] ", "/u/7/p/8": "post [{id 7} {post 8}] ", "/u/7/files/a/b": "rest [{id 7}] a/b",
		"/u/7/files/": "rest [{id 7}] ", "/t/a:b": "colon [] ", "/w/1/x/y/z": "inner [{a 1}] ", "/w/1//z": "inner [{a 1}] ",
		"/u/": "", "/u": "", "/u/7/": "", "/u/7/p/": "", "/u/7/p/8/9": "", "/t/a:c": "", "/w/1/z": "",
	} {
		q := ask(path)
		got := ""
		if id, ext, ok := tab.Match(q); ok {
			got = fmt.Sprintf("%s %s %s", id, q.Params, ext)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	literal := table(t, true, spec("1", "/u/:id"))
	if _, _, ok := literal.Match(ask("/u/7")); ok {
		t.Error(":id is a parameter without Params")
	}
	if _, _, ok := literal.Match(ask("/u/:id")); !ok {
		t.Error(":id is not literal without Params")
	}
}

func TestConditionsAreTestedInOrder(t *testing.T) {
	var asked []string
	vars := expr.Lookup(func(name string) expr.Value {
		asked = append(asked, name)
		return expr.Text("1")
	})
	condition, err := expr.Compile([]byte(`[["arg_a","==","1"]]`))
	if err != nil {
		t.Fatal(err)
	}
	tab := table(t, true, spec("1", "/x", methods("POST"), func(s *Spec[string]) {
		s.Vars = condition
		s.Filter = func(q *Query) bool { return q.Vars("filter").Text == "1" }
	}))
	q := ask("/x")
	q.Vars = vars
	if _, _, ok := tab.Match(q); ok || len(asked) > 0 {
		t.Errorf("a GET was matched, or variables were asked for: %q", asked)
	}
	q = ask("POST /x")
	q.Vars = vars
	if _, _, ok := tab.Match(q); !ok || fmt.Sprint(asked) != "[arg_a filter]" {
		t.Errorf("found %t, asked %q", ok, asked)
	}
}
