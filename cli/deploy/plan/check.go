package plan

import (
	"slices"
	"strings"

	"millrace/cli/deploy/platform"
	"millrace/whisk"
)

// Annotations that projects set.
const (
	AnnotationWebExport = "web-export"
	AnnotationRawHTTP   = "raw-http"
	AnnotationSecret    = "require-whisk-auth"
	AnnotationConductor = "conductor"
)

// maxList is the most bytes that the parameters of an entity, or its annotations,
// may have.
const maxList = 1 << 20

// Check answers what is wrong with the plan as far as that can be told without
// asking the platform anything but what it allows.
func (p *Plan) Check(on *platform.Info) Problems {
	c := &checking{plan: p, on: on, taken: map[string]string{}}
	for i := range p.Packages {
		c.pkg(&p.Packages[i])
	}
	for i := range p.Actions {
		c.action(&p.Actions[i])
	}
	for i := range p.Triggers {
		c.head("trigger", "", &p.Triggers[i].Head)
		c.size(&p.Triggers[i].Head, "feed parameters", p.Triggers[i].FeedParameters)
	}
	for i := range p.Rules {
		c.head("rule", "", &p.Rules[i].Head)
	}
	for i := range p.APIs {
		c.api(&p.APIs[i])
	}
	if _, cycle := p.Ordered(); cycle != nil {
		c.problems.Add(cycle.Pos, "the sequence %s refers to itself, by way of others or not", cycle.Path())
	}
	return c.problems
}

type checking struct {
	plan     *Plan
	on       *platform.Info
	problems Problems
	taken    map[string]string // what a name is taken by
}

// head checks a name: packages, triggers, rules and actions without a package share
// one name space.
func (c *checking) head(kind, pkg string, h *Head) {
	if err := whisk.CheckName(h.Name); err != nil {
		c.problems.Add(h.Pos, "the %s's name %q is not valid: %s", kind, h.Name, err)
	}
	full := pkg + "/" + h.Name
	if other := c.taken[full]; other != "" {
		c.problems.Add(h.Pos, "the name %s of the %s is taken by the %s of that name", h.Name, kind, other)
	}
	c.taken[full] = kind
	c.size(h, "parameters", h.Parameters)
	c.size(h, "annotations", h.Annotations)
}

func (c *checking) size(h *Head, what string, list whisk.KeyValues) {
	if n := list.Size(); n > maxList {
		c.problems.Add(h.Pos, "the %s of %s are larger than allowed: %d > %d bytes", what, h.Name, n, maxList)
	}
}

func (c *checking) pkg(p *Package) {
	c.head("package", "", &p.Head)
	c.version(p.Pos, p.Version)
	if p.Name == "default" {
		c.problems.Add(p.Pos, "the package name default is reserved")
	}
}

func (c *checking) version(at Pos, version string) {
	if version == "" {
		return
	}
	if _, err := whisk.ParseVersion(version); err != nil {
		c.problems.Add(at, "the version %q is not of the form 1.2.3", version)
	}
}

func (c *checking) action(a *Action) {
	kind := "action"
	if a.IsSequence() {
		kind = "sequence"
	}
	c.head(kind, a.Package, &a.Head)
	c.version(a.Pos, a.Version)
	c.bound(a, "timeout", "duration", "ms", a.Limits.Timeout)
	c.bound(a, "memory", "memory", "MB", a.Limits.Memory)
	c.bound(a, "log size", "logs", "MB", a.Limits.Logs)
	for i := range c.plan.Packages {
		if p := &c.plan.Packages[i]; p.Name == a.Package && p.Binding != nil {
			c.problems.Add(a.Pos, "the action %s cannot be put into %s, which is a binding", a.Name, p.Name)
		}
	}
}

func (c *checking) bound(a *Action, name, key, unit string, value *int) {
	if value == nil {
		return
	}
	if least, most, ok := c.on.Range(key); ok && (*value < least || *value > most) {
		c.problems.Add(a.Pos, "the %s of the action %s is %d %s; the platform allows %d to %d", name, a.Path(), *value, unit, least, most)
	}
}

var (
	verbs     = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
	responses = []string{"html", "http", "json", "svg", "text"}
)

func (c *checking) api(a *API) {
	if a.Swagger != "" {
		return
	}
	if strings.ContainsAny(a.BasePath, "{}") {
		c.problems.Add(a.Pos, "the base path %s of an API cannot have parameters; its paths can", a.BasePath)
	}
	seen := map[string]bool{}
	for i := range a.Operations {
		o := &a.Operations[i]
		key := o.Verb + " " + o.Path
		if seen[key] {
			c.problems.Add(o.Pos, "the API %s has %s twice", a.BasePath, key)
		}
		seen[key] = true
		c.operation(o)
	}
}

