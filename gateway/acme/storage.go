package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"millrace/internal/fieldcrypt"
	"millrace/resource"
	"millrace/store"
)

// prefix is what all keys of this package begin with.
const prefix = resource.Prefix + "acme/"

// storage keeps what the library keeps in files.
type storage struct {
	store   store.Store
	keyring *fieldcrypt.Keyring
	log     *slog.Logger
	lockTTL time.Duration

	mu    sync.Mutex
	locks map[string]*lock // those that this process holds
}

var _ certmagic.Storage = (*storage)(nil)

// file is a value in the store. Private keys are kept as those of ssl objects are.
type file struct {
	Modified time.Time `json:"modified"`
	Value    []byte    `json:"value"`
}

func isPrivate(key string) bool { return strings.HasSuffix(key, ".key") }

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	if isPrivate(key) {
		value = []byte(s.keyring.Encrypt(string(value)))
	}
	b, err := json.Marshal(file{Modified: time.Now(), Value: value})
	if err == nil {
		_, err = s.store.Put(ctx, prefix+key, b, store.PutOptions{})
	}
	if err != nil {
		return fmt.Errorf("keeping %s: %w", key, err)
	}
	return nil
}

// Load implements certmagic.Storage.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	f, err := s.load(ctx, key)
	if err == nil && isPrivate(key) {
		return []byte(s.keyring.Decrypt(string(f.Value))), nil
	}
	return f.Value, err
}

func (s *storage) load(ctx context.Context, key string) (f file, err error) {
	e, err := s.store.Get(ctx, prefix+key)
	if errors.Is(err, store.ErrNotFound) {
		return f, fs.ErrNotExist
	}
	if err == nil {
		err = json.Unmarshal(e.Value, &f)
	}
	if err != nil {
		return f, fmt.Errorf("reading %s: %w", key, err)
	}
	return f, nil
}

// Delete implements certmagic.Storage.
func (s *storage) Delete(ctx context.Context, key string) error {
	keys, err := s.below(ctx, key)
	if err != nil {
		return err
	}
	for _, k := range append(keys, key) {
		if _, err := s.store.Delete(ctx, prefix+k, store.Any); err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("deleting %s: %w", k, err)
		}
	}
	return nil
}

// below answers the keys inside a folder.
func (s *storage) below(ctx context.Context, folder string) ([]string, error) {
	from := prefix
	if folder != "" {
		from += folder + "/"
	}
	entries, _, err := s.store.List(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = strings.TrimPrefix(e.Key, prefix)
	}
	return keys, nil
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List implements certmagic.Storage.
func (s *storage) List(ctx context.Context, folder string, recursive bool) ([]string, error) {
	keys, err := s.below(ctx, folder)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fs.ErrNotExist
	}
	if recursive {
		return keys, nil
	}
	for i, k := range keys {
		start := 0
		if folder != "" {
			start = len(folder) + 1
		}
		if end := strings.IndexByte(k[start:], '/'); end >= 0 {
			keys[i] = k[:start+end]
		}
	}
	return slices.Compact(keys), nil // they are in order
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	f, err := s.load(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: f.Modified, Size: int64(len(f.Value)), IsTerminal: true}, nil
	}
	if keys, below := s.below(ctx, key); below == nil && len(keys) > 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// lock is one that this process holds and keeps until it lets go.
type lock struct {
	revision int64
	stop     context.CancelFunc
	done     chan struct{}
}

// lockWait is how often a lock that another process holds is tried again.
const lockWait = 500 * time.Millisecond

// Lock implements certmagic.Locker. Should this process die, the lock is free
// lockTTL later.
func (s *storage) Lock(ctx context.Context, name string) error {
	key := prefix + "locks/" + name
	for {
		e, err := s.store.Put(ctx, key, []byte("{}"), store.PutOptions{If: store.Absent, TTL: s.lockTTL})
		if err == nil {
			s.hold(name, key, e.ModRevision)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("locking %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockWait):
		}
	}
}

func (s *storage) hold(name, key string, revision int64) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &lock{revision: revision, stop: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.locks[name] = l
	s.mu.Unlock()
	go func() {
		defer close(l.done)
		s.keep(ctx, key, l)
	}()
}

// keep prolongs a lock until ctx ends.
func (s *storage) keep(ctx context.Context, key string, l *lock) {
	t := time.NewTicker(s.lockTTL / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		e, err := s.store.Put(ctx, key, []byte("{}"), store.PutOptions{If: l.revision, TTL: s.lockTTL})
		switch {
		case err == nil:
			l.revision = e.ModRevision
		case errors.Is(err, store.ErrConflict):
			s.log.Warn("another process has taken a lock for ACME", "key", key)
			return
		}
	}
}

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	l := s.locks[name]
	delete(s.locks, name)
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	l.stop()
	<-l.done
	_, err := s.store.Delete(ctx, prefix+"locks/"+name, l.revision)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("unlocking %s: %w", name, err)
	}
	return nil
}
