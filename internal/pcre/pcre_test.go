package pcre

import (
	"strings"
	"testing"
)

func TestMatchString(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          bool
	}{
		{`b+`, "abc", true},
		{`\A[\w]+\z`, "abc", true},
		{`\A[\w]+\z`, "abc\n", false},
		{`(?<!x)b`, "xb", false},
		{`(?<!x)b`, "ab", true},
		{`^(?=.*\d)\w+$`, "a1", true},
		{`^(a)\1$`, "aa", true},
		{`^(?>a+)b$`, "aab", true},
		{`^(?>a+)ab$`, "aab", false},
		{`^a++b$`, "aab", true},
		{`^a++ab$`, "aab", false},
		{`^\d*+\.?+x{2,3}+$`, "12.xxx", true},
		{`^x{1,2}+x$`, "xx", false},
		{`^(?:a|[]*+]b)*+c$`, "a+bac", true},
		{`^[[:alpha:]]++[a-z]$`, "abc", false},
		{`^((?:ab)?+c)++d(?!e)$`, "abccd", true},
		{`^\x{61}++\+\++$`, "aa+++", true},
		{`^\(*+a$`, "((a", true},
		{`^(?=a*+)a$`, "a", true},
		{`^(a+)+(?!x)$`, strings.Repeat("a", 200) + "b", false}, // takes for ever without a limit
	}
	for _, tt := range tests {
		p, err := Compile(tt.pattern)
		if err != nil {
			t.Errorf("Compile(%q): %v", tt.pattern, err)
			continue
		}
		if got := p.MatchString(tt.text); got != tt.want {
			t.Errorf("%q in %.20q: got %t", tt.pattern, tt.text, got)
		}
	}
	if _, err := Compile("("); err == nil {
		t.Error("an unclosed group compiled")
	}
}

// What is wrong with a pattern is told in PCRE's words.
func TestCompileErrors(t *testing.T) {
	for text, want := range map[string]string{
		`.+(`:      `pcre2_compile() failed: missing closing parenthesis in ".+("`,
		`a)`:       `pcre2_compile() failed: unmatched closing parenthesis in "a)"`,
		`[a`:       `pcre2_compile() failed: missing terminating ] for character class in "[a"`,
		`*a`:       `pcre2_compile() failed: quantifier does not follow a repeatable item in "*a"`,
		`a\`:       `pcre2_compile() failed: \ at end of pattern in "a\"`,
		`++a`:      `pcre2_compile() failed: quantifier does not follow a repeatable item in "++a"`,
		`(a++`:     "",
		`[b-a]`:    `pcre2_compile() failed: range out of order in character class in "[b-a]"`,
		`\p{Nope}`: "compiling pattern: ",
	} {
		if _, err := Compile(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
