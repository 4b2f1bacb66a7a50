package stream

import (
	"net/netip"
	"testing"
)

func TestMatch(t *testing.T) {
	prefix := func(text string) netip.Prefix {
		p, err := parsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	table := newTable([]*route{
		{id: "late", created: 9},
		{id: "port", created: 3, serverPort: 9100},
		{id: "client", created: 2, remoteAddr: prefix("10.0.0.0/8")},
		{id: "server", created: 4, serverAddr: prefix("127.0.0.2")},
		{id: "all", created: 1, remoteAddr: prefix("10.1.0.0/16"), serverAddr: prefix("127.0.0.0/8"), serverPort: 9100},
		{id: "exact", created: 20, sni: "a.test.com"},
		{id: "exact-client", created: 10, sni: "a.test.com", remoteAddr: prefix("10.0.0.1")},
		{id: "wild", created: 11, sni: "*.test.com"},
		{id: "wilder", created: 5, sni: "*.com"},
		{id: "wild-port", created: 6, sni: "*.b.test.com", serverPort: 9100},
		{id: "v6", created: 7, remoteAddr: prefix("2001:db8::/32"), serverPort: 9400},
	})
	for _, tt := range []struct {
		name, remote, server string
		port                 int
		want                 string
	}{
		{"", "192.0.2.1", "127.0.0.1", 9200, "late"},
		{"", "192.0.2.1", "127.0.0.1", 9100, "port"},
		{"", "10.0.0.1", "127.0.0.1", 9100, "client"},
		{"", "10.1.0.1", "127.0.0.1", 9100, "all"},
		{"", "10.1.0.1", "128.0.0.1", 9100, "client"},
		{"", "192.0.2.1", "127.0.0.2", 9100, "port"},
		{"", "192.0.2.1", "127.0.0.2", 9200, "server"},
		{"", "2001:db8::1", "::1", 9400, "v6"},
		{"a.test.com", "192.0.2.1", "127.0.0.1", 9100, "exact"},
		{"A.Test.COM.", "10.0.0.1", "127.0.0.1", 9100, "exact-client"},
		{"b.test.com", "192.0.2.1", "127.0.0.1", 9100, "wild"},
		{"x.y.test.com", "192.0.2.1", "127.0.0.1", 9100, "wild"},
		{"x.b.test.com", "192.0.2.1", "127.0.0.1", 9100, "wild-port"},
		{"x.b.test.com", "192.0.2.1", "127.0.0.1", 9200, "wild"},
		{"test.com", "192.0.2.1", "127.0.0.1", 9100, "wilder"},
		{"test.org", "192.0.2.1", "127.0.0.1", 9100, "port"},
	} {
		r := table.match(tt.name, netip.MustParseAddr(tt.remote), netip.MustParseAddr(tt.server), tt.port)
		if r == nil || r.id != tt.want {
			t.Errorf("%+v: got %+v", tt, r)
		}
	}
	if r := newTable(nil).match("a.com", netip.Addr{}, netip.Addr{}, 1); r != nil {
		t.Errorf("an empty table answers %+v", r)
	}
	any := newTable([]*route{{id: "any", sni: "*"}, {id: "bare", sni: "*foo.com", created: 1}})
	for name, want := range map[string]string{"a.b": "any", "foo.com": "bare", "xfoo.com": "bare"} {
		if r := any.match(name, netip.Addr{}, netip.Addr{}, 1); r == nil || r.id != want {
			t.Errorf("%s: %+v, want %s", name, r, want)
		}
	}
}
