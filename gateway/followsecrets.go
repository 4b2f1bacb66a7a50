package gateway

import (
	"context"

	"millrace/resource"
	"millrace/store"
)

// parse reads a stored resource with the secrets that it refers to. Once one of
// them changes it is taken again.
func parse[T any](f *follower, e *store.Event) (*T, error) {
	return resource.ParseResolved[T](e.Key, e.Value, f.g.conf.Keyring, func(ref string) (string, bool) {
		f.referring[e.Key] = *e
		return f.g.secrets.Resolve(e.Key, ref)
	})
}

// settleSecrets finds out what the references in changes stand for, so far as the
// managers of secrets answer in time.
func (f *follower) settleSecrets(ctx context.Context, events []store.Event) {
	for i := range events {
		e := &events[i]
		folder, id, ok := resource.SplitKey(e.Key)
		switch {
		case !ok:
		case folder == "secrets" && e.Deleted:
			f.g.secrets.SetObject(id, nil)
		case folder == "secrets":
			f.g.secrets.SetObject(id, e.Value)
		default:
			f.refer(e)
		}
	}
	f.g.secrets.Settle(ctx)
}

// refer notes what a resource refers to from now on.
func (f *follower) refer(e *store.Event) {
	refs := resource.SecretReferences(e.Key, e.Value)
	if _, before := f.referring[e.Key]; before || len(refs) > 0 {
		delete(f.referring, e.Key)
		f.g.secrets.Refer(e.Key, refs)
	}
}

// takeChangedSecrets takes the resources again whose secrets have changed.
func (f *follower) takeChangedSecrets(ch *changes) {
	for _, key := range f.g.secrets.TakeChanged() {
		if e, ok := f.referring[key]; ok {
			f.take(&e, ch)
		}
	}
}
