package snippet

import (
	"errors"
	"fmt"
	"log/slog"

	lua "github.com/yuin/gopher-lua"

	"millrace/internal/calmlog"
	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// Script is the Lua that a route or service has in the place of plugins: a chunk
// that returns an object whose functions are named after phases and get the context
// of the request. It finds what a Function finds. The chunk runs anew for each
// request that comes to its access phase, and the object serves that request to its
// end. What the functions return means nothing.
//
// It is a plugin for Of.
type Script struct {
	object *sandbox.Object
	host   *host
	log    *slog.Logger // for what goes wrong
	// readsRoute is what ReadsRoute answers.
	readsRoute bool
}

var (
	_ plugin.Accesser      = (*Script)(nil)
	_ plugin.BeforeProxier = (*Script)(nil)
	_ plugin.HeaderFilter  = (*Script)(nil)
	_ plugin.BodyStreamer  = (*Script)(nil)
	_ plugin.BodyChooser   = (*Script)(nil)
	_ plugin.Logger        = (*Script)(nil)
	_ plugin.RouteReader   = (*Script)(nil)
)

var errNoScriptObject = errors.New("'script' should be a Lua object")

// CompileScript reads the script of a route and runs its chunk once, to see that it
// answers an object, unless it asks for a request.
func CompileScript(source, routeID string, env *plugin.Env) (*Script, error) {
	object, err := sandbox.CompileObject(source, "route#"+routeID, openNgx, openRequire)
	if err != nil {
		return nil, fmt.Errorf("loading the script: %w", err)
	}
	host := newHost(env)
	p := &Script{object, host, calmlog.New(host.log, "route"), namesRoute(source)}
	trial := &invocation{host: p.host}
	opened, err := object.Open(trial)
	switch {
	case err == nil:
		opened.Close()
	case errors.Is(err, sandbox.ErrNoObject):
		return nil, errNoScriptObject
	case !trial.asked:
		return nil, fmt.Errorf("running the script: %w", err)
	}
	return p, nil
}

// ReadsRoute implements RouteReader.
func (p *Script) ReadsRoute() bool { return p.readsRoute }

// openedScript is the key of a request's object.
type openedScript struct{}

func objectOf(c *plugin.Context) *sandbox.Opened {
	opened, _ := c.Value(openedScript{}).(*sandbox.Opened)
	return opened
}

// Access runs the chunk, then the object's function for the phase.
func (p *Script) Access(c *plugin.Context) error {
	call := &invocation{host: p.host, c: c, phase: plugin.PhaseAccess}
	opened, err := p.object.Open(call)
	call.keep()
	if err != nil {
		return call.settle(err)
	}
	c.SetValue(openedScript{}, opened)
	return p.run(call)
}

// BeforeProxy runs the function for the phase.
func (p *Script) BeforeProxy(c *plugin.Context) error {
	return p.run(&invocation{host: p.host, c: c, phase: plugin.PhaseBeforeProxy})
}

// FilterHeader runs the function for the head of the answer.
func (p *Script) FilterHeader(c *plugin.Context) {
	p.filter(&invocation{host: p.host, c: c, phase: plugin.PhaseHeaderFilter})
}

// WantsBody tells whether the object has a function for the body.
func (p *Script) WantsBody(c *plugin.Context) bool {
	opened := objectOf(c)
	return opened != nil && opened.Has(string(plugin.PhaseBodyFilter))
}

// StreamBody runs it on a part of the body.
func (p *Script) StreamBody(c *plugin.Context, part []byte, last bool) []byte {
	call := &invocation{host: p.host, c: c, phase: plugin.PhaseBodyFilter, body: part, last: last}
	p.filter(call)
	return call.body
}

// Log runs the function for the end of the request and lets go of the object.
func (p *Script) Log(c *plugin.Context) {
	opened := objectOf(c)
	if opened == nil {
		return
	}
	p.filter(&invocation{host: p.host, c: c, phase: plugin.PhaseLog})
	c.SetValue(openedScript{}, nil)
	opened.Close()
}

// run runs the function for the call's phase, if the request has an object and the
// object such a function.
func (p *Script) run(call *invocation) error {
	opened := objectOf(call.c)
	if opened == nil || !opened.Has(string(call.phase)) {
		return nil
	}
	err := opened.Call(string(call.phase), call, func(s *sandbox.State) []lua.LValue {
		return []lua.LValue{s.GetGlobal(ctxName)}
	})
	call.keep()
	return call.settle(err)
}

// filter is run for phases that cannot end the request.
func (p *Script) filter(call *invocation) {
	if err := p.run(call); err != nil && err != plugin.ErrExit {
		p.log.Error("running a script", "phase", call.phase, "route", call.c.Matched.RouteID, "err", err)
	}
}
