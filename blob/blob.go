// Package blob says what keeps action code: immutable byte strings addressed by
// the SHA-256 of their content.
//
// Implementations: files (a folder), mem (nothing kept). All pass blobtest.Run.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// ErrNotFound: no blob has this digest.
var ErrNotFound = errors.New("blob: not found")

// Digest is the SHA-256 of a blob in lower-case hex, 64 characters.
type Digest string

// Of computes the digest of data.
func Of(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest(hex.EncodeToString(sum[:]))
}

// Store keeps blobs. All methods may be called from several goroutines.
type Store interface {
	// Put keeps data and answers its digest. Putting the same data again is
	// cheap and no error. When Put returns, the blob survives a crash.
	Put(ctx context.Context, data []byte) (Digest, error)
	// Get answers a blob whole, checked against its digest. The slice is the
	// caller's. ErrNotFound if there is none; another error if it is damaged.
	Get(ctx context.Context, d Digest) ([]byte, error)
	// Delete removes a blob; no error if there is none.
	Delete(ctx context.Context, d Digest) error
	// Walk calls fn with every digest, in no order, until fn answers an error.
	Walk(ctx context.Context, fn func(Digest) error) error
}
