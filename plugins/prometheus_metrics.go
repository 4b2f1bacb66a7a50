package plugins

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/plugin"
	"millrace/plugins/internal/metrics"
)

const (
	defaultExportURI = "/apisix/prometheus/metrics"
	metricsType      = "text/plain; charset=utf-8"
)

// PrometheusConfig is plugin_attr.prometheus; its zero values stand for the
// defaults.
type PrometheusConfig struct {
	// ExportServer: the metrics have a listener of their own, so that public-api
	// does not show them. ExportURI is where it shows them.
	ExportServer bool
	ExportURI    string
	// Prefix begins the names; nil is apisix_.
	Prefix *string
	// Buckets are the bounds of the latency histogram in milliseconds.
	Buckets []float64
	// Metrics are settings of single metrics, by name without prefix.
	Metrics map[string]MetricConfig
}

// MetricConfig is plugin_attr.prometheus.metrics.NAME.
type MetricConfig struct {
	// ExtraLabels are further labels whose values are variables, $name.
	ExtraLabels []ExtraLabel
	// Expire removes series that have not changed for so long; 0 keeps them.
	Expire time.Duration
}

// ExtraLabel is a label whose value is that of a variable.
type ExtraLabel struct{ Name, Variable string }

// latencyBuckets are in milliseconds.
var latencyBuckets = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000}

// gatewayMetrics are the metrics of the gateway.
type gatewayMetrics struct {
	conf     metricsConf
	process  *Process
	registry metrics.Registry

	status, latency, bandwidth *metrics.Family
	streams                    streamFamilies
}

// metricsConf is the configuration made ready.
type metricsConf struct {
	exportServer bool
	uri, prefix  string
	// extra are the variables of extra labels, each once.
	extra []string
	by    map[string]MetricConfig
}

// UpstreamHealth is a service of the gateway: the health of nodes that are checked.
type UpstreamHealth interface {
	// EachNode calls fn for each node of each upstream that has health checks; name
	// is as /apisix/upstreams/1.
	EachNode(fn func(name, ip string, port int, healthy bool))
}

// ConfigRevisions is a service of the gateway: how far it has followed the store.
type ConfigRevisions interface {
	// EachRevision calls fn for the newest revision of each folder of the
	// configuration and of all together, by APISIX's names of the label key. It
	// answers whether the store can be reached.
	EachRevision(fn func(of string, revision int64)) (following bool)
}

func newGatewayMetrics(p *Process) *gatewayMetrics {
	c := &p.conf.Prometheus
	m := &gatewayMetrics{process: p, conf: metricsConf{exportServer: c.ExportServer, uri: c.ExportURI, prefix: "apisix_", by: c.Metrics}}
	if m.conf.uri == "" {
		m.conf.uri = defaultExportURI
	}
	if c.Prefix != nil {
		m.conf.prefix = *c.Prefix
	}
	buckets := c.Buckets
	if len(buckets) == 0 {
		buckets = latencyBuckets
	}
	for _, of := range c.Metrics {
		for _, l := range of.ExtraLabels {
			if !slices.Contains(m.conf.extra, l.Variable) {
				m.conf.extra = append(m.conf.extra, l.Variable)
			}
		}
	}
	const perService = " per service in APISIX"
	m.status = m.add("http_status", "HTTP status codes"+perService, metrics.Config{Kind: metrics.Counter,
		Labels: []string{"code", "route", "matched_uri", "matched_host", "service", "consumer", "node", "request_type", "request_llm_model", "llm_model", "response_source"}})
	each := []string{"type", "route", "service", "consumer", "node", "request_type", "request_llm_model", "llm_model"}
	m.latency = m.add("http_latency", "HTTP request latency in milliseconds"+perService, metrics.Config{Kind: metrics.Histogram, Labels: each, Buckets: buckets})
	m.bandwidth = m.add("bandwidth", "Total bandwidth in bytes consumed"+perService, metrics.Config{Kind: metrics.Counter, Labels: each})
	m.addCollected()
	m.addStreams()
	return m
}

// add adds a family with what the configuration says of it.
func (m *gatewayMetrics) add(name, help string, c metrics.Config) *metrics.Family {
	of := m.conf.by[name]
	c.Name, c.Help, c.Expire = m.conf.prefix+name, help, of.Expire
	c.Labels = slices.Clone(c.Labels)
	for _, l := range of.ExtraLabels {
		c.Labels = append(c.Labels, l.Name)
	}
	return m.registry.Add(c)
}

// emit is how a collector hands over a series.
type emit = func(value float64, labels ...string)

