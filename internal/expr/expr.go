// Package expr compiles the conditions of APISIX configurations (vars of a route,
// _meta.filter, match rules) and evaluates them on variables. The grammar and the
// meaning of the operators are those of lua-resty-expr:
//
//	[["arg_n", "==", "1"], ["http_x", "!", "in", ["a", "b"]]]   all must hold
//	["OR", [...], ["AND", [...], [...]]]                       AND OR !AND !OR
package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/pcre"
)

// Value is what a variable stands for: a text, a list of texts, or nothing.
type Value struct {
	Text    string
	List    []string // takes precedence over Text unless nil
	Present bool
}

// Text makes the value of a text.
func Text(s string) Value { return Value{Text: s, Present: true} }

// Joined answers the text, or what the list holds with commas between.
func (v Value) Joined() string {
	if v.List != nil {
		return strings.Join(v.List, ",")
	}
	return v.Text
}

// Lookup answers the value of a variable, named without $.
type Lookup func(name string) Value

// Expr is a compiled expression. It may be used by several goroutines at once.
// The zero Expr always holds.
type Expr struct{ rule rule }

// rule is a condition, or several joined.
type rule interface{ holds(lookup Lookup) bool }

// Compile reads an expression; none (empty, null, []) always holds. The error's
// text is for clients.
func Compile(raw json.RawMessage) (*Expr, error) {
	if len(raw) == 0 {
		return &Expr{}, nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, errors.New("invalid expression")
	}
	return CompileValue(v)
}

// CompileValue reads an expression that is decoded JSON.
func CompileValue(v any) (*Expr, error) {
	if v == nil {
		return &Expr{}, nil
	}
	r, err := compileRules(v)
	if err != nil {
		return nil, err
	}
	return &Expr{rule: r}, nil
}

// Always tells whether the expression holds whatever the variables are.
func (e *Expr) Always() bool { return e.rule == nil }

// Holds evaluates the expression.
func (e *Expr) Holds(lookup Lookup) bool { return e.rule == nil || e.rule.holds(lookup) }

// joined is several rules with how they are joined.
type joined struct {
	rules []rule
	any   bool // one is enough
	not   bool
}

func (j *joined) holds(lookup Lookup) bool {
	for _, r := range j.rules {
		if r.holds(lookup) == j.any {
			return j.any != j.not
		}
	}
	return j.any == j.not
}

func compileRules(v any) (rule, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("rule should be wrapped inside brackets")
	}
	if len(list) == 0 {
		return nil, nil
	}
	j := &joined{}
	if word, ok := logicalWord(list[0]); ok {
		if len(list) < 3 {
			return nil, errors.New("rule too short")
		}
		j.any, j.not = strings.HasSuffix(word, "OR"), word[0] == '!'
		list = list[1:]
	}
	for _, item := range list {
		r, err := compileRule(item)
		if err != nil {
			return nil, err
		}
		if r != nil {
			j.rules = append(j.rules, r)
		}
	}
	if len(j.rules) == 1 && !j.not {
		return j.rules[0], nil
	}
	return j, nil
}

func logicalWord(v any) (string, bool) {
	word, ok := v.(string)
	return word, ok && slices.Contains([]string{"AND", "OR", "!AND", "!OR"}, word)
}

func compileRule(v any) (rule, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("rule should be wrapped inside brackets")
	}
	if len(list) == 0 {
		return nil, errors.New("invalid expression")
	}
	_, nested := list[0].([]any)
	if _, word := logicalWord(list[0]); nested || word {
		return compileRules(list)
	}
	return compileCondition(list)
}

// condition is one variable compared with a constant.
type condition struct {
	name string
	not  bool
	test func(v Value) bool
}

func (c *condition) holds(lookup Lookup) bool { return c.test(lookup(c.name)) != c.not }

