package config

import (
	"math"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Prometheus configures how the gateway's metrics are shown (plugin_attr.prometheus).
type Prometheus struct {
	// Enabled: they have a listener of their own.
	Enabled bool
	Listen  Listener
	// URI is where they are on it, Prefix what their names begin with.
	URI, Prefix string
	// Buckets are the bounds of the latency histogram in milliseconds, nil for
	// APISIX's.
	Buckets []float64
	// Metrics are settings of single metrics by name, without prefix.
	Metrics map[string]Metric
}

// Metric is the settings of one metric: further labels, and after how long series
// that do not change go; 0 keeps them.
type Metric struct {
	ExtraLabels []MetricLabel
	Expire      time.Duration
}

// MetricLabel is a label whose value is that of a variable, named without $.
type MetricLabel struct{ Name, Variable string }

func (k *keys) prometheus() object {
	p := &k.c.Gateway.Prometheus
	return object{
		"enable_export_server": boolean(&p.Enabled),
		"export_addr":          object{"ip": ipOf(&p.Listen), "port": portOf(&p.Listen)},
		"export_uri":           uriPath(&p.URI),
		"metric_prefix":        text(&p.Prefix),
		"default_buckets":      buckets(&p.Buckets),
		"metrics":              metrics(&p.Metrics),
	}.noEffects("metrics are always as new as the request for them", "refresh_interval")
}

// pluginAttr is plugin_attr, of which only what is known has an effect.
func (k *keys) pluginAttr() field {
	g := &k.c.Gateway
	known := object{
		"prometheus":     k.prometheus(),
		"redirect":       object{"https_port": port(&g.RedirectPort)},
		"server-info":    object{"report_ttl": reportTTL(&g.ServerInfoTTL)},
		"batch-requests": object{"uri": uriPath(&g.BatchURI)},
	}
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		d.eachEntry(key, n, func(name, path string, at, value *yaml.Node) {
			f, is := known[name]
			if !is {
				f = noEffect("the plugin is not here, or has nothing to set up for all routes")
			}
			if value.ShortTag() != "!!null" {
				f.decode(d, path, value)
			}
		})
	})
}

// reportTTL is in seconds, within APISIX's bounds.
func reportTTL(to *time.Duration) field {
	return scalar(to, "seconds, 3 to 86400", func(text string) (time.Duration, bool) {
		n, err := strconv.Atoi(text)
		return time.Duration(n) * time.Second, err == nil && n >= 3 && n <= 86400
	})
}

func uriPath(to *string) field {
	return scalar(to, "a path such as /metrics", func(text string) (string, bool) { return text, strings.HasPrefix(text, "/") })
}

// buckets are ascending numbers.
func buckets(to *[]float64) field {
	number := func(to *float64) field {
		return scalar(to, "a number", func(text string) (float64, bool) {
			v, err := strconv.ParseFloat(text, 64)
			return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
		})
	}
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		list(to, number).decode(d, key, n)
		for i := 1; i < len(*to); i++ {
			if (*to)[i] <= (*to)[i-1] {
				d.fail(n, key, "want ascending numbers")
				return
			}
		}
	})
}

// metrics are the settings of metrics by their names.
func metrics(to *map[string]Metric) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		*to = map[string]Metric{}
		d.eachEntry(key, n, func(name, path string, at, value *yaml.Node) {
			var m Metric
			if value.ShortTag() != "!!null" {
				object{"extra_labels": list(&m.ExtraLabels, metricLabel), "expire": duration(&m.Expire)}.decode(d, path, value)
			}
			(*to)[name] = m
		})
	})
}

// metricLabel is one label: name: $variable.
func metricLabel(to *MetricLabel) field {
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		d.eachEntry(key, n, func(name, path string, at, value *yaml.Node) {
			variable, ok := strings.CutPrefix(value.Value, "$")
			if value.Kind != yaml.ScalarNode || !ok || variable == "" {
				d.fail(value, path, "want a variable such as $host")
				return
			}
			*to = MetricLabel{name, variable}
		})
	})
}
