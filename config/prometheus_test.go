package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPrometheus(t *testing.T) {
	c, err := parse("config.yaml", []byte(`
plugin_attr:
  log-rotate: {interval: 3600}
  prometheus:
    export_uri: /m
    metric_prefix: mr_
    enable_export_server: false
    export_addr: {ip: 127.0.0.2, port: 9191}
    default_buckets: [1, 2.5, 100]
    metrics:
      http_status:
        expire: 600
        extra_labels: [{upstream: $upstream_addr}, {host: $host}]
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Gateway.Prometheus
	got.Listen.Network = ""
	listen := loopback(9191)
	listen.Network = ""
	want := Prometheus{URI: "/m", Prefix: "mr_", Listen: got.Listen, Buckets: []float64{1, 2.5, 100},
		Metrics: map[string]Metric{"http_status": {Expire: 600 * time.Second, ExtraLabels: []MetricLabel{{"upstream", "upstream_addr"}, {"host", "host"}}}}}
	if diff := cmp.Diff(want.Metrics, got.Metrics) + cmp.Diff(want.Buckets, got.Buckets); diff != "" {
		t.Error(diff)
	}
	if got.URI != want.URI || got.Prefix != want.Prefix || got.Enabled || got.Listen.Address() != "127.0.0.2:9191" {
		t.Errorf("%+v", got)
	}
}

func TestPrometheusProblems(t *testing.T) {
	for text, want := range map[string]string{
		`export_uri: m`:           "plugin_attr.prometheus.export_uri",
		`default_buckets: [2, 1]`: "ascending",
		`metrics: {http_status: {extra_labels: [{a: b}]}}`: "want a variable",
	} {
		_, err := parse("config.yaml", []byte("plugin_attr: {prometheus: {"+text+"}}"), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
