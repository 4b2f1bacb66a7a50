package document

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// Node makes a YAML node of JSON: members in their order, numbers with their
// digits, texts such that Value reads them back as they are.
func Node(raw json.RawMessage) (*yaml.Node, error) {
	return nodeOf(raw, Text)
}

func nodeOf(raw json.RawMessage, text func(string) *yaml.Node) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return nextNode(d, text)
}

// nextNode makes a node of the next value; text makes those of texts.
func nextNode(d *json.Decoder, text func(string) *yaml.Node) (*yaml.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if t == '[' {
			n.Kind = yaml.SequenceNode
		}
		for d.More() {
			child, err := nextNode(d, text)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		if _, err := d.Token(); err != nil && err != io.EOF {
			return nil, err
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
		return n, nil
	case string:
		return text(t), nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case bool:
		value := "false"
		if t {
			value = "true"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: value}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

// Text is the node of a text, in which no variable is left to be replaced.
func Text(s string) *yaml.Node {
	return asItIs(variable.ReplaceAllStringFunc(s, func(m string) string { return strings.ReplaceAll(m, "$", "$$") }))
}

func asItIs(s string) *yaml.Node {
	n := new(yaml.Node)
	if n.SetString(s); s == "<<" {
		n.Style = yaml.DoubleQuotedStyle // else it would merge
	}
	return n
}
