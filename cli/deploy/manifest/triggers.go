package manifest

import (
	"encoding/json"
	"strings"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/whisk"
)

// triggers reads those of a package; they are the namespace's all the same.
func (c *compiler) triggers(s *scope) {
	c.lostFeeds(s)
	for _, m := range s.value.Get("triggers").Members() {
		m.Value.Known("feed", "source", "inputs", "parameters", "annotations", "description", "namespace", "credential")
		deployed := c.deployment.entity(s.name, "triggers", m.Key)
		t := plan.Trigger{Head: plan.Head{Pos: m.Value.Pos(), Name: m.Key}}
		for _, key := range []string{"inputs", "parameters"} {
			t.Parameters = t.Parameters.Merge(c.inputs(m.Value.Get(key), deployed.Get(key), nil))
		}
		t.Annotations = described(m.Value, m.Value.Get("annotations").KeyValues().Merge(deployed.Get("annotations").KeyValues()))
		feed := m.Value.Get("feed")
		if feed.Missing() {
			if feed = m.Value.Get("source"); !feed.Missing() {
				feed.Warn("the key source is deprecated: call it feed")
			}
		}
		if !feed.Missing() {
			t.Feed = s.feed(feed)
			t.Parameters, t.FeedParameters = nil, t.Parameters
		}
		c.plan.Triggers = append(c.plan.Triggers, t)
	}
}

// lostFeeds says what to do about feeds: of a package, which the original reads
// and does nothing with.
func (c *compiler) lostFeeds(s *scope) {
	if at := s.value.Get("feeds"); !at.Missing() {
		at.Warn("feeds of a package are not deployed: an action with the annotation feed: true is one")
	}
}

// feed is the full name of a feed action. One with a package but no namespace is of
// the own namespace.
func (s *scope) feed(at document.Value) string { return s.action(at, at.Text()) }

func (c *compiler) rules(s *scope) {
	for _, m := range s.value.Get("rules").Members() {
		m.Value.Known("trigger", "action", "annotations", "description", "rule")
		c.deployment.entity(s.name, "rules", m.Key)
		r := plan.Rule{Head: plan.Head{Pos: m.Value.Pos(), Name: m.Key, Annotations: described(m.Value, m.Value.Get("annotations").KeyValues())}}
		trigger, action := m.Value.Get("trigger"), m.Value.Get("action")
		if trigger.Missing() || action.Missing() {
			m.Value.Fail("the rule %s needs a trigger and an action", m.Key)
			continue
		}
		r.Trigger = strings.TrimSpace(trigger.Text())
		if !strings.HasPrefix(r.Trigger, "/") {
			r.Trigger = "/_/" + r.Trigger
		}
		if n, err := whisk.ParseFullName(r.Trigger, "_"); err != nil || n.Package != "" {
			trigger.Fail("%q is no name of a trigger", trigger.Text())
		}
		r.Action = s.action(action, action.Text())
		c.plan.Rules = append(c.plan.Rules, r)
	}
}

// described adds the annotation that a description is.
func described(v document.Value, annotations whisk.KeyValues) whisk.KeyValues {
	if text := v.Get("description"); !text.Missing() && annotations.Find("description") == nil {
		return annotations.With("description", text.JSON())
	}
	return annotations
}

// apis reads name → base path → path → action: verb.
func (c *compiler) apis(s *scope) {
	for _, name := range s.value.Get("apis").Members() {
		for _, base := range name.Value.Members() {
			api := plan.API{Pos: base.Value.Pos(), Name: name.Key, BasePath: slashed(base.Key)}
			for _, path := range base.Value.Members() {
				for _, action := range path.Value.Members() {
					for _, verb := range action.Value.Items() { // a list has several
						if op, ok := c.operation(s, path.Key, action.Key, verb); ok {
							api.Operations = append(api.Operations, op)
						}
					}
				}
			}
			c.plan.APIs = append(c.plan.APIs, api)
		}
	}
}

func slashed(path string) string { return "/" + strings.Trim(path, "/") }

func (c *compiler) operation(s *scope, path, action string, v document.Value) (plan.Operation, bool) {
	op := plan.Operation{Pos: v.Pos(), Path: slashed(path), Response: "http"}
	verb := v
	if verb.IsMap() {
		verb.Known("method", "response")
		if at := verb.Get("response"); !at.Missing() {
			op.Response = strings.ToLower(at.Text())
		}
		verb = verb.Get("method")
	}
	if verb.Missing() {
		v.Fail("the action %s of the path %s has no method", action, op.Path)
		return op, false
	}
	op.Verb = strings.ToUpper(verb.Text())
	op.Action = s.action(v, action)
	c.webByDefault(op.Action)
	return op, true
}

// webByDefault makes a web action of one that an API leads to and that does not say
// whether it is one.
func (c *compiler) webByDefault(name string) {
	for i := range c.plan.Actions {
		a := &c.plan.Actions[i]
		if "/_/"+a.Path() == name && a.Annotations.Find(plan.AnnotationWebExport) == nil {
			c.plan.Warnings.Add(a.Pos, "the action %s is made a web action, since an API leads to it: say so with web: true", a.Path())
			a.Annotations = a.Annotations.
				With(plan.AnnotationWebExport, json.RawMessage("true")).
				With(plan.AnnotationRawHTTP, json.RawMessage("false")).
				With(whisk.AnnotationFinal, json.RawMessage("true"))
		}
	}
}
