package route

import (
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// table makes a table of rules; each value is its id.
func table(t testing.TB, byURI bool, specs ...Spec[string]) *Table[string] {
	t.Helper()
	e := New[string](byURI).Edit()
	for i, s := range specs {
		s.Value, s.Created = s.ID, int64(i+1)
		r, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		e.Add(r)
	}
	return e.Table()
}

func spec(id, uri string, more ...func(*Spec[string])) Spec[string] {
	s := Spec[string]{ID: id, URIs: []string{uri}}
	for _, m := range more {
		m(&s)
	}
	return s
}

func hosts(h ...string) func(*Spec[string])   { return func(s *Spec[string]) { s.Hosts = h } }
func methods(m ...string) func(*Spec[string]) { return func(s *Spec[string]) { s.Methods = m } }
func addrs(a ...string) func(*Spec[string])   { return func(s *Spec[string]) { s.Addrs = a } }
func priority(p int) func(*Spec[string])      { return func(s *Spec[string]) { s.Priority = p } }

// ask writes a query as "METHOD host path addr", of which only path is needed.
func ask(words string) *Query {
	q := &Query{Method: []byte("GET"), Addr: netip.MustParseAddr("127.0.0.1")}
	f := strings.Fields(words)
	if strings.ToUpper(f[0]) == f[0] && !strings.HasPrefix(f[0], "/") {
		q.Method, f = []byte(f[0]), f[1:]
	}
	if !strings.HasPrefix(f[0], "/") {
		name, _, _ := strings.Cut(f[0], ":")
		q.Host, q.HostPort, f = []byte(name), []byte(f[0]), f[1:]
	}
	q.Path = []byte(f[0])
	if len(f) > 1 {
		q.Addr = netip.MustParseAddr(f[1])
	}
	return q
}

func TestMatch(t *testing.T) {
	vector21 := []Spec[string]{spec("1", "/q/foo*"), spec("2", "/q/foo/*"), spec("3", "/q/foo/bar", methods("POST")), spec("4", "/q/*")}
	vector24 := []Spec[string]{
		spec("1", "/h/*", hosts("*.foo.com")), spec("2", "/h/x", hosts("a.foo.com")), spec("3", "/h/x"),
	}
	tests := []struct {
		name  string
		byURI bool
		specs []Spec[string]
		want  map[string]string // query → id, empty for none
	}{
		{"exact", false, []Spec[string]{spec("1", "/foo")}, map[string]string{"/foo": "1", "/foo/": "", "/fo": "", "/Foo": "", "/fooo": ""}},
		{"vector 21", false, vector21, map[string]string{"/q/foo": "1", "/q/foo/": "2", "/q/foo/bar/": "2", "/q": "", "POST /q/foo/bar": "3", "/q/foobar": "1", "/q/x": "4"}},
		{"vector 22", false, []Spec[string]{spec("1", "/q/*", priority(100)), spec("2", "/q/x")}, map[string]string{"/q/x": "2", "/q/y": "1"}},
		{"vector 23", false, []Spec[string]{spec("1", "/q/x", methods("POST")), spec("2", "/q/*")}, map[string]string{"/q/x": "2", "POST /q/x": "1"}},
		{"vector 24", false, vector24, map[string]string{"a.foo.com:8080 /h/x": "2", "z.foo.com /h/x": "1", "foo.com /h/x": "3", "a.foo.com /h/y": "1", "q.r.foo.com /h/x": "1", "/h/x": "3"}},
		{"vector 24 by URI", true, vector24, map[string]string{"z.foo.com /h/x": "3", "z.foo.com /h/y": "1", "a.foo.com /h/x": "2"}},
		{"vector 25", false, []Spec[string]{spec("b", "/s"), spec("a", "/s")}, map[string]string{"/s": "b"}},
		{"priority", false, []Spec[string]{spec("1", "/s*"), spec("2", "/s*", priority(1)), spec("3", "/s*", priority(-1))}, map[string]string{"/s": "2"}},
		{"all", false, []Spec[string]{spec("1", "/*")}, map[string]string{"/": "1", "/a/b": "1"}},
		{"inner star", false, []Spec[string]{spec("1", "/s/*/z"), spec("2", "/s/*")}, map[string]string{"/s/a/z": "1", "/s/a/b/z": "1", "/s//z": "1", "/s/a": "2", "/s/z": "2"}},
		{"two inner stars", false, []Spec[string]{spec("1", "/a*b*c")}, map[string]string{"/abc": "1", "/axbyc": "1", "/acb": "", "/axc": ""}},
		{"inner and last star", false, []Spec[string]{spec("1", "/a/*/b/*")}, map[string]string{"/a/x/b/y": "1", "/a/x/b/": "1", "/a/x/b": ""}},
		{"colon is a letter", false, []Spec[string]{spec("1", "/u/:id")}, map[string]string{"/u/:id": "1", "/u/5": ""}},
		{"plain suffix", false, []Spec[string]{spec("1", "/", hosts("*foo.com"))}, map[string]string{"foo.com /": "1", "afoo.com /": "1", "oo.com /": "", "/": ""}},
		{"any host", false, []Spec[string]{spec("1", "/", hosts("*"))}, map[string]string{"x /": "1"}},
		{"longest suffix first", false, []Spec[string]{spec("1", "/", hosts("*.c")), spec("2", "/", hosts("*.b.c")), spec("3", "/", hosts("*"))},
			map[string]string{"a.b.c /": "2", "x.c /": "1", "b.c /": "1", "c /": "3"}},
		{"next group", false, []Spec[string]{spec("1", "/one", hosts("a.b")), spec("2", "/two", hosts("*.b")), spec("3", "/three")},
			map[string]string{"a.b /one": "1", "a.b /two": "2", "a.b /three": "3", "a.b /four": ""}},
		{"several hosts", false, []Spec[string]{spec("1", "/", hosts("A.x", "b.x"))}, map[string]string{"a.x /": "1", "b.x /": "1", "c.x /": ""}},
		{"host with port", false, []Spec[string]{spec("1", "/", hosts("a.x:81"))}, map[string]string{"a.x:81 /": "1", "a.x:82 /": "", "a.x /": ""}},
		{"host with port by URI", true, []Spec[string]{spec("1", "/", hosts("a.x:81"))}, map[string]string{"a.x:81 /": "1", "a.x:82 /": ""}},
		{"addresses", false, []Spec[string]{spec("1", "/", addrs("10.0.0.0/8", "::1")), spec("2", "/", addrs("127.0.0.1"))},
			map[string]string{"/ 10.2.3.4": "1", "/ ::1": "1", "/ 127.0.0.1": "2", "/ 11.0.0.1": ""}},
		{"unknown method", false, []Spec[string]{spec("1", "/a", methods("GET")), spec("2", "/b")}, map[string]string{"FOO /a": "", "HEAD /a": "", "FOO /b": "2"}},
		{"empty", false, nil, map[string]string{"/": "", "a /": ""}},
	}
	for _, test := range tests {
		tab := table(t, test.byURI, test.specs...)
		for words, want := range test.want {
			got, _, ok := tab.Match(ask(words))
			if got != want || ok != (want != "") {
				t.Errorf("%s: %s gave %q, want %q", test.name, words, got, want)
			}
		}
	}
}

func TestExt(t *testing.T) {
	tab := table(t, false, spec("1", "/foo/*"), spec("2", "/bar"), spec("3", "/a/*/b/*"))
	for path, want := range map[string]string{"/foo/": "", "/foo/x/y": "x/y", "/bar": "", "/a/1/b/2/3": "2/3"} {
		if _, ext, ok := tab.Match(ask(path)); !ok || string(ext) != want {
			t.Errorf("%s: %q %v, want %q", path, ext, ok, want)
		}
	}
}

func TestBadSpecs(t *testing.T) {
	for _, s := range []Spec[string]{spec("1", "/", methods("FOO")), spec("1", "/", addrs("x")), spec("1", "/", addrs("1.2.3.4/99"))} {
		if _, err := Compile(s); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

// An edit leaves the table before as it was, whatever it adds and removes.
func TestEditsDoNotTouchOldTables(t *testing.T) {
	var rules []*Rule[string]
	tables := []*Table[string]{New[string](false)}
	uri := func(i int) string {
		if i%2 == 0 {
			return fmt.Sprintf("/%b", i%32)
		}
		return fmt.Sprintf("/%b/%d*", i%7, i)
	}
	for i := range 200 {
		s := Spec[string]{ID: fmt.Sprint(i), URIs: []string{uri(i)}, Created: int64(i), Value: fmt.Sprint(i)}
		if i%3 == 0 {
			s.Hosts = []string{fmt.Sprintf("h%d.x", i%5), "*.y"}
		}
		r, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
		e := tables[i].Edit()
		e.Add(r)
		tables = append(tables, e.Table())
	}
	queries := make([]*Query, 0, 400)
	for i := range 200 {
		path := strings.TrimSuffix(uri(i), "*")
		queries = append(queries, ask(path), ask(fmt.Sprintf("h%d.x %s", i%5, path)), ask("q.y "+path))
	}
	answers := func(tab *Table[string]) string {
		var b strings.Builder
		for _, q := range queries {
			v, _, _ := tab.Match(q)
			b.WriteString(v + " ")
		}
		return b.String()
	}
	var before []string
	for _, tab := range tables {
		before = append(before, answers(tab))
	}
	last := tables[len(tables)-1]
	for i := len(rules) - 1; i >= 0; i-- {
		e := last.Edit()
		e.Remove(rules[i])
		last = e.Table()
		if got := answers(last); got != before[i] {
			t.Fatalf("after removing %d rules the table answers otherwise than before they were added", len(rules)-i)
		}
	}
	for i, tab := range tables {
		if answers(tab) != before[i] {
			t.Fatalf("table %d has changed", i)
		}
	}
	if len(last.any.kids) > 0 || len(last.hosts.kids) > 0 || last.hosted != 0 {
		t.Error("the emptied table still holds nodes")
	}
}

// many makes n routes, of which some share a prefix and some have hosts.
func many(n int) []*Rule[int] {
	rules := make([]*Rule[int], n)
	for i := range rules {
		s := Spec[int]{ID: fmt.Sprint(i), URIs: []string{fmt.Sprintf("/api/v%d/service-%d/*", i%10, i)}, Created: int64(i), Value: i}
		switch i % 4 {
		case 1:
			s.Hosts = []string{fmt.Sprintf("host-%d.example.com", i)}
		case 2:
			s.URIs[0] = strings.TrimSuffix(s.URIs[0], "/*")
		}
		rules[i], _ = Compile(s)
	}
	return rules
}

func build(rules []*Rule[int]) *Table[int] {
	e := New[int](false).Edit()
	for _, r := range rules {
		e.Add(r)
	}
	return e.Table()
}

func TestMatchDoesNotAllocate(t *testing.T) {
	tab := build(many(1000))
	queries := []*Query{ask("/api/v4/service-444/x"), ask("host-445.example.com /api/v5/service-445/x"), ask("/api/v6/service-446"), ask("h /none")}
	if n := testing.AllocsPerRun(100, func() {
		for _, q := range queries {
			tab.Match(q)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMemoryPerRoute(t *testing.T) {
	const n, most = 20_000, 2 << 10
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tab := build(many(n))
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := int64(after.HeapAlloc-before.HeapAlloc) / n; per > most {
		t.Errorf("%d bytes a route, more than %d", per, most)
	} else {
		t.Logf("%d bytes a route", per)
	}
	runtime.KeepAlive(tab)
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		tab := build(many(n))
		q := ask(fmt.Sprintf("/api/v%d/service-%d/x", (n-2)/4*4%10, (n-2)/4*4))
		h := ask(fmt.Sprintf("host-%d.example.com /api/v5/service-5/x", 5))
		b.Run(fmt.Sprintf("prefix/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tab.Match(q)
			}
		})
		b.Run(fmt.Sprintf("host/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tab.Match(h)
			}
		})
	}
}

// Nodes with more kids, and labels that are longer, than a node has at hand; a rule that
// goes and comes again leaves the tables between as they were.
func TestWideAndLong(t *testing.T) {
	const n = 60
	long := strings.Repeat("x", 40)
	path := func(i int) string { return fmt.Sprintf("/%c%s/%d", 'A'+i, long, i) }
	var specs []Spec[string]
	for i := range n {
		specs = append(specs, spec(fmt.Sprint(i), path(i)+"*"))
	}
	whole := table(t, false, specs...)
	check := func(tab *Table[string], gone bool) {
		t.Helper()
		for i := range n {
			id, _, ok := tab.Match(ask(path(i)))
			if want := !gone || i%2 == 0; ok != want || ok && id != fmt.Sprint(i) {
				t.Errorf("%s: %q %t, want %t", path(i), id, ok, want)
			}
			if _, _, ok := tab.Match(ask(path(i)[:30] + "y" + path(i)[31:])); ok {
				t.Errorf("%s with another letter is found", path(i))
			}
		}
	}
	var rules []*Rule[string]
	first := whole.Edit()
	for i := 1; i < n; i += 2 {
		rules = append(rules, whole.any.get([]byte(path(i))).prefix[0].rule)
		first.Remove(rules[i/2])
	}
	half := first.Table()
	again := half.Edit()
	for _, r := range rules {
		again.Add(r)
	}
	full := again.Table()
	last := full.Edit()
	for _, r := range rules {
		last.Remove(r)
	}
	check(whole, false)
	check(half, true)
	check(full, false)
	check(last.Table(), true)
}

// BenchmarkMatchAnyOrder asks for routes in an order that no cache foresees.
func BenchmarkMatchAnyOrder(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		e := New[int](false).Edit()
		for i := range n {
			r, err := Compile(Spec[int]{ID: fmt.Sprint(i), URIs: []string{fmt.Sprintf("/service%d/items/*", i)}, Methods: []string{"GET", "POST"}, Value: i})
			if err != nil {
				b.Fatal(err)
			}
			e.Add(r)
		}
		tab := e.Table()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			q := ask("/")
			for i := 0; b.Loop(); i = (i + 7919) % n {
				q.Path = append(strconv.AppendInt(append(q.Path[:0], "/service"...), int64(i), 10), "/items/1"...)
				if _, _, ok := tab.Match(q); !ok {
					b.Fatal("no match")
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	rules := many(100_000)
	for b.Loop() {
		build(rules)
	}
}

func BenchmarkChangeOneOf100000(b *testing.B) {
	rules := many(100_000)
	tab := build(rules)
	for i := 0; b.Loop(); i++ {
		e := tab.Edit()
		e.Remove(rules[i%len(rules)])
		e.Add(rules[i%len(rules)])
		tab = e.Table()
	}
}
