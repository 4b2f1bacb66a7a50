package config

import (
	"net"
	"net/netip"
	"strconv"

	"gopkg.in/yaml.v3"
)

// ipOf and portOf are the two halves of a listener's address as keys of their own.
func ipOf(to *Listener) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		addr := to.Addr.Addr()
		ip(&addr).decode(d, key, n)
		to.Addr = netip.AddrPortFrom(addr, to.Addr.Port())
	})
}

func portOf(to *Listener) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		p := int(to.Addr.Port())
		port(&p).decode(d, key, n)
		to.Addr = netip.AddrPortFrom(to.Addr.Addr(), uint16(p))
	})
}

// listeners takes a port, an address, a mapping {ip, port, enable_http2,
// enable_http3}, or a list of any of these. What is left out comes from base.
func listeners(to *[]Listener, base Listener) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		one := func(l *Listener) field { *l = base; return listener(l) }
		if n.Kind == yaml.SequenceNode {
			list(to, one).decode(d, key, n)
			if len(*to) == 0 {
				d.fail(n, key, "want at least one address")
			}
			return
		}
		var l Listener
		one(&l).decode(d, key, n)
		*to = []Listener{l}
	})
}

func listener(to *Listener) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			object{
				"ip":           ipOf(to),
				"port":         portOf(to),
				"enable_http2": boolean(&to.HTTP2),
				"enable_http3": boolean(&to.HTTP3),
			}.decode(d, key, n)
			return
		}
		scalar(&to.Addr, "a port (0 to 65535) or an address such as 127.0.0.1:3233", func(text string) (netip.AddrPort, bool) {
			return parseAddress(text, to.Addr.Addr())
		}).decode(d, key, n)
	})
}

// parseAddress reads port, :port (every address of the machine) or ip:port.
func parseAddress(text string, base netip.Addr) (netip.AddrPort, bool) {
	if p, err := strconv.ParseUint(text, 10, 16); err == nil {
		return netip.AddrPortFrom(base, uint16(p)), true
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, false
	}
	switch host {
	case "":
		host = "0.0.0.0"
	case "localhost":
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, portText))
	return addr, err == nil
}
