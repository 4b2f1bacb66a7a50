package gateway

import (
	"millrace/gateway/upstream/check"
	"millrace/resource"
)

// Checkers answers the health checks that are running, in the order of their
// names, each of which is the store key of what the upstream is configured in.
func (g *Gateway) Checkers() []resource.Checker { return g.pool.Health() }

// EachNode calls fn for each node that is checked; name is that of its checker.
func (g *Gateway) EachNode(fn func(name, ip string, port int, healthy bool)) {
	for _, c := range g.pool.Health() {
		for _, n := range c.Nodes {
			fn(c.Name, n.IP, n.Port, check.Usable(n.Status))
		}
	}
}

// Dump answers the nodes that a type of discovery knows, as a value for
// encoding/json; ok is false if that type is not configured.
func (g *Gateway) Dump(kind string) (dump any, ok bool) {
	return g.conf.Upstreams.Registries.Dump(kind)
}
