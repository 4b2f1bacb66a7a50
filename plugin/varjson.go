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
func jsonVar(body []byte, path string) expr.Value {
	if !gjson.ValidBytes(body) {
		return expr.Value{}
	}
	root := gjson.ParseBytes(body)
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
	found := []gjson.Result{root}
	for _, s := range steps {
		found = s.from(found)
	}
	if len(found) == 0 {
		return expr.Value{}
	}
	return expr.Value{List: texts(found), Present: true}
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
	descend  bool
	selector string // *, a quoted or bare name, an index from either end, first:beyond
	bracket  bool   // whether it stood in brackets, where a bare name is none
}

// parseJSONPath reads a path without its leading $. Filters and scripts are not read.
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
			s.selector, s.bracket, path = strings.TrimSpace(path[1:end]), true, path[end+1:]
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			s.selector, path = path[:end], path[end:]
		}
		if s.selector == "" {
			return nil, false
		}
		steps = append(steps, s)
	}
	return steps, true
}

// bracketEnd is the place of the bracket that closes the first, quotes left out.
func bracketEnd(path string) int {
	var quote byte
	for i := 1; i < len(path); i++ {
		switch ch := path[i]; {
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case ch == '\'' || ch == '"':
			quote = ch
		case ch == ']':
			return i
		}
	}
	return -1
}

// from answers what the step leads to from any of some values.
func (s jsonStep) from(values []gjson.Result) (found []gjson.Result) {
	for _, v := range values {
		found = s.walk(v, found, 0)
	}
	return found
}

func (s jsonStep) walk(v gjson.Result, found []gjson.Result, depth int) []gjson.Result {
	found = s.selected(v, found)
	if s.descend && depth < maxJSONDepth && (v.IsObject() || v.IsArray()) {
		v.ForEach(func(_, item gjson.Result) bool {
			found = s.walk(item, found, depth+1)
			return len(found) < maxJSONFound
		})
	}
	return found
}

// selected appends what the selector names in a value.
func (s jsonStep) selected(v gjson.Result, found []gjson.Result) []gjson.Result {
	switch {
	case s.selector == "*":
		if v.IsObject() || v.IsArray() {
			v.ForEach(func(_, item gjson.Result) bool {
				found = append(found, item)
				return true
			})
		}
		return found
	case s.bracket && v.IsArray():
		return append(found, elements(v.Array(), s.selector)...)
	}
	name := s.selector
	if s.bracket {
		if name = unquoted(name); name == "" {
			return found
		}
	}
	if m := member(v, name); m.Exists() {
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

// elements are those of an array by an index, or from a first to before another.
func elements(items []gjson.Result, selector string) []gjson.Result {
	first, beyond, several := strings.Cut(selector, ":")
	from, ok := place(first, 0, len(items))
	if !ok {
		return nil
	}
	to := from + 1
	if several {
		if to, ok = place(beyond, len(items), len(items)); !ok {
			return nil
		}
	} else if from >= len(items) {
		return nil
	}
	return items[min(from, len(items)):max(min(from, len(items)), min(to, len(items)))]
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
