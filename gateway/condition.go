package gateway

import (
	"errors"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"millrace/gateway/route"
	"millrace/internal/expr"
	sandbox "millrace/internal/lua"
	"millrace/resource"
)

// addConditions makes what a route matches on beside its path, hosts, methods and
// addresses.
func (g *Gateway) addConditions(spec *route.Spec[*servedRoute], r *resource.Route) (err error) {
	if spec.Vars, err = expr.Compile(r.Vars); err != nil {
		return fmt.Errorf("vars: %w", err)
	}
	if r.FilterFunc == "" {
		return nil
	}
	fn, err := sandbox.Compile("return "+r.FilterFunc, "router#"+spec.ID, expr.Lookup(noVariables), enterVars)
	if errors.Is(err, sandbox.ErrNoFunction) {
		return fmt.Errorf("filter_func: 'filter_func' should be a function")
	}
	if err != nil {
		return fmt.Errorf("filter_func: %w", err)
	}
	spec.Filter = g.filter(spec.ID, fn)
	return nil
}

func noVariables(string) expr.Value { return expr.Value{} }

// varsName is the global under which a state keeps the argument of filter_func. No
// source can name it.
const varsName = "\x00vars"

func enterVars(s *sandbox.State) {
	s.SetGlobal(varsName, s.Variables(func(s *sandbox.State, name string) lua.LValue {
		lookup, _ := s.Data.(expr.Lookup)
		v := lookup(name)
		if !v.Present {
			return lua.LNil
		}
		return lua.LString(v.Text)
	}, nil))
}

// filter makes a condition of a function. One that goes wrong does not hold.
func (g *Gateway) filter(id string, fn *sandbox.Function) func(expr.Lookup) bool {
	return func(vars expr.Lookup) (holds bool) {
		err := fn.Call(vars, func(s *sandbox.State) []lua.LValue {
			return []lua.LValue{s.GetGlobal(varsName), s.NewTable()}
		}, func(_ *sandbox.State, values []lua.LValue) {
			holds = len(values) > 0 && lua.LVAsBool(values[0])
		})
		if err != nil {
			g.log.Error("running filter_func", "route", id, "err", err)
			return false
		}
		return holds
	}
}
