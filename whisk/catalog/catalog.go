// Package catalog knows the entities of every namespace. All of them are kept
// decoded in memory, so that a call finds its action without I/O; what is
// written goes through the store, and what others write comes back by its watch.
//
// Keys in the store:
//
//	/whisk/entities/{namespace}/{name}            action, package, trigger or rule
//	/whisk/entities/{namespace}/{package}/{name}  action in a package
//
// Actions, packages, triggers and rules of a namespace share one name space, so
// the value says what it is: {"type":"action","entity":{…}}, the entity being
// whisk.Action, Package, Trigger or Rule. Code is in the blob store under
// Exec.Digest. Every change is one write of one key: entities refer to others by
// name, and what they refer to may be gone. A rule also notes the ID of its
// trigger, so that deleting the trigger unlinks its rules without touching them.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"millrace/blob"
	"millrace/store"
)

// Catalog is the entities of every namespace. What it answers is shared: read,
// never write. All methods may be called from several goroutines.
type Catalog struct {
	log   *slog.Logger
	store store.Store
	blobs blob.Store

	mu         sync.RWMutex
	namespaces map[string]*namespace
	// seen is the revision up to which the store's changes are known, deleted
	// our own deletions that the watch has not told us yet: without them an
	// older change, told late, would bring the entity back.
	seen    int64
	deleted map[string]int64

	// linking is held for reading while new code may be in the blob store
	// without an action that refers to it, and for writing by the sweep.
	linking sync.RWMutex
	unused  map[blob.Digest]bool // by the last sweep; only the sweep uses it
}

// Open fills a catalog from the store. It follows the store while Run runs.
func Open(ctx context.Context, log *slog.Logger, s store.Store, b blob.Store) (*Catalog, error) {
	c := &Catalog{
		log: log, store: s, blobs: b,
		namespaces: map[string]*namespace{},
		deleted:    map[string]int64{},
	}
	if err := c.reload(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Code answers the code of an action by its digest, as the client sent it.
func (c *Catalog) Code(ctx context.Context, digest string) ([]byte, error) {
	code, err := c.blobs.Get(ctx, blob.Digest(digest))
	if err != nil {
		return nil, fmt.Errorf("reading code %s: %w", digest, err)
	}
	return code, nil
}

// Run follows the store, and removes code that no action refers to any more. It
// returns when ctx is done.
func (c *Catalog) Run(ctx context.Context) error {
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		c.sweepRegularly(ctx)
	}()
	for ctx.Err() == nil {
		if err := c.follow(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("following the entities in the store", "error", err)
			pause(ctx, time.Second)
		}
	}
	<-swept
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// follow applies changes until the watch ends, then reads everything anew.
func (c *Catalog) follow(ctx context.Context) error {
	events, err := c.store.Watch(ctx, prefix, c.revision())
	if err == nil {
		for batch := range events {
			c.applyEvents(batch)
		}
	} else if !errors.Is(err, store.ErrCompacted) {
		return fmt.Errorf("watching %s: %w", prefix, err)
	}
	if ctx.Err() != nil {
		return nil
	}
	return c.reload(ctx)
}

func (c *Catalog) revision() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.seen
}
