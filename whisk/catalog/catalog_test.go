package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/blob"
	blobmem "millrace/blob/mem"
	"millrace/store"
	storemem "millrace/store/mem"
	"millrace/whisk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func open(t testing.TB, s store.Store, b blob.Store) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), quiet(), s, b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run starts c.Run and stops it at the end of the test.
func run(t *testing.T, c *Catalog) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: waited in vain", what)
}

func action(ns, pkg, name string, updated int64) *whisk.Action {
	return &whisk.Action{Namespace: ns, Package: pkg, Name: name, Version: "0.0.1", Updated: updated,
		Exec:       whisk.Exec{Kind: "nodejs:20"},
		Parameters: whisk.KeyValues{{Key: "html", Value: json.RawMessage(`"<&>"`)}}}
}

func put(t *testing.T, c *Catalog, a *whisk.Action, code string) *whisk.Action {
	t.Helper()
	stored, err := c.PutAction(t.Context(), a, []byte(code))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func names(l []*whisk.Action) string {
	var out []string
	for _, a := range l {
		out = append(out, strings.TrimPrefix(a.Path(), "guest/"))
	}
	return strings.Join(out, " ")
}

func TestOwnWritesAreReadAtOnce(t *testing.T) {
	s, b := storemem.New(), blobmem.New()
	c := open(t, s, b)
	for _, running := range []bool{false, true} {
		if running {
			run(t, c)
		}
		for i := range 100 {
			a := put(t, c, action("guest", "", "a", int64(i)), "code")
			got, ok := c.Action("guest", "", "a")
			if !ok || got.Revision != a.Revision {
				t.Fatalf("round %d: %+v after put", i, got)
			}
			next := *a
			next.Version = "0.0.2"
			a = put(t, c, &next, "other")
			if got, _ := c.Action("guest", "", "a"); got.Version != "0.0.2" {
				t.Fatalf("round %d: version %s after update", i, got.Version)
			}
			if err := c.DeleteAction(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if _, ok := c.Action("guest", "", "a"); ok {
				t.Fatalf("round %d: there after delete", i)
			}
		}
	}
	eventually(t, "deletions forgotten", func() bool {
		c.mu.RLock()
		defer c.mu.RUnlock()
		return len(c.deleted) == 0
	})
	if _, ok := c.Action("guest", "", "a"); ok {
		t.Error("the watch brought a deleted action back")
	}
}

func TestConflicts(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	first := put(t, c, action("guest", "", "a", 1), "code")
	second := put(t, c, first, "code")
	for what, err := range map[string]error{
		"create twice":  errOf(c.PutAction(t.Context(), action("guest", "", "a", 1), nil)),
		"stale update":  errOf(c.PutAction(t.Context(), first, nil)),
		"stale delete":  c.DeleteAction(t.Context(), first),
		"other's place": errOf(c.PutPackage(t.Context(), &whisk.Package{Namespace: "guest", Name: "a"})),
	} {
		var we *whisk.Error
		if !errors.As(err, &we) || we.Status != 409 || we.Msg != whisk.MsgConcurrentChange {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := c.DeleteAction(t.Context(), second); err != nil {
		t.Error(err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestReopenAndFollow(t *testing.T) {
	s, b := storemem.New(), blobmem.New()
	c := open(t, s, b)
	a := put(t, c, action("guest", "pkg", "a", 7), "the code")
	if _, err := c.PutPackage(t.Context(), &whisk.Package{Namespace: "guest", Name: "pkg", Publish: true}); err != nil {
		t.Fatal(err)
	}

	other := open(t, s, b)
	run(t, other)
	got, ok := other.Action("guest", "pkg", "a")
	if !ok || got.Updated != 7 || got.Revision != a.Revision || string(got.Parameters.Find("html")) != `"<&>"` {
		t.Fatalf("reopened: %+v", got)
	}
	code, err := other.Code(t.Context(), got.Exec.Digest)
	if err != nil || string(code) != "the code" {
		t.Fatalf("code %q, %v", code, err)
	}
	if p, ok := other.Package("guest", "pkg"); !ok || !p.Publish {
		t.Fatal("the package is missing")
	}
	if _, ok := other.Action("guest", "", "pkg"); ok {
		t.Error("a package was answered as an action")
	}

	put(t, c, action("guest", "", "late", 8), "x")
	eventually(t, "a put of another", func() bool { _, ok := other.Action("guest", "", "late"); return ok })
	if err := c.DeleteAction(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deletion of another", func() bool { _, ok := other.Action("guest", "pkg", "a"); return !ok })
}

// A put of ours that returns after the watch told of another's deletion must not
// bring the entity back.
func TestLateReturnOfAnOwnPut(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	a := action("guest", "", "a", 1)
	value, err := encode(actionType, a)
	if err != nil {
		t.Fatal(err)
	}
	key := path{"", "a"}.key("guest")
	c.applyEvents([]store.Event{
		{Entry: store.Entry{Key: key, Value: value, ModRevision: 5}},
		{Entry: store.Entry{Key: key, ModRevision: 6}, Deleted: true},
	})
	a.Revision = 5
	c.applyOwn("guest", entryOf(a))
	if _, ok := c.Action("guest", "", "a"); ok {
		t.Error("deleted, and there again")
	}
}

// What was listed just before a write of ours must not undo it.
func TestReloadKeepsNewerWritesOfOurs(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	kept := put(t, c, action("guest", "", "kept", 1), "x")
	gone := put(t, c, action("guest", "", "gone", 1), "x")
	_, listed, err := c.store.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	stale := map[string]*namespace{"guest": newNamespace()}
	stale["guest"].insert(entryOf(kept))
	stale["guest"].insert(entryOf(gone))

	next := *kept
	next.Version = "0.0.2"
	put(t, c, &next, "x")
	put(t, c, action("other", "", "new", 1), "x")
	if err := c.DeleteAction(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	c.swap(stale, listed)
	if a, _ := c.Action("guest", "", "kept"); a == nil || a.Version != "0.0.2" {
		t.Errorf("the update is lost: %+v", a)
	}
	if _, ok := c.Action("other", "", "new"); !ok {
		t.Error("the new action is lost")
	}
	if _, ok := c.Action("guest", "", "gone"); ok {
		t.Error("the deletion is lost")
	}
	if got := names(c.ListActions("guest", "", 0, 0)); got != "kept" {
		t.Errorf("list: %s", got)
	}
}

func TestUnreadableEntitiesAreLeftOut(t *testing.T) {
	s := storemem.New()
	for key, value := range map[string]string{
		prefix + "guest/broken":  "{",
		prefix + "guest/future":  `{"type":"schedule","entity":{}}`,
		prefix + "guest/p/rule":  `{"type":"rule","entity":{}}`,
		prefix + "guest/a/b/c/d": `{"type":"action","entity":{}}`,
		prefix + "guest/good":    `{"type":"action","entity":{"version":"0.0.1"}}`,
	} {
		if _, err := s.Put(t.Context(), key, []byte(value), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, s, blobmem.New())
	if got := names(c.ListActions("guest", "", 0, 0)); got != "good" {
		t.Errorf("actions %q", got)
	}
}

func TestLists(t *testing.T) {
	c := open(t, storemem.New(), blobmem.New())
	put(t, c, action("guest", "", "old", 1), "x")
	mid := put(t, c, action("guest", "p", "mid", 2), "x")
	put(t, c, action("guest", "", "new", 3), "x")
	put(t, c, action("guest", "p", "same-time", 3), "x")
	put(t, c, action("stranger", "", "theirs", 9), "x")
	for _, tt := range []struct {
		pkg         string
		skip, limit int
		want        string
	}{
		{"", 0, 0, "p/same-time new p/mid old"},
		{"", 1, 2, "new p/mid"},
		{"", 9, 2, ""},
		{"p", 0, 0, "p/same-time p/mid"},
		{"p", 1, 1, "p/mid"},
		{"q", 0, 0, ""},
	} {
		if got := names(c.ListActions("guest", tt.pkg, tt.skip, tt.limit)); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	if n := c.CountActions("guest", ""); n != 4 {
		t.Errorf("count %d", n)
	}
	if n := c.CountActions("guest", "p"); n != 2 {
		t.Errorf("count in p %d", n)
	}
	touched := *mid
	touched.Updated = 10
	put(t, c, &touched, "x")
	if got, want := names(c.ListActions("guest", "", 0, 0)), "p/mid p/same-time new old"; got != want {
		t.Errorf("after an update %q, want %q", got, want)
	}
	for _, publish := range []bool{true, false} {
		if _, err := c.PutPackage(t.Context(), &whisk.Package{Namespace: "guest", Name: fmt.Sprintf("pub-%v", publish), Publish: publish}); err != nil {
			t.Fatal(err)
		}
	}
	if l := c.ListPackages("guest", true, 0, 0); len(l) != 1 || l[0].Name != "pub-true" {
		t.Errorf("public packages %v", l)
	}
	if c.CountPackages("guest", false) != 2 || c.CountPackages("guest", true) != 1 {
		t.Error("package counts")
	}
}

func TestSweepKeepsWhatIsUsed(t *testing.T) {
	b := blobmem.New()
	c := open(t, storemem.New(), b)
	kept := put(t, c, action("guest", "", "kept", 1), "kept")
	gone := put(t, c, action("guest", "", "gone", 1), "gone")
	if err := c.DeleteAction(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 0} {
		if n, err := c.sweep(t.Context()); err != nil || n != want {
			t.Fatalf("sweep %d removed %d, %v", i, n, err)
		}
	}
	if _, err := c.Code(t.Context(), kept.Exec.Digest); err != nil {
		t.Error(err)
	}
	if _, err := c.Code(t.Context(), gone.Exec.Digest); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("unused code: %v", err)
	}
}

func BenchmarkAction(b *testing.B) {
	c := many(b, 1000)
	for b.Loop() {
		if _, ok := c.Action("guest", "", "a500"); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkList200Of100000(b *testing.B) {
	c := many(b, 100_000)
	for b.Loop() {
		if l := c.ListActions("guest", "", 50_000, 200); len(l) != 200 {
			b.Fatal(len(l))
		}
	}
}

func BenchmarkPackageOf100000(b *testing.B) {
	c := many(b, 100_000)
	for b.Loop() {
		if l := c.ListActions("guest", "none", 0, 200); len(l) != 0 {
			b.Fatal(len(l))
		}
	}
}

// What an update of one of many costs must not depend on how many they are.
func BenchmarkUpdateOneOf100000(b *testing.B) {
	c := many(b, 100_000)
	next := int64(100_000)
	for b.Loop() {
		next++
		a := action("guest", "", fmt.Sprint("a", next*7919%100_000), next)
		a.Revision = next
		c.applyOwn("guest", entryOf(a))
	}
}

func many(b *testing.B, n int) *Catalog {
	c := open(b, storemem.New(), blobmem.New())
	for i := range n {
		a := action("guest", "", fmt.Sprint("a", i), int64(i))
		a.Revision = int64(i + 1)
		c.applyOwn("guest", entryOf(a))
	}
	return c
}
