package manifest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/cli/deploy/platform"
	"millrace/whisk"
)

// Export is a manifest in the making. What belongs to no package stands in the
// package default.
type Export struct {
	// Files are the code of actions, by their names as the manifest has them.
	Files    map[string][]byte
	project  string
	packages *yaml.Node
}

// NewExport begins the manifest of a project, whose name may be empty.
func NewExport(project string) *Export {
	return &Export{Files: map[string][]byte{}, project: project, packages: mapping()}
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// put adds a member to a mapping.
func put(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, document.Text(key), value)
}

func putText(n *yaml.Node, key, value string) { put(n, key, document.Text(value)) }

// below answers the mapping below a key, made if there is none.
func below(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		name := document.Text(key).Value
		var found *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				found = n.Content[i+1]
			}
		}
		if found == nil {
			found = mapping()
			put(n, key, found)
		}
		n = found
	}
	return n
}

// Text is the finished manifest.
func (x *Export) Text() ([]byte, error) {
	root := mapping()
	if x.project != "" {
		putText(below(root, "project"), "name", x.project)
	}
	put(root, "packages", x.packages)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, err
	}
	err := e.Close()
	return b.Bytes(), err
}

// putInputs adds parameters; those that would be taken for the declaration of one are
// written as one.
func putInputs(n *yaml.Node, list whisk.KeyValues) error {
	for _, kv := range list {
		value, err := document.Node(kv.Value)
		if err != nil {
			return err
		}
		if ambiguous(kv.Value) {
			declared := mapping()
			if value.Kind == yaml.ScalarNode {
				putText(declared, "type", "string")
			}
			put(declared, "value", value)
			value = declared
		}
		put(below(n, "inputs"), kv.Key, value)
	}
	return nil
}

func ambiguous(raw json.RawMessage) bool {
	v := document.NewReader("").Parse(raw)
	return v.IsMap() && isGrammar(v) || v.IsScalar() && len(raw) > 0 && raw[0] == '"' && isType(v.Raw())
}

func putAnnotations(n *yaml.Node, list whisk.KeyValues) error {
	for _, kv := range list {
		value, err := document.Node(kv.Value)
		if err != nil {
			return err
		}
		put(below(n, "annotations"), kv.Key, value)
	}
	return nil
}

func putHead(n *yaml.Node, h *plan.Head) error {
	if err := putInputs(n, h.Parameters); err != nil {
		return err
	}
	return putAnnotations(n, h.Annotations)
}

// Package adds a package.
func (x *Export) Package(p plan.Package) error {
	n := below(x.packages, p.Name)
	if p.Public != nil && *p.Public {
		put(n, "public", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	return putHead(n, &p.Head)
}

// Binding adds a dependency.
func (x *Export) Binding(p plan.Package) error {
	n := below(x.packages, "default", "dependencies", p.Name)
	putText(n, "location", "/"+p.Binding.Path())
	return putHead(n, &p.Head)
}

// Action adds an action or a sequence, and the file of its code.
func (x *Export) Action(a plan.Action) error {
	pkg := a.Package
	if pkg == "" {
		pkg = "default"
	}
	if a.IsSequence() {
		n := below(x.packages, pkg, "sequences", a.Name)
		var names []string
		for _, c := range a.Exec.Components {
			name := short(c)
			if a.Package != "" && !strings.Contains(name, "/") {
				name = c // else it would be one of the package
			}
			names = append(names, name)
		}
		putText(n, "actions", strings.Join(names, ", "))
		return putAnnotations(n, a.Annotations)
	}
	n := below(x.packages, pkg, "actions", a.Name)
	if a.Exec.Code != nil {
		name, content := codeFile(pkg, &a)
		x.Files[name] = content
		putText(n, "function", name)
	}
	if a.Exec.Image != "" {
		putText(n, "docker", a.Exec.Image)
	} else {
		putText(n, "runtime", a.Exec.Kind)
	}
	if a.Exec.Main != "" {
		putText(n, "main", a.Exec.Main)
	}
	putLimits(n, &a.Limits)
	return putHead(n, &a.Head)
}

func putLimits(n *yaml.Node, l *plan.Limits) {
	for _, limit := range []struct {
		key   string
		value *int
	}{{"timeout", l.Timeout}, {"memorySize", l.Memory}, {"logSize", l.Logs}, {"concurrentActivations", l.Concurrency}} {
		if limit.value != nil {
			put(below(n, "limits"), limit.key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(*limit.value)})
		}
	}
}

// short is the name of an action as a sequence, rule or API of the default package
// has it.
func short(name string) string {
	if after, ok := strings.CutPrefix(name, "/_/"); ok {
		return after
	}
	return name
}

// codeFile is the file of an action's code. Code that is base64 by chance only is
// kept as the text that it is.
func codeFile(pkg string, a *plan.Action) (string, []byte) {
	base, code := path.Join(pkg, a.Name), *a.Exec.Code
	extension := platform.Extension(a.Exec.Kind)
	if extension == ".jar" {
		extension = ".java"
	}
	content, err := base64.StdEncoding.DecodeString(code)
	switch {
	case err != nil || len(content) == 0:
	case bytes.HasPrefix(content, []byte("PK\x03\x04")) && strings.HasPrefix(a.Exec.Kind, "java:"):
		return base + ".jar", content
	case bytes.HasPrefix(content, []byte("PK\x03\x04")):
		return base + ".zip", content
	case bytes.HasPrefix(content, []byte{0x1f, 0x8b}):
		return base + ".tar.gz", content
	case !utf8.Valid(content):
		return base + ".bin", content
	}
	return base + extension, []byte(code)
}

// Trigger adds a trigger.
func (x *Export) Trigger(t plan.Trigger) error {
	n := below(x.packages, "default", "triggers", t.Name)
	if t.Feed != "" {
		putText(n, "feed", t.Feed)
		t.Parameters = t.FeedParameters
	}
	return putHead(n, &t.Head)
}

// Rule adds a rule.
func (x *Export) Rule(r plan.Rule) error {
	n := below(x.packages, "default", "rules", r.Name)
	putText(n, "trigger", short(r.Trigger))
	putText(n, "action", short(r.Action))
	return putAnnotations(n, r.Annotations)
}

// API adds the operations of an API.
func (x *Export) API(a plan.API) error {
	for _, o := range a.Operations {
		n := below(x.packages, "default", "apis", a.Name, a.BasePath, o.Path)
		verb := mapping()
		putText(verb, "method", o.Verb)
		putText(verb, "response", o.Response)
		name := short(o.Action)
		if old := below(n, name); len(old.Content) == 0 {
			*old = *verb
		} else if old.Kind == yaml.MappingNode { // a second verb makes a list
			first := *old
			*old = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{&first, verb}}
		} else {
			old.Content = append(old.Content, verb)
		}
	}
	return nil
}
