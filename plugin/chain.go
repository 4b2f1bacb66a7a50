package plugin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Chain is the plugins of one object (a route with what is merged into it, a
// global rule), ready to run: sorted by priority and split by phase. It is
// immutable and serves many requests at once. The zero Chain is empty.
type Chain struct {
	rewrite      []step[Rewriter]
	access       []step[Accesser]
	beforeProxy  []step[BeforeProxier]
	headerFilter []HeaderFilter
	bodyFilter   []BodyFilter
	log          []Logger
	closers      []Closer
	size         int
}

// step is a plugin in a phase that can answer the request.
type step[P any] struct {
	plugin P
	name   string
	// errorResponse, unless nil, is the body of answers from 400 on.
	errorResponse []byte
}

// instance is a plugin that has been loaded, and its place in the chain.
type instance struct {
	plugin        any
	name          string
	priority      int
	errorResponse []byte
}

// Compile makes the chain of the plugins in confs: attributes left out get their
// defaults, then each instance is initialised. A plugin that the configuration
// does not list is passed over. One that it lists and nobody registered is an
// error: a request must not pass because its authentication is unknown.
func Compile(confs map[string]json.RawMessage, env *Env) (*Chain, error) {
	instances := make([]instance, 0, len(confs))
	for name, conf := range confs {
		if !env.Plugins.Has(name) {
			env.Log.Warn("passing over a plugin that the list of plugins does not name", "plugin", name)
			continue
		}
		t, ok := Lookup(name)
		if !ok {
			return nil, fmt.Errorf("unknown plugin [%s]", name)
		}
		p, m, err := t.load(conf)
		if err != nil {
			return nil, fmt.Errorf("configuration of plugin %s: %w", name, err)
		}
		if m.Disable {
			continue
		}
		in := instance{plugin: p, name: name, priority: t.Priority}
		if m.Priority != nil {
			in.priority = *m.Priority
		}
		if in.errorResponse, err = errorBody(m.ErrorResponse); err != nil {
			return nil, fmt.Errorf("configuration of plugin %s: %w", name, err)
		}
		instances = append(instances, in)
	}
	slices.SortFunc(instances, func(a, b instance) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.name, b.name))
	})
	chain := &Chain{size: len(instances)}
	for _, in := range instances {
		if err := chain.add(in, env); err != nil {
			chain.Close()
			return nil, fmt.Errorf("initialising plugin %s: %w", in.name, err)
		}
	}
	return chain, nil
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

// add initialises a plugin and enters it in its phases.
func (ch *Chain) add(in instance, env *Env) error {
	if i, ok := in.plugin.(Initer); ok {
		if err := i.Init(env); err != nil {
			return err
		}
	}
	if c, ok := in.plugin.(Closer); ok {
		ch.closers = append(ch.closers, c)
	}
	ch.rewrite = addStep(ch.rewrite, in)
	ch.access = addStep(ch.access, in)
	ch.beforeProxy = addStep(ch.beforeProxy, in)
	if p, ok := in.plugin.(HeaderFilter); ok {
		ch.headerFilter = append(ch.headerFilter, p)
	}
	if p, ok := in.plugin.(BodyFilter); ok {
		ch.bodyFilter = append(ch.bodyFilter, p)
	}
	if p, ok := in.plugin.(Logger); ok {
		ch.log = append(ch.log, p)
	}
	return nil
}

func addStep[P any](steps []step[P], in instance) []step[P] {
	if p, ok := in.plugin.(P); ok {
		return append(steps, step[P]{p, in.name, in.errorResponse})
	}
	return steps
}

// Rewrite runs the rewrite phase up to the first plugin that answers the request
// (ErrExit), drops it (ErrDrop) or goes wrong.
func (ch *Chain) Rewrite(c *Context) error {
	for i := range ch.rewrite {
		s := &ch.rewrite[i]
		if err := s.plugin.Rewrite(c); err != nil {
			return s.outcome(c, err)
		}
	}
	return nil
}

// Access runs the access phase; it ends as Rewrite does.
func (ch *Chain) Access(c *Context) error {
	for i := range ch.access {
		s := &ch.access[i]
		if err := s.plugin.Access(c); err != nil {
			return s.outcome(c, err)
		}
	}
	return nil
}

// BeforeProxy runs the before-proxy phase; it ends as Rewrite does.
func (ch *Chain) BeforeProxy(c *Context) error {
	for i := range ch.beforeProxy {
		s := &ch.beforeProxy[i]
		if err := s.plugin.BeforeProxy(c); err != nil {
			return s.outcome(c, err)
		}
	}
	return nil
}

// outcome settles what a phase ends with after a plugin returned err.
func (s *step[P]) outcome(c *Context, err error) error {
	switch err {
	case ErrExit:
		if status, _, _ := c.Exited(); status >= 400 && s.errorResponse != nil {
			return c.Exit(status, s.errorResponse)
		}
		return ErrExit
	case ErrDrop:
		return ErrDrop
	}
	return fmt.Errorf("plugin %s: %w", s.name, err)
}

// FilterHeader runs the header filters.
func (ch *Chain) FilterHeader(c *Context) {
	for _, p := range ch.headerFilter {
		p.FilterHeader(c)
	}
}

// HasBodyFilter tells whether FilterBody would do anything: only then need the
// answer's body be held back as a whole.
func (ch *Chain) HasBodyFilter() bool { return len(ch.bodyFilter) > 0 }

// FilterBody passes the whole body through the body filters.
func (ch *Chain) FilterBody(c *Context, body []byte) []byte {
	for _, p := range ch.bodyFilter {
		body = p.FilterBody(c, body)
	}
	return body
}

// Log runs the log phase.
func (ch *Chain) Log(c *Context) {
	for _, p := range ch.log {
		p.Log(c)
	}
}

// Empty tells whether no plugin runs.
func (ch *Chain) Empty() bool { return ch.size == 0 }

// Close releases what the plugins hold; call it once no request uses the chain.
func (ch *Chain) Close() {
	for _, c := range ch.closers {
		c.Close()
	}
}
