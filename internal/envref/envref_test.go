package envref

import (
	"strings"
	"testing"
)

func lookup(name string) (string, bool) {
	v, ok := map[string]string{"A": "a", "EMPTY": "", "_N1": "n", "1": "one", "REF": "${{A}}"}[name]
	return v, ok
}

func TestExpand(t *testing.T) {
	for _, c := range []struct{ text, want, missing string }{
		{"plain $A ${A} $", "plain $A ${A} $", ""},
		{"${{A}}", "a", ""},
		{"x${{ A }}y${{\tA\n}}z", "xayaz", ""},
		{"${{EMPTY}}|${{EMPTY:=d}}", "|", ""},
		{"${{_N1}}${{1}}", "none", ""},
		{"${{NONE:=d}}", "d", ""},
		{"${{ NONE := some words }}", "some words", ""},
		{"${{A:=d}}", "a", ""},
		{"${{ A := d }}", "a", ""},
		{"${{NONE:=}}", "", ""},
		{"${{NONE:=a:=b}}", "a:=b", ""},
		{"${{NONE:=a}b}}", "a}b", ""},
		{"${{NONE:=${x}}}", "${x}", ""},
		{"${{NONE:=two\nlines}}", "two\nlines", ""},
		{"${{REF}}", "${{A}}", ""}, // once is enough
		{"${{-A}}", "${{-A}}", ""},
		{"${{}}", "${{}}", ""},
		{"${{A", "${{A", ""},
		{"${{NONE}} ${{OTHER}}", "", "NONE"},
		{"${{A-B}}", "", "A-B"},
		{"${{NONE=x}}", "", "NONE=x"},
	} {
		got, used, err := Expand(c.text, lookup)
		switch {
		case c.missing != "":
			if err == nil || err.Error() != "failed to handle configuration: can't find environment variable "+c.missing {
				t.Errorf("%q: error %v", c.text, err)
			}
		case err != nil || got != c.want || used != (c.text != c.want):
			t.Errorf("%q: %q, %v, %v; want %q", c.text, got, used, err, c.want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("a ${{A}} ${{B:=c}} }}")
	f.Fuzz(func(t *testing.T, text string) {
		got, used, err := Expand(text, lookup)
		if err == nil && !used && got != text {
			t.Errorf("%q became %q", text, got)
		}
		if used && !strings.Contains(text, "${{") {
			t.Errorf("%q has no reference", text)
		}
	})
}
