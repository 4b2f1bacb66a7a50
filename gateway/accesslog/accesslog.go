// Package accesslog writes a line for each request, or for each connection of stream routes, to a file, in the formats of
// nginx's access logs.
package accesslog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"millrace/plugin"
)

// flushEvery is how long a line may wait to be written.
const flushEvery = time.Second

// leastPending is how many bytes may wait, at least, while the disk is slow; then
// lines are lost rather than requests held up.
const leastPending = 1 << 20

// Config says what is written where.
type Config struct {
	Log  *slog.Logger
	Path string
	// Format has variables in it, $name or ${name}. Escape, of their values, is
	// default, json or none.
	Format, Escape string
	// Buffer is how many bytes are gathered before they are written.
	Buffer int
}

// Log is a plugin.Logger, which no configuration of a route names.
type Log struct {
	log  *slog.Logger
	wake chan struct{} // has room for one

	mu      sync.Mutex
	cfg     Config
	format  *format
	pending []byte
	lost    int
	reopen  bool

	file  *os.File // Run's
	spare []byte   // Run's
}

var (
	_ plugin.Logger       = (*Log)(nil)
	_ plugin.StreamLogger = (*Log)(nil)
)

// Open opens the file, which is made if there is none. Run writes to it.
func Open(cfg Config) (*Log, error) {
	l := &Log{log: cfg.Log, cfg: cfg, format: compile(cfg.Format, cfg.Escape), wake: make(chan struct{}, 1)}
	var err error
	if l.file, err = openFile(cfg.Path); err != nil {
		return nil, fmt.Errorf("opening an access log (access_log in nginx_config): %w", err)
	}
	return l, nil
}

// Configure changes the file and the form of the lines that follow; that of cfg.Log
// stays as it is.
func (l *Log) Configure(cfg Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg, l.format, l.reopen = cfg, compile(cfg.Format, cfg.Escape), true
	l.signal()
}

func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// lines are room for a line each.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// Log enters the line of a request that has been answered. Its variables may wait for
// the client, for whom other requests do not.
func (l *Log) Log(c *plugin.Context) {
	l.mu.Lock()
	format := l.format
	l.mu.Unlock()
	line := lines.Get().(*[]byte)
	defer lines.Put(line)
	*line = append(format.append((*line)[:0], c.Lookup()), '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > max(leastPending, 4*l.cfg.Buffer) {
		l.lost++
		return
	}
	if l.pending = append(l.pending, *line...); len(l.pending) >= l.cfg.Buffer {
		l.signal()
	}
}

// LogStream enters the line of a connection that has ended.
func (l *Log) LogStream(c *plugin.Context) { l.Log(c) }

// Reopen opens the file anew, once what waits has been written to the old one.
func (l *Log) Reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reopen = true
	l.signal()
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			return nil
		case <-t.C:
		case <-l.wake:
		}
		l.flush()
	}
}

// Close closes the file; Run has ended.
func (l *Log) Close() error { return l.file.Close() }

func (l *Log) flush() {
	l.mu.Lock()
	text, lost, reopen, path := l.pending, l.lost, l.reopen, l.cfg.Path
	l.pending, l.lost, l.reopen = l.spare[:0], 0, false
	l.mu.Unlock()
	if len(text) > 0 {
		if _, err := l.file.Write(text); err != nil {
			l.log.Error("writing the access log", "path", l.file.Name(), "err", err)
		}
	}
	if lost > 0 {
		l.log.Warn("lines of the access log are lost: the file is not written as fast as requests come", "path", l.file.Name(), "lines", lost)
	}
	l.spare = text
	if reopen {
		l.openAgain(path)
	}
}

func (l *Log) openAgain(path string) {
	file, err := openFile(path)
	if err != nil {
		l.log.Error("opening the access log again; the old file is written on", "path", path, "err", err)
		return
	}
	l.file.Close()
	l.file = file
}
