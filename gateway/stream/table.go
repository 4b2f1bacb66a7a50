package stream

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// table finds the route of a connection. It is immutable.
type table struct {
	// exact and wildcard are the routes with a server name, the latter by what
	// follows the *, such as .example.com.
	exact, wildcard map[string][]*route
	// ports are those of the others that ask for a port, open those that do not.
	ports map[int][]*route
	open  []*route
}

// newTable makes a table. Of routes that match alike the oldest counts.
func newTable(routes []*route) *table {
	t := &table{exact: map[string][]*route{}, wildcard: map[string][]*route{}, ports: map[int][]*route{}}
	slices.SortFunc(routes, (*route).compare)
	for _, r := range routes {
		if r.subordinate {
			continue
		}
		suffix, wild := strings.CutPrefix(r.sni, "*")
		switch {
		case wild:
			t.wildcard[suffix] = append(t.wildcard[suffix], r)
		case r.sni != "":
			t.exact[r.sni] = append(t.exact[r.sni], r)
		case r.serverPort != 0:
			t.ports[r.serverPort] = append(t.ports[r.serverPort], r)
		default:
			t.open = append(t.open, r)
		}
	}
	return t
}

// compare orders routes by their creation.
func (r *route) compare(other *route) int {
	return cmp.Or(cmp.Compare(r.created, other.created), strings.Compare(r.id, other.id))
}

// match answers the route of a connection, nil if there is none: that of its server
// name, else of the longest wildcard, else the oldest without either.
func (t *table) match(name string, remote, server netip.Addr, port int) *route {
	if name != "" {
		if r := t.matchName(strings.ToLower(strings.TrimSuffix(name, ".")), remote, server, port); r != nil {
			return r
		}
	}
	withPort, open := first(t.ports[port], remote, server, port), first(t.open, remote, server, port)
	if withPort == nil || open != nil && open.compare(withPort) < 0 {
		return open
	}
	return withPort
}

func (t *table) matchName(name string, remote, server netip.Addr, port int) *route {
	if r := first(t.exact[name], remote, server, port); r != nil {
		return r
	}
	for i := range len(name) {
		if r := first(t.wildcard[name[i:]], remote, server, port); r != nil {
			return r
		}
	}
	return first(t.wildcard[""], remote, server, port)
}

// first answers the first of routes that takes the connection.
func first(routes []*route, remote, server netip.Addr, port int) *route {
	for _, r := range routes {
		if r.takes(remote, server, port) {
			return r
		}
	}
	return nil
}

// takes tells whether a connection has the addresses and the port that the route
// asks for.
func (r *route) takes(remote, server netip.Addr, port int) bool {
	return (r.serverPort == 0 || r.serverPort == port) &&
		(!r.remoteAddr.IsValid() || r.remoteAddr.Contains(remote)) &&
		(!r.serverAddr.IsValid() || r.serverAddr.Contains(server))
}
