package serverless

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"millrace/cli/deploy/artifact"
	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
)

const (
	maxDepth = 64
	maxNodes = 200_000
	// maxText bounds a text with its variables replaced.
	maxText = 4 << 20
)

// resolver replaces the variables of a file: ${self:…}, ${env:…}, ${opt:…},
// ${file(…):…}, ${sls:stage} and ${strToBool(…)}, with values to fall back to
// behind commas.
type resolver struct {
	reader  *document.Reader
	root    *yaml.Node
	folder  *artifact.Folder
	lookup  func(string) (string, bool)
	choices map[string]string
	files   map[string]*yaml.Node
	nodes   int
}

// node answers a copy of n without variables. line, if not 0, is where problems
// with it are, since it was brought there by a variable.
func (r *resolver) node(n *yaml.Node, line, depth int) *yaml.Node {
	if n == nil {
		return nil
	}
	at := line
	if at == 0 {
		at = n.Line
	}
	r.nodes++
	if depth > maxDepth || r.nodes > maxNodes {
		r.fail(at, "the variables of the file lead too far: do they refer to themselves?")
		return text("", at)
	}
	if n.Kind == yaml.AliasNode {
		return r.node(n.Alias, line, depth+1)
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "${") && n.ShortTag() == "!!str" {
		return r.scalar(n, at, depth)
	}
	c := *n
	c.Line, c.Anchor, c.Content = at, "", nil
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.ShortTag() == "!!merge" {
			key := *child
			c.Content = append(c.Content, &key)
			continue
		}
		c.Content = append(c.Content, r.node(child, line, depth+1))
	}
	return &c
}

func (r *resolver) fail(line int, format string, args ...any) {
	r.reader.Problems.Add(plan.Pos{File: r.reader.File(), Line: line}, format, args...)
}

// scalar replaces the variables of a text. A text that is nothing but one becomes
// what it stands for, whatever that is.
func (r *resolver) scalar(n *yaml.Node, line, depth int) *yaml.Node {
	var b strings.Builder
	rest := n.Value
	for {
		start := strings.Index(rest, "${")
		if start < 0 {
			break
		}
		end := closing(rest[start+2:], '{', '}')
		if end < 0 {
			r.fail(line, "a variable in %q does not end", n.Value)
			break
		}
		value, err := r.variable(rest[start+2:start+2+end], line, depth+1)
		if err != nil {
			r.fail(line, "%s", err)
			value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: line}
		}
		if start == 0 && start+2+end+1 == len(rest) && b.Len() == 0 {
			return value
		}
		if value.Kind != yaml.ScalarNode {
			r.fail(line, "a variable in %q stands for more than a text", n.Value)
		}
		if b.Len()+len(value.Value) > maxText {
			r.fail(line, "the variables of the file lead too far: do they refer to themselves?")
			return text("", line)
		}
		b.WriteString(rest[:start])
		if value.ShortTag() != "!!null" {
			b.WriteString(value.Value)
		}
		rest = rest[start+2+end+1:]
	}
	b.WriteString(rest)
	return text(b.String(), line)
}

func text(s string, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Line: line, Style: yaml.DoubleQuotedStyle}
}

// closing finds the end of what has been opened before s.
func closing(s string, open, end byte) int {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// variable answers the first of its alternatives that there is.
func (r *resolver) variable(body string, line, depth int) (*yaml.Node, error) {
	if strings.Contains(body, "${") { // one within is replaced first
		inner := r.scalar(text(body, line), line, depth)
		if inner.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("the variable ${%s} names what is no text", body)
		}
		body = inner.Value
	}
	var missing []string
	for _, alternative := range alternatives(body) {
		value, err := r.source(alternative, line, depth)
		switch {
		case err != nil:
			return nil, err
		case value != nil && value.ShortTag() != "!!null":
			return value, nil
		case alternative == "null":
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: line}, nil
		}
		missing = append(missing, alternative)
	}
	return nil, fmt.Errorf("the variable ${%s} has no value", strings.Join(missing, ", "))
}

// alternatives splits at the commas that are neither in quotes nor in parentheses.
func alternatives(body string) []string {
	var out []string
	depth, from := 0, 0
	var quote byte
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out, from = append(out, strings.TrimSpace(body[from:i])), i+1
		}
	}
	return append(out, strings.TrimSpace(body[from:]))
}

