package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"millrace/config"
	"millrace/resource"
	"millrace/store/etcd"
	"millrace/store/file"
)

// openSource opens what holds the gateway's resources.
func (s *Server) openSource(ctx context.Context) error {
	source := &s.cfg.Gateway.Source
	s.resources, s.followed = s.state.store, s.state.store
	if !s.cfg.Has(config.RoleGateway) && !s.cfg.Has(config.RoleAdmin) {
		return nil
	}
	switch source.Provider {
	case "etcd":
		return s.openEtcd(ctx, &source.Etcd)
	case "file":
		return s.openFile(ctx, source.File)
	}
	return nil
}

func (s *Server) openEtcd(ctx context.Context, e *config.Etcd) error {
	security, err := etcd.TLS(etcd.Security{
		Hosts: e.Hosts, Cert: e.TLS.Cert, Key: e.TLS.Key, ServerName: e.TLS.SNI, Verify: e.TLS.Verify,
		Authorities: s.cfg.Gateway.TLS.TrustedCertificate,
	})
	if err != nil {
		return err
	}
	conf := etcd.Config{
		Endpoints: e.Hosts, User: e.User, Password: e.Password, TLS: security,
		From: "/apisix", To: strings.TrimRight(e.Prefix, "/"), Timeout: e.Timeout, Attempts: e.Retries + 1, Log: s.log,
		Wait: e.StartupWait,
	}
	if s.state.dir != "" && e.StartupWait > 0 && s.cfg.Has(config.RoleGateway) {
		conf.Reserve = filepath.Join(s.state.dir, "etcd.reserve")
	}
	kept, err := etcd.OpenSource(ctx, conf)
	if err != nil {
		return fmt.Errorf("deployment.etcd.host names an etcd (leave it out to keep the configuration in the data folder): %w", err)
	}
	s.resources, s.followed = kept, kept.Followed()
	s.add(part{name: "etcd", run: kept.Run, close: kept.Close})
	return nil
}

// checkResource tells why a resource that nobody has checked cannot be served.
func (s *Server) checkResource(key string, value []byte) error {
	ring, err := s.keyring()
	if err != nil {
		return err
	}
	return resource.CheckStored(key, value, resource.World{Plugins: s.plugins.set, Keyring: ring})
}

func (s *Server) openFile(ctx context.Context, path string) error {
	kept, err := file.Open(ctx, file.Config{
		Log: s.log, Path: path, Lookup: os.LookupEnv, Check: s.checkResource, Plugins: s.takePlugins,
	})
	if err != nil {
		return fmt.Errorf("the configuration says that routes are in a file beside it: %w", err)
	}
	s.resources, s.followed = kept, kept
	s.add(part{name: "configuration file", run: kept.Run, close: kept.Close})
	return nil
}
