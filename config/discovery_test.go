package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDiscovery(t *testing.T) {
	c := mustParse(t, `
apisix: {dns_resolver: [10.0.0.53], dns_resolver_valid: 30, resolver_timeout: 2, enable_resolv_search_opt: false}
discovery:
  dns: {servers: ["127.0.0.1:53"], order: [last, SRV]}
  consul:
    servers: ["http://127.0.0.1:8500"]
    token: t
    fetch_interval: 3
    timeout: {connect: 1000, read: 1500, wait: 60}
    skip_services: [a]
    default_service: {host: 10.0.0.1, port: 80, metadata: {weight: 5, max_fails: 1}}
  consul_kv: {servers: ["http://127.0.0.1:8500"], prefix: p}
  eureka: {host: ["http://127.0.0.1:8761"], timeout: {connect: 1s, send: 1000, read: 3000}}
  nacos: {host: ["http://u:p@127.0.0.1:8848"], access_key: a, secret_key: s, weight: 7}
  kubernetes:
    service: {schema: http}
    client: {token: "${TOKEN}"}
    namespace_selector: {match: ["^a"]}
`, map[string]string{"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443", "TOKEN": "tok"})
	if want := (Resolver{Servers: []string{"10.0.0.53"}, Valid: 30 * time.Second, Timeout: 2 * time.Second}); cmp.Diff(want, c.Gateway.Resolver) != "" {
		t.Errorf("resolver %+v", c.Gateway.Resolver)
	}
	d := &c.Gateway.Discovery
	want := &ConsulRegistry{
		Servers: []string{"http://127.0.0.1:8500"}, Token: "t", FetchInterval: 3 * time.Second,
		Timeouts: StepTimeouts{Connect: time.Second, Read: 1500 * time.Millisecond}, Skip: []string{"a"},
		Fallback: &StaticNode{Host: "10.0.0.1", Port: 80, Weight: 5},
	}
	if diff := cmp.Diff(want, d.Consul); diff != "" {
		t.Error(diff)
	}
	if d.ConsulKV.Prefix != "p" || d.Eureka.Timeouts.Sum() != 5*time.Second || d.Nacos.Weight != 7 || d.DNS.Order[1] != "SRV" {
		t.Errorf("%+v", d)
	}
	k := d.Kubernetes[0]
	if k.Server != "http://10.96.0.1:443" || k.Token != "tok" || k.TokenFile != "" || len(k.Match) != 1 {
		t.Errorf("cluster %+v", k)
	}
}

func TestClusters(t *testing.T) {
	const file = `
discovery:
  kubernetes:
    - {id: a, service: {host: a.example, port: 6443}, watch_endpoint_slices: true}
    - {id: b, service: {host: "::1", port: "6443"}, client: {token_file: /tok}}
`
	k := mustParse(t, file, nil).Gateway.Discovery.Kubernetes
	if len(k) != 2 || k[0].Server != "https://a.example:6443" || k[0].TokenFile != serviceAccount || !k[0].EndpointSlices || k[1].Server != "https://[::1]:6443" || k[1].TokenFile != "/tok" {
		t.Errorf("%+v", k)
	}
	for text, want := range map[string]string{
		"discovery: {kubernetes: {}}":                       "can't find environment variable KUBERNETES_SERVICE_HOST",
		"discovery: {dns: {order: [MX]}}":                   "discovery.dns.order[0]: want",
		"discovery: {eureka: {timeout: {connect: x}}}":      "discovery.eureka.timeout.connect: want a number of milliseconds",
		"discovery: {kubernetes: {service: {schema: ftp}}}": "discovery.kubernetes.service.schema: want",
	} {
		if _, err := parse("f", []byte(text), noEnv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
