package resource

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

var (
	logicalWords = []string{"AND", "OR", "!AND", "!OR"}
	operators    = []string{"==", "~=", ">", ">=", "<", "<=", "~~", "~*", "in", "has", "ipmatch"}
)

// checkExpression checks the shape of an expression as in vars and _meta.filter;
// nil is the expression that is not there.
func checkExpression(v any) error {
	if v == nil {
		return nil
	}
	if err := checkRules(v); err != nil {
		return invalidf("failed to validate the 'vars' expression: %s", err)
	}
	return nil
}

// checkRules checks a list of rules, which may begin with how they are joined.
func checkRules(v any) error {
	rules, ok := v.([]any)
	if !ok {
		return errors.New("rule should be wrapped inside brackets")
	}
	if len(rules) == 0 {
		return nil
	}
	if isLogicalWord(rules[0]) {
		if len(rules) < 3 {
			return errors.New("rule too short")
		}
		rules = rules[1:]
	}
	for _, rule := range rules {
		if err := checkRule(rule); err != nil {
			return err
		}
	}
	return nil
}

// checkRule checks one condition or a nested list of rules.
func checkRule(v any) error {
	rule, ok := v.([]any)
	if !ok {
		return errors.New("rule should be wrapped inside brackets")
	}
	if len(rule) == 0 {
		return errors.New("invalid expression")
	}
	if _, nested := rule[0].([]any); nested || isLogicalWord(rule[0]) {
		return checkRules(rule)
	}
	return checkCondition(rule)
}

func isLogicalWord(v any) bool {
	word, ok := v.(string)
	return ok && slices.Contains(logicalWords, word)
}

// checkCondition checks [var, value], [var, op, value] and [var, "!", op, value].
func checkCondition(c []any) error {
	if _, ok := c[0].(string); !ok || len(c) < 2 || len(c) > 4 {
		return errors.New("invalid expression")
	}
	if len(c) == 2 {
		return nil
	}
	if len(c) == 4 || c[1] == "!" {
		if len(c) != 4 || c[1] != "!" {
			return errors.New("bad 'not' expression")
		}
		c = append([]any{c[0]}, c[2:]...)
	}
	op, _ := c[1].(string)
	if !slices.Contains(operators, strings.ToLower(op)) {
		return fmt.Errorf("invalid operator '%v'", c[1])
	}
	if op == "ipmatch" {
		return checkAddresses(c[2])
	}
	return nil
}

// checkAddresses checks one address or CIDR, or a list of them.
func checkAddresses(v any) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, item := range list {
		address := fmt.Sprint(item)
		_, errAddr := netip.ParseAddr(address)
		_, errPrefix := netip.ParsePrefix(address)
		if errAddr != nil && errPrefix != nil {
			return fmt.Errorf("invalid ip address: %s", address)
		}
	}
	return nil
}
