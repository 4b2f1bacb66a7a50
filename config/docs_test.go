package config

import (
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// docs/configuration.md names every key of example.yaml.
func TestEveryKeyIsDocumented(t *testing.T) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(example, &root); err != nil {
		t.Fatal(err)
	}
	var check func(path string, n *yaml.Node)
	check = func(path string, n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			name, value := n.Content[i].Value, n.Content[i+1]
			if path+name == "functions.users" {
				continue // its members are names of namespaces
			}
			if value.Kind != yaml.MappingNode && !named(string(docs), name) {
				t.Errorf("docs/configuration.md does not name %s", path+name)
			}
			check(path+name+".", value)
		}
	}
	check("", root.Content[0])
}

// named: a name stands between backquotes, alone or with parents before it.
func named(text, name string) bool {
	return strings.Contains(text, "`"+name+"`") || strings.Contains(text, "."+name+"`")
}
