package server

import (
	"errors"
	"path/filepath"

	"millrace/config"
	"millrace/gateway/accesslog"
	"millrace/plugin"
)

// logLast is the priority of the access log among the plugins of a request: it
// sees what all others have done.
const logLast = -1 << 30

// openAccessLog opens the access log, if the configuration has one.
func (s *Server) openAccessLog() (*plugin.Chain, error) {
	cfg := &s.cfg.Gateway.AccessLog
	if !cfg.Enabled || cfg.Path == "" {
		return nil, nil
	}
	conf, err := s.accessLogSettings(cfg)
	if err != nil {
		return nil, err
	}
	log, err := accesslog.Open(conf)
	if err != nil {
		return nil, err
	}
	s.accessLog = log
	s.add(part{name: "access log", run: log.Run, close: log.Close})
	return plugin.Of("access log", logLast, log), nil
}

func (s *Server) accessLogSettings(cfg *config.AccessLog) (accesslog.Config, error) {
	path := cfg.Path
	if !filepath.IsAbs(path) {
		if s.state.dir == "" {
			return accesslog.Config{}, errors.New("nginx_config.http.access_log: a relative path is below the data folder, and --ephemeral has none: give an absolute path")
		}
		path = filepath.Join(s.state.dir, path)
		if _, err := dataDir(filepath.Dir(path)); err != nil {
			return accesslog.Config{}, err
		}
	}
	return accesslog.Config{Log: s.log, Path: path, Format: cfg.Format, Escape: cfg.Escape, Buffer: int(cfg.Buffer)}, nil
}

// ReopenLogs opens the access log anew, so that its file may be moved away.
func (s *Server) ReopenLogs() {
	if s.accessLog != nil {
		s.accessLog.Reopen()
	}
}
