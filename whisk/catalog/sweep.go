package catalog

import (
	"context"
	"fmt"
	"time"

	"millrace/blob"
	"millrace/whisk"
)

// sweepEvery is also how long unused code is kept at least: a call accepted
// before its action was changed or deleted can still start.
const sweepEvery = time.Hour

func (c *Catalog) sweepRegularly(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if n, err := c.sweep(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("removing unused code", "error", err)
		} else if n > 0 {
			c.log.Info("removed unused code", "blobs", n)
		}
	}
}

// sweep deletes the code that this sweep and the one before found unused, and
// says how much that was.
func (c *Catalog) sweep(ctx context.Context) (int, error) {
	used := c.usedCode()
	unused := map[blob.Digest]bool{}
	err := c.blobs.Walk(ctx, func(d blob.Digest) error {
		if !used[d] {
			unused[d] = true
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("walking the code: %w", err)
	}
	// From here on nobody can begin to refer to code.
	c.linking.Lock()
	defer c.linking.Unlock()
	used = c.usedCode()
	deleted := 0
	for d := range unused {
		if !c.unused[d] || used[d] {
			continue
		}
		if err := c.blobs.Delete(ctx, d); err != nil {
			return deleted, fmt.Errorf("deleting code %s: %w", d, err)
		}
		delete(unused, d)
		deleted++
	}
	c.unused = unused
	return deleted, nil
}

func (c *Catalog) usedCode() map[blob.Digest]bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	used := map[blob.Digest]bool{}
	for _, n := range c.namespaces {
		for e := range n.collections[collection{typ: actionType}].newestFirst() {
			used[blob.Digest(e.value.(*whisk.Action).Exec.Digest)] = true
		}
	}
	return used
}
