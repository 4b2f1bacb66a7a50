package server

import (
	"net/http"

	"millrace/config"
	"millrace/plugin"
	"millrace/plugins"
)

// openPlugins makes what the plugin instances have in common, and opens the listener
// of the metrics. It is for before the gateway is opened, so that logs are sent when
// the gateway has answered its last request.
func (s *Server) openPlugins(env *plugin.Env) (*plugins.Process, error) {
	cfg := &s.cfg.Gateway.Prometheus
	conf := plugins.PrometheusConfig{
		ExportServer: cfg.Enabled, ExportURI: cfg.URI, Prefix: &cfg.Prefix, Buckets: cfg.Buckets,
		Metrics: make(map[string]plugins.MetricConfig, len(cfg.Metrics)),
	}
	for name, m := range cfg.Metrics {
		of := plugins.MetricConfig{Expire: m.Expire}
		for _, l := range m.ExtraLabels {
			of.ExtraLabels = append(of.ExtraLabels, plugins.ExtraLabel(l))
		}
		conf.Metrics[name] = of
	}
	process := plugins.NewProcess(plugins.ProcessConfig{Log: s.log, Version: s.opt.Version, Prometheus: conf}, env)
	s.add(part{name: "logs of plugins", drain: process.Close})
	if !cfg.Enabled {
		return process, nil
	}
	listeners, err := s.listen("metrics", "plugin_attr.prometheus.export_addr", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s.addHTTP(config.RoleGateway, "metrics", process.Metrics(), listeners)
	return process, nil
}

// serverInfo is what tells which process this is, nil unless the plugin server-info
// may be used.
func serverInfo(set *plugin.Set, process *plugins.Process) http.Handler {
	if !set.Has("server-info") {
		return nil
	}
	return process.ServerInfo()
}
