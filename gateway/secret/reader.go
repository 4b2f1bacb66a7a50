package secret

import (
	"context"

	"millrace/internal/fieldcrypt"
	"millrace/resource"
	"millrace/store"
)

// Reader reads the resources that a follower of the store meets, with what their
// references stand for. Only one goroutine uses it.
type Reader struct {
	resolver *Resolver
	ring     *fieldcrypt.Keyring
	// referring are the resources with references, as they came.
	referring map[string]store.Event
}

// Reader makes the reader of the one follower that the Resolver has; ring decrypts
// secret fields.
func (r *Resolver) Reader(ring *fieldcrypt.Keyring) *Reader {
	return &Reader{r, ring, map[string]store.Event{}}
}

// Settle finds out what the references in changes stand for, so far as managers
// answer in time. It is for before the changes are read.
func (r *Reader) Settle(ctx context.Context, events []store.Event) {
	for i := range events {
		e := &events[i]
		folder, id, ok := resource.SplitKey(e.Key)
		switch {
		case !ok:
		case folder == "secrets" && e.Deleted:
			r.resolver.setObject(id, nil)
		case folder == "secrets":
			r.resolver.setObject(id, e.Value)
		case e.Deleted:
			r.note(e, nil)
		default:
			// Those of before stay: it may turn out that the resource as it was stays.
			r.resolver.add(e.Key, resource.SecretReferences(e.Key, e.Value))
		}
	}
	r.resolver.await(ctx)
}

// note notes what a resource refers to from now on.
func (r *Reader) note(e *store.Event, references []string) {
	delete(r.referring, e.Key)
	if len(references) > 0 {
		r.referring[e.Key] = *e
	}
	r.resolver.refer(e.Key, references)
}

// Parse reads a resource; references that lead nowhere stay in it.
func Parse[T any](r *Reader, e *store.Event) (*T, error) {
	var met []string
	parsed, err := resource.ParseResolved[T](e.Key, e.Value, r.ring, func(ref string) (string, bool) {
		met = append(met, ref)
		return r.resolver.resolve(e.Key, ref)
	})
	if err == nil {
		r.note(e, met)
	}
	return parsed, err
}

// Again answers the resources that have been read with what their references no
// longer stand for: they are to be taken again, as they came. See Changed.
func (r *Reader) Again() []store.Event {
	var events []store.Event
	for _, key := range r.resolver.takeChanged() {
		if e, ok := r.referring[key]; ok {
			events = append(events, e)
		}
	}
	return events
}
