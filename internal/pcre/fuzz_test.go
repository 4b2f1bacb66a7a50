package pcre

import "testing"

// Whatever a pattern and a text are, a search ends, and what it finds lies in the text.
func FuzzPattern(f *testing.F) {
	f.Add(`^(a+)+(?!x)$`, "aaaaaaaaaaaaaaaaaaaaaaaaab", "$1")
	f.Add(`(?<=h)e|(\w)\1*+`, "hello \xff wörld", "<$0$$1${1}>")
	f.Add(`(?>a|ab)c\Z`, "abc\n", "")
	f.Add(`(x*)*y(?=z)`, "xxxxxxxxxxxxxxxxxxxxxxxxx", "$2")
	f.Fuzz(func(t *testing.T, pattern, text, replacement string) {
		p, err := Compile(pattern)
		if err != nil {
			return
		}
		p.MatchString(text)
		found, _ := p.FindAll(text, 10)
		for _, m := range found {
			for i := 0; i+1 < len(m); i += 2 {
				if m[i] > m[i+1] || m[i+1] > len(text) || m[i] < 0 != (m[i+1] < 0) {
					t.Fatalf("%q finds %v in %q", pattern, m, text)
				}
				Submatch(text, m, i/2)
			}
		}
		_, _, _ = p.Replace(text, replacement, 10)
	})
}
