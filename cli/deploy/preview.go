package deploy

import (
	"encoding/json"
	"fmt"

	"millrace/cli/deploy/plan"
	"millrace/whisk"
)

// preview prints the plan in the form of wskdeploy, and writes nothing.
func (s *session) preview() {
	fmt.Fprintln(s.Out, "----==== OpenWhisk Deployment Plan ====----")
	fmt.Fprintf(s.Out, "\nPackages:\n")
	for i := range s.plan.Packages {
		p := &s.plan.Packages[i]
		fmt.Fprintf(s.Out, "Name: %s\n", p.Name)
		if p.Binding != nil {
			fmt.Fprintf(s.Out, "    location: /%s\n", p.Binding.Path())
		}
		s.lists("    ", &p.Head)
		s.previewActions(p.Name)
	}
	s.previewActions("")
	fmt.Fprintf(s.Out, "\nTriggers:\n")
	for i := range s.plan.Triggers {
		t := &s.plan.Triggers[i]
		fmt.Fprintf(s.Out, "* trigger: %s\n", t.Name)
		if t.Feed != "" {
			fmt.Fprintf(s.Out, "    feed: %s\n", t.Feed)
			s.keyValues("    ", "feed parameters", t.FeedParameters)
		}
		s.lists("    ", &t.Head)
	}
	fmt.Fprintf(s.Out, "\nRules:\n")
	for i := range s.plan.Rules {
		r := &s.plan.Rules[i]
		fmt.Fprintf(s.Out, "* rule: %s\n    - trigger: %s\n    - action: %s\n", r.Name, r.Trigger, r.Action)
	}
	fmt.Fprintf(s.Out, "\nApis:\n")
	for _, a := range s.plan.APIs {
		fmt.Fprintf(s.Out, "* api: %s %s\n", a.Name, a.BasePath)
		for _, o := range a.Operations {
			fmt.Fprintf(s.Out, "    - %s %s: %s (%s)\n", o.Verb, o.Path, o.Action, o.Response)
		}
	}
}

func (s *session) previewActions(pkg string) {
	for i := range s.plan.Actions {
		a := &s.plan.Actions[i]
		if a.Package != pkg {
			continue
		}
		if a.IsSequence() {
			fmt.Fprintf(s.Out, "  * sequence: %s\n", a.Path())
			for _, c := range a.Exec.Components {
				fmt.Fprintf(s.Out, "    - %s\n", c)
			}
		} else {
			fmt.Fprintf(s.Out, "  * action: %s (%s)\n", a.Path(), a.Exec.Kind)
		}
		s.lists("    ", &a.Head)
	}
}

func (s *session) lists(indent string, h *plan.Head) {
	s.keyValues(indent, "bindings", h.Parameters)
	s.keyValues(indent, "annotations", h.Annotations)
}

// maxShown is how much of a value a preview shows.
const maxShown = 200

func (s *session) keyValues(indent, what string, list whisk.KeyValues) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(s.Out, "%s%s:\n", indent, what)
	for _, kv := range list {
		fmt.Fprintf(s.Out, "%s  - %s : %s\n", indent, kv.Key, shown(kv.Value))
	}
}

func shown(value json.RawMessage) string {
	if len(value) > maxShown {
		return string(value[:maxShown]) + " …"
	}
	return string(value)
}

// removals prints what would be taken away.
func (r *report) removals(steps []step) {
	if len(steps) == 0 {
		return
	}
	fmt.Fprintln(r.out, "\n----==== OpenWhisk Undeployment Plan ====----")
	for i := range steps {
		fmt.Fprintf(r.out, "* %s\n", steps[i].label())
	}
}
