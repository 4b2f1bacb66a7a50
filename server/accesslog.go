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

// openAccessLog opens the access log of requests, if the configuration has one.
func (s *Server) openAccessLog() (*plugin.Chain, error) {
	log, err := s.openLog("access log", &s.cfg.Gateway.AccessLog)
	if log == nil || err != nil {
		return nil, err
	}
	s.accessLog = log
	return plugin.Of("access log", logLast, log), nil
}

// openStreamLog opens the access log of streams, if the configuration has one.
func (s *Server) openStreamLog() (plugin.StreamLogger, error) {
	log, err := s.openLog("access log of streams", &s.cfg.Gateway.Stream.AccessLog)
	if log == nil || err != nil {
		return nil, err
	}
	s.streamLog = log
	return log, nil
}

func (s *Server) openLog(name string, cfg *config.AccessLog) (*accesslog.Log, error) {
	if !cfg.Enabled || cfg.Path == "" {
		return nil, nil
	}
	if cfg.Implied && s.state.dir == "" {
		s.log.Warn("there is no access log: with --ephemeral it needs an absolute path in nginx_config.http.access_log")
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
	s.add(part{name: name, run: log.Run, close: log.Close})
	return log, nil
}

func (s *Server) accessLogSettings(cfg *config.AccessLog) (accesslog.Config, error) {
	path := cfg.Path
	if !filepath.IsAbs(path) {
		if s.state.dir == "" {
			return accesslog.Config{}, errors.New("access_log in nginx_config: a relative path is below the data folder, and --ephemeral has none: give an absolute path")
		}
		path = filepath.Join(s.state.dir, path)
		if _, err := dataDir(filepath.Dir(path)); err != nil {
			return accesslog.Config{}, err
		}
	}
	return accesslog.Config{Log: s.log, Path: path, Format: cfg.Format, Escape: cfg.Escape, Buffer: int(cfg.Buffer)}, nil
}

// ReopenLogs opens the access logs anew, so that their files may be moved away.
func (s *Server) ReopenLogs() {
	for _, log := range []*accesslog.Log{s.accessLog, s.streamLog} {
		if log != nil {
			log.Reopen()
		}
	}
}
