package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStreams(t *testing.T) {
	const listeners = "stream_proxy: {tcp: [9100, \"127.0.0.1:9101\", {addr: 9102, tls: true}, {addr: \"[::1]:9103\"}], udp: [9200, \"127.0.0.1:9201\"]}"
	c, err := parse("c.yaml", []byte("apisix:\n  enable_ipv6: false\n  proxy_mode: http&stream\n  "+listeners+`
  proxy_protocol: {listen_http_port: 9181, listen_https_port: 9182, enable_tcp_pp: true, enable_tcp_pp_to_upstream: true}
stream_plugins: [prometheus]
stream: {max_connections: 5, max_sessions: 6, alpn: [mqtt]}
nginx_config: {stream: {enable_access_log: true, access_log: /s.log, access_log_format: $protocol, access_log_format_escape: json, access_log_buffer: 1k}}
xrpc: {protocols: [{name: redis}, {name: dubbo}]}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	at := func(addr, network string) Listener {
		return Listener{Addr: netip.MustParseAddrPort(addr), Network: network}
	}
	want := Stream{
		Enabled: true,
		TCP: []StreamListener{
			{Listener: at("0.0.0.0:9100", "tcp4")}, {Listener: at("127.0.0.1:9101", "tcp4")},
			{Listener: at("0.0.0.0:9102", "tcp4"), TLS: true}, {Listener: at("[::1]:9103", "tcp")},
		},
		UDP:            []Listener{at("0.0.0.0:9200", "tcp4"), at("127.0.0.1:9201", "tcp4")},
		AccessLog:      AccessLog{Enabled: true, Path: "/s.log", Format: "$protocol", Escape: "json", Buffer: 1024},
		MaxConnections: 5, MaxSessions: 6, ALPN: []string{"mqtt"}, Plugins: []string{"prometheus"}, Protocols: []string{"redis", "dubbo"},
	}
	compare := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, c.Gateway.Stream, compare); diff != "" {
		t.Error(diff)
	}
	pp := c.Gateway.ProxyProtocol
	if len(pp.Listen) != 1 || pp.Listen[0].Address() != "0.0.0.0:9181" || !pp.Listen[0].HTTP2 || pp.Listen[0].Network != "tcp4" ||
		len(pp.ListenTLS) != 1 || pp.ListenTLS[0].Addr.Port() != 9182 || !pp.Streams || !pp.ToNodes {
		t.Errorf("%+v", pp)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestProxyMode(t *testing.T) {
	const listener = "\n  stream_proxy: {tcp: [9100]}"
	for text, want := range map[string]struct {
		http, stream bool
		warning      string
	}{
		"":                                  {true, false, ""},
		"\n  proxy_mode: http" + listener:   {true, false, "apisix.proxy_mode is http: apisix.stream_proxy (line 3)"},
		listener:                            {true, false, "apisix.proxy_mode is http: apisix.stream_proxy (line 2)"},
		"\n  proxy_mode: stream" + listener: {false, true, ""},
		"\n  proxy_mode: http&stream":       {true, true, "apisix.stream_proxy names no listener: apisix.proxy_mode (line 2)"},
		"\n  stream_proxy: {only: true, tcp: [9100]}":  {false, true, ""},
		"\n  stream_proxy: {only: false, tcp: [9100]}": {true, true, ""},
	} {
		c, err := parse("c.yaml", []byte("apisix:"+text), nil)
		if err != nil {
			t.Fatal(err)
		}
		g := &c.Gateway
		if http := len(g.Listen) > 0 && g.TLS.Enabled; http != want.http || g.Stream.Enabled != want.stream {
			t.Errorf("%q: HTTP %v, streams %v", text, http, g.Stream.Enabled)
		}
		if got := strings.Join(c.Warnings, "\n"); !strings.HasSuffix(got, want.warning) || want.warning == "" && got != "" {
			t.Errorf("%q: warnings %q", text, got)
		}
	}
	if _, err := parse("c.yaml", []byte("apisix: {proxy_mode: tcp}"), nil); err == nil {
		t.Error("proxy_mode may be anything")
	}
}
