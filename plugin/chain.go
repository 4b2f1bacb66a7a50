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
	instances    []*instance
	rewrite      []step[Rewriter]
	access       []step[Accesser]
	beforeProxy  []step[BeforeProxier]
	headerFilter []step[HeaderFilter]
	body         []*instance
	log          []step[Logger]
	preread      []step[Prereader]    // of streams
	streamLog    []step[StreamLogger] // likewise
	running      int                  // how many instances are not disabled
}

// step is a plugin in a phase.
type step[P any] struct {
	plugin P
	in     *instance
}

// Compile makes the chain of the plugins in confs: attributes left out get their
// defaults, then each instance is initialised. A plugin that the configuration
// does not list is passed over. One that it lists and nobody registered is an
// error: a request must not pass because its authentication is unknown.
func Compile(confs map[string]json.RawMessage, env *Env) (*Chain, error) {
	return Recompile(confs, env, nil)
}

// Recompile is Compile for what was old before, unless that is nil: an instance
// whose configuration is the same is taken over. old must not be closed yet.
func Recompile(confs map[string]json.RawMessage, env *Env, old *Chain) (*Chain, error) {
	return recompile(confs, env, old, env.Plugins.Has, Lookup)
}

// recompile makes a chain of the plugins of one registry: listed tells which of them
// may be used, lookup finds them.
func recompile(confs map[string]json.RawMessage, env *Env, old *Chain, listed func(string) bool, lookup func(string) (*Type, bool)) (*Chain, error) {
	instances := make([]*instance, 0, len(confs))
	for name, conf := range confs {
		if !listed(name) {
			env.Log.Warn("passing over a plugin that the list of plugins does not name", "plugin", name)
			continue
		}
		in, err := old.take(name, conf, env, lookup)
		if err != nil {
			(&Chain{instances: instances}).Close()
			return nil, err
		}
		instances = append(instances, in)
	}
	return newChain(instances), nil
}

// take answers the instance for a configuration, a new one if the chain has none.
func (ch *Chain) take(name string, conf json.RawMessage, env *Env, lookup func(string) (*Type, bool)) (*instance, error) {
	if ch != nil {
		for _, in := range ch.instances {
			if in.same(name, conf) {
				return in.retain(), nil
			}
		}
	}
	t, ok := lookup(name)
	if !ok {
		return nil, fmt.Errorf("unknown plugin [%s]", name)
	}
	return newInstance(t, conf, env)
}

// Of is the chain of one plugin that no configuration names. Others of this name
// replace it in Merge.
func Of(name string, priority int, p any) *Chain {
	in := &instance{plugin: p, name: name, priority: priority}
	in.refs.Store(1)
	return newChain([]*instance{in})
}

// newChain sorts instances, which become the chain's, and enters them in their
// phases.
func newChain(instances []*instance) *Chain {
	slices.SortFunc(instances, func(a, b *instance) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.name, b.name))
	})
	ch := &Chain{instances: instances}
	for _, in := range instances {
		if in.plugin == nil {
			continue
		}
		ch.running++
		ch.rewrite = addStep(ch.rewrite, in)
		ch.access = addStep(ch.access, in)
		ch.beforeProxy = addStep(ch.beforeProxy, in)
		ch.headerFilter = addStep(ch.headerFilter, in)
		ch.log = addStep(ch.log, in)
		ch.preread = addStep(ch.preread, in)
		ch.streamLog = addStep(ch.streamLog, in)
		switch in.plugin.(type) {
		case BodyFilter, BodyStreamer, BodyWatcher:
			ch.body = append(ch.body, in)
		}
	}
	return ch
}

func addStep[P any](steps []step[P], in *instance) []step[P] {
	if p, ok := in.plugin.(P); ok {
		return append(steps, step[P]{p, in})
	}
	return steps
}

// Merge answers the chain of several objects, of which each replaces plugins of
// those before it; nil ones are passed over. The instances are shared with the
// chains, which must be open and may be closed before the merged one.
func Merge(chains ...*Chain) *Chain {
	var instances []*instance
	for _, ch := range chains {
		if ch == nil {
			continue
		}
		for _, in := range ch.instances {
			same := func(other *instance) bool { return other.name == in.name }
			if i := slices.IndexFunc(instances, same); i >= 0 {
				instances[i] = in
			} else {
				instances = append(instances, in)
			}
		}
	}
	for _, in := range instances {
		in.retain()
	}
	return newChain(instances)
}

