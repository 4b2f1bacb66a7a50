package store

import "hash/maphash"

// Known is what a follower has seen of a store: the versions of the entries, without
// their values. A new listing compared with it gives what has changed meanwhile.
type Known struct {
	seed maphash.Seed
	keys map[string]version
}

// version tells one value of a key from another. The revision alone would not do: a
// store whose data was lost counts from the beginning.
type version struct {
	revision int64
	hash     uint64
}

// NewKnown knows nothing.
func NewKnown() *Known { return &Known{maphash.MakeSeed(), map[string]version{}} }

func (k *Known) version(e *Entry) version {
	return version{e.ModRevision, maphash.Bytes(k.seed, e.Value)}
}

// Note takes in a change.
func (k *Known) Note(e *Event) {
	if e.Deleted {
		delete(k.keys, e.Key)
		return
	}
	k.keys[e.Key] = k.version(&e.Entry)
}

// Difference answers the changes that lead from what is known to a listing, of which
// it keeps nothing: the changes have to be noted.
func (k *Known) Difference(entries []Entry) []Event {
	var events []Event
	listed := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		listed[e.Key] = struct{}{}
		if v, known := k.keys[e.Key]; !known || v != k.version(&e) {
			events = append(events, Event{Entry: e})
		}
	}
	for key := range k.keys {
		if _, still := listed[key]; !still {
			events = append(events, Event{Entry: Entry{Key: key}, Deleted: true})
		}
	}
	return events
}

// Forget makes the next Difference have all that is listed, and what has been deleted.
func (k *Known) Forget() {
	for key := range k.keys {
		k.keys[key] = version{}
	}
}
