package server

import (
	"fmt"
	"slices"
	"strings"

	"millrace/config"
	"millrace/gateway/accesslog"
)

// hotKeys are those that a running server takes over; what begins with one of them is
// one too. The rest waits for a restart.
var hotKeys = []string{
	"log.level", "nginx_config.error_log_level",
	"nginx_config.http.access_log", // with _format, _format_escape and _buffer
	"nginx_config.http.enable_access_log",
	"deployment.admin.admin_key", "deployment.admin.allow_admin", "deployment.admin.enable_admin_cors",
	"apisix.admin_key", "apisix.allow_admin", "apisix.enable_admin_cors",
	"plugins", "stream_plugins",
}

// Reload takes over what a running server can of a configuration that was read again,
// and answers the changed keys that wait for a restart. On an error nothing has been
// taken over. One goroutine at a time may call it, while Run runs.
func (s *Server) Reload(cfg *config.Config) (waiting []string, err error) {
	if err := cfg.CheckExposure(); err != nil {
		return nil, err
	}
	before := s.cfg
	if s.reloaded != nil {
		before = s.reloaded
	}
	for _, key := range config.Changed(s.cfg, cfg) {
		if !slices.ContainsFunc(hotKeys, func(hot string) bool { return strings.HasPrefix(key, hot) }) {
			waiting = append(waiting, key)
		}
	}
	logged := cfg.Gateway.AccessLog
	var accessLog *accesslog.Config
	if is := logged.Enabled && logged.Path != "" && (s.state.dir != "" || !logged.Implied); is != (s.accessLog != nil) && s.gateway != nil {
		waiting = append(waiting, "nginx_config.http.access_log (whether there is one)")
	} else if is && s.accessLog != nil {
		conf, err := s.accessLogSettings(&logged)
		if err != nil {
			return nil, err
		}
		accessLog = &conf
	}
	if err := s.reloadAdmin(before, cfg); err != nil {
		return nil, err
	}
	if accessLog != nil { // nothing can fail from here on
		s.accessLog.Configure(*accessLog)
	}
	s.warnOfPlugins(&cfg.Gateway)
	s.plugins.configure(&cfg.Gateway)
	if s.opt.Level != nil {
		s.opt.Level.Set(cfg.Log.Level)
	}
	s.reloaded = cfg
	return waiting, nil
}

// reloadAdmin changes who may call the Admin API, if the file says something else than
// it did. The keys that were made at the start stay.
func (s *Server) reloadAdmin(before, cfg *config.Config) error {
	if s.admin == nil {
		return nil
	}
	for i, k := range cfg.Admin.Keys {
		if !k.Generated {
			continue
		}
		same := slices.IndexFunc(before.Admin.Keys, func(old config.AdminKey) bool { return old.Generated && old.Name == k.Name })
		if same < 0 {
			return fmt.Errorf("deployment.admin.admin_key: %q has no key; one is only made, and shown, when the server starts", k.Name)
		}
		cfg.Admin.Keys[i].Key = before.Admin.Keys[same].Key
	}
	changed := slices.ContainsFunc(config.Changed(before, cfg), func(key string) bool {
		return strings.HasPrefix(key, "deployment.admin.") || strings.HasPrefix(key, "apisix.")
	})
	if !changed {
		return nil
	}
	if opensToAll(cfg) {
		s.adminOpen.Store(true)
	}
	if err := s.admin.SetAccess(s.adminAccess(cfg)); err != nil {
		return err
	}
	s.adminOpen.Store(opensToAll(cfg))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Credentials = credentialsLine(cfg)
	return nil
}
