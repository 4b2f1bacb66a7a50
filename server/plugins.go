package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"millrace/config"
	"millrace/plugin"
	"millrace/plugins"
	"millrace/store"
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
	id, err := s.processID()
	if err != nil {
		return nil, err
	}
	process := plugins.NewProcess(plugins.ProcessConfig{
		Log: s.log, Version: s.opt.Version, ID: id, Prometheus: conf, BatchURI: s.cfg.Gateway.BatchURI, EtcdVersion: s.etcdVersion(),
	}, env)
	s.add(part{name: "logs of plugins", drain: process.Close})
	s.reportServerInfo(process)
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

// processID names this process to others: as the configuration says, else at random,
// and after a restart by the same name.
func (s *Server) processID() (string, error) {
	if id := s.cfg.Gateway.ID; id != "" || s.state.dir == "" {
		return id, nil
	}
	path := filepath.Join(s.state.dir, "uid")
	if kept, err := os.ReadFile(path); err == nil && len(bytes.TrimSpace(kept)) > 0 {
		return string(bytes.TrimSpace(kept)), nil
	}
	id := plugins.NewID()
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping the id of this process (apisix.id): %w", err)
	}
	return id, nil
}

// reportServerInfo tells an etcd of this process if the plugin server-info is asked for
// by name.
func (s *Server) reportServerInfo(process *plugins.Process) {
	cfg := &s.cfg.Gateway
	if cfg.Source.Provider != "etcd" || !slices.Contains(cfg.Plugins, "server-info") {
		return
	}
	put := func(ctx context.Context, key string, value []byte) error {
		_, err := s.resources.Put(ctx, key, value, store.PutOptions{TTL: cfg.ServerInfoTTL})
		return err
	}
	s.add(part{name: "server info", run: func(ctx context.Context) error { return process.ReportServerInfo(ctx, cfg.ServerInfoTTL, put) }})
}

// etcdVersion is what asks the etcd for its version, nil without one.
func (s *Server) etcdVersion() func(context.Context) (string, error) {
	if etcd, ok := s.resources.(interface {
		Version(context.Context) (string, error)
	}); ok {
		return etcd.Version
	}
	return nil
}