func (c *checking) operation(o *Operation) {
	if !slices.Contains(verbs, o.Verb) {
		c.problems.Add(o.Pos, "%q is not a verb of an API; these are: %s", o.Verb, strings.Join(verbs, ", "))
	}
	if !slices.Contains(responses, o.Response) {
		c.problems.Add(o.Pos, "%q is no response of an API; these are: %s", o.Response, strings.Join(responses, ", "))
	}
	if strings.Contains(o.Path, "{") && o.Response != "http" {
		c.problems.Add(o.Pos, "the path %s has parameters, so its response must be http", o.Path)
	}
	if a := c.plan.find(o.Action); a != nil && !whisk.Truthy(a.Annotations.Find(AnnotationWebExport)) {
		c.problems.Add(o.Pos, "the action %s is not a web action, so the API cannot lead to it: give it web: true", a.Path())
	}
}

// find answers the plan's action of a full name, or nil.
func (p *Plan) find(name string) *Action {
	for i := range p.Actions {
		if "/_/"+p.Actions[i].Path() == name {
			return &p.Actions[i]
		}
	}
	return nil
}

// Ordered answers the actions so that what a sequence is made of comes before it.
// Where that cannot be, cycle is one of those that refer to themselves.
func (p *Plan) Ordered() (ordered []*Action, cycle *Action) {
	const done, on = 1, 2
	state := map[*Action]int{}
	var visit func(a *Action) bool
	visit = func(a *Action) bool {
		switch state[a] {
		case done:
			return true
		case on:
			return false
		}
		state[a] = on
		for _, name := range a.Exec.Components {
			if c := p.find(name); c != nil && !visit(c) {
				return false
			}
		}
		state[a] = done
		ordered = append(ordered, a)
		return true
	}
	for _, sequences := range []bool{false, true} {
		for i := range p.Actions {
			if a := &p.Actions[i]; a.IsSequence() == sequences && !visit(a) {
				return ordered, a
			}
		}
	}
	return ordered, nil
}

// Reference is an entity that the plan needs and does not hold.
type Reference struct {
	Pos
	Collection string // actions, triggers, packages
	Name       whisk.FullName
	By         string // such as "rule r"
	// Web: it must be a web action.
	Web bool
}

// References are all of them.
func (p *Plan) References() []Reference {
	var out []Reference
	action := func(at Pos, by, name string, web bool) {
		if n, err := p.provided(name); err == nil && p.find(n.String()) == nil {
			out = append(out, Reference{at, "actions", n, by, web})
		}
	}
	for i := range p.Packages {
		pkg := &p.Packages[i]
		if b := pkg.Binding; b != nil && !p.has(b) {
			out = append(out, Reference{pkg.Pos, "packages", whisk.FullName{Namespace: b.Namespace, Name: b.Name}, "binding " + pkg.Name, false})
		}
	}
	for i := range p.Actions {
		a := &p.Actions[i]
		for _, name := range a.Exec.Components {
			action(a.Pos, "sequence "+a.Path(), name, false)
		}
	}
	for i := range p.Triggers {
		if t := &p.Triggers[i]; t.Feed != "" {
			action(t.Pos, "trigger "+t.Name, t.Feed, false)
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		action(r.Pos, "rule "+r.Name, r.Action, false)
		if n, err := whisk.ParseFullName(r.Trigger, "_"); err == nil && !p.hasTrigger(n) {
			out = append(out, Reference{r.Pos, "triggers", n, "rule " + r.Name, false})
		}
	}
	for _, api := range p.APIs {
		for _, o := range api.Operations {
			action(o.Pos, "API "+api.BasePath, o.Action, true)
		}
	}
	return out
}

// provided reads the name of an action; one that leads through a binding of the
// plan, which cannot be asked yet, becomes what is bound.
func (p *Plan) provided(name string) (whisk.FullName, error) {
	n, err := whisk.ParseFullName(name, "_")
	if err == nil && n.Namespace == "_" {
		for i := range p.Packages {
			if b := &p.Packages[i]; b.Binding != nil && b.Name == n.Package {
				n.Namespace, n.Package = b.Binding.Namespace, b.Binding.Name
			}
		}
	}
	return n, err
}

func (p *Plan) has(b *whisk.PackageName) bool {
	return b.Namespace == "_" && slices.ContainsFunc(p.Packages, func(other Package) bool { return other.Binding == nil && other.Name == b.Name })
}

func (p *Plan) hasTrigger(n whisk.FullName) bool {
	return n.Namespace == "_" && slices.ContainsFunc(p.Triggers, func(t Trigger) bool { return t.Name == n.Name })
}
