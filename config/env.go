package config

import (
	"strconv"

	"gopkg.in/yaml.v3"

	"millrace/internal/envref"
)

// expand replaces the references in a scalar. A result that reads as a number
// or as true or false becomes one, whatever quotes the scalar had.
func expand(n *yaml.Node, env func(string) (string, bool)) (*yaml.Node, error) {
	if n.Kind != yaml.ScalarNode {
		return n, nil
	}
	text, used, err := envref.Expand(n.Value, env)
	if err != nil || !used {
		return n, err
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
