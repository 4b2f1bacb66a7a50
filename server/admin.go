package server

import (
	"context"
	"net/http"

	"millrace/admin"
	"millrace/config"
)

func (s *Server) adminServed() bool { return s.cfg.Has(config.RoleAdmin) && s.cfg.Admin.Enabled }

func (s *Server) openAdmin(context.Context) error {
	if !s.adminServed() {
		return nil
	}
	cfg := &s.cfg.Admin
	keyring, err := s.keyring()
	if err != nil {
		return err
	}
	conf := s.adminAccess(s.cfg)
	conf.Log, conf.Store, conf.Keyring, conf.Version, conf.APIVersion = s.log, s.resources, keyring, s.opt.Version, cfg.APIVersion
	conf.Plugins, conf.ReloadPlugins, conf.Stream = s.plugins.set, s.reloadPlugins, s.cfg.Gateway.Stream.Enabled
	if s.gateway != nil {
		conf.Applied, conf.Env = s.gateway.applied(), s.gateway.env
	} else {
		s.warnOfPlugins(&s.cfg.Gateway)
	}
	open := admin.New
	if s.cfg.Gateway.Source.Provider == "api" {
		open = admin.NewStandalone
	}
	h, err := open(conf)
	if err != nil {
		return err
	}
	s.admin, _ = h.(adminAPI)
	s.adminOpen.Store(opensToAll(s.cfg))
	h = s.guardAdmin(h)
	if s.gateway != nil {
		s.gateway.local = h
	}
	listeners, err := s.listen("the Admin API", "deployment.admin.admin_listen", cfg.Listen)
	if err != nil {
		return err
	}
	if listeners, err = secureAdmin(&cfg.TLS, listeners); err != nil {
		return err
	}
	s.addHTTP(config.RoleAdmin, "Admin API", h, listeners)
	if cfg.TLS.Enabled {
		s.sayHTTPS(len(listeners))
	}
	return nil
}

// adminAPI is what can be changed of the Admin API while it is served.
type adminAPI interface {
	SetAccess(admin.Config) error
}

// adminAccess is who may call the Admin API.
func (s *Server) adminAccess(cfg *config.Config) admin.Config {
	a := &cfg.Admin
	conf := admin.Config{
		KeyRequired: a.KeyRequired, AllowAdmin: prefixTexts(a.AllowFrom), CORS: a.CORS, InsecureWellKnownKeys: cfg.InsecureWellKnownKeys,
	}
	for _, k := range a.Keys {
		conf.Keys = append(conf.Keys, admin.Key{Name: k.Name, Key: k.Key, Role: k.Role})
	}
	return conf
}

// opensToAll tells whether the Admin API opens to everybody on this machine.
func opensToAll(cfg *config.Config) bool { return cfg.WellKnownAdmin() || !cfg.Admin.KeyRequired }

// guardAdmin keeps actions out while the Admin API opens to everybody.
func (s *Server) guardAdmin(h http.Handler) http.Handler {
	guarded := s.withoutActions(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.adminOpen.Load() {
			guarded.ServeHTTP(w, r)
		} else {
			h.ServeHTTP(w, r)
		}
	})
}