// source answers what one alternative stands for; nil if that is not there.
func (r *resolver) source(s string, line, depth int) (*yaml.Node, error) {
	if len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return text(s[1:len(s)-1], line), nil
	}
	if json.Valid([]byte(s)) { // a number, true, false, null
		return &yaml.Node{Kind: yaml.ScalarNode, Value: s, Line: line}, nil
	}
	if inner, ok := call(s, "strToBool("); ok {
		return r.toBool(inner, line, depth)
	}
	if inner, ok := strings.CutPrefix(s, "file("); ok {
		end := closing(inner, '(', ')')
		if end < 0 {
			return nil, fmt.Errorf("the variable ${%s} does not end", s)
		}
		return r.file(inner[:end], strings.TrimPrefix(inner[end+1:], ":"), line, depth)
	}
	kind, address, _ := strings.Cut(s, ":")
	switch kind {
	case "self":
		return r.at(r.root, address, line, depth)
	case "env":
		return r.given(r.lookup, address, line), nil
	case "opt":
		return r.given(r.choice, address, line), nil
	case "sls":
		if address == "stage" {
			return r.stage(line, depth)
		}
	}
	return nil, fmt.Errorf("the variable ${%s} is not supported: only self, env, opt, file, sls:stage and strToBool are", s)
}

func call(s, name string) (string, bool) {
	inner, ok := strings.CutPrefix(s, name)
	if !ok || !strings.HasSuffix(inner, ")") {
		return "", false
	}
	return inner[:len(inner)-1], true
}

func (r *resolver) choice(name string) (string, bool) {
	v, ok := r.choices[name]
	return v, ok
}

func (r *resolver) given(lookup func(string) (string, bool), name string, line int) *yaml.Node {
	if v, ok := lookup(name); ok {
		return text(v, line)
	}
	return nil
}

// stage is that of the command line, else of the provider, else dev.
func (r *resolver) stage(line, depth int) (*yaml.Node, error) {
	if v, ok := r.choice("stage"); ok {
		return text(v, line), nil
	}
	if v, err := r.at(r.root, "provider.stage", line, depth); v != nil || err != nil {
		return v, err
	}
	return text("dev", line), nil
}

func (r *resolver) toBool(inner string, line, depth int) (*yaml.Node, error) {
	value, err := r.source(strings.TrimSpace(inner), line, depth)
	if err == nil && (value == nil || value.Kind != yaml.ScalarNode) {
		value = text(inner, line)
	}
	if err != nil {
		value = text(inner, line)
	}
	switch strings.ToLower(value.Value) {
	case "true", "1":
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true", Line: line}, nil
	case "false", "0", "null":
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false", Line: line}, nil
	}
	return nil, fmt.Errorf("%q is neither true nor false", value.Value)
}

// at walks an address such as custom.stages.0 down from a node and resolves what
// is there.
func (r *resolver) at(n *yaml.Node, address string, line, depth int) (*yaml.Node, error) {
	if address == "" && n == r.root {
		return nil, errors.New("the variable ${self:} is the whole file, which cannot be within itself")
	}
	for _, name := range strings.FieldsFunc(address, func(c rune) bool { return c == '.' }) {
		for hops := 0; n != nil && n.Kind == yaml.AliasNode && hops < maxDepth; hops++ {
			n = n.Alias
		}
		if n != nil && n.Kind == yaml.ScalarNode { // a variable on the way
			n = r.node(n, line, depth+1)
		}
		if n = below(n, name); n == nil {
			return nil, nil
		}
	}
	return r.node(n, line, depth+1), nil
}

func below(n *yaml.Node, name string) *yaml.Node {
	switch {
	case n == nil:
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i+1]
			}
		}
	case n.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}

// file answers a value of another file of the project: YAML and JSON as they are,
// anything else as a text.
func (r *resolver) file(name, address string, line, depth int) (*yaml.Node, error) {
	name = strings.Trim(strings.TrimSpace(name), `'"`)
	root, ok := r.files[name]
	if !ok {
		if !r.folder.Exists(name) {
			return nil, nil // what stands behind the comma is taken
		}
		content, err := r.folder.Read(name)
		if err != nil {
			return nil, err
		}
		if root, err = parseFile(name, content); err != nil {
			return nil, err
		}
		r.files[name] = root
	}
	return r.at(root, address, line, depth)
}

func parseFile(name string, content []byte) (*yaml.Node, error) {
	switch strings.ToLower(path.Ext(name)) {
	case ".js", ".cjs", ".mjs", ".ts":
		return nil, fmt.Errorf("%s is a program: variables are taken from YAML, JSON and text files only", name)
	case ".yml", ".yaml", ".json":
	default:
		return text(strings.TrimSpace(string(content)), 0), nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(doc.Content) == 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
	}
	return doc.Content[0], nil
}
