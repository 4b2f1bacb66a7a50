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
