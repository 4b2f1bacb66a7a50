// Package document reads YAML and JSON project files so that every problem names
// its line. Nothing in it stops at the first one: a reader takes what it can, and
// the list of problems decides in the end.
package document

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"millrace/cli/deploy/plan"
)

const (
	// maxFile bounds the size of a project file.
	maxFile = 8 << 20
	// maxDepth bounds how deep values nest, also through aliases.
	maxDepth = 100
	// maxNodes bounds what a document may grow to by aliases.
	maxNodes = 250_000
	// maxBytes bounds the texts of these values.
	maxBytes = 256 << 20
)

// Reader is what the values of one file share.
type Reader struct {
	file string
	// Problems and Warnings gather what was found so far.
	Problems, Warnings plan.Problems
	nodes, bytes       int
}

// NewReader starts the reading of a file that problems call file.
func NewReader(file string) *Reader { return &Reader{file: file} }

// File is how problems call the file.
func (r *Reader) File() string { return r.file }

// Read reads a whole file.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s has %d bytes, more than the %d of a project file", path, info.Size(), maxFile)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Parse reads text; problems of its syntax are noted like all others.
func (r *Reader) Parse(text []byte) Value {
	var doc yaml.Node
	err := yaml.Unmarshal(text, &doc)
	if err != nil && json.Valid(text) { // not all of JSON is YAML to its parser
		if n, err := nodeOf(text, asItIs); err == nil {
			return Value{reader: r, node: n}
		}
	}
	if err != nil {
		at, msg := syntax(r.file, err)
		r.Problems.Add(at, "%s", msg)
		return Value{reader: r}
	}
	if len(doc.Content) == 0 {
		return Value{reader: r}
	}
	return Value{reader: r, node: doc.Content[0], line: doc.Content[0].Line}
}

// syntax takes the line out of the text of the parser's error.
func syntax(file string, err error) (plan.Pos, string) {
	p := plan.Pos{File: file}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if _, err := fmt.Sscanf(msg, "line %d:", &p.Line); err == nil {
		_, msg, _ = strings.Cut(msg, ": ")
	}
	return p, msg
}

// Of makes a value of a node of the file.
func (r *Reader) Of(n *yaml.Node) Value { return Value{reader: r, node: n, line: n.Line} }

// Value is a place of the document. One that is not there is empty: all its
// methods answer the zero value.
type Value struct {
	reader *Reader
	node   *yaml.Node
	line   int
	vars   Variables
	depth  int
}

// With answers the value with other variables for it and what is below it.
func (v Value) With(vars Variables) Value {
	v.vars = vars
	return v
}

// Pos is where the value stands.
func (v Value) Pos() plan.Pos { return plan.Pos{File: v.reader.file, Line: v.line} }

// Fail notes a problem with the value.
func (v Value) Fail(format string, args ...any) { v.reader.Problems.Add(v.Pos(), format, args...) }

// Warn notes what is odd about the value.
func (v Value) Warn(format string, args ...any) { v.reader.Warnings.Add(v.Pos(), format, args...) }

// resolved follows aliases.
func (v Value) resolved() *yaml.Node {
	n := v.node
	for hops := 0; n != nil && n.Kind == yaml.AliasNode && hops < maxDepth; hops++ {
		n = n.Alias
	}
	return n
}

// Missing tells that there is nothing, or null.
func (v Value) Missing() bool {
	n := v.resolved()
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// IsMap, IsList and IsScalar tell what there is.
func (v Value) IsMap() bool    { return v.is(yaml.MappingNode) }
func (v Value) IsList() bool   { return v.is(yaml.SequenceNode) }
func (v Value) IsScalar() bool { return !v.Missing() && v.is(yaml.ScalarNode) }

func (v Value) is(kind yaml.Kind) bool {
	n := v.resolved()
	return n != nil && n.Kind == kind
}

// Member is a key of a mapping and its value, whose position is the key's.
type Member struct {
	Key   string
	Value Value
}

// Members are those of a mapping, in their order; variables in keys are replaced.
// Anything else than a mapping is a problem.
func (v Value) Members() []Member {
	if v.Missing() {
		return nil
	}
	if !v.IsMap() {
		v.Fail("a mapping (key: value) is expected here")
		return nil
	}
	c := collector{at: map[string]bool{}}
	v.collect(v.resolved(), &c, 0)
	return c.members
}

// collector gathers the members of a mapping and of those that << merges into it.
type collector struct {
	members []Member
	at      map[string]bool
}

// collect adds the members of n; depth is 0 for the mapping itself.
func (v Value) collect(n *yaml.Node, to *collector, depth int) {
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, child := n.Content[i], n.Content[i+1]
		if depth > 0 && !v.count() {
			return
		}
		if k.ShortTag() == "!!merge" {
			merged = append(merged, child)
			continue
		}
		key := Value{reader: v.reader, node: k, line: k.Line, vars: v.vars}
		m := Member{key.Text(), v.child(child, k.Line)}
		switch {
		case !to.at[m.Key]:
			to.at[m.Key] = true
			to.members = append(to.members, m)
		case depth == 0:
			key.Fail("the key %q is given twice", m.Key)
		}
	}
	for _, child := range merged {
		v.merge(child, to, depth+1)
	}
}

// merge adds what << leads to: a mapping or a list of them.
func (v Value) merge(n *yaml.Node, to *collector, depth int) {
	from := v.child(n, n.Line)
	switch {
	case depth > maxDepth || !v.count():
	case from.IsMap():
		v.collect(from.resolved(), to, depth)
	case from.IsList():
		for _, item := range from.resolved().Content {
			v.merge(item, to, depth+1)
		}
	default:
		from.Fail("<< needs a mapping")
	}
}

func (v Value) child(n *yaml.Node, line int) Value {
	return Value{reader: v.reader, node: n, line: line, vars: v.vars, depth: v.depth + 1}
}

// count bounds the work that a document can ask for.
func (v Value) count() bool {
	v.reader.nodes++
	if n := v.resolved(); n != nil {
		v.reader.bytes += len(n.Value)
	}
	switch {
	case v.reader.nodes >= maxNodes || v.reader.bytes >= maxBytes:
		v.reader.Problems.Add(plan.Pos{File: v.reader.file}, "the document has too many values, or too large ones")
		return false
	case v.depth > maxDepth:
		v.Fail("the document is nested too deeply")
		return false
	}
	return true
}

// Get answers the value of a key of a mapping.
func (v Value) Get(key string) Value {
	if v.IsMap() {
		for _, m := range v.Members() {
			if m.Key == key {
				return m.Value
			}
		}
	}
	return Value{reader: v.reader, line: v.line, vars: v.vars}
}

// Items are those of a list. A single value is a list of one.
func (v Value) Items() []Value {
	switch {
	case v.Missing():
		return nil
	case !v.IsList():
		return []Value{v}
	}
	var out []Value
	for _, item := range v.resolved().Content {
		if !v.count() {
			return out
		}
		out = append(out, v.child(item, item.Line))
	}
	return out
}

// Known notes the keys of a mapping that are not among those given.
func (v Value) Known(keys ...string) {
	for _, m := range v.Members() {
		if !slices.Contains(keys, m.Key) {
			m.Value.Fail("the key %q is not known here; those known are %s", m.Key, strings.Join(keys, ", "))
		}
	}
}
