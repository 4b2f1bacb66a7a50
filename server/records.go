package server

import (
	"context"
	"time"

	"millrace/activation"
	"millrace/whisk"
	"millrace/whisk/tenant"
)

// records is the activation log as namespaces may use it: nothing is kept of one
// whose records are not to be stored, and nobody sees records from before the
// namespace was made, which are those of a deleted one with the same name.
type records struct {
	activation.Log
	tenants *tenant.Registry
}

// unrecorded tells whether a namespace's records are not kept.
func (r *records) unrecorded(namespace string) bool {
	id := r.tenants.Namespace(namespace)
	return id != nil && id.Unrecorded
}

func (r *records) Put(rec *whisk.Activation) {
	if !r.unrecorded(rec.Namespace) {
		r.Log.Put(rec)
	}
}

func (r *records) Finish(id string, rec *whisk.Activation) error {
	if r.unrecorded(rec.Namespace) {
		return r.Log.Apply(context.Background(), activation.Change{Forget: []string{id}})
	}
	return r.Log.Finish(id, rec)
}

func (r *records) Apply(ctx context.Context, c activation.Change) error {
	c.Records = r.kept(c.Records)
	return r.Log.Apply(ctx, c)
}

// kept answers those of some records that are to be stored.
func (r *records) kept(all []*whisk.Activation) []*whisk.Activation {
	for i, rec := range all {
		if !r.unrecorded(rec.Namespace) {
			continue
		}
		kept := append([]*whisk.Activation(nil), all[:i]...)
		for _, rec := range all[i+1:] {
			if !r.unrecorded(rec.Namespace) {
				kept = append(kept, rec)
			}
		}
		return kept
	}
	return all
}

func (r *records) Get(ctx context.Context, namespace, id string) (*whisk.Activation, error) {
	rec, err := r.Log.Get(ctx, namespace, id)
	if err == nil && rec.Start < r.tenants.Since(namespace) {
		return nil, activation.ErrNotFound
	}
	return rec, err
}

func (r *records) List(ctx context.Context, namespace string, q activation.Query) ([]*whisk.Activation, error) {
	q.Since = max(q.Since, r.tenants.Since(namespace))
	return r.Log.List(ctx, namespace, q)
}

func (r *records) Count(ctx context.Context, namespace string, q activation.Query) (int, error) {
	q.Since = max(q.Since, r.tenants.Since(namespace))
	return r.Log.Count(ctx, namespace, q)
}

func (r *records) Letters(ctx context.Context, namespace string, fn func(*activation.Letter) bool) error {
	return r.Log.Letters(ctx, namespace, func(l *activation.Letter) bool {
		return l.At < r.tenants.Since(l.Namespace) || fn(l)
	})
}

func (r *records) Letter(ctx context.Context, key activation.LetterKey) (*activation.Letter, error) {
	l, err := r.Log.Letter(ctx, key)
	if err == nil && l.At < r.tenants.Since(key.Namespace) {
		return nil, activation.ErrNotFound
	}
	return l, err
}

// forget removes the records and dead letters of a namespace that is deleted.
// Records of calls that still run come later; records hides them from a namespace
// made anew, and their retention removes them.
func (s *Server) forget(ctx context.Context, namespace string) error {
	var letters []activation.LetterKey
	err := s.state.activations.Letters(ctx, namespace, func(l *activation.Letter) bool {
		letters = append(letters, l.LetterKey)
		return true
	})
	if err != nil {
		return err
	}
	if err := s.state.activations.Apply(ctx, activation.Change{Exhume: letters}); err != nil {
		return err
	}
	if err := s.state.activations.Sync(ctx); err != nil {
		return err
	}
	// Seen from this far in the future every record is too old.
	const ahead = time.Hour
	_, err = s.state.activations.Expire(ctx, time.Now().Add(ahead), func(of string) activation.Retention {
		if of != namespace {
			return activation.Retention{}
		}
		return activation.Retention{MaxAge: time.Minute}
	})
	return err
}
