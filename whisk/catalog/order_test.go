package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"millrace/whisk"
)

// A namespace changed at random lists what a sorted copy of it does.
func TestOrder(t *testing.T) {
	n := newNamespace()
	random := rand.New(rand.NewPCG(1, 2))
	want := map[path]*whisk.Action{}
	for i := range 4000 {
		p := path{"", fmt.Sprint(random.IntN(60))}
		if random.IntN(3) == 0 {
			p.pkg = "pkg"
		}
		if random.IntN(3) == 0 {
			n.remove(p)
			delete(want, p)
			continue
		}
		updated := int64(i)
		if random.IntN(10) == 0 {
			updated -= int64(random.IntN(100)) // from a machine whose clock is late
		}
		a := action("guest", p.pkg, p.name, updated)
		a.Revision = int64(i + 1)
		want[p] = a
		n.insert(entryOf(a))
		for _, pkg := range []string{"", "pkg"} {
			c := collection{actionType, pkg}
			got, expected := listed(n.collections[c]), sorted(want, pkg)
			if got != expected || n.collections[c].len() != len(strings.Fields(expected)) {
				t.Fatalf("step %d, package %q:\n got %s\nwant %s", i, pkg, got, expected)
			}
		}
	}
}

func listed(o *order) string {
	var out []string
	for e := range o.newestFirst() {
		out = append(out, e.value.(*whisk.Action).Path())
	}
	return strings.Join(out, " ")
}

func sorted(all map[path]*whisk.Action, pkg string) string {
	var l []*entry
	for _, a := range all {
		if pkg == "" || a.Package == pkg {
			l = append(l, entryOf(a))
		}
	}
	slices.SortFunc(l, byAge)
	return listed(&order{entries: l})
}
