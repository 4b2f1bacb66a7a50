package server

import (
	"net/netip"
	"testing"
)

func TestLocalHosts(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParseAddrPort("127.0.0.1:3233")
	all := netip.MustParseAddrPort("0.0.0.0:3233")
	for _, c := range []struct {
		listener netip.AddrPort
		apiHost  string
		want     bool
	}{
		{loopback, "http://127.0.0.1:3233", true},
		{loopback, "http://localhost:3233", true},
		{loopback, "http://LocalHost:3233/", true},
		{loopback, "http://127.0.0.2:3233", false},
		{loopback, "http://127.0.0.1:3234", false},
		{loopback, "http://127.0.0.1", false},
		{loopback, "https://127.0.0.1:3233", false},
		{loopback, "127.0.0.1:3233", false},
		{loopback, "http://127.0.0.1:3233/prefix", false},
		{loopback, "http://user@127.0.0.1:3233", false},
		{loopback, "http://example.org:3233", false},
		{loopback, "", false},
		{netip.MustParseAddrPort("[::1]:3233"), "http://[::1]:3233", true},
		{netip.MustParseAddrPort("[::]:3233"), "http://127.0.0.1:3233", true},
		{all, "http://127.0.0.1:3233", true},
		{all, "http://127.0.0.7:3233", true},
		{all, "http://localhost:3233", true},
		{all, "http://192.0.2.1:3233", false},
		{netip.MustParseAddrPort("127.0.0.1:80"), "http://127.0.0.1", true},
	} {
		hosts := &localHosts{listeners: []netip.AddrPort{c.listener}}
		for range 2 { // the second answer comes from memory
			if got := hosts.has(c.apiHost); got != c.want {
				t.Errorf("listener %s, api_host %q: got %v, want %v", c.listener, c.apiHost, got, c.want)
			}
		}
	}
}
