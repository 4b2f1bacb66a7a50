// Package catalog knows the entities of every namespace. All of them are kept
// decoded in memory, so that a call finds its action without I/O; what is
// written goes through the store, and what others write comes back by its watch.
//
// Keys in the store:
//
//	/whisk/entities/{namespace}/{name}            action or package
//	/whisk/entities/{namespace}/{package}/{name}  action in a package
//
// Actions, packages, triggers and rules of a namespace share one name space, so
// the value says what it is: {"type":"action","entity":{…}}, the entity being
// whisk.Action or whisk.Package. Code is in the blob store under Exec.Digest.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"millrace/blob"
	"millrace/store"
	"millrace/whisk"
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

// Action answers the action at namespace/pkg/name; pkg is empty for the default
// package.
func (c *Catalog) Action(namespace, pkg, name string) (*whisk.Action, bool) {
	a, ok := c.find(namespace, path{pkg, name}).(*whisk.Action)
	return a, ok
}

// Package answers a package.
func (c *Catalog) Package(namespace, name string) (*whisk.Package, bool) {
	p, ok := c.find(namespace, path{"", name}).(*whisk.Package)
	return p, ok
}

// Exists tells whether namespace/pkg/name is taken by any kind of entity.
func (c *Catalog) Exists(namespace, pkg, name string) bool {
	return c.find(namespace, path{pkg, name}) != nil
}

func (c *Catalog) find(ns string, p path) any {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n := c.namespaces[ns]; n != nil {
		if e := n.entries[p]; e != nil {
			return e.value
		}
	}
	return nil
}

// ListActions answers actions of a namespace, newest first, after passing over
// skip of them; at most limit, or all if limit is 0. With pkg, only those of
// that package.
func (c *Catalog) ListActions(namespace, pkg string, skip, limit int) []*whisk.Action {
	keep := func(*whisk.Action) bool { return true }
	if pkg != "" {
		keep = func(a *whisk.Action) bool { return a.Package == pkg }
	}
	return list(c, namespace, actionType, skip, limit, keep)
}

// CountActions says how many actions ListActions would answer without bounds.
func (c *Catalog) CountActions(namespace, pkg string) int {
	if pkg != "" {
		return len(c.ListActions(namespace, pkg, 0, 0))
	}
	return c.count(namespace, actionType)
}

// ListPackages answers packages of a namespace, newest first, bounded as by
// ListActions. publicOnly keeps those that everyone may read.
func (c *Catalog) ListPackages(namespace string, publicOnly bool, skip, limit int) []*whisk.Package {
	return list(c, namespace, packageType, skip, limit, func(p *whisk.Package) bool { return p.Publish || !publicOnly })
}

// CountPackages says how many packages ListPackages would answer without bounds.
func (c *Catalog) CountPackages(namespace string, publicOnly bool) int {
	if publicOnly {
		return len(c.ListPackages(namespace, true, 0, 0))
	}
	return c.count(namespace, packageType)
}

// Code answers the code of an action by its digest, as the client sent it.
func (c *Catalog) Code(ctx context.Context, digest string) ([]byte, error) {
	code, err := c.blobs.Get(ctx, blob.Digest(digest))
	if err != nil {
		return nil, fmt.Errorf("reading code %s: %w", digest, err)
	}
	return code, nil
}

// PutAction writes an action in place of the revision it holds; one with
// revision 0 must not exist yet. code, unless nil, is kept and becomes its code.
// It answers the action as stored, which the next read finds. If somebody else
// wrote it in between, the error is a *whisk.Error 409.
func (c *Catalog) PutAction(ctx context.Context, a *whisk.Action, code []byte) (*whisk.Action, error) {
	c.linking.RLock()
	defer c.linking.RUnlock()
	stored := *a
	if code != nil {
		digest, err := c.blobs.Put(ctx, code)
		if err != nil {
			return nil, fmt.Errorf("storing the code of %s: %w", a.Path(), err)
		}
		stored.Exec.Digest = string(digest)
	}
	rev, err := c.put(ctx, a.Namespace, path{a.Package, a.Name}, actionType, &stored, a.Revision)
	if err != nil {
		return nil, err
	}
	stored.Revision = rev
	c.applyOwn(a.Namespace, entryOf(&stored))
	return &stored, nil
}

// PutPackage writes a package as PutAction writes an action.
func (c *Catalog) PutPackage(ctx context.Context, p *whisk.Package) (*whisk.Package, error) {
	stored := *p
	rev, err := c.put(ctx, p.Namespace, path{"", p.Name}, packageType, &stored, p.Revision)
	if err != nil {
		return nil, err
	}
	stored.Revision = rev
	c.applyOwn(p.Namespace, entryOf(&stored))
	return &stored, nil
}

// DeleteAction removes an action if it still has the revision it holds.
func (c *Catalog) DeleteAction(ctx context.Context, a *whisk.Action) error {
	return c.delete(ctx, a.Namespace, path{a.Package, a.Name}, a.Revision)
}

// DeletePackage removes a package if it still has the revision it holds. The
// actions in it are the caller's concern.
func (c *Catalog) DeletePackage(ctx context.Context, p *whisk.Package) error {
	return c.delete(ctx, p.Namespace, path{"", p.Name}, p.Revision)
}

func (c *Catalog) put(ctx context.Context, ns string, p path, t entityType, v any, revision int64) (int64, error) {
	value, err := encode(t, v)
	if err != nil {
		return 0, fmt.Errorf("encoding %s: %w", p.key(ns), err)
	}
	expect := revision
	if revision == 0 {
		expect = store.Absent
	}
	e, err := c.store.Put(ctx, p.key(ns), value, store.PutOptions{If: expect})
	if err != nil {
		return 0, writeError(p.key(ns), err)
	}
	return e.ModRevision, nil
}

func (c *Catalog) delete(ctx context.Context, ns string, p path, revision int64) error {
	rev, err := c.store.Delete(ctx, p.key(ns), revision)
	if err != nil {
		return writeError(p.key(ns), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if rev > c.seen {
		c.deleted[p.key(ns)] = rev
	}
	c.drop(ns, p, rev)
	return nil
}

func writeError(key string, err error) error {
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return &whisk.Error{Status: http.StatusConflict, Msg: whisk.MsgConcurrentChange, Err: err}
	}
	return fmt.Errorf("writing %s: %w", key, err)
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
