package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"millrace/store"
	"millrace/store/reserve"
)

// Source is the store.Store of an etcd that may be away when the process starts. It
// answers store.ErrUnavailable until etcd has been there once. Those who serve the
// configuration follow Followed, which has what etcd held last meanwhile.
type Source struct {
	cfg   Config
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	there chan struct{} // closed when store is set
	store *Store
	// writeEvery and settle are the constants of these names, unless a test has less time.
	writeEvery, settle time.Duration

	away bool // at the start
}

var _ store.Store = (*Source)(nil)

// OpenSource connects as Open does. With a Reserve of this etcd it waits for at most
// Wait, and goes on without etcd if that is not there; one that refuses us, or has
// another fault that waiting does not mend, is an error.
func OpenSource(ctx context.Context, cfg Config) (*Source, error) {
	cfg.fillDefaults()
	s := &Source{cfg: cfg, there: make(chan struct{}), writeEvery: writeEvery, settle: settle}
	s.ctx, s.stop = context.WithCancel(context.Background())
	kept, err := s.tryFor(ctx)
	if err != nil {
		s.stop()
		return nil, openError(cfg, err)
	}
	if kept != nil {
		s.begin(kept)
	}
	return s, nil
}

// tryFor tries to reach etcd, at most for Wait if there is a reserve to go on with; nil
// if that is served.
func (s *Source) tryFor(ctx context.Context) (*Store, error) {
	if s.cfg.Reserve == "" {
		return try(ctx, s.cfg)
	}
	h, err := reserve.ReadHeader(s.cfg.Reserve)
	if err == nil {
		err = s.cfg.owns(&h)
	}
	if err != nil {
		s.sayUnserved(err)
		return try(ctx, s.cfg)
	}
	waiting, cancel := context.WithTimeout(ctx, s.cfg.Wait)
	defer cancel()
	kept, err := try(waiting, s.cfg)
	if !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
		return kept, err
	}
	if _, _, err = reserve.Check(s.cfg.Reserve); err != nil {
		s.sayUnserved(err)
		return try(ctx, s.cfg)
	}
	s.away = true
	s.cfg.warn("etcd does not answer: serving what it held when it was last read; writes are refused until it is back",
		"endpoints", strings.Join(s.cfg.Endpoints, ", "), "read", h.Written.Format(time.RFC3339), "err", unreachable(s.cfg))
	return nil, nil
}

// sayUnserved says why the reserve is none to go on with, unless there is none at all.
func (s *Source) sayUnserved(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		s.cfg.warn("the file with what etcd held last is not served", "file", s.cfg.Reserve, "err", err)
	}
}

// owns answers why a reserve is not of this etcd, as far as can be told without it: nil
// if it has the same prefix, and at least one address in common.
func (cfg *Config) owns(h *reserve.Header) error {
	ours := func(endpoint string) bool { return slices.Contains(cfg.Endpoints, endpoint) }
	if h.Prefix == cfg.To && slices.ContainsFunc(h.Endpoints, ours) {
		return nil
	}
	return fmt.Errorf("it is of %s with the prefix %s", strings.Join(h.Endpoints, ", "), h.Prefix)
}

func (cfg *Config) warn(msg string, args ...any) {
	if cfg.Log != nil {
		cfg.Log.Warn(msg, args...)
	}
}

func (s *Source) begin(kept *Store) {
	s.store = kept
	close(s.there)
}

// Reachable tells whether etcd answers, as far as is known.
func (s *Source) Reachable() bool {
	kept, err := s.open()
	return err == nil && kept.Reachable()
}

// open answers the store once etcd has been there.
func (s *Source) open() (*Store, error) {
	select {
	case <-s.there:
		return s.store, nil
	default:
		return nil, fmt.Errorf("%w: etcd has not answered since the start", store.ErrUnavailable)
	}
}

// Run connects to an etcd that was away at the start, and keeps the reserve, until
// ctx ends.
func (s *Source) Run(ctx context.Context) error {
	if s.away && !s.connect(ctx) {
		return nil
	}
	if s.cfg.Reserve != "" {
		(&keeper{s: s.store, writeEvery: s.writeEvery, settle: s.settle}).run(ctx)
	}
	return nil
}

