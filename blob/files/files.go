// Package files is the embedded blob.Store: one file for each blob.
//
// Layout of the folder:
//
//	ab/abcdef…  a blob, named by its digest, in a folder of the first two digits
//	tmp/        blobs being written; emptied when the folder is opened
package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"millrace/blob"
)

const digestLength = 64

// Store is a blob.Store in a folder. Only one may be open on a folder at a time.
type Store struct {
	dir string
}

var _ blob.Store = (*Store)(nil)

// Open opens a folder, which is made if it does not exist.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	if err := os.RemoveAll(s.tmp()); err != nil {
		return nil, fmt.Errorf("clearing blob folder %s: %w", dir, err)
	}
	if err := os.MkdirAll(s.tmp(), 0o700); err != nil {
		return nil, fmt.Errorf("making blob folder %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) tmp() string { return filepath.Join(s.dir, "tmp") }

// path is where a blob lies. The digest must be valid.
func (s *Store) path(d blob.Digest) string {
	return filepath.Join(s.dir, string(d[:2]), string(d))
}

// valid tells whether d can be the name of a file in the folder.
func valid(d blob.Digest) bool {
	return len(d) == digestLength && strings.Trim(string(d), "0123456789abcdef") == ""
}

// Put keeps data, synced, and answers its digest. A damaged file of the same
// digest is replaced.
func (s *Store) Put(ctx context.Context, data []byte) (blob.Digest, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	d := blob.Of(data)
	path := s.path(d)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		// Whoever wrote it may not have come to its last step yet.
		return d, s.syncFolder(path)
	}
	if err := s.write(path, data); err != nil {
		return "", fmt.Errorf("writing blob %s: %w", d, err)
	}
	return d, nil
}

// write lets the file appear whole or not at all, also after a power failure.
func (s *Store) write(path string, data []byte) error {
	f, err := os.CreateTemp(s.tmp(), "")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return s.syncFolder(path)
}

// syncFolder makes the names that lead to path durable.
func (s *Store) syncFolder(path string) error {
	return errors.Join(sync(filepath.Dir(path)), sync(s.dir))
}

func sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get answers a blob, checked against its digest, or blob.ErrNotFound.
func (s *Store) Get(ctx context.Context, d blob.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !valid(d) {
		return nil, blob.ErrNotFound
	}
	data, err := os.ReadFile(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", d, err)
	}
	if blob.Of(data) != d {
		return nil, fmt.Errorf("blob file %s is damaged: its content has another digest", s.path(d))
	}
	return data, nil
}

// Delete removes a blob.
func (s *Store) Delete(ctx context.Context, d blob.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !valid(d) {
		return nil
	}
	if err := os.Remove(s.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting blob %s: %w", d, err)
	}
	return nil
}

// Walk calls fn with every digest. Blobs put or deleted meanwhile may be shown
// or not.
func (s *Store) Walk(ctx context.Context, fn func(blob.Digest) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("listing blobs: %w", err)
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(s.dir, folder.Name()))
		if err != nil {
			return fmt.Errorf("listing blobs: %w", err)
		}
		for _, f := range files {
			d := blob.Digest(f.Name())
			if !valid(d) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(d); err != nil {
				return err
			}
		}
	}
	return nil
}
