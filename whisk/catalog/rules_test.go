package catalog

import (
	"strings"
	"testing"

	blobmem "millrace/blob/mem"
	storemem "millrace/store/mem"
	"millrace/whisk"
)

func putTrigger(t testing.TB, c *Catalog, name string) *whisk.Trigger {
	t.Helper()
	tr, err := c.PutTrigger(t.Context(), &whisk.Trigger{Namespace: "guest", Name: name, Version: "0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func putRule(t testing.TB, c *Catalog, r *whisk.Rule) *whisk.Rule {
	t.Helper()
	r, err := c.PutRule(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func link(name string, t *whisk.Trigger) *whisk.Rule {
	return &whisk.Rule{Namespace: t.Namespace, Name: name, Trigger: whisk.FullName{Namespace: t.Namespace, Name: t.Name}, TriggerID: t.ID}
}

// linked lists the rules of a trigger as both the writer and a catalog that reads
// the store anew know them.
func linked(t *testing.T, c *Catalog, tr *whisk.Trigger) string {
	t.Helper()
	names := func(c *Catalog) string {
		var out []string
		for _, r := range c.Rules(tr) {
			out = append(out, r.Name)
		}
		return strings.Join(out, " ")
	}
	if mine, stored := names(c), names(open(t, c.store, c.blobs)); mine != stored {
		t.Errorf("%s: in memory %q, stored %q", tr.Name, mine, stored)
	}
	return names(c)
}

// Triggers and rules may be deleted, moved and made again in any order; each step
// is one write, after which what is stored and what is known agree.
func TestRulesOfTriggers(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	first, second := putTrigger(t, c, "first"), putTrigger(t, c, "second")
	if first.ID == "" || first.ID == second.ID {
		t.Fatalf("ids %q and %q", first.ID, second.ID)
	}
	b := putRule(t, c, link("b", first))
	a := putRule(t, c, link("a", first))
	if got := linked(t, c, first); got != "a b" {
		t.Errorf("first has %q", got)
	}

	moved := link("a", second)
	moved.Revision = a.Revision
	a = putRule(t, c, moved)
	if linked(t, c, first) != "b" || linked(t, c, second) != "a" {
		t.Error("a did not move")
	}

	next := *first
	next.Version = "0.0.2"
	first, err := c.PutTrigger(t.Context(), &next)
	if err != nil || linked(t, c, first) != "b" || c.Linked(b) == nil {
		t.Errorf("after an update of the trigger: %q, %v", linked(t, c, first), err)
	}

	if err := c.DeleteTrigger(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if c.Linked(b) != nil || c.Linked(a) == nil {
		t.Error("b should be an orphan, and a not")
	}
	again := putTrigger(t, c, "first")
	if c.Linked(b) != nil || linked(t, c, again) != "" {
		t.Error("a new trigger took over the rule of the old one")
	}
	relinked := link("b", again)
	relinked.Revision = b.Revision
	b = putRule(t, c, relinked)
	if c.Linked(b) == nil || linked(t, c, again) != "b" {
		t.Error("the rule is not linked to the new trigger")
	}

	if err := c.DeleteRule(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if linked(t, c, again) != "" || len(c.namespaces["guest"].rules) != 1 {
		t.Errorf("after the deletion of the rule: %v", c.namespaces["guest"].rules)
	}
}

func TestListsOfTriggersAndRules(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	tr := putTrigger(t, c, "t")
	putTrigger(t, c, "u")
	putRule(t, c, link("r", tr))
	if l := c.ListTriggers("guest", 0, 1); len(l) != 1 || l[0].Name != "u" {
		t.Errorf("triggers %v", l)
	}
	if l := c.ListRules("guest", 0, 0); len(l) != 1 || l[0].Name != "r" {
		t.Errorf("rules %v", l)
	}
	if c.CountTriggers("guest") != 2 || c.CountRules("guest") != 1 || c.CountRules("other") != 0 || len(c.ListRules("other", 0, 0)) != 0 {
		t.Error("counts")
	}
	if _, ok := c.Rule("guest", "t"); ok || !c.Exists("guest", "", "t") {
		t.Error("a trigger was answered as a rule")
	}
}

// Another process that follows the store knows the same.
func TestFollowRules(t *testing.T) {
	s, b := storemem.New(), blobmem.New()
	c, other := open(t, s, b), open(t, s, b)
	run(t, other)
	tr := putTrigger(t, c, "t")
	r := putRule(t, c, link("r", tr))
	eventually(t, "the rule", func() bool { return len(other.Rules(tr)) == 1 })
	if err := c.DeleteTrigger(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the orphan", func() bool { return other.Linked(r) == nil })
	if err := c.DeleteRule(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no rule", func() bool { _, ok := other.Rule("guest", "r"); return !ok })
}