// connect tries until etcd is there; false if ctx ends first.
func (s *Source) connect(ctx context.Context) bool {
	said := ""
	for ctx.Err() == nil {
		kept, err := connect(ctx, s.cfg)
		if err == nil {
			if s.cfg.Log != nil {
				s.cfg.Log.Info("etcd is back: its configuration takes the place of what it held last")
			}
			s.begin(kept)
			return true
		}
		if text := err.Error(); !errors.Is(err, store.ErrUnavailable) && text != said {
			said = text
			s.cfg.warn("connecting to etcd", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return false
}

// Get implements store.Store, as do the methods that follow.
func (s *Source) Get(ctx context.Context, key string) (store.Entry, error) {
	kept, err := s.open()
	if err != nil {
		return store.Entry{}, err
	}
	return kept.Get(ctx, key)
}

func (s *Source) List(ctx context.Context, prefix string) ([]store.Entry, int64, error) {
	kept, err := s.open()
	if err != nil {
		return nil, 0, err
	}
	return kept.List(ctx, prefix)
}

func (s *Source) Put(ctx context.Context, key string, value []byte, o store.PutOptions) (store.Entry, error) {
	kept, err := s.open()
	if err != nil {
		return store.Entry{}, err
	}
	return kept.Put(ctx, key, value, o)
}

func (s *Source) Delete(ctx context.Context, key string, expect int64) (int64, error) {
	kept, err := s.open()
	if err != nil {
		return 0, err
	}
	return kept.Delete(ctx, key, expect)
}

func (s *Source) Watch(ctx context.Context, prefix string, after int64) (<-chan []store.Event, error) {
	kept, err := s.open()
	if err != nil {
		return nil, err
	}
	return kept.Watch(ctx, prefix, after)
}

// Close is to be called after Run has returned.
func (s *Source) Close() error {
	s.stop()
	if kept, err := s.open(); err == nil {
		return kept.Close()
	}
	return nil
}

// lastRevision is the revision at which Followed lists what etcd held last: it is no
// revision of any etcd.
const lastRevision = 0

// Followed is the Source for those who serve the configuration: until etcd has been
// there, Get and List answer what it held last. A watch from there ends when etcd is
// back, so that who follows lists again, and has all that has changed.
func (s *Source) Followed() store.Store { return followed{s} }

type followed struct{ *Source }

// last answers whether etcd has not been there yet, and then what it held last: read
// anew each time, since that is asked once or twice and would take memory for long.
func (f followed) last() (entries []store.Entry, away bool, err error) {
	if _, err := f.open(); err == nil || !f.away {
		return nil, false, nil
	}
	if _, entries, err = reserve.Read(f.cfg.Reserve); err != nil {
		err = fmt.Errorf("%w: reading what etcd held last: %w", store.ErrUnavailable, err)
	}
	return entries, true, err
}

func (f followed) Get(ctx context.Context, key string) (store.Entry, error) {
	last, away, err := f.last()
	if !away {
		return f.Source.Get(ctx, key)
	}
	i := slices.IndexFunc(last, func(e store.Entry) bool { return e.Key == key })
	switch {
	case err != nil:
		return store.Entry{}, err
	case i < 0:
		return store.Entry{}, store.ErrNotFound
	}
	return last[i], nil
}

func (f followed) List(ctx context.Context, prefix string) ([]store.Entry, int64, error) {
	last, away, err := f.last()
	if !away {
		return f.Source.List(ctx, prefix)
	}
	last = slices.DeleteFunc(last, func(e store.Entry) bool { return !strings.HasPrefix(e.Key, prefix) })
	return last, lastRevision, err
}

func (f followed) Watch(ctx context.Context, prefix string, after int64) (<-chan []store.Event, error) {
	if after != lastRevision || !f.away {
		return f.Source.Watch(ctx, prefix, after)
	}
	ended := make(chan []store.Event)
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-f.ctx.Done():
		case <-f.there:
		}
	}()
	return ended, nil
}
