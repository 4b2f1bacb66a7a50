package gateway

import (
	"fmt"

	"millrace/gateway/route"
	"millrace/internal/expr"
	"millrace/plugin"
	"millrace/plugin/snippet"
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
	fn, err := snippet.CompileFilter(r.FilterFunc, spec.ID, g.conf.Env)
	if err != nil {
		return fmt.Errorf("filter_func: %w", err)
	}
	id := spec.ID
	spec.Filter = func(q *route.Query) bool {
		holds, err := fn.Holds(q.Asker.(*plugin.Context))
		if err != nil {
			g.log.Error("running filter_func", "route", id, "err", err)
		}
		return holds
	}
	return nil
}
