package pcre

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplace(t *testing.T) {
	cases := []struct {
		pattern, options, s, replacement string
		n                                int
		want                             string
		count                            int
	}{
		{`^/x1/(.*)`, "jo", "/x1/a b/c", "/new/$1", 1, "/new/a b/c", 1},
		{`^/x1/(.*)`, "jo", "/y", "/new/$1", 1, "/y", 0},
		{`(a)(b)?`, "", "aab", "[$1|$2|${1}x|$0|$&]", -1, "[a||ax|a|a][a|b|ax|ab|ab]", 2},
		{`a`, "", "aaa", "$$1-$-$", 2, "$1-$-$$1-$-$a", 2},
		{`a`, "", "a", "${1", 1, "${1", 1},
		{`HELLO`, "i", "hello", "x", 1, "x", 1},
		{`b`, "a", "ab", "x", -1, "ab", 0},
		{`a b # comment`, "x", "ab", "x", 1, "x", 1},
		// Patterns that need backtracking, and text beyond ASCII.
		{`é(?=ü)(ü)`, "", "aéüé", "[$1]", -1, "a[ü]é", 1},
		{`(\w)\1`, "", "aabb\xffcc", "<$1>", -1, "<a><b>\xff<c>", 3},
		{`(?!x)(y)?z`, "", "z", "[$1]", 1, "[]", 1},
		{`(?<!x)a*`, "", "baac", "-", -1, "-b--c-", 4},
	}
	for _, tc := range cases {
		p, err := CompileOptions(tc.pattern, tc.options)
		if err != nil {
			t.Fatal(err)
		}
		got, count, err := p.Replace(tc.s, tc.replacement, tc.n)
		if got != tc.want || count != tc.count || err != nil {
			t.Errorf("%q in %q by %q: %q, %d, %v, want %q, %d", tc.pattern, tc.s, tc.replacement, got, count, err, tc.want, tc.count)
		}
	}
}

func TestFindAllOffsetsAndNames(t *testing.T) {
	for _, pattern := range []string{`(?P<first>\w)(?P<x>x)?`, `(?<first>\w)(?<x>x)?(?!9)`} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found, err := p.FindAll("aé bx", -1)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := Submatch("aé bx", found[0], 2); ok {
			t.Errorf("%s: group 2 is %q", pattern, text)
		}
		last := found[len(found)-1]
		if diff := cmp.Diff([]int{4, 6, 4, 5, 5, 6}, last); diff != "" {
			t.Errorf("%s: %s", pattern, diff)
		}
		if names := p.Names(); len(names) != 3 {
			t.Errorf("%s: %q", pattern, names)
		}
	}
	if _, err := CompileOptions("a", "q"); err == nil {
		t.Error("an unknown option passes")
	}
}

func TestSlowSearchIsAnError(t *testing.T) {
	p, err := Compile(`^(a+)+\1b$`)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Replace("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", "", -1); err == nil {
		t.Error("no error")
	}
}
