package server

import (
	"net"
	"net/netip"
	"strings"
)

// boundTo is an address that the server listens on, and the key of config.yaml
// that says so.
type boundTo struct {
	key  string
	addr netip.AddrPort
}

// noWebhook tells whether a webhook that a tenant names may not be called at an
// address: it is a listener of this process, whose clients the configuration
// trusts for where they are. The functions platform's own are open to tenants.
func (s *Server) noWebhook(to netip.AddrPort) bool {
	for _, b := range s.bound {
		if b.addr.Port() == to.Port() && !strings.HasPrefix(b.key, "functions.") && ownAddress(to.Addr().Unmap(), b.addr.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// ownAddress tells whether a connection to an address comes to a listener of this
// machine.
func ownAddress(to, listener netip.Addr) bool {
	if to == listener || to.IsLoopback() {
		return true
	}
	if !listener.IsUnspecified() {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range own {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap() == to {
			return true
		}
	}
	return false
}