// compileCondition reads [var, value], [var, op, value] and [var, "!", op, value].
func compileCondition(list []any) (rule, error) {
	name, ok := list[0].(string)
	if !ok || len(list) < 2 || len(list) > 4 {
		return nil, errors.New("invalid expression")
	}
	c := &condition{name: name}
	if len(list) == 2 {
		c.test = equals(list[1])
		return c, nil
	}
	if len(list) == 4 || list[1] == "!" {
		if len(list) != 4 || list[1] != "!" {
			return nil, errors.New("bad 'not' expression")
		}
		c.not = true
		list = append([]any{name}, list[2:]...)
	}
	op, _ := list[1].(string)
	build, ok := operators[strings.ToLower(op)]
	if !ok {
		return nil, fmt.Errorf("invalid operator '%v'", list[1])
	}
	var err error
	if c.test, err = build(list[2]); err != nil {
		return nil, err
	}
	return c, nil
}

type builder func(constant any) (func(Value) bool, error)

var operators = map[string]builder{
	"==": func(v any) (func(Value) bool, error) { return equals(v), nil },
	"~=": func(v any) (func(Value) bool, error) {
		equal := equals(v)
		return func(left Value) bool { return !equal(left) }, nil
	},
	">":       ordered(func(a, b float64) bool { return a > b }),
	">=":      ordered(func(a, b float64) bool { return a >= b }),
	"<":       ordered(func(a, b float64) bool { return a < b }),
	"<=":      ordered(func(a, b float64) bool { return a <= b }),
	"~~":      matches(""),
	"~*":      matches("(?i)"),
	"in":      in,
	"has":     has,
	"ipmatch": ipMatch,
}

// equals compares as texts, or as numbers if the constant is one; null stands for
// absence.
func equals(constant any) func(Value) bool {
	switch want := constant.(type) {
	case nil:
		return func(v Value) bool { return !v.Present }
	case float64:
		return func(v Value) bool {
			n, ok := number(v)
			return ok && n == want
		}
	case string:
		return func(v Value) bool { return v.Present && v.List == nil && v.Text == want }
	case bool:
		text := strconv.FormatBool(want)
		return func(v Value) bool { return v.Present && v.List == nil && v.Text == text }
	}
	return func(Value) bool { return false }
}

func number(v Value) (float64, bool) {
	if !v.Present || v.List != nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(v.Text), 64)
	return n, err == nil && !math.IsNaN(n)
}

func ordered(compare func(a, b float64) bool) builder {
	return func(constant any) (func(Value) bool, error) {
		limit, ok := constant.(float64)
		if text, isText := constant.(string); isText {
			limit, ok = number(Text(text))
		}
		return func(v Value) bool {
			n, is := number(v)
			return ok && is && compare(n, limit)
		}, nil
	}
}

func matches(flags string) builder {
	return func(constant any) (func(Value) bool, error) {
		text, ok := constant.(string)
		if !ok {
			return nil, errors.New("invalid expression")
		}
		pattern, err := pcre.Compile(flags + text)
		if err != nil {
			return nil, err
		}
		return func(v Value) bool { return v.Present && v.List == nil && pattern.MatchString(v.Text) }, nil
	}
}

// in: the variable is one of the constants.
func in(constant any) (func(Value) bool, error) {
	list, ok := constant.([]any)
	if !ok {
		return func(Value) bool { return false }, nil
	}
	tests := make([]func(Value) bool, len(list))
	for i := range list {
		tests[i] = equals(list[i])
	}
	return func(v Value) bool {
		return slices.ContainsFunc(tests, func(test func(Value) bool) bool { return test(v) })
	}, nil
}

// has: the variable is a list and holds the constant.
func has(constant any) (func(Value) bool, error) {
	test := equals(constant)
	return func(v Value) bool {
		return slices.ContainsFunc(v.List, func(s string) bool { return test(Text(s)) })
	}, nil
}

// ipMatch: the variable is an address in one of the networks.
func ipMatch(constant any) (func(Value) bool, error) {
	list, ok := constant.([]any)
	if !ok {
		list = []any{constant}
	}
	networks := make([]netip.Prefix, len(list))
	for i, item := range list {
		var err error
		if networks[i], err = parseNetwork(fmt.Sprint(item)); err != nil {
			return nil, err
		}
	}
	return func(v Value) bool {
		addr, err := netip.ParseAddr(v.Text)
		if err != nil {
			return false
		}
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
	}, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("invalid ip address: %s", text)
	}
	return prefix.Masked(), nil
}
