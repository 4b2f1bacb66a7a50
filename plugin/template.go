package plugin

import (
	"strings"

	"millrace/internal/expr"
)

// Template is a text with variables in it: $name, ${name} and ${name ?? default};
// \$ is a dollar sign. A variable that is not present is the empty text.
type Template struct {
	parts []part
}

// part is a text, or the name of a variable with what stands for it if it is not
// present.
type part struct{ text, name, preset string }

// CompileTemplate reads a template. Every text is one.
func CompileTemplate(s string) *Template {
	t := &Template{}
	for s != "" {
		i := strings.IndexAny(s, `$\`)
		if i < 0 {
			t.addText(s)
			break
		}
		t.addText(s[:i])
		s = t.next(s[i:])
	}
	return t
}

func (t *Template) addText(s string) {
	if s == "" {
		return
	}
	if n := len(t.parts); n > 0 && t.parts[n-1].name == "" {
		t.parts[n-1].text += s
		return
	}
	t.parts = append(t.parts, part{text: s})
}

// next reads what begins with $ or \ and answers the rest.
func (t *Template) next(s string) string {
	if s[0] == '\\' {
		if len(s) > 1 && s[1] == '$' {
			t.addText("$")
			return s[2:]
		}
		t.addText(s[:1])
		return s[1:]
	}
	if inner, rest, ok := strings.Cut(s[1:], "}"); ok && strings.HasPrefix(inner, "{") {
		name, preset, _ := strings.Cut(inner[1:], "??")
		if name = strings.TrimSpace(name); isName(name) {
			t.parts = append(t.parts, part{name: name, preset: strings.TrimSpace(preset)})
			return rest
		}
	}
	n := 1
	for n < len(s) && nameChar(s[n]) {
		n++
	}
	if n == 1 {
		t.addText("$")
		return s[1:]
	}
	t.parts = append(t.parts, part{name: s[1:n]})
	return s[n:]
}

func isName(s string) bool {
	for i := range len(s) {
		if !nameChar(s[i]) && s[i] != '.' && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

func nameChar(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// Constant tells whether the text holds no variable.
func (t *Template) Constant() bool {
	return len(t.parts) == 0 || len(t.parts) == 1 && t.parts[0].name == ""
}

// Expand puts the values of variables in their places.
func (t *Template) Expand(lookup expr.Lookup) string {
	text, _ := t.Resolve(lookup)
	return text
}

// Resolve is Expand, which also tells how many variables were present.
func (t *Template) Resolve(lookup expr.Lookup) (text string, present int) {
	if t.Constant() {
		if len(t.parts) == 0 {
			return "", 0
		}
		return t.parts[0].text, 0
	}
	var b strings.Builder
	for i := range t.parts {
		p := &t.parts[i]
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		if v := lookup(p.name); v.Present {
			b.WriteString(v.Joined())
			present++
			continue
		}
		b.WriteString(p.preset)
	}
	return b.String(), present
}
