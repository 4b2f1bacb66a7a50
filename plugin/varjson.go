package plugin

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"millrace/internal/expr"
)

// What .. looks through is bounded, since it is read again at each level: in levels, and
// in what is found.
const (
	maxJSONDepth = 64
	maxJSONFound = 10_000
)

// jsonVar finds a value by a dotted path, or all that match if the path is a JSONPath,
// which it is if it holds [, * or two dots.
func jsonVar(root gjson.Result, path string) expr.Value {
	if !strings.ContainsAny(path, "[*") && !strings.Contains(path, "..") {
		for part := range strings.SplitSeq(path, ".") {
			root = member(root, part)
		}
		return jsonValue(root)
	}
	steps, ok := parseJSONPath(path)
	if !ok {
		return expr.Value{}
	}
	found := follow(root, root, steps)
	if len(found) == 0 {
		return expr.Value{}
	}
	return expr.Value{List: texts(found), Present: true}
}

// follow answers all that steps lead to from a value of a document.
func follow(root, from gjson.Result, steps []jsonStep) []gjson.Result {
	found := []gjson.Result{from}
	for i := range steps {
		found = steps[i].from(root, found)
	}
	return found
}

// jsonValue is the value of a variable: a list of an array, the source of an object.
func jsonValue(r gjson.Result) expr.Value {
	switch {
	case !r.Exists() || r.Type == gjson.Null:
		return expr.Value{}
	case r.IsArray():
		return expr.Value{List: texts(r.Array()), Present: true}
	}
	return expr.Text(r.String())
}

func texts(results []gjson.Result) []string {
	list := make([]string, len(results))
	for i, r := range results {
		list[i] = r.String()
	}
	return list
}

// member is the member of an object by its exact name.
func member(r gjson.Result, name string) (found gjson.Result) {
	if !r.IsObject() {
		return found
	}
	r.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name {
			found = value
		}
		return !found.Exists()
	})
	return found
}

// jsonStep is a step of a JSONPath: to what a selector names, of each value or of all
// that is anywhere in it.
type jsonStep struct {
	descend bool
	// selectors are each *, a quoted or bare name, an index from either end, or
	// first:beyond:every; none if there is a filter.
	selectors []string
	bracket   bool // whether they stood in brackets, where a bare name is none
	filter    jsonFilter
}

// parseJSONPath reads a path without its leading $.
func parseJSONPath(path string) (steps []jsonStep, ok bool) {
	for path != "" {
		var s jsonStep
		if rest, two := strings.CutPrefix(path, ".."); two {
			s.descend, path = true, rest
		} else {
			path = strings.TrimPrefix(path, ".")
		}
		if strings.HasPrefix(path, "[") {
			end := bracketEnd(path)
			if end < 0 {
				return nil, false
			}
			if !s.readBracket(strings.TrimSpace(path[1:end])) {
				return nil, false
			}
			path = path[end+1:]
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			if end == 0 {
				return nil, false
			}
			s.selectors, path = []string{path[:end]}, path[end:]
		}
		steps = append(steps, s)
	}
	return steps, true
}

// readBracket reads what stands in brackets.
func (s *jsonStep) readBracket(inner string) (ok bool) {
	s.bracket = true
	switch {
	case inner == "":
		return false
	case inner[0] == '?':
		s.filter, ok = parseJSONFilter(inner)
		return ok
	case inner[0] == '(': // (@.length-1) is the last element
		n, found := strings.CutPrefix(strings.ReplaceAll(inner, " ", ""), "(@.length-")
		s.selectors = []string{"-" + strings.TrimSuffix(n, ")")}
		return found
	}
	for {
		n := commaOf(inner)
		s.selectors = append(s.selectors, strings.TrimSpace(inner[:n]))
		if n == len(inner) {
			return true
		}
		inner = inner[n+1:]
	}
}

// commaOf is the place of the first comma that is not in quotes, or the end.
func commaOf(text string) int {
	var quote rune
	for i, ch := range text {
		switch {
		case ch == quote:
			quote = 0
		case quote != 0:
		case ch == '\'' || ch == '"':
			quote = ch
		case ch == ',':
			return i
		}
	}
	return len(text)
}

// bracketEnd is the place of the bracket that closes the first, quotes left out.
func bracketEnd(path string) int {
	var quote byte
	for i, open := 0, 0; i < len(path); i++ {
		switch ch := path[i]; {
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case ch == '\'' || ch == '"':
			quote = ch
		case ch == '[':
			open++
		case ch == ']':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// from answers what the step leads to from any of some values.
func (s *jsonStep) from(root gjson.Result, values []gjson.Result) (found []gjson.Result) {
	for _, v := range values {
		found = s.walk(root, v, found, 0)
	}
	return found
}

func (s *jsonStep) walk(root, v gjson.Result, found []gjson.Result, depth int) []gjson.Result {
	if s.filter != nil {
		found = s.filtered(root, v, found)
	}
	for _, selector := range s.selectors {
		found = s.selected(v, selector, found)
	}
	if s.descend && depth < maxJSONDepth && (v.IsObject() || v.IsArray()) {
		v.ForEach(func(_, item gjson.Result) bool {
			found = s.walk(root, item, found, depth+1)
			return len(found) < maxJSONFound
		})
	}
	return found
}

// filtered appends the members or elements for which the filter holds.
func (s *jsonStep) filtered(root, v gjson.Result, found []gjson.Result) []gjson.Result {
	if v.IsObject() || v.IsArray() {
		v.ForEach(func(_, item gjson.Result) bool {
			if s.filter(root, item) {
				found = append(found, item)
			}
			return true
		})
	}
	return found
}

// selected appends what a selector names in a value.
func (s *jsonStep) selected(v gjson.Result, selector string, found []gjson.Result) []gjson.Result {
	switch {
	case selector == "*":
		if v.IsObject() || v.IsArray() {
			v.ForEach(func(_, item gjson.Result) bool {
				found = append(found, item)
				return true
			})
		}
		return found
	case s.bracket && v.IsArray():
		return append(found, elements(v.Array(), selector)...)
	}
	if s.bracket {
		if selector = unquoted(selector); selector == "" {
			return found
		}
	}
	if m := member(v, selector); m.Exists() {
		found = append(found, m)
	}
	return found
}

// unquoted is the name in quotes, empty if there are none.
func unquoted(name string) string {
	if n := len(name); n > 2 && (name[0] == '\'' || name[0] == '"') && name[n-1] == name[0] {
		return name[1 : n-1]
	}
	return ""
}

// elements are those of an array by an index, or from a first to before another, each
// of them or every so many.
func elements(items []gjson.Result, selector string) []gjson.Result {
	first, rest, several := strings.Cut(selector, ":")
	from, ok := place(first, 0, len(items))
	if !ok || first == "" && !several {
		return nil
	}
	if !several {
		if from >= len(items) {
			return nil
		}
		return items[from : from+1]
	}
	beyond, step, _ := strings.Cut(rest, ":")
	to, ok := place(beyond, len(items), len(items))
	every := 1
	if step != "" {
		n, err := strconv.Atoi(step)
		if every = n; err != nil || n < 1 {
			return nil
		}
	}
	if !ok {
		return nil
	}
	var some []gjson.Result
	for i := from; i < min(to, len(items)); i += every {
		some = append(some, items[i])
	}
	return some
}

// place reads an index, counted from the end if it is negative.
func place(text string, missing, length int) (int, bool) {
	if text == "" {
		return missing, true
	}
	n, err := strconv.Atoi(text)
	if n < 0 {
		n += length
	}
	return n, err == nil && n >= 0
}
