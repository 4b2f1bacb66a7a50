package invoke

import (
	"bytes"
	"encoding/json"
	"strings"

	"millrace/whisk"
)

// composition is the script of a conductor: it is called again and again, and
// names the action to call in between, until it names none.
type composition struct {
	v         *Invoker
	caller    *whisk.Identity
	conductor whisk.Resolved
	payload   json.RawMessage // of the whole call
	// state is what the conductor keeps for itself from call to call.
	state json.RawMessage
	// conducting: the call in progress is the conductor's.
	conducting bool
	budget     *budget
	own        budget // what budget points to in the outermost
	limit      int
}

// budget counts the calls of a composition, those of the compositions within it
// included.
type budget struct{ components, conductors int }

// newComposition makes the script of a conductor. outer is the composite that it
// stands in, or nil.
func newComposition(v *Invoker, caller *whisk.Identity, conductor whisk.Resolved, payload json.RawMessage, outer script) *composition {
	c := &composition{v: v, caller: caller, conductor: conductor, payload: payload, limit: v.sequenceLength()}
	if o, ok := outer.(*composition); ok {
		c.budget = o.budget
	} else {
		c.budget = &c.own
	}
	return c
}

func (c *composition) next(last *report) step {
	switch {
	case last == nil:
		return c.conduct(c.payload)
	case last.err == errLate:
		return endWith(whisk.WhiskError, msgCompositionLate(last.id))
	case last.err != nil:
		return endWith(whisk.WhiskError, msgCompositionFailed)
	case c.conducting:
		return c.follow(&last.rec.Response)
	}
	return c.conduct(last.rec.Response.Result)
}

// conduct calls the conductor with a payload, under its state.
func (c *composition) conduct(payload json.RawMessage) step {
	if c.budget.conductors > 2*c.limit {
		return endWith(whisk.ApplicationError, msgCompositionTooLong)
	}
	c.budget.conductors++
	c.conducting = true
	if !whisk.IsObject(payload) {
		payload = nil
	}
	return step{target: &c.conductor, payload: overlay(payload, c.state), plain: true}
}

// refuse tells the conductor what is wrong with what it asked for.
func (c *composition) refuse(text string) step {
	return c.conduct(errorResult(whisk.AppendString(nil, text)))
}

// follow does what the conductor answered.
func (c *composition) follow(r *whisk.Response) step {
	d := readDecision(r.Result)
	c.state = boxed("state", d.state)
	params := boxed("value", d.params)
	if d.action == nil {
		end := *r
		if params != nil {
			end.Result = params
		}
		return step{end: end}
	}
	n, ok := parseTarget(d.action, c.caller.Namespace)
	switch {
	case !ok:
		return c.refuse(msgTargetMalformed(d.action))
	case c.budget.components >= c.limit:
		return c.refuse(msgCompositionTooLong)
	}
	target, err := c.v.resolve(c.caller, n)
	switch {
	case isDenied(err):
		return c.refuse(msgTargetDenied(n.Path()))
	case err != nil:
		return c.refuse(msgTargetMissing(n.Path()))
	}
	if !isConductor(target.Action) {
		c.budget.components++
	}
	c.conducting = false
	return step{target: target, payload: params}
}

// decision is what a conductor answers: the members that mean something, nil if
// absent.
type decision struct{ action, params, state json.RawMessage }

func readDecision(result json.RawMessage) (d decision) {
	if !whisk.IsObject(result) {
		return d
	}
	for m := (members{rest: result}); m.next(); {
		switch {
		case m.is("action"):
			d.action = m.value
		case m.is("params"):
			d.params = m.value
		case m.is("state"):
			d.state = m.value
		}
	}
	return d
}

// boxed answers value, in an object under name if it is none itself; nil stays.
func boxed(name string, value json.RawMessage) json.RawMessage {
	if value == nil || whisk.IsObject(value) {
		return value
	}
	out := append(whisk.AppendString([]byte{'{'}, name), ':')
	return append(append(out, value...), '}')
}

// parseTarget reads the name of the action that a conductor wants called: a and
// pkg/a are of the caller's namespace, /ns/a, ns/pkg/a and /ns/pkg/a are full.
func parseTarget(value json.RawMessage, namespace string) (n whisk.FullName, ok bool) {
	var s string
	if value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return n, false
	}
	if !strings.HasPrefix(s, "/") && strings.Count(s, "/") < 2 {
		s = namespace + "/" + s
	}
	n, err := whisk.ParseFullName(s, namespace)
	return n, err == nil
}

// overlay answers the members of two objects, those of over where both have one.
// Either may be nil; the answer may share memory with them.
func overlay(under, over json.RawMessage) json.RawMessage {
	head, tail := inside(under), inside(over)
	switch {
	case len(tail) == 0:
		return under
	case len(head) == 0:
		return over
	}
	hidden := map[string]bool{}
	for m := (members{rest: over}); m.next(); {
		hidden[unquote(m.key)] = true
	}
	out := append(make([]byte, 0, len(under)+len(over)), '{')
	for m := (members{rest: under}); m.next(); {
		if !hidden[unquote(m.key)] {
			out = append(append(append(append(out, m.key...), ':'), m.value...), ',')
		}
	}
	return append(append(out, tail...), '}')
}

// inside answers what stands between the braces of an object.
func inside(object json.RawMessage) []byte {
	object = bytes.TrimSpace(object)
	if len(object) < 2 {
		return nil
	}
	return bytes.TrimSpace(object[1 : len(object)-1])
}
