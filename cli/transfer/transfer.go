// Package transfer copies a namespace from one platform that speaks OpenWhisk's
// REST API to another: packages and bindings, actions with their code, triggers
// and rules, feeds and APIs. What the other platform does not take as it is, is
// reported; nothing is dropped without a line.
//
// It reads first and writes in the order in which entities need one another.
// Writing is one entity at a time, and may be repeated.
package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"millrace/cli/remote"
	"millrace/whisk"
)

// Outcome is what became of one entity.
type Outcome int

// The outcomes. All but Failed and Skipped leave the entity at its destination.
const (
	Created   Outcome = iota
	Replaced          // it was there, and Overwrite was set
	Kept              // it was there and stays as it was
	Unchanged         // it was there just as it is at the source
	Conflict          // DryRun: another is there, which would be kept
	Changed           // created, but not as it was: see the note
	Skipped           // it has no place at the destination: see the note
	Failed            // the destination refused it: see the note
	Untouched         // DryRun
)

// String is the word that reports have for an outcome.
func (o Outcome) String() string {
	return [...]string{"created", "replaced", "kept", "unchanged", "conflict", "changed", "skipped", "failed", "found"}[o]
}

// Line is one line of the report.
type Line struct {
	Kind, Name string // such as action, pkg/name
	Outcome    Outcome
	Note       string // why, or what is different; empty if there is nothing to say
}

// Options say how to copy.
type Options struct {
	From, To *remote.Client
	// Overwrite replaces what exists at the destination; otherwise it is kept.
	Overwrite bool
	// DryRun reads everything and writes nothing.
	DryRun bool
	// Report receives each line as soon as it is known.
	Report func(Line)
}

// Run copies the namespace of From's key to that of To's. The error says why it
// could not go on; what a destination refuses is reported instead.
func Run(ctx context.Context, o Options) error {
	c := &copying{Options: o, inherited: map[string]whisk.KeyValues{}}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{c.packages, c.actions, c.triggers, c.rules, c.apis} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// copying is one run.
type copying struct {
	Options
	source, target string // namespaces
	limits         limits
	inherited      map[string]whisk.KeyValues // parameters of the source's packages, by name
}

// prepare finds out which namespaces are meant, and what the destination takes.
func (c *copying) prepare(ctx context.Context) error {
	for _, side := range []struct {
		client *remote.Client
		name   *string
		what   string
	}{{c.From, &c.source, "source"}, {c.To, &c.target, "destination"}} {
		names, err := side.client.Namespaces(ctx)
		if err != nil {
			return fmt.Errorf("asking the %s %s for its namespace: %w", side.what, side.client.Host(), err)
		}
		if len(names) == 0 {
			return fmt.Errorf("the %s %s knows no namespace of this key", side.what, side.client.Host())
		}
		*side.name = names[0]
	}
	info, err := c.To.Info(ctx)
	if err != nil {
		return fmt.Errorf("asking the destination %s what it takes: %w", c.To.Host(), err)
	}
	c.limits = parseLimits(info)
	return nil
}

// each reads the documents of a collection of the source, the oldest first, and calls
// fn with each.
func each[T any](ctx context.Context, c *copying, collection string, fn func(s *summary, doc *T)) error {
	all, err := c.From.List(ctx, remote.Path("namespaces", c.source, collection))
	if err != nil {
		return fmt.Errorf("listing the %s of the source: %w", collection, err)
	}
	for _, listed := range slices.Backward(all) {
		s, doc := &summary{}, new(T)
		if err := json.Unmarshal(listed, s); err != nil {
			return fmt.Errorf("reading a list of the source: %w", err)
		}
		if err := c.read(ctx, doc, collection, s.path()...); err != nil {
			return err
		}
		fn(s, doc)
	}
	return nil
}

// read reads a document of the source into out.
func (c *copying) read(ctx context.Context, out any, collection string, name ...string) error {
	path := remote.Path(append([]string{"namespaces", c.source, collection}, name...)...)
	if err := c.From.Do(ctx, http.MethodGet, path, nil, nil, out); err != nil {
		return fmt.Errorf("reading %s of the source: %w", path, err)
	}
	return nil
}

// write puts a document at the destination and says what became of it.
func (c *copying) write(ctx context.Context, body any, collection string, name ...string) (Outcome, error) {
	if c.DryRun {
		return Untouched, nil
	}
	path := remote.Path(append([]string{"namespaces", c.target, collection}, name...)...)
	err := c.To.Do(ctx, http.MethodPut, path, url.Values{"overwrite": {"false"}}, body, nil)
	if !remote.IsStatus(err, http.StatusConflict) {
		return Created, err
	}
	if !c.Overwrite {
		return Kept, nil
	}
	return Replaced, c.To.Do(ctx, http.MethodPut, path, url.Values{"overwrite": {"true"}}, body, nil)
}

// report makes the line of an entity that was written.
func (c *copying) report(kind, name string, o Outcome, note string, err error) {
	switch {
	case err != nil:
		o, note = Failed, err.Error()
	case note != "" && (o == Created || o == Replaced):
		o = Changed
	case o == Kept:
		note = "the destination has one of this name"
	}
	c.Report(Line{Kind: kind, Name: name, Outcome: o, Note: note})
}

// here takes a namespace of the source to that of the destination; others stay.
func (c *copying) here(namespace string) string {
	if namespace == c.source {
		return c.target
	}
	return namespace
}
