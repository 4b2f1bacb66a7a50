package gateway

import (
	"slices"
	"strings"

	"millrace/plugin"
)

// pluginsHeader tells which plugins a request is subject to.
const pluginsHeader = "Apisix-Plugins"

// ShowPlugins says whether every answer names the plugins of its request, each with
// the phases that it takes part in up to the answer's head. That is for debugging: it tells clients what
// there is, and no request is plain meanwhile.
func (g *Gateway) ShowPlugins(on bool) { g.showPlugins.Store(on) }

// namePlugins sets the header of ShowPlugins: name#phase of each step, those of global
// rules first.
func (x *exchange) namePlugins() {
	var steps []string
	add := func(name string, phase plugin.Phase) {
		if step := name + "#" + string(phase); !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
	}
	x.global.EachStep(add)
	x.own.EachStep(add)
	if len(steps) == 0 {
		steps = []string{"no plugin"}
	}
	x.res.fields.set(pluginsHeader, strings.Join(steps, ", "))
}
