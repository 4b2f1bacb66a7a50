package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"millrace/cli/remote"
	"millrace/whisk"
)

type actionDocument struct {
	head
	Exec   execDocument   `json:"exec"`
	Limits map[string]int `json:"limits,omitempty"`
}

type execDocument struct {
	Kind       string   `json:"kind"`
	Code       *string  `json:"code,omitempty"`
	Main       string   `json:"main,omitempty"`
	Image      string   `json:"image,omitempty"`
	Components []string `json:"components,omitempty"`
}

// actions copies those with code first, then sequences, whose components must
// exist.
func (c *copying) actions(ctx context.Context) error {
	var sequences []waiting
	err := each(ctx, c, "actions", func(s *summary, d *actionDocument) {
		if c.ofPackage(ctx, s, d); d.Exec.Kind == whisk.KindSequence {
			sequences = append(sequences, waiting{s.path(), d})
			return
		}
		c.putAction(ctx, s.path(), d)
	})
	if err != nil {
		return err
	}
	c.putSequences(ctx, sequences)
	return nil
}

type waiting struct {
	path []string
	doc  *actionDocument
}

// ofPackage takes out the parameters that an action shows but has from its package.
func (c *copying) ofPackage(ctx context.Context, s *summary, d *actionDocument) {
	path := s.path()
	if len(path) == 1 {
		return
	}
	inherited, known := c.inherited[path[0]]
	if !known {
		var p packageDocument
		if c.read(ctx, &p, "packages", path[0]) == nil {
			inherited = p.Parameters
		}
		c.inherited[path[0]] = inherited
	}
	var own whisk.KeyValues
	for _, kv := range d.Parameters {
		if given := inherited.Find(kv.Key); given == nil || string(given) != string(kv.Value) {
			own = append(own, kv)
		}
	}
	d.Parameters = own
}

func (c *copying) putAction(ctx context.Context, path []string, d *actionDocument) {
	note := join(d.encrypted(), c.fit(d))
	d.annotate()
	o, err := c.write(ctx, d, "actions", path...)
	if original := d.Exec.Kind; isUnknownKind(err) && d.Exec.Image == "" {
		family, _, _ := strings.Cut(original, ":")
		d.Exec.Kind = family + ":default"
		if o, err = c.write(ctx, d, "actions", path...); err == nil {
			note = join(note, "it was of kind "+original+", which is not run here, and is now of the default kind of "+family)
		}
	}
	c.report("action", strings.Join(path, "/"), o, note, err)
}

func isUnknownKind(err error) bool {
	return remote.IsStatus(err, http.StatusBadRequest) && strings.Contains(err.Error(), "not supported by this platform")
}

// annotate makes explicit what the absence of an annotation means: a new action
// would not be given the key.
func (d *actionDocument) annotate() {
	d.Annotations = d.Annotations.Without([]string{whisk.AnnotationExec})
	if d.Annotations.Find(whisk.AnnotationProvideAPIKey) == nil {
		d.Annotations = d.Annotations.With(whisk.AnnotationProvideAPIKey, json.RawMessage("true"))
	}
}

// putSequences writes sequences until no more can be: those of sequences need
// theirs first.
func (c *copying) putSequences(ctx context.Context, left []waiting) {
	failures := map[*actionDocument]error{}
	for _, w := range left {
		for i, component := range w.doc.Exec.Components {
			if n, err := whisk.ParseFullName(component, c.source); err == nil {
				n.Namespace = c.here(n.Namespace)
				w.doc.Exec.Components[i] = n.String()
			}
		}
		w.doc.Parameters = nil // they are made of the components
		w.doc.annotate()
	}
	for progress := true; progress && len(left) > 0; {
		progress = false
		var again []waiting
		for _, w := range left {
			o, err := c.write(ctx, w.doc, "actions", w.path...)
			if err != nil {
				failures[w.doc] = err
				again = append(again, w)
				continue
			}
			progress = true
			c.report("sequence", strings.Join(w.path, "/"), o, "", nil)
		}
		left = again
	}
	for _, w := range left {
		c.report("sequence", strings.Join(w.path, "/"), Failed, "", failures[w.doc])
	}
}

// limits are what the destination allows an action, by the name of the limit.
type limits map[string]struct{ min, max int }

// parseLimits reads the document of GET /; what it does not say is not bounded.
func parseLimits(info json.RawMessage) limits {
	var doc struct {
		Limits map[string]json.Number `json:"limits"`
	}
	if json.Unmarshal(info, &doc) != nil {
		return nil
	}
	l := limits{}
	for name, unit := range map[string]struct {
		key string
		by  int
	}{"timeout": {"duration", 1}, "memory": {"memory", 1 << 20}, "logs": {"logs", 1 << 20}} {
		lowest, err1 := doc.Limits["min_action_"+unit.key].Int64()
		highest, err2 := doc.Limits["max_action_"+unit.key].Int64()
		if err1 == nil && err2 == nil {
			l[name] = struct{ min, max int }{int(lowest) / unit.by, int(highest) / unit.by}
		}
	}
	return l
}

// fit brings the limits of an action within those of the destination.
func (c *copying) fit(d *actionDocument) string {
	var notes []string
	for name, value := range d.Limits {
		bounds, known := c.limits[name]
		if name == "concurrency" && value > 1 {
			notes = append(notes, fmt.Sprintf("the limit concurrency was %d and is 1: raise functions.limits.max_action_concurrency to have it back", value))
			d.Limits[name] = 1
		}
		if !known || value >= bounds.min && value <= bounds.max {
			continue
		}
		d.Limits[name] = min(max(value, bounds.min), bounds.max)
		notes = append(notes, fmt.Sprintf("the limit %s was %d and is %d", name, value, d.Limits[name]))
	}
	return join(notes...)
}
