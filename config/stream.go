package config

import (
	"net/netip"

	"gopkg.in/yaml.v3"
)

// Stream configures the stream routes, by which connections are passed on as they
// are.
type Stream struct {
	// Enabled: apisix.proxy_mode has stream.
	Enabled bool
	TCP     []StreamListener
	UDP     []Listener
	// MaxConnections and MaxSessions bound what is open at once, over TCP and UDP.
	MaxConnections, MaxSessions int
	AccessLog                   AccessLog
	// ALPN are the protocols that clients of TLS listeners may choose among.
	ALPN []string
	// Plugins are the names of the plugins that stream routes may use.
	Plugins []string
	// Protocols are the names that the protocol of a stream route may have.
	Protocols []string
}

// StreamListener is a TCP listener; TLS says that its clients speak it.
type StreamListener struct {
	Listener
	TLS bool
}

// ProxyProtocol says where a PROXY head comes before all else.
type ProxyProtocol struct {
	// Listen and ListenTLS are listeners of the data plane for load balancers that
	// send it; at most one each.
	Listen, ListenTLS []Listener
	// Streams: TCP listeners of stream routes want it. ToNodes: connections of
	// stream routes to nodes begin with it.
	Streams, ToNodes bool
}

func defaultStream() Stream {
	return Stream{
		MaxConnections: 16384, MaxSessions: 16384,
		AccessLog: AccessLog{
			Path: "logs/access_stream.log", Escape: "default", Buffer: 16 << 10,
			Format: "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time",
		},
		Plugins: []string{"ip-restriction", "limit-conn", "mqtt-proxy", "syslog", "traffic-split"},
	}
}

// addStreams adds the keys of streams and of the PROXY protocol to those of apisix.
func (k *keys) addStreams(o object) {
	g := &k.c.Gateway
	o["proxy_mode"] = oneOf(&k.mode, "http", "http&stream", "stream")
	o["stream_proxy"] = object{
		"tcp":  list(&g.Stream.TCP, streamListener),
		"udp":  list(&g.Stream.UDP, udpListener),
		"only": boolean(&k.streamOnly), // APISIX 2.x
	}
	o["proxy_protocol"] = object{
		"listen_http_port":          onePort(&g.ProxyProtocol.Listen),
		"listen_https_port":         onePort(&g.ProxyProtocol.ListenTLS),
		"enable_tcp_pp":             boolean(&g.ProxyProtocol.Streams),
		"enable_tcp_pp_to_upstream": boolean(&g.ProxyProtocol.ToNodes),
	}
}

// streams are the keys at the top.
func (k *keys) streams() object {
	st := &k.c.Gateway.Stream
	return object{
		"max_connections": integer(&st.MaxConnections, 1),
		"max_sessions":    integer(&st.MaxSessions, 1),
		"alpn":            list(&st.ALPN, text),
	}
}

// xrpc takes the names of protocols.
func (k *keys) xrpc() object {
	return object{"protocols": list(&k.c.Gateway.Stream.Protocols, func(name *string) field {
		return object{"name": text(name)}
	})}
}

// everyAddress is where a listener that is only a port listens.
func everyAddress() Listener { return Listener{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 0)} }

// streamListener takes a port, an address, or a mapping {addr, tls}.
func streamListener(to *StreamListener) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		to.Listener = everyAddress()
		if n.Kind == yaml.MappingNode {
			object{"addr": listener(&to.Listener), "tls": boolean(&to.TLS)}.decode(d, key, n)
			return
		}
		listener(&to.Listener).decode(d, key, n)
	})
}

// udpListener takes a port, an address, or a mapping {addr}.
func udpListener(to *Listener) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		*to = everyAddress()
		if n.Kind == yaml.MappingNode {
			object{"addr": listener(to)}.decode(d, key, n)
			return
		}
		listener(to).decode(d, key, n)
	})
}

// onePort takes the port of a listener on every address.
func onePort(to *[]Listener) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		l := everyAddress()
		portOf(&l).decode(d, key, n)
		*to = []Listener{l}
	})
}

// finishStreams opens what apisix.proxy_mode says. APISIX 2.x had stream_proxy.only
// in its place.
func (k *keys) finishStreams(d *decoder) {
	g := &k.c.Gateway
	if _, old := d.given["apisix.stream_proxy.only"]; old && k.mode == "http" {
		if k.mode = "http&stream"; k.streamOnly {
			k.mode = "stream"
		}
	}
	g.Stream.Enabled = k.mode != "http"
	if k.mode == "stream" {
		g.Listen, g.TLS.Enabled, g.ProxyProtocol.Listen, g.ProxyProtocol.ListenTLS = nil, false, nil, nil
	}
	if at, given := d.given["apisix.proxy_mode"]; given && g.Stream.Enabled && len(g.Stream.TCP)+len(g.Stream.UDP) == 0 {
		d.warn(at, "apisix.proxy_mode", "apisix.stream_proxy names no listener")
	}
	if at, given := d.given["apisix.stream_proxy"]; given && !g.Stream.Enabled {
		d.warn(at, "apisix.stream_proxy", "apisix.proxy_mode is http")
	}
}
