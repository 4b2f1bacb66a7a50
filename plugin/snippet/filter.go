package snippet

import (
	"errors"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// Filter is the filter_func of a route: a Lua function of the variables of a request
// that says whether the route is for it. It finds what a Function finds, as far as that
// does not answer the request.
type Filter struct {
	fn   *sandbox.Function
	host *host
}

// phaseMatch is that of filters: the request has no route yet.
const phaseMatch plugin.Phase = "match"

var errNoFilter = errors.New("'filter_func' should be a function")

// CompileFilter reads the filter_func of a route.
func CompileFilter(source, routeID string, env *plugin.Env) (*Filter, error) {
	f := &Filter{host: newHost(env)}
	fn, err := sandbox.Compile("return "+source, "router#"+routeID, &invocation{host: f.host}, openNgx, openRequire)
	if errors.Is(err, sandbox.ErrNoFunction) {
		return nil, errNoFilter
	}
	f.fn = fn
	return f, err
}

// Holds tells whether the function says so. It does not if it goes wrong.
func (f *Filter) Holds(c *plugin.Context) (holds bool, err error) {
	call := &invocation{host: f.host, c: c, phase: phaseMatch}
	err = f.fn.Call(call, func(s *sandbox.State) []lua.LValue {
		return []lua.LValue{s.GetGlobal(varsName), s.NewTable(), s.GetGlobal(ctxName)}
	}, func(_ *sandbox.State, values []lua.LValue) {
		holds = len(values) > 0 && lua.LVAsBool(values[0])
		call.keep()
	})
	if err == errFinished {
		return false, nil
	}
	return holds, err
}
