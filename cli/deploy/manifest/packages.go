package manifest

import (
	"strings"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/whisk"
)

// scope is the package at hand. pkg is empty in the default package, where names
// stand alone; name is as the manifest has it.
type scope struct {
	name, pkg string
	value     document.Value
}

var packageKeys = []string{
	"name", "version", "license", "public", "repositories", "description", "dependencies", "namespace", "credential", "apiHost",
	"apigwAccessToken", "inputs", "parameters", "annotations", "actions", "sequences", "triggers", "feeds", "rules", "apis",
}

func (c *compiler) compilePackage(name string, v document.Value, vars document.Variables) {
	v.Known(packageKeys...)
	deployed := c.deployment.pkg(name)
	var inputs whisk.KeyValues
	for _, key := range []string{"inputs", "parameters"} {
		inputs = inputs.Merge(c.inputs(v.Get(key), deployed.Get(key), c.o.Parameters))
	}
	s := &scope{name: name, pkg: name, value: v.With(layered(inputs, vars))}
	for _, key := range []string{"namespace", "credential", "apiHost", "apigwAccessToken"} {
		if at := v.Get(key); !at.Missing() {
			at.Warn("%s of a package is not used: give it in project", key)
		}
	}
	if isDefault(name) {
		s.pkg = ""
		for _, key := range []string{"inputs", "parameters", "annotations", "public"} {
			if at := v.Get(key); !at.Missing() {
				at.Warn("the default package has no %s", key)
			}
		}
	} else {
		c.addPackage(s, inputs, deployed)
	}
	c.dependencies(s)
	c.actions(s)
	c.sequences(s)
	c.triggers(s)
	c.rules(s)
	c.apis(s)
}

func (c *compiler) addPackage(s *scope, inputs whisk.KeyValues, deployed document.Value) {
	p := plan.Package{Version: s.value.Get("version").Text(), Head: plan.Head{
		Pos: s.value.Pos(), Name: s.name, Parameters: inputs,
		Annotations: s.value.Get("annotations").KeyValues().Merge(deployed.Get("annotations").KeyValues()),
	}}
	public := s.value.Get("public").Bool()
	p.Public = &public
	c.plan.Packages = append(c.plan.Packages, p)
}

// dependencies are other packages, which a binding shows under their name here.
func (c *compiler) dependencies(s *scope) {
	for _, m := range s.value.Get("dependencies").Members() {
		m.Value.Known("location", "version", "inputs", "parameters", "annotations", "description")
		at := m.Value.Get("location")
		if at.Missing() {
			at = m.Value // its location is its name
		}
		location := m.Key
		if at.IsScalar() {
			location = at.Text()
		}
		bound, ok := c.bound(at, location)
		if !ok {
			continue
		}
		parameters := c.inputs(m.Value.Get("inputs"), document.Value{}, nil).Merge(c.inputs(m.Value.Get("parameters"), document.Value{}, nil))
		c.plan.Packages = append(c.plan.Packages, plan.Package{Binding: bound, Head: plan.Head{
			Pos: m.Value.Pos(), Name: m.Key, Parameters: parameters, Annotations: m.Value.Get("annotations").KeyValues(),
		}})
	}
}

func (c *compiler) bound(at document.Value, location string) (*whisk.PackageName, bool) {
	location = strings.TrimSpace(location)
	if strings.HasPrefix(location, "http://") || strings.HasPrefix(location, "https://") || strings.HasPrefix(location, "github.com/") {
		at.Fail("dependencies are not fetched from %s: clone the project, deploy it with its own manifest, and bind its package with location: /_/PACKAGE", location)
		return nil, false
	}
	namespace, name, ok := strings.Cut(strings.Trim(location, "/"), "/")
	if !ok || strings.Contains(name, "/") || !strings.HasPrefix(location, "/") {
		at.Fail("the location %q is no package: it has the form /NAMESPACE/PACKAGE", location)
		return nil, false
	}
	return &whisk.PackageName{Namespace: namespace, Name: name}, true
}

// action makes the full name of an action that a sequence, rule or API names: one
// without a package is of the package at hand.
func (s *scope) action(at document.Value, text string) string {
	text = strings.TrimSpace(text)
	var full string
	switch {
	case strings.HasPrefix(text, "/"):
		full = text
	case strings.Contains(text, "/"):
		full = "/_/" + strings.TrimPrefix(text, "default/")
	case s.pkg == "":
		full = "/_/" + text
	default:
		full = "/_/" + s.pkg + "/" + text
	}
	n, err := whisk.ParseFullName(full, "_")
	if err != nil {
		at.Fail("%q is no name of an action", text)
		return full
	}
	return n.String()
}
