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

// indexed are the folders whose revisions are told.
var indexed = []string{"consumers", "global_rules", "protos", "routes", "services", "ssls", "stream_routes", "upstreams"}

// EachRevision calls fn for the newest revision of each folder of the configuration,
// for the newest of all, max_modify_index, and for the store's, prev_index and
// x_etcd_index. following tells whether the store is there to be followed: one that has
// Reachable is asked by that.
func (g *Gateway) EachRevision(fn func(of string, revision int64)) (following bool) {
	p := &g.applied
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := int64(0)
	for _, folder := range indexed {
		fn(folder, p.folders[folder])
		newest = max(newest, p.folders[folder])
	}
	fn("max_modify_index", newest)
	fn("prev_index", max(p.At(), 0))
	fn("x_etcd_index", max(p.At(), 0))
	r, tells := g.conf.Store.(interface{ Reachable() bool })
	return p.following && (!tells || r.Reachable())
}

// Dump answers the nodes that a type of discovery knows, as a value for
// encoding/json; ok is false if that type is not configured.
func (g *Gateway) Dump(kind string) (dump any, ok bool) {
	return g.conf.Upstreams.Registries.Dump(kind)
}
