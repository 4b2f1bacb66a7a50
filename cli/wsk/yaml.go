package wsk

import (
	"encoding/json"

	"gopkg.in/yaml.v3"

	"millrace/internal/textkeys"
)

// yamlToJSON makes JSON of a YAML document. Keys that are no texts, such as the
// 200 of a response, become texts.
func yamlToJSON(text []byte) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, err
	}
	datesAreTexts(&node)
	var v any
	if err := node.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(textkeys.Of(v))
}

// datesAreTexts keeps a version such as 2026-08-05 from becoming a time.
func datesAreTexts(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, child := range n.Content {
		datesAreTexts(child)
	}
}

// yaml prints a JSON document as YAML, its members in alphabetical order.
func (a *app) yaml(document json.RawMessage) error {
	var node yaml.Node
	if err := yaml.Unmarshal(sorted(document), &node); err != nil {
		return err
	}
	toBlocks(&node)
	e := yaml.NewEncoder(a.Out)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return err
	}
	return e.Close()
}

// toBlocks takes away the flow style that JSON has as YAML; the encoder quotes
// what needs it.
func toBlocks(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		toBlocks(child)
	}
}
