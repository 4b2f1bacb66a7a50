package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"millrace/store"
	"millrace/whisk"
)

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
	return write(ctx, c, a.Namespace, path{a.Package, a.Name}, actionType, &stored, &stored.Revision)
}

// PutPackage writes a package as PutAction writes an action.
func (c *Catalog) PutPackage(ctx context.Context, p *whisk.Package) (*whisk.Package, error) {
	stored := *p
	return write(ctx, c, p.Namespace, path{"", p.Name}, packageType, &stored, &stored.Revision)
}

// PutTrigger writes a trigger as PutAction writes an action. A new one gets an ID.
func (c *Catalog) PutTrigger(ctx context.Context, t *whisk.Trigger) (*whisk.Trigger, error) {
	stored := *t
	if t.Revision == 0 {
		stored.ID = rand.Text()
	}
	return write(ctx, c, t.Namespace, path{"", t.Name}, triggerType, &stored, &stored.Revision)
}

// PutRule writes a rule as PutAction writes an action.
func (c *Catalog) PutRule(ctx context.Context, r *whisk.Rule) (*whisk.Rule, error) {
	stored := *r
	return write(ctx, c, r.Namespace, path{"", r.Name}, ruleType, &stored, &stored.Revision)
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

// DeleteTrigger removes a trigger if it still has the revision it holds. Its
// rules stay and are linked to nothing.
func (c *Catalog) DeleteTrigger(ctx context.Context, t *whisk.Trigger) error {
	return c.delete(ctx, t.Namespace, path{"", t.Name}, t.Revision)
}

// DeleteRule removes a rule if it still has the revision it holds.
func (c *Catalog) DeleteRule(ctx context.Context, r *whisk.Rule) error {
	return c.delete(ctx, r.Namespace, path{"", r.Name}, r.Revision)
}

// write puts v in place of *revision, which it then sets, and into memory.
func write[T any](ctx context.Context, c *Catalog, ns string, p path, t entityType, v *T, revision *int64) (*T, error) {
	value, err := encode(t, v)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", p.key(ns), err)
	}
	expect := *revision
	if expect == 0 {
		expect = store.Absent
	}
	e, err := c.store.Put(ctx, p.key(ns), value, store.PutOptions{If: expect})
	if err != nil {
		return nil, writeError(p.key(ns), err)
	}
	*revision = e.ModRevision
	c.applyOwn(ns, entryOf(v))
	return v, nil
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
