package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"millrace/internal/calmlog"
	"millrace/internal/expr"
	"millrace/plugin"
	"millrace/plugins/internal/batch"
	"millrace/plugins/internal/logformat"
)

const (
	fileLoggerSchema = `{"type":"object","properties":{
		"path":{"type":"string"},
		"match":{"type":"array","maxItems":20,"items":{"type":"array"}},
		` + logformat.Schema + `}}`
	fileLoggerMetadataSchema = `{"type":"object","properties":{"path":{"type":"string"},` + logformat.MetadataSchema + `}}`
)

func init() {
	plugin.Register[fileLogger]("file-logger", 399, fileLoggerSchema, plugin.AsMetadata[fileLoggerMetadata](fileLoggerMetadataSchema))
}

// fileLogger appends a line for each request to a file.
type fileLogger struct {
	Path  string            `json:"path"`
	Match []json.RawMessage `json:"match"`
	entryMaker

	match []*expr.Expr
	log   *slog.Logger
}

type fileLoggerMetadata struct {
	Path string `json:"path"`
	logformat.Metadata
}

var (
	_ plugin.Checker     = (*fileLogger)(nil)
	_ plugin.Initer      = (*fileLogger)(nil)
	_ plugin.Accesser    = (*fileLogger)(nil)
	_ plugin.BodyWatcher = (*fileLogger)(nil)
	_ plugin.BodyChooser = (*fileLogger)(nil)
	_ plugin.Logger      = (*fileLogger)(nil)
)

// Check compiles the configuration.
func (p *fileLogger) Check() error {
	for _, conf := range p.Match {
		e, err := expr.Compile(conf)
		if err != nil {
			return fmt.Errorf(msgBadMatch, err)
		}
		p.match = append(p.match, e)
	}
	return p.entryMaker.Check()
}

// Init finds the process, which writes the files.
func (p *fileLogger) Init(env *plugin.Env) error {
	p.process = processOf(env)
	p.log = calmlog.New(env.Log.With("plugin", "file-logger"), "")
	return nil
}

// Log enters the line; it is written in the background.
func (p *fileLogger) Log(c *plugin.Context) {
	if !p.matches(c) {
		return
	}
	meta := plugin.MetadataOf[fileLoggerMetadata](c, "file-logger")
	path := p.Path
	if path == "" {
		path = meta.Path
	}
	if path == "" {
		p.log.Error(msgNoLogPath, "route", c.Matched.RouteID)
		return
	}
	if !p.process.files.push(p.process, path, p.entry(c, &meta.Metadata)) {
		p.log.Warn("a line is lost: the file is not written as fast as it is logged to", "path", path)
	}
}

func (p *fileLogger) matches(c *plugin.Context) bool {
	for _, e := range p.match {
		if e.Holds(c.Lookup()) {
			return true
		}
	}
	return len(p.match) == 0
}

const (
	// fileBatch is how many lines are written at once, filePending how many may
	// wait.
	fileBatch   = 1000
	filePending = 65536
)

// logFiles are the files that are logged to, each with a queue of its own so that
// a slow one holds up no other.
type logFiles struct {
	mu     sync.Mutex
	queues map[string]*batch.Queue
}

func (f *logFiles) push(p *Process, path string, line []byte) bool {
	return f.queue(p, path).Push(append(line, '\n'), filePending, "", "")
}

func (f *logFiles) queue(p *Process, path string) *batch.Queue {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queues[path]
	if q == nil {
		conf := batch.Conf{BatchMaxSize: fileBatch}
		q = p.logs.New(conf, "file-logger", calmlog.New(p.conf.Log, ""), func(_ context.Context, lines [][]byte) error {
			return appendToFile(path, lines)
		})
		if f.queues == nil {
			f.queues = map[string]*batch.Queue{}
		}
		f.queues[path] = q
	}
	return q
}

// appendToFile opens the file each time, so that it may be moved away.
func appendToFile(path string, lines [][]byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Join(lines, nil))
	return errors.Join(err, f.Close())
}
