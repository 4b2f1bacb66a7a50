package accesslog

import (
	"fmt"
	"strings"

	"millrace/internal/expr"
)

// format is a compiled format: texts and variables in turn.
type format struct {
	parts []part
	// value appends the value of a variable.
	value func(line []byte, v expr.Value) []byte
}

// part is a text, or the name of a variable.
type part struct{ text, name string }

// compile reads a format. Every text is one.
func compile(text, escape string) *format {
	f := &format{value: appendDefault}
	switch escape {
	case "json":
		f.value = appendJSON
	case "none":
		f.value = func(line []byte, v expr.Value) []byte { return append(line, textOf(v)...) }
	}
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			i = len(text)
		}
		if i > 0 {
			f.parts = append(f.parts, part{text: text[:i]})
		}
		text = f.variable(text[i:])
	}
	return f
}

// variable reads the variable that a text begins with and answers the rest.
func (f *format) variable(text string) (rest string) {
	if text == "" {
		return ""
	}
	if inner, after, ok := strings.Cut(text[1:], "}"); ok && strings.HasPrefix(inner, "{") && nameLength(inner[1:]) == len(inner)-1 {
		f.parts = append(f.parts, part{name: inner[1:]})
		return after
	}
	n := 1 + nameLength(text[1:])
	if n == 1 {
		f.parts = append(f.parts, part{text: "$"})
	} else {
		f.parts = append(f.parts, part{name: text[1:n]})
	}
	return text[n:]
}

// nameLength is how many bytes of a name a text begins with.
func nameLength(text string) int {
	for i, c := range []byte(text) {
		if c != '_' && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') {
			return i
		}
	}
	return len(text)
}

func (f *format) append(line []byte, lookup expr.Lookup) []byte {
	for i := range f.parts {
		if p := &f.parts[i]; p.name == "" {
			line = append(line, p.text...)
		} else {
			line = f.value(line, lookup(p.name))
		}
	}
	return line
}

func textOf(v expr.Value) string {
	if v.List != nil {
		return strings.Join(v.List, ",")
	}
	return v.Text
}

// appendDefault writes - for what is not there, and as \xHH what could end a
// quoted text or the line.
func appendDefault(line []byte, v expr.Value) []byte {
	if !v.Present {
		return append(line, '-')
	}
	for _, c := range []byte(textOf(v)) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			line = fmt.Appendf(line, `\x%02X`, c)
		} else {
			line = append(line, c)
		}
	}
	return line
}

// appendJSON writes what may stand in a JSON string.
func appendJSON(line []byte, v expr.Value) []byte {
	for _, c := range []byte(textOf(v)) {
		if i := strings.IndexByte("\"\\\n\r\t\b\f", c); i >= 0 {
			line = append(line, '\\', `"\nrtbf`[i])
		} else if c < ' ' {
			line = fmt.Appendf(line, `\u%04X`, c)
		} else {
			line = append(line, c)
		}
	}
	return line
}
