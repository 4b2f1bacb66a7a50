package plugin

import (
	"testing"

	"millrace/internal/expr"
)

func TestTemplate(t *testing.T) {
	lookup := func(name string) expr.Value {
		switch name {
		case "a":
			return expr.Text("1")
		case "http_x-y", "empty":
			return expr.Text("")
		case "list":
			return expr.Value{List: []string{"x", "y"}, Present: true}
		}
		return expr.Value{}
	}
	for text, want := range map[string]string{
		"": "", "plain": "plain", "$a": "1", "x${a}y$a": "x1y1", "$none.": ".", "${none ?? d}": "d", "${a??d}": "1", "${empty ?? d}": "",
		`\$a`: "$a", `\a`: `\a`, "$": "$", "a$": "a$", "$$a": "$1", "${": "${", "${}": "${}", "$a$a": "11", "$list": "x,y", "${a": "${a",
		"/new${a}/$a?x": "/new1/1?x", "100%$a%": "100%1%",
	} {
		if got := CompileTemplate(text).Expand(lookup); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
