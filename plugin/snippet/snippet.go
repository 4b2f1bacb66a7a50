// Package snippet runs the Lua that stands in configurations: functions of the
// serverless plugins and of _meta.pre_function, filter_func and script of routes. It
// gives them the ngx and apisix.core that such snippets use, as far as they work on the
// request at hand, in the sandbox of internal/lua: they reach neither files nor the
// network.
package snippet

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

func init() {
	plugin.RegisterPreFunction(func(source string, conf json.RawMessage) (plugin.PreFunction, error) {
		return CompileFunction(source, conf, nil)
	})
}

// Function is a Lua function that stands in the configuration of a plugin, as
// "return function(conf, ctx) … end". It finds the ngx and apisix.core that such
// snippets use, as far as they work on the request at hand; it reaches neither files
// nor the network. Several requests may run it at once.
type Function struct {
	fn   *sandbox.Function
	conf json.RawMessage
	host *host
	// readsRoute is what ReadsRoute answers.
	readsRoute bool
}

// ReadsRoute tells whether the source asks for the route as it is configured.
func (f *Function) ReadsRoute() bool { return f.readsRoute }

// namesRoute tells whether a source speaks of ctx.matched_route or matched_upstream.
func namesRoute(source string) bool { return strings.Contains(source, "matched_") }

// host is what the process lends to a source.
type host struct {
	log       *slog.Logger
	upstreams plugin.UpstreamCompiler // nil if there is none
	shared    *SharedData
	patterns  patternCache
}

// newHost takes it from an environment, which may be nil.
func newHost(env *plugin.Env) *host {
	h := &host{log: slog.New(slog.DiscardHandler)}
	if env != nil {
		h.upstreams, _ = plugin.Service[plugin.UpstreamCompiler](env)
		h.shared, _ = plugin.Service[*SharedData](env)
		if env.Log != nil {
			h.log = env.Log
		}
	}
	if h.shared == nil {
		h.shared = NewSharedData()
	}
	return h
}

// invocation is one call of a source: the Data of its state.
type invocation struct {
	host  *host
	c     *plugin.Context // nil while the source is compiled
	phase plugin.Phase
	said  strings.Builder // what ngx.say has said
	// ended: the request is answered with what was said.
	ended bool
	body  []byte // ngx.arg[1] in the phase of the body filters
	last  bool
	// live are the fields of ctx and ngx.ctx that this call has seen.
	live  [keptTables]map[string]lua.LValue
	slept time.Duration
	// quiet: what the function returns means nothing.
	quiet bool
	// asked: the source wanted the request while it was compiled.
	asked bool
}

// errExited ends a call in which the source has answered the request.
var errExited = errors.New("request answered")

// errFinished ends a call in which the source wants to go no further.
var errFinished = errors.New("function ended")

// CompileFunction reads a source. conf is what it gets as its first argument, env
// what it is lent; nil only checks it. The error's text is for the client of the Admin
// API.
func CompileFunction(source string, conf json.RawMessage, env *plugin.Env) (*Function, error) {
	f := &Function{conf: conf, host: newHost(env), readsRoute: namesRoute(source)}
	fn, err := sandbox.Compile(source, chunkName(source), &invocation{host: f.host}, openNgx, openRequire)
	var broken *sandbox.SourceError
	switch {
	case errors.Is(err, sandbox.ErrNoFunction):
		return nil, err
	case errors.As(err, &broken):
		return nil, fmt.Errorf("pcall error: %w", broken.Err)
	case err != nil:
		return nil, fmt.Errorf("failed to loadstring: %w", err)
	}
	f.fn = fn
	return f, nil
}

// chunkName is how Lua names a source in messages.
func chunkName(source string) string {
	line, _, more := strings.Cut(source, "\n")
	if len(line) > 60 {
		line, more = line[:60], true
	}
	if more {
		line += "..."
	}
	return `[string "` + line + `"]`
}

// Init lends the function what env has.
func (f *Function) Init(env *plugin.Env) error {
	f.host = newHost(env)
	return nil
}

