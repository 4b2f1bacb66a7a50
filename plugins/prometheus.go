package plugins

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/plugin"
	"millrace/plugins/internal/metrics"
)

const (
	prometheusSchema         = `{"type":"object","properties":{"prefer_name":{"type":"boolean","default":false}}}`
	prometheusMetadataSchema = `{"type":"object","properties":{"disabled_labels":{"type":"object",
		"additionalProperties":{"type":"array","items":{"type":"string"}}}}}`
)

func init() {
	plugin.Register[prometheus]("prometheus", 500, prometheusSchema, plugin.WithVersion("0.2"), plugin.AsMetadata[prometheusMetadata](prometheusMetadataSchema))
	plugin.RegisterPublicAPI(plugin.PublicAPI{
		Plugin: "prometheus", URI: defaultExportURI, Methods: []string{"GET"}, Serve: servePublicMetrics,
	})
}

// prometheusMetadata says which labels stay empty, by metric.
type prometheusMetadata struct {
	DisabledLabels map[string][]string `json:"disabled_labels"`
}

// prometheus counts the requests of its route. What it counts in is found once
// for each kind of answer and kept.
type prometheus struct {
	PreferName bool `json:"prefer_name"`

	metrics *gatewayMetrics
	last    atomic.Pointer[tally]
	mu      sync.RWMutex
	tallies map[tallyKey]*tally
}

var (
	_ plugin.Initer = (*prometheus)(nil)
	_ plugin.Logger = (*prometheus)(nil)
)

// tallyKey is what the label values of a request depend on.
type tallyKey struct {
	route, service, uri, host string
	consumer, node            string
	status                    int
	source                    string
	called                    bool   // an upstream was
	extra                     string // values of extra labels, joined
	metadata                  *prometheusMetadata
}

// tally is the series that one kind of request is counted in.
type tally struct {
	key                        tallyKey
	status                     *metrics.Series
	request, upstream, gateway *metrics.Series // upstream is nil if none was called
	ingress, egress            *metrics.Series
}

// maxTallies bounds what one instance keeps; beyond it all are found anew.
const maxTallies = 1000

// Init finds the process's metrics.
func (p *prometheus) Init(env *plugin.Env) error {
	p.metrics = processOf(env).metrics
	p.tallies = map[tallyKey]*tally{}
	return nil
}

// Log counts the request.
func (p *prometheus) Log(c *plugin.Context) {
	total := time.Since(c.Started)
	t := p.tallyOf(c)
	t.status.Add(1)
	t.request.Observe(milliseconds(total))
	var inner time.Duration
	if t.upstream != nil {
		inner = c.Upstream.ResponseTime
		t.upstream.Observe(milliseconds(inner))
	}
	t.gateway.Observe(milliseconds(max(0, total-inner)))
	t.ingress.Add(c.Sizes.Request)
	t.egress.Add(c.Sizes.Sent)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// tallyOf finds the series of a request: mostly those of the one before.
func (p *prometheus) tallyOf(c *plugin.Context) *tally {
	key := p.keyOf(c)
	if t := p.last.Load(); t != nil && t.key == key && !t.gone() {
		return t
	}
	p.mu.RLock()
	t := p.tallies[key]
	p.mu.RUnlock()
	if t == nil || t.gone() {
		t = p.find(key)
	}
	p.last.Store(t)
	return t
}

func (t *tally) gone() bool {
	return t.status.Gone() || t.request.Gone() || t.upstream != nil && t.upstream.Gone() || t.gateway.Gone() || t.ingress.Gone() || t.egress.Gone()
}

func (p *prometheus) keyOf(c *plugin.Context) tallyKey {
	m := &c.Matched
	key := tallyKey{
		route: m.RouteID, service: m.ServiceID, uri: m.URI, host: m.Host,
		consumer: c.Consumer.Username, node: c.Upstream.IP, status: c.Response.Status(), source: sourceOf(c), called: c.Upstream.Addr != "",
		metadata: plugin.MetadataOf[prometheusMetadata](c, "prometheus"),
	}
	if p.PreferName {
		if m.RouteName != "" {
			key.route = m.RouteName
		}
		if m.ServiceName != "" {
			key.service = m.ServiceName
		}
	}
	if len(p.metrics.conf.extra) > 0 {
		key.extra = p.metrics.extraValues(c)
	}
	return key
}

// sourceOf says who made the answer: the upstream, a plugin, or the gateway
// because the upstream did not answer.
func sourceOf(c *plugin.Context) string {
	switch {
	case c.Upstream.Headers != nil:
		return "upstream"
	case c.Upstream.Addr != "":
		return "nginx"
	}
	return "apisix"
}

// find finds the series of a kind of request. The key's texts are kept, so they
// are copied: they could be parts of what the connection reads into.
func (p *prometheus) find(key tallyKey) *tally {
	key.consumer, key.node = strings.Clone(key.consumer), strings.Clone(key.node)
	t := p.metrics.tally(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tallies) >= maxTallies {
		clear(p.tallies)
	}
	p.tallies[key] = t
	return t
}
