package stream

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// askLocal makes the kernel tell with each datagram which address it was sent to: a
// socket for all addresses does not know otherwise, and would answer from another.
// A socket may be of one family only.
func askLocal(conn *net.UDPConn) error {
	v4 := ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst, true)
	if v6 := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst, true); v6 == nil {
		return nil
	}
	return v4
}

// localOf reads the address that a datagram was sent to; the zero value if the
// kernel did not tell.
func localOf(control []byte) netip.Addr {
	var v4 ipv4.ControlMessage
	if v4.Parse(control) == nil {
		if a, ok := netip.AddrFromSlice(v4.Dst); ok {
			return a.Unmap()
		}
	}
	var v6 ipv6.ControlMessage
	if v6.Parse(control) == nil {
		if a, ok := netip.AddrFromSlice(v6.Dst); ok {
			return a.Unmap()
		}
	}
	return netip.Addr{}
}

// sendFrom makes the control message by which datagrams are sent from an address;
// nil for that of the socket.
func sendFrom(local netip.Addr) []byte {
	switch {
	case !local.IsValid(), local.IsUnspecified():
		return nil
	case local.Is4():
		return (&ipv4.ControlMessage{Src: local.AsSlice()}).Marshal()
	}
	return (&ipv6.ControlMessage{Src: local.AsSlice()}).Marshal()
}
