package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/yaml.v3"

	"millrace/gateway"
)

// debugFile is debug.yaml, in which an operator asks the running gateway for the
// plugins of each request. As in APISIX it is looked at every second, and counts once
// its last line is #END.
type debugFile struct {
	path string
	log  *slog.Logger
	set  func(on bool)
	seen fileStamp
	on   bool
}

// fileStamp tells whether a file has changed; the zero one is of a file that is not
// there.
type fileStamp struct {
	modified time.Time
	size     int64
}

const debugEvery = time.Second

func (s *Server) addDebugFile(g *gateway.Gateway) {
	if s.opt.ConfigFile == "" {
		return
	}
	f := &debugFile{path: filepath.Join(filepath.Dir(s.opt.ConfigFile), "debug.yaml"), log: s.log, set: g.ShowPlugins}
	s.add(part{name: "debug.yaml", run: f.run})
}

func (f *debugFile) run(ctx context.Context) error {
	t := time.NewTicker(debugEvery)
	defer t.Stop()
	for {
		f.look()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// look reads the file if it has changed.
func (f *debugFile) look() {
	var now fileStamp
	if info, err := os.Stat(f.path); err == nil {
		now = fileStamp{info.ModTime(), info.Size()}
	}
	if now == f.seen {
		return
	}
	f.seen = now
	on, err := f.read()
	if err != nil {
		f.log.Error("reading debug.yaml; what it said before stays", "file", f.path, "err", err)
		return
	}
	if on != f.on {
		f.log.Info("debug.yaml has changed what answers tell", "file", f.path, "plugins", on)
	}
	f.on = on
	f.set(on)
}

var errNoEnd = errors.New("its last line is not #END: it is taken once that is there")

// read answers basic.enable; a file that is not there says false.
func (f *debugFile) read() (on bool, err error) {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if string(bytes.TrimSpace(lines[len(lines)-1])) != "#END" {
		return false, errNoEnd
	}
	type part struct {
		Enable bool `yaml:"enable"`
	}
	var conf struct {
		Basic      part `yaml:"basic"`
		HTTPFilter part `yaml:"http_filter"`
		HookConf   part `yaml:"hook_conf"`
	}
	if err := yaml.Unmarshal(text, &conf); err != nil {
		return false, fmt.Errorf("parsing it: %w", err)
	}
	if conf.HTTPFilter.Enable || conf.HookConf.Enable {
		f.log.Warn("debug.yaml: http_filter and hook_conf are without effect, because there are no Lua modules to hook into", "file", f.path)
	}
	return conf.Basic.Enable, nil
}
