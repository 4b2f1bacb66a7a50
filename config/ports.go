package config

import (
	"errors"
	"fmt"
	"net/netip"
)

// CheckPorts answers an error if two listeners of the roles to start want the same
// port, naming both with their keys. Call it when flags have been applied.
func (c *Config) CheckPorts() error {
	var p ports
	if c.Has(RoleGateway) {
		p.addGateway(&c.Gateway)
	}
	if c.Has(RoleAdmin) && c.Admin.Enabled {
		p.add("the Admin API", "deployment.admin.admin_listen.port", c.Admin.Listen)
	}
	if c.Has(RoleFunctions) {
		p.add("the functions API", "functions.listen", c.Functions.Listen...)
		p.add("the API gateway", "functions.api_gateway_listen", c.Functions.APIGatewayListen...)
	}
	if c.Has(RoleOperator) {
		p.add("the operator API", "operator.listen", c.Operator.Listen)
	}
	if c.Has(RoleConsole) {
		p.add("the console", "console.listen", c.Console.Listen...)
	}
	return errors.Join(p.problems...)
}

// ports are the addresses that have been given away.
type ports struct {
	taken    []takenPort
	problems []error
}

// takenPort is an address, who listens there and the key that says so.
type takenPort struct {
	what, key string
	addr      netip.AddrPort
}

func (p *ports) addGateway(g *Gateway) {
	p.add("the gateway", "apisix.node_listen", g.Listen...)
	if g.TLS.Enabled {
		p.add("the gateway's TLS", "apisix.ssl.listen", g.TLS.Listen...)
	}
	p.add("the gateway behind the PROXY protocol", "apisix.proxy_protocol.listen_http_port", g.ProxyProtocol.Listen...)
	p.add("the gateway's TLS behind the PROXY protocol", "apisix.proxy_protocol.listen_https_port", g.ProxyProtocol.ListenTLS...)
	for _, l := range g.Stream.TCP {
		if g.Stream.Enabled {
			p.add("a stream", "apisix.stream_proxy.tcp", l.Listener)
		}
	}
	if g.Control.Enabled {
		p.add("the Control API", "apisix.control.port", g.Control.Listen)
	}
	if g.Status.Enabled {
		p.add("the status API", "apisix.status.port", g.Status.Listen)
	}
	if g.Prometheus.Enabled {
		p.add("the metrics", "plugin_attr.prometheus.export_addr.port", g.Prometheus.Listen)
	}
}

func (p *ports) add(what, key string, listeners ...Listener) {
	for _, l := range listeners {
		for _, other := range p.taken {
			if !collide(l.Addr, other.addr) {
				continue
			}
			remedy := "set " + key + " or " + other.key + " to another port"
			if key == other.key {
				remedy = "leave out one of them in " + key
			}
			p.problems = append(p.problems, fmt.Errorf("%s on %s conflicts with %s on %s: %s", what, l.Address(), other.what, other.addr, remedy))
		}
		p.taken = append(p.taken, takenPort{what, key, l.Addr})
	}
}

// collide tells whether two addresses cannot be listened on at once. Port 0 is any
// free one.
func collide(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 {
		return false
	}
	return a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
}
