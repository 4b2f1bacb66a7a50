package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// reference is ${{NAME}} or ${{NAME:=default}}.
var reference = regexp.MustCompile(`\$\{\{\s*(\w+)\s*(?::=\s*(.*?))?\s*\}\}`)

// expand replaces the references in a scalar. A result that reads as a number
// or as true or false becomes one, whatever quotes the scalar had.
func expand(n *yaml.Node, env func(string) (string, bool)) (*yaml.Node, error) {
	if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "${{") {
		return n, nil
	}
	var missing string
	used := false
	text := reference.ReplaceAllStringFunc(n.Value, func(match string) string {
		used = true
		parts := reference.FindStringSubmatch(match)
		if value, ok := env(parts[1]); ok {
			return value
		}
		if strings.Contains(match, ":=") {
			return parts[2]
		}
		missing = parts[1]
		return ""
	})
	if missing != "" {
		return nil, fmt.Errorf("can't find environment variable %s", missing)
	}
	if !used {
		return n, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: plainTag(text), Value: text, Line: n.Line, Column: n.Column}, nil
}

func plainTag(text string) string {
	if text == "true" || text == "false" {
		return "!!bool"
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "!!int"
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return "!!float"
	}
	return "!!str"
}
