package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	blobmem "millrace/blob/mem"
	storemem "millrace/store/mem"
	"millrace/whisk"
)

func putPackage(t testing.TB, c *Catalog, p *whisk.Package) *whisk.Package {
	t.Helper()
	stored, err := c.PutPackage(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func parameters(t testing.TB, list string) whisk.KeyValues {
	t.Helper()
	l, err := whisk.ParseKeyValues([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func fullName(t testing.TB, s string) whisk.FullName {
	t.Helper()
	n, err := whisk.ParseFullName(s, "guest")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// said is what a client would be told.
func said(err error) string {
	var e *whisk.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return fmt.Sprintf("%d %s", e.Status, e.Msg)
	}
	return err.Error()
}

func binding(ns, name, toNS, to string) *whisk.Package {
	return &whisk.Package{Namespace: ns, Name: name, Publish: true, Binding: &whisk.PackageName{Namespace: toNS, Name: to}}
}

// Who reaches what, and through which binding: spec/openwhisk.md §1.8, §4.2.
func TestResolve(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	putPackage(t, c, &whisk.Package{Namespace: "lib", Name: "public", Publish: true, Parameters: parameters(t, `[{"key":"a","value":1},{"key":"b","value":1}]`)})
	putPackage(t, c, &whisk.Package{Namespace: "lib", Name: "private"})
	putPackage(t, c, &whisk.Package{Namespace: "guest", Name: "own"})
	mine := binding("guest", "mine", "lib", "public")
	mine.Parameters = parameters(t, `[{"key":"b","value":2},{"key":"c","value":2}]`)
	putPackage(t, c, mine)
	putPackage(t, c, binding("guest", "gone", "guest", "none"))
	putPackage(t, c, binding("guest", "lost", "lib", "none"))
	putPackage(t, c, binding("guest", "closed", "lib", "private"))
	putPackage(t, c, binding("guest", "chain", "guest", "mine"))
	putPackage(t, c, binding("guest", "loop", "guest", "loop"))
	putPackage(t, c, binding("guest", "to-action", "guest", "plain"))
	putPackage(t, c, binding("lib", "bound", "lib", "public"))
	for _, a := range []*whisk.Action{
		action("lib", "public", "a", 1), action("lib", "private", "a", 1), action("lib", "", "a", 1),
		action("guest", "", "plain", 1), action("guest", "own", "a", 1),
	} {
		put(t, c, a, "x")
	}
	no := func(what string) string {
		return "403 The supplied authentication is not authorized to access '" + what + "'."
	}
	const none = "404 The requested resource does not exist."
	for _, tt := range []struct{ name, want string }{
		{"/_/plain", "guest/plain"},
		{"/_/own/a", "guest/own/a"},
		{"/_/own/b", none},
		{"/_/none", none},
		{"/_/own", "409 Resource by this name exists but is not in this collection."},
		{"/_/plain/a", "409 Resource by this name exists but is not in this collection."},
		{"/_/none/a", "404 The requested resource 'guest/none' does not exist."},
		{"/lib/a", no("lib/a")},
		{"/lib/public/a", `lib/public/a [{"key":"a","value":1},{"key":"b","value":1}]`},
		{"/lib/public/none", none},
		{"/lib/private/a", no("lib/private/a")},
		{"/lib/none/a", no("lib/none/a")},
		{"/lib/bound/a", no("lib/bound/a")}, // who may use it is not for a binding to say
		{"/_/mine/a", `lib/public/a guest/mine [{"key":"a","value":1},{"key":"b","value":2},{"key":"c","value":2}]`},
		{"/_/mine/b", none},
		{"/_/gone/a", "404 The requested resource 'guest/none' does not exist."},
		{"/_/lost/a", no("guest/lost/a")},
		{"/_/closed/a", no("guest/closed/a")},
		{"/_/chain/a", `lib/public/a guest/chain [{"key":"a","value":1},{"key":"b","value":2},{"key":"c","value":2}]`},
		{"/_/loop/a", "422 Package binding 'guest/loop' contains a circular reference."},
		{"/_/to-action/a", "409 Resource by this name exists but is not in this collection."},
	} {
		r, err := c.Resolve(&whisk.Identity{Namespace: "guest"}, fullName(t, tt.name))
		got := said(err)
		if err == nil {
			got = strings.Join(strings.Fields(r.Action.Path()+" "+r.Binding+" "+strings.TrimPrefix(string(r.Inherited.AppendJSON(nil)), "[]")), " ")
		}
		if got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestEntitled(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	putPackage(t, c, &whisk.Package{Namespace: "lib", Name: "public", Publish: true})
	guest := &whisk.Identity{Namespace: "guest"}
	names := func(l ...string) (out []whisk.FullName) {
		for _, s := range l {
			out = append(out, fullName(t, s))
		}
		return out
	}
	if err := c.Entitled(guest, names("/_/a", "/_/none/a", "/lib/public/none")...); err != nil {
		t.Error(err)
	}
	err := c.Entitled(guest, names("/z/t", "/lib/p/a", "/_/a", "/z/t")...)
	if want := "403 The supplied authentication is not authorized to access 'lib/p/a, z/t'."; said(err) != want {
		t.Errorf("%v, want %s", said(err), want)
	}
}

func sequence(ns, name string, components ...string) *whisk.Action {
	a := action(ns, "", name, 1)
	a.Exec = whisk.Exec{Kind: whisk.KindSequence, Components: components}
	return a
}

// What a sequence may be made of: spec/openwhisk.md §4.1.
func TestCheckSequence(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	putPackage(t, c, &whisk.Package{Namespace: "lib", Name: "public", Publish: true})
	putPackage(t, c, &whisk.Package{Namespace: "lib", Name: "private"})
	putPackage(t, c, binding("guest", "mine", "lib", "public"))
	for _, a := range []*whisk.Action{
		action("guest", "", "a", 1), action("lib", "private", "a", 1), action("lib", "public", "a", 1),
		sequence("guest", "two", "/guest/a", "/guest/mine/a"),
		sequence("guest", "of-self", "/guest/two", "/guest/self"),
		sequence("guest", "broken", "/guest/removed"),
		sequence("guest", "odd", "/guest/other-odd"), sequence("guest", "other-odd", "/guest/odd"),
		sequence("lib", "inner", "/lib/private/a", "/lib/private/a"),
	} {
		put(t, c, a, "x")
	}
	nested := sequence("lib", "nested", "/lib/inner", "/lib/private/a")
	nested.Package = "public"
	put(t, c, nested, "x")

	const (
		cyclic  = "400 Sequence may not refer to itself."
		missing = "400 Sequence component does not exist."
		long    = "400 Too many actions in the sequence."
	)
	for _, tt := range []struct {
		components, want string
		limit            int
	}{
		{"", "400 No component specified for the sequence.", 5},
		{"/guest/a /guest/a /guest/a /guest/a /guest/a", "", 5},
		{"/guest/a /guest/a /guest/a", long, 2},
		{"/guest/two /guest/two", "", 4},
		{"/guest/two /guest/two", long, 3},
		{"/guest/mine/a", "", 1},
		{"/guest/self", cyclic, 5},
		{"/guest/of-self", cyclic, 5},
		{"/guest/odd", cyclic, 5},
		{"/guest/none", missing, 5},
		{"/guest/none/a", missing, 5},
		{"/guest/mine", missing, 5},
		{"/guest/mine/none", missing, 5},
		{"/guest/broken", missing, 5},
		{"/lib/public/nested", "", 3}, // its author may use what it is made of
		{"/lib/public/nested", long, 2},
		{"/guest/a /lib/private/a", "403 The supplied authentication is not authorized to access 'lib/private/a'.", 5},
		{"/lib/a /lib/none/a", "403 The supplied authentication is not authorized to access 'lib/a, lib/none/a'.", 5},
	} {
		err := c.CheckSequence(&whisk.Identity{Namespace: "guest"}, fullName(t, "/_/self"), strings.Fields(tt.components), tt.limit)
		if said(err) != tt.want {
			t.Errorf("%s (at most %d): %s, want %s", tt.components, tt.limit, said(err), tt.want)
		}
	}
}
