package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"millrace/internal/expr"
)

// Phase is a step of a request in which plugins run, named as in configurations.
type Phase string

// The phases in their order.
const (
	PhaseRewrite      Phase = "rewrite"
	PhaseAccess       Phase = "access"
	PhaseBeforeProxy  Phase = "before_proxy"
	PhaseHeaderFilter Phase = "header_filter"
	PhaseBodyFilter   Phase = "body_filter"
	PhaseLog          Phase = "log"
)

// instance is a plugin with one configuration. Several chains may hold it; the
// last to let go closes it.
type instance struct {
	plugin   any // nil if the configuration disables it
	name     string
	conf     json.RawMessage
	priority int
	// errorResponse, unless nil, is the body of answers from 400 on.
	errorResponse []byte
	filter        *expr.Expr  // nil: runs for every request
	before        PreFunction // runs ahead of each phase; nil if there is none
	guarded       bool        // filter or before is set
	refs          atomic.Int64
}

// newInstance checks a configuration, makes its instance and initialises it.
func newInstance(t *Type, conf json.RawMessage, env *Env) (*instance, error) {
	p, m, err := t.load(conf)
	if err != nil {
		return nil, fmt.Errorf("configuration of plugin %s: %w", t.Name, err)
	}
	in := &instance{name: t.Name, conf: conf, priority: t.Priority}
	in.refs.Store(1)
	if m.Disable {
		return in, nil
	}
	if in.plugin = p; m.Priority != nil {
		in.priority = *m.Priority
	}
	if err := in.takeMeta(&m, env); err != nil {
		return nil, fmt.Errorf("configuration of plugin %s: %w", t.Name, err)
	}
	if i, ok := p.(Initer); ok {
		if err := i.Init(env); err != nil {
			in.release()
			return nil, fmt.Errorf("initialising plugin %s: %w", t.Name, err)
		}
	}
	return in, nil
}

// takeMeta makes ready what _meta says beside disable and priority.
func (in *instance) takeMeta(m *meta, env *Env) (err error) {
	if in.errorResponse, err = errorBody(m.ErrorResponse); err != nil {
		return err
	}
	if !m.filter.Always() {
		in.filter = m.filter
	}
	if in.before = m.before; in.before != nil {
		if err := in.before.Init(env); err != nil {
			return err
		}
	}
	in.guarded = in.filter != nil || in.before != nil
	return nil
}

// errorBody makes the body that _meta.error_response asks for: a text as it is,
// an object as JSON with a line feed.
func errorBody(conf json.RawMessage) ([]byte, error) {
	if conf == nil {
		return nil, nil
	}
	if conf[0] != '"' {
		return append(slices.Clone(conf), '\n'), nil
	}
	text := ""
	err := json.Unmarshal(conf, &text)
	return []byte(text), err
}

// same tells whether the instance has this configuration.
func (in *instance) same(name string, conf json.RawMessage) bool {
	return in.name == name && bytes.Equal(in.conf, conf)
}

// enter tells whether the plugin takes part in a phase of this request, after what
// runs ahead of it. An error ends the phase as one of the plugin's own does.
func (in *instance) enter(c *Context, phase Phase) (runs bool, err error) {
	if in.filter != nil && !in.holds(c) {
		return false, nil
	}
	if in.before != nil {
		err = in.before.Before(c, phase)
	}
	return err == nil, err
}

// holds tells whether the filter lets the plugin run. What it says first is kept for the
// whole request: what was begun in one phase is ended in another, though variables have
// changed in between.
func (in *instance) holds(c *Context) bool {
	runs, known := c.Value(in).(bool)
	if !known {
		runs = in.filter.Holds(c.Lookup())
		c.SetValue(in, runs)
	}
	return runs
}

// joins is enter for phases that cannot end the request.
func (in *instance) joins(c *Context, phase Phase) bool {
	if !in.guarded {
		return true
	}
	runs, _ := in.enter(c, phase)
	return runs
}

func (in *instance) retain() *instance {
	in.refs.Add(1)
	return in
}

func (in *instance) release() {
	if in.refs.Add(-1) > 0 {
		return
	}
	if c, ok := in.plugin.(Closer); ok {
		c.Close()
	}
}
