package pcre

import "strings"

// atomic rewrites the possessive quantifiers of a pattern, which the backtracking
// engine does not know, as the atomic groups they stand for: a++ as (?>a+).
func atomic(pattern string) string {
	var (
		out    strings.Builder
		last   = -1  // where in out the item begins that a quantifier would be for
		groups []int // likewise of the groups that are open
	)
	for rest := pattern; rest != ""; {
		length := itemLength(rest)
		quantifier := quantifierLength(rest)
		switch {
		case rest[0] == '(':
			groups = append(groups, out.Len())
		case rest[0] == ')' && len(groups) > 0:
			last, groups = groups[len(groups)-1], groups[:len(groups)-1]
		case quantifier > 0:
			length = quantifier
		default:
			last = out.Len()
		}
		out.WriteString(rest[:length])
		rest = rest[length:]
		if quantifier > 0 && last >= 0 && strings.HasPrefix(rest, "+") {
			text := out.String()
			out.Reset()
			out.WriteString(text[:last] + "(?>" + text[last:] + ")")
			rest = rest[1:]
		}
	}
	return out.String()
}

// itemLength is how long the character, escape or class is that text begins with.
func itemLength(text string) int {
	switch text[0] {
	case '\\':
		return escapeLength(text)
	case '[':
		return classLength(text)
	}
	return 1
}

// escapeLength is for \d as for those with a name or number: \x{1F600}, \p{Lu}, \k<name>.
func escapeLength(text string) int {
	if len(text) < 2 {
		return len(text)
	}
	closing := map[string]string{"x{": "}", "p{": "}", "P{": "}", "g{": "}", "k{": "}", "k<": ">", "k'": "'"}
	if len(text) > 2 {
		if end := closing[text[1:3]]; end != "" {
			if i := strings.Index(text[3:], end); i >= 0 {
				return 3 + i + 1
			}
		}
	}
	return 2
}

// classLength is for [...], in which ] may come first, escaped, or as the end of [:name:].
func classLength(text string) int {
	i := 1
	if strings.HasPrefix(text[i:], "^") {
		i++
	}
	if strings.HasPrefix(text[i:], "]") {
		i++
	}
	for i < len(text) && text[i] != ']' {
		switch {
		case text[i] == '\\':
			i++
		case strings.HasPrefix(text[i:], "[:"):
			if end := strings.Index(text[i:], ":]"); end > 0 {
				i += end + 1
			}
		}
		i++
	}
	return min(i+1, len(text))
}

// quantifierLength is that of *, +, ? and {2,3} at the beginning of text, 0 for
// anything else.
func quantifierLength(text string) int {
	switch text[0] {
	case '*', '+', '?':
		return 1
	case '{':
		end := strings.IndexByte(text, '}')
		if end > 1 && strings.Trim(text[1:end], "0123456789,") == "" && text[1] != ',' {
			return end + 1
		}
	}
	return 0
}