// Call runs the function for a request. It answers what a phase answers: the
// function may end the request by ngx.exit and its like, or by returning a status, a
// body or both.
func (f *Function) Call(c *plugin.Context, phase plugin.Phase) error {
	return f.run(&invocation{host: f.host, c: c, phase: phase})
}

// Before runs a _meta.pre_function, which may end the request only by calls. What
// goes wrong in it is logged.
func (f *Function) Before(c *plugin.Context, phase plugin.Phase) error {
	err := f.run(&invocation{host: f.host, c: c, phase: phase, quiet: true})
	if err != nil && err != plugin.ErrExit && err != plugin.ErrDrop {
		f.host.log.Error("running a pre_function", "phase", string(phase), "err", err)
		return nil
	}
	return err
}

// FilterPart runs the function on a part of the answer's body, which it finds in
// ngx.arg, and answers what it left there.
func (f *Function) FilterPart(c *plugin.Context, part []byte, last bool) []byte {
	call := &invocation{host: f.host, c: c, phase: plugin.PhaseBodyFilter, body: part, last: last}
	if err := f.run(call); err != nil && err != plugin.ErrExit {
		f.host.log.Error("running a function", "phase", plugin.PhaseBodyFilter, "err", err)
	}
	return call.body
}

func (f *Function) run(call *invocation) error {
	var status, body any
	var failed error
	err := f.fn.Call(call, func(s *sandbox.State) []lua.LValue {
		return []lua.LValue{f.confValue(s), s.GetGlobal(ctxName)}
	}, func(_ *sandbox.State, values []lua.LValue) {
		if !call.quiet {
			status, body, failed = results(values)
		}
		call.keep()
	})
	if err == nil {
		err = failed
	}
	if err == nil && (status != nil || body != nil) {
		return call.exit(status, body)
	}
	return call.settle(err)
}

// settle answers what a phase answers when a source has ended with err.
func (call *invocation) settle(err error) error {
	switch {
	case errors.Is(err, errExited):
		return plugin.ErrExit
	case errors.Is(err, errFinished):
		return nil
	case err == nil && call.ended && !call.filters():
		return call.c.Exit(call.statusOr(200), call.said.String())
	}
	return err
}

// results reads what a function returned: a status, a body.
func results(values []lua.LValue) (status, body any, err error) {
	if len(values) > 0 {
		if status, err = sandbox.GoValue(values[0]); err != nil {
			return nil, nil, err
		}
	}
	if len(values) > 1 {
		body, err = sandbox.GoValue(values[1])
	}
	return status, body, err
}

// exit ends the request as APISIX does when a plugin returns these: what is no
// number is a body.
func (call *invocation) exit(status, body any) error {
	code := call.statusOr(200)
	if n, ok := status.(json.Number); ok {
		v, _ := n.Float64()
		code = int(v)
	} else if status != nil {
		body = status
	}
	if n, ok := body.(json.Number); ok {
		body = n.String()
	}
	if call.ended {
		body = call.said.String()
	}
	if code == dropStatus {
		return plugin.ErrDrop
	}
	return call.c.Exit(code, body)
}

// statusOr answers the status that the source has set.
func (call *invocation) statusOr(preset int) int {
	if s := call.c.Response.Status(); s != 0 {
		return s
	}
	return preset
}

// confValue answers the configuration as a table, made once a state.
func (f *Function) confValue(s *sandbox.State) lua.LValue {
	const name = "\x00conf"
	if v := s.GetGlobal(name); v != lua.LNil {
		return v
	}
	var conf any
	if f.conf != nil && json.Unmarshal(f.conf, &conf) != nil {
		conf = nil
	}
	if conf == nil {
		conf = map[string]any{}
	}
	v := s.Value(conf)
	s.SetGlobal(name, v)
	return v
}

// callHost answers what the source of a state is lent.
func callHost(s *sandbox.State) *host { return s.Data.(*invocation).host }

// callOf answers the call that a state is in; a source that asks for the request
// while it is compiled goes wrong.
func callOf(s *sandbox.State) *invocation {
	call := s.Data.(*invocation)
	if call.c == nil {
		call.asked = true
		s.RaiseError("API disabled in the context of loading")
	}
	return call
}
