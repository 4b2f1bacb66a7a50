package config

import (
	"maps"
	"slices"

	"gopkg.in/yaml.v3"
)

// Changed answers the keys, by their dotted paths and in their order, that two files
// give different values or that only one of them gives. A list is one value.
func Changed(before, after *Config) (keys []string) {
	all := maps.Clone(before.values)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, after.values)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, had := before.values[key]
		if is, has := after.values[key]; was != is || had != has {
			keys = append(keys, key)
		}
	}
	return keys
}

// values answers the text of every key of a document that is no mapping, references
// not expanded.
func values(doc *yaml.Node) map[string]string {
	all := map[string]string{}
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.MappingNode {
			text, _ := yaml.Marshal(n) // it was read from YAML
			all[path] = string(text)
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if path != "" {
				key = path + "." + key
			}
			walk(key, n.Content[i+1])
		}
	}
	walk("", doc)
	return all
}
