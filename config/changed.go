package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

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
	f := flattening{all: map[string]string{}, aliases: 50}
	f.walk("", doc)
	return f.all
}

// flattening is one run of values. So many aliases are followed: they may lead into
// themselves, or make much of little.
type flattening struct {
	all     map[string]string
	aliases int
}

func (f *flattening) walk(path string, n *yaml.Node) {
	if n = f.resolve(n); n.Kind != yaml.MappingNode {
		f.all[path] = f.text(n)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if path != "" {
			key = path + "." + key
		}
		f.walk(key, n.Content[i+1])
	}
}

func (f *flattening) resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && f.aliases > 0 {
		f.aliases--
		return n.Alias
	}
	return n
}

// text is a value, however it was written.
func (f *flattening) text(n *yaml.Node) string {
	if n = f.resolve(n); n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		return n.ShortTag() + strconv.Quote(n.Value)
	}
	parts := make([]string, len(n.Content))
	for i, e := range n.Content {
		parts[i] = f.text(e)
	}
	return n.ShortTag() + "[" + strings.Join(parts, ",") + "]"
}
