package invoke

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"millrace/whisk"
)

// sequence is the script of a sequence: each component gets the result of the
// one before, and the first that fails ends it.
type sequence struct {
	components []component
	at         int // the next one
	payload    json.RawMessage
	// run counts the actions that were called so far, and is shared with the
	// sequences around this one and within it.
	run   *int
	own   int // what run points to in the outermost
	limit int
}

// component is a component of a sequence as its caller reached it when the
// sequence began, or why the caller did not.
type component struct {
	name   whisk.FullName
	target *whisk.Resolved
	err    error
}

// newSequence makes the script of sequence a. outer is the composite that it
// stands in, or nil.
func newSequence(v *Invoker, caller *whisk.Identity, a *whisk.Action, payload json.RawMessage, outer script) *sequence {
	s := &sequence{components: make([]component, len(a.Exec.Components)), payload: payload, limit: v.sequenceLength()}
	if o, ok := outer.(*sequence); ok {
		s.run = o.run
	} else {
		s.run = &s.own
	}
	for i, path := range a.Exec.Components {
		c := &s.components[i]
		if c.name, c.err = whisk.ParseFullName(path, caller.Namespace); c.err == nil {
			c.target, c.err = v.resolve(caller, c.name)
		}
	}
	return s
}

// denied answers nil, or the 403 that names the components which the caller may
// not call.
func (s *sequence) denied() error {
	var names []string
	for i := range s.components {
		if c := &s.components[i]; isDenied(c.err) {
			names = append(names, c.name.Path())
		}
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	return whisk.Forbidden(strings.Join(slices.Compact(names), ", "))
}

func isDenied(err error) bool {
	if err == nil {
		return false
	}
	var refused *whisk.Error
	return errors.As(err, &refused) && refused.Status == http.StatusForbidden
}

func (s *sequence) next(last *report) step {
	switch {
	case last == nil:
	case last.err == errLate:
		return endWith(whisk.WhiskError, msgSequenceLate(last.id))
	case last.err != nil:
		return endWith(whisk.WhiskError, msgSequenceFailed)
	case last.rec.Response.Status != whisk.Success || s.at == len(s.components):
		return step{end: last.rec.Response}
	default:
		s.payload = last.rec.Response.Result
	}
	switch {
	case *s.run >= s.limit:
		return endWith(whisk.ApplicationError, whisk.MsgSequenceTooLong)
	case s.at == len(s.components): // it has none: cannot be stored
		return endWith(whisk.WhiskError, msgSequenceFailed)
	}
	c := &s.components[s.at]
	s.at++
	switch {
	case isDenied(c.err):
		return endWith(whisk.ApplicationError, whisk.MsgForbidden(c.name.Path()))
	case c.err != nil:
		return endWith(whisk.ApplicationError, whisk.MsgSequenceMissing)
	}
	if !isSequence(c.target.Action) {
		*s.run++
	}
	return step{target: c.target, payload: s.payload}
}
