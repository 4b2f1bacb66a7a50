package transfer

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"millrace/cli/remote"
	"millrace/whisk"
)

// summary is what lists say of an entity.
type summary struct {
	Namespace string `json:"namespace"` // ns or ns/pkg
	Name      string `json:"name"`
}

// path is the name with its package, if it has one.
func (s *summary) path() []string {
	if _, pkg, ok := strings.Cut(s.Namespace, "/"); ok {
		return []string{pkg, s.Name}
	}
	return []string{s.Name}
}

// head is what all documents have.
type head struct {
	Version     string          `json:"version,omitempty"`
	Publish     bool            `json:"publish"`
	Parameters  whisk.KeyValues `json:"parameters,omitempty"`
	Annotations whisk.KeyValues `json:"annotations"`
}

// encrypted names the parameters whose values only the source can read.
func (h *head) encrypted() string {
	var names []string
	for i := range h.Parameters {
		if h.Parameters[i].Encryption != "" {
			names = append(names, h.Parameters[i].Key)
			h.Parameters[i].Encryption = ""
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "set again, since the source keeps them encrypted: the parameters " + strings.Join(names, ", ")
}

type packageDocument struct {
	head
	Binding *whisk.PackageName `json:"binding,omitempty"`
}

func (c *copying) packages(ctx context.Context) error {
	var bindings []func() // after what they bind
	err := each(ctx, c, "packages", func(s *summary, d *packageDocument) {
		if d.Binding != nil && d.Binding.Name != "" {
			bindings = append(bindings, func() { c.putPackage(ctx, s.Name, d) })
			return
		}
		d.Binding = nil // an empty object is what packages have
		c.putPackage(ctx, s.Name, d)
	})
	if err != nil {
		return err
	}
	for _, put := range bindings {
		put()
	}
	return nil
}

func (c *copying) putPackage(ctx context.Context, name string, d *packageDocument) {
	note := d.encrypted()
	kind := "package"
	if d.Binding != nil {
		kind = "binding"
		d.Binding.Namespace = c.here(d.Binding.Namespace)
		d.Annotations = d.Annotations.Without([]string{"binding"})
		d.Parameters = c.ownParameters(ctx, d)
	}
	o, err := c.write(ctx, d, "packages", name)
	c.report(kind, name, o, note, err)
}

// ownParameters takes out of a binding's parameters, which a platform shows merged
// with those of what is bound, the ones that come from there.
func (c *copying) ownParameters(ctx context.Context, d *packageDocument) whisk.KeyValues {
	var bound packageDocument
	path := []string{"namespaces", d.Binding.Namespace, "packages", d.Binding.Name}
	if d.Binding.Namespace == c.target {
		path[1] = c.source
	}
	if c.From.Do(ctx, "GET", remote.Path(path...), nil, nil, &bound) != nil {
		return d.Parameters
	}
	return slices.DeleteFunc(slices.Clone(d.Parameters), func(kv whisk.KeyValue) bool {
		given := bound.Parameters.Find(kv.Key)
		return given != nil && string(given) == string(kv.Value)
	})
}

type triggerDocument struct{ head }

func (c *copying) triggers(ctx context.Context) error {
	return each(ctx, c, "triggers", func(s *summary, d *triggerDocument) {
		note := d.encrypted()
		o, err := c.write(ctx, d, "triggers", s.Name)
		if feed := textOf(d.Annotations.Find("feed")); feed != "" && err == nil && o != Kept {
			note = join(note, c.feed(ctx, feed, s.Name))
		}
		c.report("trigger", s.Name, o, note, err)
	})
}

type entityPath struct {
	Path string `json:"path"`
	Name string `json:"name"`
}

// in answers the fully qualified name at the destination.
func (p entityPath) in(c *copying) string {
	ns, pkg, packaged := strings.Cut(p.Path, "/")
	if packaged {
		return "/" + c.here(ns) + "/" + pkg + "/" + p.Name
	}
	return "/" + c.here(ns) + "/" + p.Name
}

type ruleDocument struct {
	head
	Trigger entityPath `json:"trigger"`
	Action  entityPath `json:"action"`
	Status  string     `json:"status"`
}

// rulePut is a rule as it is put.
type rulePut struct {
	head
	Trigger string `json:"trigger"`
	Action  string `json:"action"`
}

func (c *copying) rules(ctx context.Context) error {
	return each(ctx, c, "rules", func(s *summary, d *ruleDocument) {
		o, err := c.write(ctx, rulePut{head: d.head, Trigger: d.Trigger.in(c), Action: d.Action.in(c)}, "rules", s.Name)
		if err == nil && d.Status == "inactive" && (o == Created || o == Replaced) {
			err = c.To.Do(ctx, "POST", remote.Path("namespaces", c.target, "rules", s.Name), nil, map[string]string{"status": "inactive"}, nil)
		}
		c.report("rule", s.Name, o, "", err)
	})
}

func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// join puts notes together.
func join(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(s string) bool { return s == "" }), "; ")
}
