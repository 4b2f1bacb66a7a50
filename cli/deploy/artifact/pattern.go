package artifact

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Pattern is a compiled pattern of file names: * and ? stand for anything within
// a name, ** for any folders, [a-z] for one of a set, {a,b} for one of some.
type Pattern struct {
	Negative bool // the pattern began with !
	match    *regexp.Regexp
}

// ParsePattern reads a pattern. One that names a folder stands for all below it.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{}
	if after, ok := strings.CutPrefix(text, "!"); ok {
		p.Negative, text = true, after
	}
	text = path.Clean(strings.TrimPrefix(text, "./"))
	expr, err := regexp.Compile("^" + translate(text) + "(/.*)?$")
	if err != nil {
		return p, fmt.Errorf("the pattern %q is not valid", text)
	}
	p.match = expr
	return p, nil
}

// Match tells whether the pattern stands for a name.
func (p Pattern) Match(name string) bool { return p.match.MatchString(name) }

func translate(text string) string {
	var b strings.Builder
	braces := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "**/"):
			b.WriteString("(.*/)?")
			i += 2
		case strings.HasPrefix(text[i:], "**"):
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[' && strings.IndexByte(text[i:], ']') > 1:
			end := i + strings.IndexByte(text[i:], ']')
			set := strings.ReplaceAll(text[i+1:end], `\`, `\\`)
			if strings.HasPrefix(set, "!") {
				set = "^" + set[1:]
			}
			b.WriteString("[" + set + "]")
			i = end
		case c == '{' && strings.IndexByte(text[i:], '}') > 0:
			b.WriteString("(")
			braces++
		case c == '}' && braces > 0:
			b.WriteString(")")
			braces--
		case c == ',' && braces > 0:
			b.WriteString("|")
		default:
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		}
	}
	return b.String()
}

// HasWildcard tells whether a text is a pattern and not only a name.
func HasWildcard(text string) bool { return strings.ContainsAny(text, "*?[{") }