// Extend is Merge for a request whose rewrite phase has already run with base: in
// that of the new chain only the plugins run that base has not.
func Extend(base *Chain, chains ...*Chain) *Chain {
	ch := Merge(append([]*Chain{base}, chains...)...)
	ch.rewrite = slices.DeleteFunc(ch.rewrite, func(s step[Rewriter]) bool { return base.has(s.in.name) })
	return ch
}

func (ch *Chain) has(name string) bool {
	return slices.ContainsFunc(ch.instances, func(in *instance) bool { return in.name == name })
}

// run runs a phase up to the first plugin that answers the request (ErrExit), drops it
// (ErrDrop) or goes wrong.
func run[P any](steps []step[P], c *Context, phase Phase, call func(P, *Context) error) error {
	for i := range steps {
		s := &steps[i]
		if s.in.guarded {
			runs, err := s.in.enter(c, phase)
			if err != nil {
				return s.in.outcome(c, err)
			}
			if !runs {
				continue
			}
		}
		if err := call(s.plugin, c); err != nil {
			return s.in.outcome(c, err)
		}
	}
	return nil
}

// Rewrite runs the rewrite phase up to the first plugin that answers the request
// (ErrExit), drops it (ErrDrop) or goes wrong.
func (ch *Chain) Rewrite(c *Context) error { return run(ch.rewrite, c, PhaseRewrite, Rewriter.Rewrite) }

// Access runs the access phase; it ends as Rewrite does.
func (ch *Chain) Access(c *Context) error { return run(ch.access, c, PhaseAccess, Accesser.Access) }

// BeforeProxy runs the before-proxy phase; it ends as Rewrite does.
func (ch *Chain) BeforeProxy(c *Context) error {
	return run(ch.beforeProxy, c, PhaseBeforeProxy, BeforeProxier.BeforeProxy)
}

// outcome settles what a phase ends with after the plugin returned err.
func (in *instance) outcome(c *Context, err error) error {
	switch err {
	case ErrExit:
		if status, _, _ := c.Exited(); status >= 400 && in.errorResponse != nil {
			return c.Exit(status, in.errorResponse)
		}
		return ErrExit
	case ErrDrop:
		return ErrDrop
	}
	return fmt.Errorf("plugin %s: %w", in.name, err)
}

// FilterHeader runs the header filters.
func (ch *Chain) FilterHeader(c *Context) {
	for i := range ch.headerFilter {
		if s := &ch.headerFilter[i]; s.in.joins(c, PhaseHeaderFilter) {
			s.plugin.FilterHeader(c)
		}
	}
}

// Log runs the log phase.
func (ch *Chain) Log(c *Context) {
	for i := range ch.log {
		if s := &ch.log[i]; s.in.joins(c, PhaseLog) {
			s.plugin.Log(c)
		}
	}
}

// EachStep calls fn for each phase of each plugin that runs, in their order, up to the
// answer's head.
func (ch *Chain) EachStep(fn func(name string, phase Phase)) {
	eachStep(ch.rewrite, PhaseRewrite, fn)
	eachStep(ch.access, PhaseAccess, fn)
	eachStep(ch.beforeProxy, PhaseBeforeProxy, fn)
	eachStep(ch.headerFilter, PhaseHeaderFilter, fn)
}

func eachStep[P any](steps []step[P], phase Phase, fn func(string, Phase)) {
	for i := range steps {
		fn(steps[i].in.name, phase)
	}
}

// Empty tells whether no plugin runs.
func (ch *Chain) Empty() bool { return ch.running == 0 }

// Observes tells whether plugins see the node that is called, the answer or the end of
// a request, for which they may want to know what came of the call to the upstream.
func (ch *Chain) Observes() bool {
	return len(ch.beforeProxy)+len(ch.headerFilter)+len(ch.body)+len(ch.log) > 0
}

// ReadsRoute tells whether a plugin wants Matched.Document.
func (ch *Chain) ReadsRoute() bool {
	return slices.ContainsFunc(ch.instances, func(in *instance) bool {
		reader, ok := in.plugin.(RouteReader)
		return ok && reader.ReadsRoute() || in.before != nil && in.before.ReadsRoute()
	})
}

// Len is the number of plugins, with those that are disabled.
func (ch *Chain) Len() int { return len(ch.instances) }

// Close lets go of the instances, of which those that no other chain holds are
// closed; call it once no request uses the chain.
func (ch *Chain) Close() {
	for _, in := range ch.instances {
		in.release()
	}
}
