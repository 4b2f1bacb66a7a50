package manifest

import (
	"encoding/json"
	"strings"

	"millrace/cli/deploy/document"
	"millrace/cli/deploy/plan"
	"millrace/whisk"
)

var actionKeys = []string{
	"function", "location", "code", "runtime", "main", "version", "description", "namespace", "credential", "exposedUrl", "docker", "native",
	"include", "exclude", "inputs", "parameters", "outputs", "limits", "annotations", "web", "web-export", "conductor",
}

func (c *compiler) actions(s *scope) {
	for _, m := range s.value.Get("actions").Members() {
		m.Value.Known(actionKeys...)
		deployed := c.deployment.entity(s.name, "actions", m.Key)
		v := m.Value
		for _, key := range []string{"namespace", "credential", "exposedUrl"} {
			if at := v.Get(key); !at.Missing() {
				at.Warn("%s of an action is not used", key)
			}
		}
		a := plan.Action{Package: s.pkg, Version: v.Get("version").Text(), Head: plan.Head{Pos: v.Pos(), Name: m.Key}}
		for _, key := range []string{"inputs", "parameters"} {
			a.Parameters = a.Parameters.Merge(c.inputs(v.Get(key), deployed.Get(key), nil))
		}
		a.Annotations = c.annotations(v, deployed)
		a.Limits = limits(v.Get("limits"))
		a.Exec = c.exec(m.Key, v)
		c.plan.Actions = append(c.plan.Actions, a)
	}
}

// annotations are those given, and those that other keys stand for.
func (c *compiler) annotations(v, deployed document.Value) whisk.KeyValues {
	out := c.inputs(v.Get("outputs"), document.Value{}, nil) // as the original does
	given := v.Get("annotations")
	out = out.Merge(given.KeyValues()).Merge(deployed.Get("annotations").KeyValues())
	out = out.Merge(web(v))
	if v.Get("conductor").Bool() {
		out = out.With(plan.AnnotationConductor, json.RawMessage("true"))
	}
	if text := v.Get("description"); !text.Missing() && out.Find("description") == nil {
		out = out.With("description", text.JSON())
	}
	checkSecret(given.Get(plan.AnnotationSecret), out)
	return out
}

// maxSecret is the largest number that JavaScript tells from its neighbours.
const maxSecret = 1<<53 - 1

func checkSecret(v document.Value, annotations whisk.KeyValues) {
	if v.Missing() {
		return
	}
	var text string
	var number json.Number
	raw := v.JSON()
	switch {
	case string(raw) == "true" || string(raw) == "false":
	case raw[0] == '"' && json.Unmarshal(raw, &text) == nil && text != "":
	case json.Unmarshal(raw, &number) == nil && raw[0] != '"':
		if n, err := number.Int64(); err != nil || n < 0 || n > maxSecret {
			v.Fail("%s is no whole number between 0 and %d", raw, int64(maxSecret))
		}
	default:
		v.Fail("%s is a text, a whole number, true or false", plan.AnnotationSecret)
	}
	if !whisk.Truthy(annotations.Find(plan.AnnotationWebExport)) {
		v.Warn("%s is for web actions: give the action web: true as well", plan.AnnotationSecret)
	}
}

// web are the annotations that web: or web-export: stands for.
func web(v document.Value) whisk.KeyValues {
	at := v.Get("web")
	if at.Missing() {
		at = v.Get("web-export")
	}
	if at.Missing() {
		return nil
	}
	export, raw := "true", "false"
	switch text := strings.ToLower(at.Text()); text {
	case "yes", "true":
	case "raw":
		raw = "true"
	case "no", "false":
		export = "false"
	default:
		at.Fail("%q is not one of yes, true, raw, no, false", text)
	}
	return whisk.KeyValues{
		{Key: plan.AnnotationWebExport, Value: json.RawMessage(export)},
		{Key: plan.AnnotationRawHTTP, Value: json.RawMessage(raw)},
		{Key: whisk.AnnotationFinal, Value: json.RawMessage(export)},
	}
}

// limits reads those of an action; what cannot be set for one is said to be so.
func limits(v document.Value) plan.Limits {
	v.Known("timeout", "memorySize", "logSize", "concurrentActivations", "userInvocationRate", "codeSize", "parameterSize")
	for _, key := range []string{"userInvocationRate", "codeSize", "parameterSize"} {
		if at := v.Get(key); !at.Missing() {
			at.Warn("the limit %s cannot be set for one action", key)
		}
	}
	return plan.Limits{
		Timeout: v.Get("timeout").Int(), Memory: v.Get("memorySize").Int(), Logs: v.Get("logSize").Int(),
		Concurrency: v.Get("concurrentActivations").Int(),
	}
}

// sequences are actions made of others, whose names a list or a text with commas has.
func (c *compiler) sequences(s *scope) {
	for _, m := range s.value.Get("sequences").Members() {
		m.Value.Known("actions", "web", "web-export", "annotations", "description")
		deployed := c.deployment.entity(s.name, "sequences", m.Key)
		a := plan.Action{Package: s.pkg, Head: plan.Head{Pos: m.Value.Pos(), Name: m.Key, Annotations: c.annotations(m.Value, deployed)}}
		a.Exec.Kind = whisk.KindSequence
		for _, item := range m.Value.Get("actions").Items() {
			for _, text := range strings.Split(item.Text(), ",") {
				if text = strings.TrimSpace(text); text != "" {
					a.Exec.Components = append(a.Exec.Components, s.action(item, text))
				}
			}
		}
		if len(a.Exec.Components) == 0 {
			m.Value.Fail("the sequence %s has no actions", m.Key)
		}
		c.plan.Actions = append(c.plan.Actions, a)
	}
}
