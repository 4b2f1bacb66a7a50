package server

import (
	"net/netip"
	"testing"
)

func TestNoWebhook(t *testing.T) {
	t.Parallel()
	s := &Server{bound: []boundTo{
		{"functions.listen", netip.MustParseAddrPort("127.0.0.1:3233")},
		{"deployment.admin.admin_listen", netip.MustParseAddrPort("127.0.0.1:9180")},
		{"apisix.node_listen", netip.MustParseAddrPort("[::]:9080")},
	}}
	for _, tc := range []struct {
		to   string
		want bool
	}{
		{"127.0.0.1:3233", false}, {"127.0.0.1:9180", true}, {"127.0.0.2:9180", true}, {"[::1]:9180", true},
		{"[::ffff:127.0.0.1]:9080", true}, {"127.0.0.1:8080", false}, {"192.0.2.7:9180", false}, {"192.0.2.7:9080", false},
	} {
		if got := s.noWebhook(netip.MustParseAddrPort(tc.to)); got != tc.want {
			t.Errorf("%s: %t", tc.to, got)
		}
	}
}
