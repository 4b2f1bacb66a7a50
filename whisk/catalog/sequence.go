package catalog

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"millrace/whisk"
)

// Entitled answers nil if caller may use all that these names stand for, whether
// it exists or not, or the *whisk.Error 403 that lists what it may not.
func (c *Catalog) Entitled(caller *whisk.Identity, names ...whisk.FullName) error {
	var refused []string
	for _, n := range names {
		var e *whisk.Error
		if _, err := c.Folder(caller, n); errors.As(err, &e) && e.Status == http.StatusForbidden {
			refused = append(refused, n.Path())
		}
	}
	if len(refused) == 0 {
		return nil
	}
	slices.Sort(refused)
	return whisk.Forbidden(strings.Join(slices.Compact(refused), ", "))
}

// CheckSequence answers nil if caller may make the sequence self of these
// components: each exists and may be used, self is not among them or theirs, and
// they are at most limit actions when sequences among them are replaced by their
// own components. Errors are *whisk.Error 400 and 403.
func (c *Catalog) CheckSequence(caller *whisk.Identity, self whisk.FullName, components []string, limit int) error {
	if len(components) == 0 {
		return badSequence(whisk.MsgSequenceEmpty)
	}
	if len(components) > limit {
		return badSequence(whisk.MsgSequenceTooLong)
	}
	names := make([]whisk.FullName, len(components))
	for i, s := range components {
		var err error
		if names[i], err = whisk.ParseFullName(s, caller.Namespace); err != nil {
			return badSequence(whisk.MsgMalformed(err.Error()))
		}
	}
	if err := c.Entitled(caller, names...); err != nil {
		return err
	}
	w := sequenceWalk{catalog: c, left: limit, inside: map[string]bool{self.Path(): true}}
	for _, n := range names {
		if err := w.visit(caller, n); err != nil {
			return err
		}
	}
	return nil
}

func badSequence(text string) error {
	return &whisk.Error{Status: http.StatusBadRequest, Msg: text}
}

// sequenceWalk counts the actions of a sequence.
type sequenceWalk struct {
	catalog *Catalog
	left    int             // actions that there may still be
	inside  map[string]bool // paths of the sequences that the walk is in
}

// visit counts a component. author made the sequence that it is a component of:
// what others make sequences of is theirs to be entitled to.
func (w *sequenceWalk) visit(author *whisk.Identity, n whisk.FullName) error {
	if w.inside[n.Path()] {
		return badSequence(whisk.MsgSequenceCyclic)
	}
	r, err := w.catalog.Resolve(author, n)
	if err != nil {
		return badSequence(whisk.MsgSequenceMissing)
	}
	a := r.Action
	if a.Exec.Kind != whisk.KindSequence {
		if w.left--; w.left < 0 {
			return badSequence(whisk.MsgSequenceTooLong)
		}
		return nil
	}
	if w.inside[a.Path()] {
		return badSequence(whisk.MsgSequenceCyclic)
	}
	w.inside[a.Path()] = true
	defer delete(w.inside, a.Path())
	author = &whisk.Identity{Namespace: a.Namespace}
	for _, s := range a.Exec.Components {
		inner, err := whisk.ParseFullName(s, a.Namespace)
		if err != nil {
			return badSequence(whisk.MsgSequenceMissing)
		}
		if err := w.visit(author, inner); err != nil {
			return err
		}
	}
	return nil
}
