package server

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// localHosts tells which api_host of an openwhisk plugin means this process:
// the addresses on which it serves the REST API.
type localHosts struct {
	listeners []netip.AddrPort
	known     sync.Map // api_host → bool; as many as configurations name
}

func newLocalHosts(listeners []net.Listener) *localHosts {
	h := &localHosts{}
	for _, l := range listeners {
		h.listeners = append(h.listeners, l.Addr().(*net.TCPAddr).AddrPort())
	}
	return h
}

// has answers for an api_host such as http://localhost:3233.
func (l *localHosts) has(apiHost string) bool {
	if known, ok := l.known.Load(apiHost); ok {
		return known.(bool)
	}
	is := l.find(apiHost)
	l.known.Store(apiHost, is)
	return is
}

func (l *localHosts) find(apiHost string) bool {
	u, err := url.Parse(strings.TrimSuffix(apiHost, "/"))
	if err != nil || u.Scheme != "http" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	port := 80
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return false
		}
	}
	for _, listener := range l.listeners {
		if int(listener.Port()) == port && reaches(u.Hostname(), listener.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// reaches tells whether a connection to host on this machine comes to a
// listener bound to addr.
func reaches(host string, addr netip.Addr) bool {
	if strings.EqualFold(host, "localhost") {
		return addr.IsLoopback() || addr.IsUnspecified()
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false // a name: who answers it may change
	}
	ip = ip.Unmap()
	if !addr.IsUnspecified() {
		return ip == addr
	}
	return ip.IsLoopback() || ofThisMachine(ip)
}

func ofThisMachine(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
