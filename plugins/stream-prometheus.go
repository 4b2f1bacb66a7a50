package plugins

import (
	"strconv"
	"time"

	"millrace/plugin"
	"millrace/plugins/internal/metrics"
)

func init() {
	plugin.RegisterStream[streamPrometheus]("prometheus", 500, prometheusSchema)
}

// streamPrometheus counts the connections of its route.
type streamPrometheus struct {
	PreferName bool `json:"prefer_name"`

	metrics *gatewayMetrics
}

var (
	_ plugin.Initer       = (*streamPrometheus)(nil)
	_ plugin.StreamLogger = (*streamPrometheus)(nil)
)

// streamFamilies are the metrics of streams.
type streamFamilies struct {
	total, status, bandwidth *metrics.Family
	redisTotal, redisLatency *metrics.Family
}

// redisBuckets are in seconds.
var redisBuckets = []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1}

func (m *gatewayMetrics) addStreams() {
	counter := func(name, help string, labels ...string) *metrics.Family {
		return m.add(name, help, metrics.Config{Kind: metrics.Counter, Labels: labels})
	}
	m.streams = streamFamilies{
		total:     counter("stream_connection_total", "Total number of connections handled per stream route in APISIX", "route"),
		status:    counter("stream_status", "Status codes of connections per stream listener in APISIX", "code", "listen_addr", "node"),
		bandwidth: counter("stream_bandwidth", "Total bandwidth in bytes consumed per stream listener in APISIX", "listen_addr", "type", "side"),

		redisTotal: counter("redis_commands_total", "Total number of requests for a specific Redis command", "route", "command"),
		redisLatency: m.add("redis_commands_latency_seconds", "Latency of requests for a specific Redis command",
			metrics.Config{Kind: metrics.Histogram, Labels: []string{"route", "command"}, Buckets: redisBuckets}),
	}
	m.add("stream_active_connections", "Number of open connections per stream listener", metrics.Config{
		Kind: metrics.Gauge, Labels: []string{"listen_addr"}, Collect: m.collectStreams,
	})
}

func (m *gatewayMetrics) collectStreams(emit emit) {
	if s, ok := plugin.Service[plugin.StreamStatus](m.process.env); ok {
		s.EachListener(func(addr string, active int64) { emit(float64(active), addr) })
	}
}

// Init finds the process's metrics.
func (p *streamPrometheus) Init(env *plugin.Env) error {
	p.metrics = processOf(env).metrics
	return nil
}

// LogStream counts the connection.
func (p *streamPrometheus) LogStream(c *plugin.Context) {
	route := c.Matched.RouteID
	if p.PreferName && c.Matched.RouteName != "" {
		route = c.Matched.RouteName
	}
	m, listener := p.metrics, c.Stream.Listener
	key := m.streamKey(c)
	add := func(f *metrics.Family, name string, n int64, values ...string) {
		f.With(m.values(name, key, f, values)...).Add(n)
	}
	add(m.streams.total, "stream_connection_total", 1, route)
	add(m.streams.status, "stream_status", 1, strconv.Itoa(c.Response.Status()), listener, c.Upstream.IP)
	bytes := &c.Stream.Bytes
	add(m.streams.bandwidth, "stream_bandwidth", bytes.FromClient, listener, "ingress", "downstream")
	add(m.streams.bandwidth, "stream_bandwidth", bytes.ToClient, listener, "egress", "downstream")
	add(m.streams.bandwidth, "stream_bandwidth", bytes.FromNode, listener, "ingress", "upstream")
	add(m.streams.bandwidth, "stream_bandwidth", bytes.ToNode, listener, "egress", "upstream")
}

// streamKey is what the labels of a connection's metrics have besides those of their own.
func (m *gatewayMetrics) streamKey(c *plugin.Context) tallyKey {
	key := tallyKey{metadata: &prometheusMetadata{}}
	if len(m.conf.extra) > 0 {
		key.extra = m.extraValues(c)
	}
	return key
}

var _ plugin.CallMetrics = (*Process)(nil)

// CountCall implements plugin.CallMetrics. Only Redis has metrics of its own.
func (p *Process) CountCall(c *plugin.Context, protocol, command string, took time.Duration) {
	if protocol != "redis" {
		return
	}
	m, key := p.metrics, p.metrics.streamKey(c)
	find := func(f *metrics.Family, name string) *metrics.Series {
		return f.With(m.values(name, key, f, []string{c.Matched.RouteID, command})...)
	}
	find(m.streams.redisTotal, "redis_commands_total").Add(1)
	find(m.streams.redisLatency, "redis_commands_latency_seconds").Observe(took.Seconds())
}
