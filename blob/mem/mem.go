// Package mem is the blob.Store that keeps blobs in memory only: for
// --ephemeral and for tests of whatever needs action code.
package mem

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"millrace/blob"
)

// Store is a blob.Store.
type Store struct {
	mu    sync.RWMutex
	blobs map[blob.Digest][]byte
}

var _ blob.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store { return &Store{blobs: map[blob.Digest][]byte{}} }

// Put keeps a copy of data and answers its digest.
func (s *Store) Put(ctx context.Context, data []byte) (blob.Digest, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	d := blob.Of(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[d]; !ok {
		s.blobs[d] = bytes.Clone(data)
	}
	return d, nil
}

// Get answers a copy of a blob, or blob.ErrNotFound.
func (s *Store) Get(ctx context.Context, d blob.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	data, ok := s.blobs[d]
	if !ok {
		return nil, blob.ErrNotFound
	}
	return bytes.Clone(data), nil
}

// Delete removes a blob.
func (s *Store) Delete(ctx context.Context, d blob.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, d)
	return nil
}

// Walk calls fn with the digests that were there when it began.
func (s *Store) Walk(ctx context.Context, fn func(blob.Digest) error) error {
	s.mu.RLock()
	digests := slices.Collect(maps.Keys(s.blobs))
	s.mu.RUnlock()
	for _, d := range digests {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}
