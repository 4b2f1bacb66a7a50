package server

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"

	"millrace/config"
	"millrace/plugin"
)

// pluginList says which plugins may be used, in this process: those that config.yaml
// lists, or apisix.yaml, if it has a list of its own. Either may change.
type pluginList struct {
	set *plugin.Set

	mu         sync.Mutex
	conf, file *namedPlugins // file is nil if apisix.yaml has no list
}

// namedPlugins are the names of plugins for requests and for streams; nil is all.
type namedPlugins struct{ requests, streams []string }

func newPluginList(cfg *config.Gateway) *pluginList {
	l := &pluginList{set: (*plugin.Set)(nil).WithStreams(nil, cfg.Stream.Protocols)}
	l.configure(cfg)
	return l
}

// configure takes over the lists of config.yaml.
func (l *pluginList) configure(cfg *config.Gateway) {
	l.change(func() { l.conf = &namedPlugins{cfg.Plugins, cfg.Stream.Plugins} })
}

// override takes over the list of apisix.yaml, nil if that has none.
func (l *pluginList) override(list *namedPlugins) {
	l.change(func() { l.file = list })
}

// change makes a change, and the set anew if another list is in force.
func (l *pluginList) change(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.inForce()
	change()
	now := l.inForce()
	if before != nil && same(before.requests, now.requests) && same(before.streams, now.streams) {
		return
	}
	l.set.Replace(now.requests, now.streams)
}

// same tells whether two lists are the same. One that is not there lists all.
func same(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// inForce is the list that holds; mu is held.
func (l *pluginList) inForce() *namedPlugins {
	if l.file != nil {
		return l.file
	}
	return l.conf
}

// parsePlugins reads the list of apisix.yaml.
func parsePlugins(text []byte) (*namedPlugins, error) {
	var list []struct {
		Name   string `json:"name"`
		Stream bool   `json:"stream"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("reading the list of plugins: %w", err)
	}
	named := &namedPlugins{requests: []string{}, streams: []string{}}
	for _, p := range list {
		if p.Stream {
			named.streams = append(named.streams, p.Name)
		} else {
			named.requests = append(named.requests, p.Name)
		}
	}
	return named, nil
}

// takePlugins takes over the list of apisix.yaml, nil if that has none.
func (s *Server) takePlugins(list []byte) {
	if list == nil {
		s.plugins.override(nil)
		return
	}
	named, err := parsePlugins(list)
	if err != nil {
		s.log.Error("passing over a list of plugins; what was there before stays", "err", err)
		return
	}
	s.plugins.override(named)
}

// reloadPlugins takes over the lists of plugins that config.yaml has now.
func (s *Server) reloadPlugins() error {
	if s.opt.ConfigFile == "" {
		return nil
	}
	cfg, err := config.Load(s.opt.ConfigFile, os.LookupEnv)
	if err != nil {
		return err
	}
	s.warnOfPlugins(&cfg.Gateway)
	s.plugins.configure(&cfg.Gateway)
	return nil
}
