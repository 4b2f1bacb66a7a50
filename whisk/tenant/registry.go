package tenant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"millrace/internal/sealed"
	"millrace/internal/watermark"
	"millrace/store"
	"millrace/whisk"
)

const (
	prefix    = "/whisk/namespaces/"
	masterKey = "/whisk/master"
)

// Config says what a Registry works with. All fields are needed, except where
// they say otherwise.
type Config struct {
	Log    *slog.Logger
	Store  store.Store
	Sealer *sealed.Sealer // of Unlock
	// Fixed are the identities that the configuration names. They cannot be
	// deleted, nor their keys revoked; everything else works as for others.
	Fixed []whisk.Identity
	// Platform are the limits of namespaces that have none of their own.
	Platform whisk.SystemLimits
	// Owned answers the prefixes of the keys in the store under which what a
	// namespace owns is kept. nil: it owns nothing.
	Owned func(namespace string) []string
	// Forget removes what is kept of a namespace outside the store, when it is
	// deleted; nil: nothing is.
	Forget func(ctx context.Context, namespace string) error
}

// Registry is a Directory of what the store holds, and the means to change it.
// A change is in force when the method that makes it returns, and soon after in
// other processes with the same store. Errors for clients are *whisk.Error.
type Registry struct {
	*Directory
	cfg Config

	inForce *watermark.Mark // the revision up to which changes are

	// creating is held while a key is chosen, so that no UUID is given twice.
	creating sync.Mutex
}

// Open fills a Registry from the store. It follows the store while Run runs, which
// every change waits for.
func Open(ctx context.Context, cfg Config) (*Registry, error) {
	d, err := directory(cfg.Fixed, &cfg.Platform)
	if err != nil {
		return nil, err
	}
	r := &Registry{Directory: d, cfg: cfg, inForce: watermark.New(0)}
	if err := r.reload(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Run follows the store until ctx is done.
func (r *Registry) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("following the namespaces in the store", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// follow applies changes until the watch ends, then reads everything anew.
func (r *Registry) follow(ctx context.Context) error {
	events, err := r.cfg.Store.Watch(ctx, prefix, r.inForce.At())
	if err == nil {
		for batch := range events {
			for i := range batch {
				r.apply(&batch[i].Entry, batch[i].Deleted)
			}
			r.inForce.Raise(batch[len(batch)-1].ModRevision)
		}
	} else if !errors.Is(err, store.ErrCompacted) {
		return fmt.Errorf("watching %s: %w", prefix, err)
	}
	if ctx.Err() != nil {
		return nil
	}
	return r.reload(ctx)
}

// reload puts in force what the store holds now.
func (r *Registry) reload(ctx context.Context) error {
	entries, revision, err := r.cfg.Store.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("reading the namespaces: %w", err)
	}
	stored := make(map[string]bool, len(entries))
	for i := range entries {
		stored[strings.TrimPrefix(entries[i].Key, prefix)] = true
	}
	var gone []string
	r.spaces.all(func(name string, s *space) bool {
		if s.doc != nil && !stored[name] {
			gone = append(gone, name)
		}
		return true
	})
	for _, name := range gone {
		r.enact(name, r.compile(name, nil, nil))
	}
	for i := range entries {
		r.apply(&entries[i], false)
	}
	r.inForce.Raise(revision)
	r.inForce.Lower(revision) // the store may have lost its data, and counts again
	return nil
}

// apply puts one change in force. Only one goroutine at a time calls it.
func (r *Registry) apply(e *store.Entry, deleted bool) {
	name := strings.TrimPrefix(e.Key, prefix)
	if deleted {
		r.enact(name, r.compile(name, nil, nil))
		return
	}
	doc, err := decode(e)
	if err != nil {
		r.cfg.Log.Error("reading a namespace: it stays as it was", "namespace", name, "error", err)
		return
	}
	secrets := make([]string, len(doc.Keys))
	for i, k := range doc.Keys {
		if secrets[i], err = r.cfg.Sealer.Open(purpose(name, k.UUID), k.Secret); err != nil {
			r.cfg.Log.Error("opening a key: it is not accepted", "namespace", name, "uuid", k.UUID, "error", err)
		}
	}
	for _, uuid := range r.enact(name, r.compile(name, doc, secrets)) {
		r.cfg.Log.Error("a key is not accepted: another namespace has one with the same UUID", "namespace", name, "uuid", uuid)
	}
}

func decode(e *store.Entry) (*document, error) {
	doc := &document{revision: e.ModRevision}
	if err := json.Unmarshal(e.Value, doc); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", e.Key, err)
	}
	return doc, nil
}

// await returns when the changes up to a revision are in force.
func (r *Registry) await(ctx context.Context, revision int64) error {
	if err := r.inForce.Wait(ctx, revision); err != nil {
		return fmt.Errorf("waiting until a change is in force: %w", err)
	}
	return nil
}
