package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// decoder walks a YAML document along the table of known keys and gathers what
// is wrong with it.
type decoder struct {
	file     string
	env      func(string) (string, bool)
	problems []problem
	warnings []string
	// ineffective are the reasons why keys have no effect, in the order in which
	// they were met, and for each the keys with their lines.
	ineffective []reason
	// unknowns are keys of APISIX's sections that nobody knows, moved those that
	// stand where its release 2 had them, both with their lines.
	unknowns, moved []string
	// given are the keys that the file has, by their dotted paths.
	given map[string]*yaml.Node
}

// field says what a key's value may be and where it goes. key is the dotted
// path of the value, for messages.
type field interface {
	decode(d *decoder, key string, n *yaml.Node)
}

// problem is one thing wrong with the file.
type problem struct {
	line int
	text string
}

// reason is why some keys of the file have no effect.
type reason struct {
	text string
	keys []string
}

type fieldFunc func(d *decoder, key string, n *yaml.Node)

func (f fieldFunc) decode(d *decoder, key string, n *yaml.Node) { f(d, key, n) }

// object is a mapping whose keys are known. Keys that are absent, or null, keep
// their defaults.
type object map[string]field

func (o object) decode(d *decoder, key string, n *yaml.Node) {
	d.eachEntry(key, n, func(name, path string, at, value *yaml.Node) {
		f, known := o[name]
		switch {
		case !known:
			d.unknown(at, path, o.nearest(name), o)
		case value.ShortTag() != "!!null":
			f.decode(d, path, value)
		}
	})
}

// unknown notes a key that is not in the table. In the sections that are APISIX's it
// is a warning, since a release of it may know more; elsewhere a mistake.
func (d *decoder) unknown(at *yaml.Node, path, nearest string, o object) {
	hint := ""
	if nearest != "" {
		hint = fmt.Sprintf("; did you mean %q?", nearest)
	}
	section, _, inside := strings.Cut(path, ".")
	switch {
	case inside && slices.Contains(foreignSections, section), !inside && nearest == "":
		d.unknowns = append(d.unknowns, fmt.Sprintf("%s (line %d%s)", path, at.Line, strings.TrimSuffix(hint, "?")))
	case nearest == "":
		d.fail(at, path, "unknown key; known here: %s", strings.Join(slices.Sorted(maps.Keys(o)), ", "))
	default:
		d.fail(at, path, "unknown key%s", hint)
	}
}

// foreignSections are those that APISIX defines.
var foreignSections = []string{"apisix", "nginx_config", "deployment", "plugin_attr", "discovery", "etcd"}

// nearest is the known key that one may have been meant for, or empty.
func (o object) nearest(name string) string {
	best, distance := "", 1+max(2, len(name)/3)
	for _, known := range slices.Sorted(maps.Keys(o)) {
		if n := editDistance(strings.ToLower(name), known); n < distance {
			best, distance = known, n
		}
	}
	return best
}

// eachEntry calls fn for the entries of a mapping; dotted is the key's path, at
// the node of the key itself. References in keys and values are expanded before.
func (d *decoder) eachEntry(key string, n *yaml.Node, fn func(name, path string, at, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.want(n, key, "a mapping")
		return
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		at := d.resolve(key, n.Content[i])
		if at == nil {
			continue
		}
		path := at.Value
		if key != "" {
			path = key + "." + at.Value
		}
		if line, twice := lines[at.Value]; twice {
			d.fail(at, path, "given twice, the first time in line %d", line)
			continue
		}
		lines[at.Value] = at.Line
		d.given[path] = at
		if value := d.resolve(path, n.Content[i+1]); value != nil {
			fn(at.Value, path, at, value)
		}
	}
}

// elements answers the values of a list, aliases and references resolved.
func (d *decoder) elements(key string, n *yaml.Node) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(n.Content))
	for i, e := range n.Content {
		if e = d.resolve(index(key, i), e); e != nil {
			out = append(out, e)
		}
	}
	return out
}

func index(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

// resolve follows an alias and expands references; nil means a problem was noted.
func (d *decoder) resolve(key string, n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	expanded, err := expand(n, d.env)
	if err != nil {
		d.fail(n, key, "%s", err)
		return nil
	}
	return expanded
}

func (d *decoder) fail(n *yaml.Node, key, format string, args ...any) {
	if key == "" {
		key = "the whole file"
	}
	d.problems = append(d.problems, problem{n.Line, fmt.Sprintf("%s:%d: %s: %s", d.file, n.Line, key, fmt.Sprintf(format, args...))})
}

// warn notes that a key has no effect.
func (d *decoder) warn(n *yaml.Node, key, why string) {
	at := fmt.Sprintf("%s (line %d)", key, n.Line)
	for i := range d.ineffective {
		if r := &d.ineffective[i]; r.text == why {
			r.keys = append(r.keys, at)
			return
		}
	}
	d.ineffective = append(d.ineffective, reason{why, []string{at}})
}

// allWarnings answers the warnings: one for all keys that have no effect for the
// same reason.
func (d *decoder) allWarnings() []string {
	all := d.warnings
	for _, r := range d.ineffective {
		all = append(all, fmt.Sprintf("%s: without effect, because %s: %s", d.file, r.text, strings.Join(r.keys, ", ")))
	}
	if len(d.unknowns) > 0 {
		all = append(all, fmt.Sprintf("%s: unknown keys, without effect: %s", d.file, strings.Join(d.unknowns, ", ")))
	}
	if len(d.moved) > 0 {
		all = append(all, fmt.Sprintf("%s: taken from where APISIX 2 had them: %s", d.file, strings.Join(d.moved, ", ")))
	}
	return all
}

// want notes that a value is not what it has to be.
func (d *decoder) want(n *yaml.Node, key, what string) {
	got := "a list"
	switch n.Kind {
	case yaml.MappingNode:
		got = "a mapping"
	case yaml.ScalarNode:
		got = fmt.Sprintf("%q", shorten(n.Value))
	}
	d.fail(n, key, "want %s, got %s", what, got)
}

// err joins the problems in the order of the file's lines.
func (d *decoder) err() error {
	slices.SortStableFunc(d.problems, func(a, b problem) int { return a.line - b.line })
	all := make([]error, len(d.problems))
	for i, p := range d.problems {
		all[i] = errors.New(p.text)
	}
	return errors.Join(all...)
}

func shorten(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}

// parse reads the text of a configuration file over the defaults.
func parse(file string, text []byte, env func(string) (string, bool)) (*Config, error) {
	c := Default()
	c.File = file
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, syntaxError(file, err)
	}
	if len(doc.Content) == 0 {
		return c, nil
	}
	d := &decoder{file: file, env: env, given: make(map[string]*yaml.Node)}
	root := d.resolve("", doc.Content[0])
	if root != nil && root.ShortTag() != "!!null" {
		k := &keys{c: c}
		k.table().decode(d, "", root)
		k.finish(d)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	c.Warnings, c.values = d.allWarnings(), values(doc.Content[0])
	return c, nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

func syntaxError(file string, err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s: not valid YAML: %s", file, m[1], m[2])
	}
	return fmt.Errorf("%s: not valid YAML: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
}

// editDistance is the number of letters to insert, delete or replace to turn a
// into b; two neighbours swapped count as one.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
