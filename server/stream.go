package server

import (
	"context"
	"errors"
	"net"
	"strings"

	"millrace/admin"
	"millrace/config"
	"millrace/console"
	"millrace/gateway"
	"millrace/gateway/stream"
	"millrace/gateway/stream/xrpc"
	"millrace/plugins"
)

// StreamsName and ProxiedName are what the status calls the addresses of streams, and
// of the gateway for clients that begin with a PROXY head.
const (
	StreamsName = "streams"
	ProxiedName = "gateway, PROXY protocol"
)

// applied waits for all that serves what is stored.
func (g *gatewayRole) applied() admin.Applied {
	if g.streams == nil {
		return g
	}
	return appliedByAll{g, g.streams}
}

// appliedByAll is several that serve what is stored.
type appliedByAll []admin.Applied

// WaitApplied implements admin.Applied.
func (all appliedByAll) WaitApplied(ctx context.Context, revision int64) error {
	for _, a := range all {
		if err := a.WaitApplied(ctx, revision); err != nil {
			return err
		}
	}
	return nil
}

// streamListener is a TCP listener for streams.
type streamListener struct {
	net.Listener
	tls bool
}

// openStreams opens what passes connections on, if the configuration has it. It
// shares the gateway's settings and its upstreams.
func (s *Server) openStreams(g *gateway.Config, process *plugins.Process) error {
	cfg := &s.cfg.Gateway
	if !cfg.Stream.Enabled {
		return nil
	}
	role := s.gateway
	log, err := s.openStreamLog()
	if err != nil {
		return err
	}
	security := g.TLS
	security.Stapler, security.NextProtos = role.Stapler(), cfg.Stream.ALPN
	role.streams = stream.New(stream.Config{
		Log: g.Log, Store: g.Store, Env: g.Env, Keyring: g.Keyring, Check: g.Check, Secrets: g.Secrets, Pool: role.Pool(), TLS: security,
		ProxyProtocol: cfg.ProxyProtocol.Streams, Trusts: role.Trusts, ProxyToNodes: cfg.ProxyProtocol.ToNodes,
		MaxConnections: cfg.Stream.MaxConnections, MaxSessions: cfg.Stream.MaxSessions, DrainTimeout: g.DrainTimeout, AccessLog: log,
	})
	process.Lend(role.streams)
	for _, name := range cfg.Stream.Protocols {
		if !xrpc.Has(name) {
			s.log.Warn("xrpc.protocols names a protocol that is not understood: stream routes of it are not served", "protocol", name)
		}
	}
	var tcp []streamListener
	for _, l := range cfg.Stream.TCP {
		open, err := s.listen("streams", "apisix.stream_proxy.tcp", l.Listener)
		if err != nil {
			return err
		}
		scheme := "tcp"
		if l.TLS {
			scheme = "tls"
		}
		s.addStream(scheme, open[0].Addr().String())
		tcp = append(tcp, streamListener{open[0], l.TLS})
	}
	udp, err := s.listenUDP(cfg.Stream.UDP)
	if err != nil {
		return err
	}
	s.add(part{name: "configuration of streams", run: role.streams.Run})
	s.add(part{
		name:  "streams",
		run:   func(ctx context.Context) error { return serveStreams(ctx, role.streams, tcp, udp) },
		drain: role.streams.Shutdown,
	})
	return nil
}

// addStream notes where streams are taken.
func (s *Server) addStream(scheme, addr string) {
	what := StreamsName
	if host, port, _ := net.SplitHostPort(addr); net.ParseIP(host).IsUnspecified() {
		what, addr = what+" (all addresses)", net.JoinHostPort("127.0.0.1", port)
	}
	s.status.Addresses = append(s.status.Addresses, console.Address{Role: string(config.RoleGateway), What: what, URL: scheme + "://" + addr})
}

// listenUDP opens the sockets for UDP, and closes them when the server closes.
func (s *Server) listenUDP(listeners []config.Listener) ([]*net.UDPConn, error) {
	var open []*net.UDPConn
	s.add(part{name: "UDP ports of streams", close: func() error {
		for _, conn := range open {
			conn.Close()
		}
		return nil
	}})
	for _, l := range listeners {
		conn, err := net.ListenPacket(strings.Replace(l.Network, "tcp", "udp", 1), l.Address())
		if err != nil {
			return nil, listenError("streams", "apisix.stream_proxy.udp", l.Address(), err)
		}
		s.addStream("udp", conn.LocalAddr().String())
		open = append(open, conn.(*net.UDPConn))
	}
	return open, nil
}

// serveStreams serves every listener until ctx ends, from when the stored routes are
// in force.
func serveStreams(ctx context.Context, s *stream.Server, tcp []streamListener, udp []*net.UDPConn) error {
	if err := s.WaitApplied(ctx, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(tcp)+len(udp))
	for _, l := range tcp {
		go func() {
			defer cancel() // one listener gone ends them all
			ended <- s.ServeTCP(ctx, l.Listener, l.tls)
		}()
	}
	for _, conn := range udp {
		go func() {
			defer cancel()
			ended <- s.ServeUDP(ctx, conn)
		}()
	}
	var errs []error
	for range cap(ended) {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// listenProxied opens the listeners whose clients begin with a PROXY head, without
// and with TLS.
func (s *Server) listenProxied() (plain, secured []net.Listener, err error) {
	cfg := &s.cfg.Gateway.ProxyProtocol
	if plain, err = s.listen("the gateway", "apisix.proxy_protocol.listen_http_port", cfg.Listen...); err != nil {
		return nil, nil, err
	}
	if secured, err = s.listen("the gateway's TLS", "apisix.proxy_protocol.listen_https_port", cfg.ListenTLS...); err != nil {
		return nil, nil, err
	}
	for _, all := range [][]net.Listener{plain, secured} {
		for i, l := range all {
			s.addAddress(config.RoleGateway, ProxiedName, l)
			all[i] = gateway.Proxied{Listener: l}
		}
	}
	return plain, secured, nil
}
