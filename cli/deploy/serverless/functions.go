package serverless

import (
	"encoding/json"
	"path"
	"strings"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/whisk"
)

var functionKeys = []string{
	"handler", "sequence", "name", "namespace", "runtime", "memory", "timeout", "concurrency", "parameters", "annotations", "events", "package",
	"overwrite", "image", "description", "bind",
}

// What the plugin gives functions that do not say.
const (
	defaultMemory      = 256
	defaultTimeout     = 60
	defaultConcurrency = 1
)

func (c *compiler) function(key string, v document.Value) {
	v.Known(functionKeys...)
	c.overwrite(v)
	c.ownNamespace(v)
	if at := v.Get("bind"); !at.Missing() {
		at.Fail("service bindings are of IBM's cloud only: give the credentials as parameters")
	}
	a := plan.Action{Head: plan.Head{Pos: v.Pos()}}
	a.Package, a.Name = c.nameOf(key, v)
	if a.Package != "" {
		c.needPackage(a.Package, a.Pos)
	}
	a.Parameters = c.provider.Get("parameters").KeyValues().Merge(v.Get("parameters").KeyValues())
	a.Annotations = c.annotations(v)
	timeout := c.setting(v, "timeout", defaultTimeout) * 1000
	memory, concurrency := c.setting(v, "memory", defaultMemory), c.setting(v, "concurrency", defaultConcurrency)
	a.Limits = plan.Limits{Timeout: &timeout, Memory: &memory, Concurrency: &concurrency}
	handler, sequence := v.Get("handler"), v.Get("sequence")
	switch {
	case !handler.Missing() && !sequence.Missing():
		v.Fail("the function %s has both a handler and a sequence: choose one", key)
	case !sequence.Missing():
		a.Exec = c.sequence(sequence)
		a.Parameters = nil
	case !handler.Missing():
		a.Exec = c.exec(key, v)
	default:
		v.Fail("the function %s has neither a handler nor a sequence", key)
	}
	full := "/_/" + a.Path()
	for _, e := range v.Get("events").Items() {
		c.event(key, full, &a, e)
	}
	c.plan.Actions = append(c.plan.Actions, a)
}

// nameOf is the action that a function becomes.
func (c *compiler) nameOf(key string, v document.Value) (pkg, name string) {
	name = c.service + "_" + key
	if at := v.Get("name"); !at.Missing() {
		name = at.Text()
	}
	if before, after, ok := strings.Cut(name, "/"); ok {
		pkg, name = before, after
	}
	return pkg, name
}

// setting is a number of the function, else of the provider.
func (c *compiler) setting(v document.Value, key string, preset int) int {
	for _, place := range []document.Value{v, c.provider} {
		if n := place.Get(key).Int(); n != nil {
			return *n
		}
	}
	return preset
}

func (c *compiler) annotations(v document.Value) whisk.KeyValues {
	out := c.provider.Get("annotations").KeyValues().Merge(v.Get("annotations").KeyValues())
	if at := v.Get("description"); !at.Missing() && out.Find("description") == nil {
		out = out.With("description", at.JSON())
	}
	if whisk.Truthy(out.Find(plan.AnnotationWebExport)) {
		out = out.With(whisk.AnnotationFinal, json.RawMessage("true"))
	}
	return out
}

// sequence is made of functions of the file, or of actions by their full names.
func (c *compiler) sequence(v document.Value) plan.Exec {
	e := plan.Exec{Kind: whisk.KindSequence}
	functions := c.root.Get("functions")
	for _, item := range v.Items() {
		name := strings.TrimSpace(item.Text())
		if !strings.HasPrefix(name, "/") {
			f := functions.Get(name)
			if f.Missing() {
				item.Fail("the sequence names %s, which is no function of the file; an action of the platform has the form /_/name", name)
				continue
			}
			pkg, own := c.nameOf(name, f)
			name = "/_/" + path.Join(pkg, own)
		}
		if _, err := whisk.ParseFullName(name, "_"); err != nil {
			item.Fail("%q is no name of an action", name)
		}
		e.Components = append(e.Components, name)
	}
	if len(e.Components) == 0 {
		v.Fail("the sequence has no functions")
	}
	return e
}
