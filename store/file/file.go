// Package file is the store.Store whose content is a file: apisix.yaml, or
// apisix.json, as APISIX reads it in its standalone mode. Others change it by
// changing the file; it cannot be written through the Store.
//
// The file is looked at every second. A YAML file counts once its last line is
// #END, so that a half-written one is not taken. ${{NAME}} and ${{NAME:=default}}
// in its text are replaced from the environment. A file that cannot be read leaves
// everything as it was.
package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"millrace/internal/envref"
	"millrace/store"
	"millrace/store/mem"
)

// pollEvery is how often the file is looked at.
const pollEvery = time.Second

// Config says what is read.
type Config struct {
	Log *slog.Logger
	// Path ends in .json for JSON; anything else is YAML.
	Path string
	// Lookup answers a variable of the environment.
	Lookup func(name string) (string, bool)
	// Check answers nil or why the value of a key cannot be used; it is left out
	// then, or keeps what it was. nil checks nothing.
	Check func(key string, value []byte) error
	// Plugins, unless nil, is told of another list of plugins before anything else of the
	// file is checked: a JSON array, nil if the file has none any more.
	Plugins func(list []byte)
}

// Store is a store.Store whose content is a file.
type Store struct {
	*mem.Store
	cfg  Config
	seen stamp
	// settled: as long as the file is as seen, it says what it said when it was read.
	settled bool
	text    [sha256.Size]byte // of what it said
	have    map[string]string // what the file said, by key
}

// stamp tells one state of a file from another. The times and the size alone would not:
// two writes can come between two ticks of the file system's clock, and what a symbolic
// link leads to can be as old and as large as what it led to before.
type stamp struct {
	device, inode     uint64
	modified, changed syscall.Timespec
	size              int64
}

func stampOf(info os.FileInfo) stamp {
	st := info.Sys().(*syscall.Stat_t)
	return stamp{uint64(st.Dev), st.Ino, st.Mtim, st.Ctim, st.Size}
}

// tick is longer than any file system's clock takes from one time to the next.
const tick = 3 * time.Second

// settled tells whether a file that changes after now will have another stamp.
func (s stamp) settled(now time.Time) bool { return now.Sub(time.Unix(s.changed.Unix())) > tick }

var _ store.Store = (*Store)(nil)

// ErrReadOnly says that the content is changed by changing the file.
var ErrReadOnly = errors.New("the configuration is a file: change that")

// Open reads the file once; it must be whole. Run follows it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{Store: mem.New(), cfg: cfg, have: map[string]string{}}
	if _, err := s.load(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("reading %s: %w", cfg.Path, err)
	}
	return s, nil
}

// Run follows the file until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	missing := false // or cannot be read
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		changed, err := s.load(ctx)
		var unread *fs.PathError
		away := errors.As(err, &unread)
		switch {
		case ctx.Err() != nil, away && missing:
		case err != nil:
			s.cfg.Log.Error("reading the configuration; what was there before stays", "file", s.cfg.Path, "error", err)
		case changed:
			s.cfg.Log.Info("the configuration has been read again", "file", s.cfg.Path)
		}
		missing = away
	}
}

// load reads the file if it has changed. What it says wrongly is told once.
func (s *Store) load(ctx context.Context) (changed bool, err error) {
	info, err := os.Stat(s.cfg.Path)
	if err != nil {
		return false, err
	}
	now, begun := stampOf(info), time.Now()
	if now == s.seen && s.settled {
		return false, nil
	}
	text, err := os.ReadFile(s.cfg.Path)
	if err != nil {
		return false, err
	}
	s.seen, s.settled = now, now.settled(begun)
	sum := sha256.Sum256(text)
	if sum == s.text {
		return false, nil
	}
	s.text = sum
	wanted, err := s.parse(text)
	if err != nil {
		return false, err
	}
	return true, s.apply(ctx, wanted)
}

func (s *Store) parse(text []byte) (map[string]string, error) {
	if strings.HasSuffix(s.cfg.Path, ".json") {
		return parse(text, s.cfg.Log)
	}
	if !hasEnd(text) {
		return nil, errors.New("its last line is not #END: it is taken once that is there")
	}
	replaced, _, err := envref.Expand(string(text), s.cfg.Lookup)
	if err != nil {
		return nil, err
	}
	return parse([]byte(replaced), s.cfg.Log)
}

// apply makes the content what the file says.
func (s *Store) apply(ctx context.Context, wanted map[string]string) error {
	s.tellPlugins(wanted)
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		value := wanted[key]
		if s.have[key] == value {
			continue
		}
		if err := s.check(key, value); err != nil {
			s.cfg.Log.Error("passing over an entry of the configuration", "file", s.cfg.Path, "key", key, "error", err)
			continue
		}
		if _, err := s.Store.Put(ctx, key, []byte(value), store.PutOptions{}); err != nil {
			return err
		}
		s.have[key] = value
	}
	for key := range s.have {
		if _, still := wanted[key]; still {
			continue
		}
		if _, err := s.Store.Delete(ctx, key, store.Any); err != nil {
			return err
		}
		delete(s.have, key)
	}
	return nil
}

func (s *Store) tellPlugins(wanted map[string]string) {
	list, has := wanted[pluginsKey]
	switch {
	case s.cfg.Plugins == nil || list == s.have[pluginsKey]:
	case has:
		s.cfg.Plugins([]byte(list))
	default:
		s.cfg.Plugins(nil)
	}
}

func (s *Store) check(key, value string) error {
	if s.cfg.Check == nil {
		return nil
	}
	return s.cfg.Check(key, []byte(value))
}

// Put answers ErrReadOnly.
func (s *Store) Put(context.Context, string, []byte, store.PutOptions) (store.Entry, error) {
	return store.Entry{}, ErrReadOnly
}

// Delete answers ErrReadOnly.
func (s *Store) Delete(context.Context, string, int64) (int64, error) { return 0, ErrReadOnly }
