package tenant

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"millrace/store"
)

// Delete removes a namespace. One that owns entities is refused unless force is
// set; then they are removed with it. Its keys are refused from the beginning of
// the deletion; calls that run may end. A deletion that fails half-way goes on
// when it is asked for again.
func (r *Registry) Delete(ctx context.Context, name string, force bool) error {
	if _, fixed := r.fixed[name]; fixed {
		return refusal(http.StatusConflict, msgFixed)
	}
	err := r.rewrite(ctx, name, func(doc *document) error {
		if !force && !doc.Deleting {
			if err := r.checkEmpty(ctx, name); err != nil {
				return err
			}
		}
		doc.Deleting = true
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.purge(ctx, name); err != nil {
		return err
	}
	revision, err := r.cfg.Store.Delete(ctx, prefix+name, store.Any)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("deleting namespace %s: %w", name, err)
	}
	return r.await(ctx, revision)
}

// checkEmpty answers nil, or the 409 that says how many entities there are.
func (r *Registry) checkEmpty(ctx context.Context, name string) error {
	n := 0
	err := r.eachOwned(ctx, name, func(string) error { n++; return nil })
	if err == nil && n > 0 {
		err = refusal(http.StatusConflict, msgNotEmpty(n))
	}
	return err
}

// purge removes everything that a namespace owns.
func (r *Registry) purge(ctx context.Context, name string) error {
	err := r.eachOwned(ctx, name, func(key string) error {
		if _, err := r.cfg.Store.Delete(ctx, key, store.Any); err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("deleting %s: %w", key, err)
		}
		return nil
	})
	if err == nil && r.cfg.Forget != nil {
		err = r.cfg.Forget(ctx, name)
	}
	return err
}

func (r *Registry) eachOwned(ctx context.Context, name string, fn func(key string) error) error {
	if r.cfg.Owned == nil {
		return nil
	}
	for _, p := range r.cfg.Owned(name) {
		entries, _, err := r.cfg.Store.List(ctx, p)
		if err != nil {
			return fmt.Errorf("listing %s: %w", p, err)
		}
		for _, e := range entries {
			if err := fn(e.Key); err != nil {
				return err
			}
		}
	}
	return nil
}
