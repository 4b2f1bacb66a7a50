// Package store says what keeps gateway resources and function entities: an
// ordered map from keys to values in which every write has a revision.
//
// Keys are slash-separated text such as /apisix/routes/1. Each write (Put or
// Delete) that changes something takes the next revision of the whole store,
// as in etcd: revisions grow by one a write and are never used again.
//
// Implementations: mem (nothing kept), disk (Pebble), etcd; they pass storetest.Run.
// file is read only.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors of every implementation; test them with errors.Is.
var (
	// ErrNotFound: the key has no value.
	ErrNotFound = errors.New("store: key not found")
	// ErrConflict: the expectation given in If is not met; nothing was written.
	ErrConflict = errors.New("store: revision conflict")
	// ErrCompacted: the revision to watch from is no longer kept. List, then
	// watch from the revision that List answered.
	ErrCompacted = errors.New("store: revision compacted")
	// ErrTooLarge: the engine does not take so large a value.
	ErrTooLarge = errors.New("store: value too large")
	// ErrUnavailable: the engine cannot be reached or has been closed.
	ErrUnavailable = errors.New("store: unavailable")
)

// Entry is a key with its value. Value belongs to the store: read, never write.
type Entry struct {
	Key   string
	Value []byte
	// CreateRevision is the revision of the write that made the key,
	// ModRevision that of the newest write to it.
	CreateRevision, ModRevision int64
}

// Event is one change of one key. For a deletion Value is nil and ModRevision
// is the revision of the deletion.
type Event struct {
	Entry
	Deleted bool
}

// Expectations for PutOptions.If and Delete: Any, Absent, or a ModRevision (> 0).
const (
	Any    int64 = 0
	Absent int64 = -1
)

// PutOptions say when a Put may happen and how long its value lives.
type PutOptions struct {
	// If is Any, Absent (the key must not exist) or the ModRevision that the
	// key must have.
	If int64
	// TTL deletes the key by itself after this time, unless it is 0. A later
	// Put replaces it.
	TTL time.Duration
}

// Store keeps entries. All methods may be called from several goroutines.
type Store interface {
	// Get answers the entry of a key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// List answers the entries whose keys begin with prefix, in key order, and
	// the store's revision at that moment: Watch from it misses nothing.
	List(ctx context.Context, prefix string) ([]Entry, int64, error)
	// Put writes a value and answers the entry as stored (Value may be the
	// caller's slice, which the store then owns). When Put returns, the write
	// is as durable as the engine can make it: the disk engine has synced it.
	Put(ctx context.Context, key string, value []byte, o PutOptions) (Entry, error)
	// Delete removes a key if expect (Any or a ModRevision) is met and answers
	// the revision of the deletion; ErrNotFound if there is no such key.
	Delete(ctx context.Context, key string, expect int64) (int64, error)
	// Watch sends every change with a revision greater than after to a key that
	// begins with prefix, in revision order, in batches. It never blocks a
	// writer: a watcher that falls too far behind has its channel closed. The
	// channel is also closed when ctx is done or the store is closed. Whoever
	// finds it closed with a live ctx lists and watches again. ErrCompacted if
	// after is older than what is kept.
	Watch(ctx context.Context, prefix string, after int64) (<-chan []Event, error)
	// Close releases the engine; later calls answer ErrUnavailable.
	Close() error
}