// addCollected adds the metrics that are looked up when they are written.
func (m *gatewayMetrics) addCollected() {
	gauge := func(name, help string, collect func(emit), labels ...string) {
		m.add(name, help, metrics.Config{Kind: metrics.Gauge, Labels: labels, Collect: collect})
	}
	gauge("http_requests_total", "The total number of client requests since APISIX started", m.collectRequests)
	gauge("nginx_http_current_connections", "Number of HTTP connections", m.collectConnections, "state")
	gauge("etcd_reachable", "Config server etcd reachable from APISIX, 0 is unreachable", m.collectReachable)
	gauge("etcd_modify_indexes", "Etcd modify index for APISIX keys", m.collectRevisions, "key")
	gauge("node_info", "Info of APISIX node", func(emit emit) { emit(1, m.process.host, m.process.conf.Version) }, "hostname", "version")
	gauge("upstream_status", "Upstream status from health check", m.collectUpstreams, "name", "ip", "port")
	gauge("batch_process_entries", "batch process remaining entries", m.collectBatches, "name", "route_id", "server_addr")
	m.add("nginx_metric_errors_total", "Number of nginx-lua-prometheus errors", metrics.Config{Kind: metrics.Counter,
		Collect: func(emit emit) { emit(float64(m.registry.Dropped())) }})
}

func (m *gatewayMetrics) collectRequests(emit emit) {
	if g, ok := plugin.Service[plugin.GatewayStatus](m.process.env); ok {
		emit(float64(g.Connections().Requests))
	}
}

func (m *gatewayMetrics) collectConnections(emit emit) {
	g, ok := plugin.Service[plugin.GatewayStatus](m.process.env)
	if !ok {
		return
	}
	n := g.Connections()
	emit(float64(n.Accepted), "accepted")
	emit(float64(n.Active), "active")
	emit(float64(n.Accepted), "handled")
	emit(float64(n.Reading), "reading")
	emit(float64(n.Waiting), "waiting")
	emit(float64(n.Writing), "writing")
}

func (m *gatewayMetrics) collectReachable(emit emit) {
	c, ok := plugin.Service[ConfigRevisions](m.process.env)
	switch {
	case !ok:
	case c.EachRevision(func(string, int64) {}):
		emit(1)
	default:
		emit(0)
	}
}

func (m *gatewayMetrics) collectRevisions(emit emit) {
	if c, ok := plugin.Service[ConfigRevisions](m.process.env); ok {
		c.EachRevision(func(of string, revision int64) { emit(float64(revision), of) })
	}
}

func (m *gatewayMetrics) collectUpstreams(emit emit) {
	h, ok := plugin.Service[UpstreamHealth](m.process.env)
	if !ok {
		return
	}
	h.EachNode(func(name, ip string, port int, healthy bool) {
		value := 0.0
		if healthy {
			value = 1
		}
		emit(value, name, ip, strconv.Itoa(port))
	})
}

func (m *gatewayMetrics) collectBatches(emit emit) {
	m.process.logs.Each(func(name, route, server string, pending int) { emit(float64(pending), name, route, server) })
}

// extraValues are the values of all extra labels of a request, joined.
func (m *gatewayMetrics) extraValues(c *plugin.Context) string {
	var b strings.Builder
	for _, variable := range m.conf.extra {
		b.WriteString(strings.ReplaceAll(c.Var(variable).Text, "\xff", ""))
		b.WriteByte(0xff)
	}
	return b.String()
}

// tally finds the series of a kind of request.
func (m *gatewayMetrics) tally(key tallyKey) *tally {
	const traditional = "traditional_http"
	of := func(f *metrics.Family, name, kind string) *metrics.Series {
		return f.With(m.values(name, key, f, []string{kind, key.route, key.service, key.consumer, key.node, traditional, "", ""})...)
	}
	code := strconv.Itoa(key.status)
	t := &tally{
		key: key,
		status: m.status.With(m.values("http_status", key, m.status, []string{code, key.route, key.uri, key.host,
			key.service, key.consumer, key.node, traditional, "", "", key.source})...),
		request: of(m.latency, "http_latency", "request"),
		gateway: of(m.latency, "http_latency", "apisix"),
		ingress: of(m.bandwidth, "bandwidth", "ingress"),
		egress:  of(m.bandwidth, "bandwidth", "egress"),
	}
	if key.called {
		t.upstream = of(m.latency, "http_latency", "upstream")
	}
	return t
}

// values completes label values with those of extra labels, and empties those that
// the metadata switches off.
func (m *gatewayMetrics) values(name string, key tallyKey, f *metrics.Family, values []string) []string {
	if extra := m.conf.by[name].ExtraLabels; len(extra) > 0 {
		all := strings.Split(key.extra, "\xff")
		for _, l := range extra {
			values = append(values, all[slices.Index(m.conf.extra, l.Variable)])
		}
	}
	disabled := key.metadata.DisabledLabels[m.conf.prefix+name]
	if disabled == nil {
		disabled = key.metadata.DisabledLabels[name]
	}
	for i, label := range f.Labels() {
		if slices.Contains(disabled, label) {
			values[i] = ""
		}
	}
	return values
}

func (m *gatewayMetrics) text() []byte { return m.registry.AppendText(nil, time.Now()) }

// Metrics answers the metrics of the process at its export URI, for the listener
// of their own.
func (p *Process) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != p.metrics.conf.uri || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", metricsType)
		_, _ = w.Write(p.metrics.text()) // the client may go
	})
}

// servePublicMetrics shows the metrics on a route, unless they have a listener.
func servePublicMetrics(env *plugin.Env, c *plugin.Context) error {
	m := processOf(env).metrics
	if m.conf.exportServer {
		return c.Exit(404, nil)
	}
	c.Response.SetHeader("Content-Type", metricsType)
	return c.Exit(200, m.text())
}
