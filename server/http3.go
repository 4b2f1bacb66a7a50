package server

import (
	"net"
	"strings"

	"millrace/config"
)

// listenHTTP3 opens the UDP port of each listener that is to speak HTTP/3: that of
// its TCP port, which is open.
func (s *Server) listenHTTP3(key string, listeners []config.Listener, open []net.Listener) ([]net.PacketConn, error) {
	var sockets []net.PacketConn
	s.add(part{name: "UDP ports of the gateway", close: func() error {
		for _, socket := range sockets {
			socket.Close()
		}
		return nil
	}})
	for i, ln := range open {
		l := listeners[i]
		if !l.HTTP3 {
			continue
		}
		network := strings.Replace(l.Network, "tcp", "udp", 1)
		socket, err := net.ListenPacket(network, ln.Addr().String())
		if err != nil {
			return nil, listenError("HTTP/3", key, ln.Addr().String(), err)
		}
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

// announceHTTP3 makes TLS listeners name the UDP ports of their own number.
func (g *gatewayRole) announceHTTP3(sockets []net.PacketConn) {
	for _, socket := range sockets {
		g.Announce(socket.LocalAddr().(*net.UDPAddr).Port)
	}
}
