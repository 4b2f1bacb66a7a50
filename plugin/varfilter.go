package plugin

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// jsonFilter is the condition of a step [?(…)] of a JSONPath, on a value that the step
// may lead to:
//
//	@.role == 'user' && (@.n > 5 || !@.hidden)
//
// @ is the value, $ the whole document. Values of different types are not equal and in
// no order. A path alone asks whether it leads to something other than false and null.
type jsonFilter func(root, at gjson.Result) bool

// filterParser reads a condition; bad is set for good by the first mistake.
type filterParser struct {
	text  string
	depth int
	bad   bool
}

// maxFilterDepth is how deep the brackets of a condition may nest.
const maxFilterDepth = 32

// maxInnerFilters is how many conditions a condition may have in its paths. Each level of
// them is read twice.
const maxInnerFilters = 8

// parseJSONFilter reads what stands between the brackets of a step, ?(…).
func parseJSONFilter(selector string) (jsonFilter, bool) {
	if strings.Count(selector, "[?") > maxInnerFilters {
		return nil, false
	}
	inner, ok := strings.CutPrefix(selector, "?")
	p := &filterParser{text: inner}
	f := p.either()
	p.space()
	return f, ok && !p.bad && p.text == ""
}

func (p *filterParser) space() { p.text = strings.TrimLeft(p.text, " \t\r\n") }

// take reads one of some words, if one is next.
func (p *filterParser) take(words ...string) (word string) {
	p.space()
	for _, w := range words {
		rest, ok := strings.CutPrefix(p.text, w)
		if isWord := w[0] >= 'a' && w[0] <= 'z'; !ok || isWord && rest != "" && nameChar(rest[0]) {
			continue
		}
		p.text = rest
		return w
	}
	return ""
}

func (p *filterParser) either() jsonFilter {
	f := p.both()
	for !p.bad && p.take("||", "or") != "" {
		a, b := f, p.both()
		f = func(root, at gjson.Result) bool { return a(root, at) || b(root, at) }
	}
	return f
}

func (p *filterParser) both() jsonFilter {
	f := p.negation()
	for !p.bad && p.take("&&", "and") != "" {
		a, b := f, p.negation()
		f = func(root, at gjson.Result) bool { return a(root, at) && b(root, at) }
	}
	return f
}

func (p *filterParser) negation() jsonFilter {
	if p.depth++; p.depth > maxFilterDepth {
		p.bad = true
	}
	defer func() { p.depth-- }()
	switch {
	case p.bad:
		return nil
	case p.take("!", "not") != "":
		f := p.negation()
		return func(root, at gjson.Result) bool { return !f(root, at) }
	case p.take("(") != "":
		f := p.either()
		p.bad = p.bad || p.take(")") == ""
		return f
	}
	return p.comparison()
}

func (p *filterParser) comparison() jsonFilter {
	left := p.operand()
	op := p.take("==", "!=", "~=", "<>", "<=", ">=", "<", ">", "=")
	if op == "" {
		return func(root, at gjson.Result) bool { return truthy(left(root, at)) }
	}
	right := p.operand()
	return func(root, at gjson.Result) bool { return compare(left(root, at), op, right(root, at)) }
}

func truthy(v gjson.Result) bool { return v.Exists() && v.Type != gjson.Null && v.Type != gjson.False }

func compare(a gjson.Result, op string, b gjson.Result) bool {
	order, comparable := 0, a.Type == b.Type
	switch {
	case !comparable:
	case a.Type == gjson.String:
		order = strings.Compare(a.Str, b.Str)
	case a.Type == gjson.Number && a.Num < b.Num:
		order = -1
	case a.Type == gjson.Number && a.Num > b.Num:
		order = 1
	case a.Type == gjson.JSON: // as tables of Lua, which are equal to themselves
		comparable = false
	}
	switch op {
	case "==", "=":
		return comparable && order == 0
	case "!=", "~=", "<>":
		return !comparable || order != 0
	}
	if !comparable || a.Type != gjson.String && a.Type != gjson.Number {
		return false
	}
	return order < 0 && op[0] == '<' || order > 0 && op[0] == '>' || order == 0 && len(op) == 2
}

// operand is a value of a comparison.
type operand func(root, at gjson.Result) gjson.Result

func (p *filterParser) operand() operand {
	p.space()
	switch {
	case p.text == "":
		p.bad = true
	case p.text[0] == '@', p.text[0] == '$':
		return p.path()
	case p.text[0] == '\'', p.text[0] == '"':
		if end := strings.IndexByte(p.text[1:], p.text[0]); end >= 0 {
			text := p.text[1 : 1+end]
			p.text = p.text[end+2:]
			return constant(gjson.Result{Type: gjson.String, Str: text})
		}
		p.bad = true
	default:
		return p.literal()
	}
	return constant(gjson.Result{})
}

func constant(v gjson.Result) operand { return func(_, _ gjson.Result) gjson.Result { return v } }

func (p *filterParser) literal() operand {
	switch p.take("true", "false", "null", "nil") {
	case "true":
		return constant(gjson.Result{Type: gjson.True})
	case "false":
		return constant(gjson.Result{Type: gjson.False})
	case "null", "nil":
		return constant(gjson.Result{})
	}
	n := 0
	for n < len(p.text) && (nameChar(p.text[n]) || strings.IndexByte("+-.", p.text[n]) >= 0) {
		n++
	}
	number, err := strconv.ParseFloat(p.text[:n], 64)
	p.bad, p.text = p.bad || err != nil, p.text[n:]
	return constant(gjson.Result{Type: gjson.Number, Num: number})
}

// path reads @ or $ with the steps behind it, which lead to the first value that they
// find.
func (p *filterParser) path() operand {
	whole, end := p.text[0] == '$', 1
	for end < len(p.text) && !p.bad {
		switch c := p.text[end]; {
		case c == '[':
			n := bracketEnd(p.text[end:])
			if p.bad = n < 0; !p.bad {
				end += n + 1
			}
			continue
		case c == '.' || c == '*' || c == '-' || c >= 0x80 || nameChar(c):
			end++
			continue
		}
		break
	}
	text := strings.TrimPrefix(p.text[1:end], ".")
	p.text = p.text[end:]
	parent, ofLength := strings.CutSuffix("."+text, ".length")
	steps, ok := parseJSONPath(text)
	var lengthOf []jsonStep
	if ofLength && ok {
		lengthOf, ok = parseJSONPath(strings.TrimPrefix(parent, "."))
	}
	p.bad = p.bad || !ok
	return func(root, at gjson.Result) gjson.Result {
		if whole {
			at = root
		}
		if found := follow(root, at, steps); len(found) > 0 {
			return found[0]
		}
		if ofLength {
			if of := follow(root, at, lengthOf); len(of) > 0 && of[0].IsArray() {
				return gjson.Result{Type: gjson.Number, Num: float64(len(of[0].Array()))}
			}
		}
		return gjson.Result{}
	}
}
