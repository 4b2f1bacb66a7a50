package tenant

import (
	"context"
	"errors"
	"fmt"

	"millrace/internal/sealed"
	"millrace/store"
)

// ErrMasterKey: the master key is not the one that the secrets in the store are
// sealed under. Test it with errors.Is.
var ErrMasterKey = errors.New("the secrets in the store are sealed under another master key")

// masterPurpose and masterProof are what is sealed to recognise a master key by.
const (
	masterPurpose = "master key"
	masterProof   = "millrace"
)

// Unlock answers the Sealer for the secrets in a store, after a check that the
// master key is that of all starts before. key answers it in its text form; first
// tells it that nothing has been sealed yet, so that a new one may be made. The
// error for a wrong key is ErrMasterKey.
func Unlock(ctx context.Context, s store.Store, key func(first bool) (string, error)) (*sealed.Sealer, error) {
	proof, err := s.Get(ctx, masterKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("reading %s: %w", masterKey, err)
	}
	first := err != nil
	text, err := key(first)
	if err != nil {
		return nil, err
	}
	raw, err := sealed.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	sealer, err := sealed.New(raw)
	if err != nil {
		return nil, err
	}
	if first {
		if proof, err = prove(ctx, s, sealer); err != nil {
			return nil, fmt.Errorf("writing %s: %w", masterKey, err)
		}
	}
	if found, err := sealer.Open(masterPurpose, string(proof.Value)); err != nil || found != masterProof {
		return nil, ErrMasterKey
	}
	return sealer, nil
}

// prove stores the proof of a master key, or answers the one that another process
// has stored meanwhile.
func prove(ctx context.Context, s store.Store, sealer *sealed.Sealer) (store.Entry, error) {
	e, err := s.Put(ctx, masterKey, []byte(sealer.Seal(masterPurpose, masterProof)), store.PutOptions{If: store.Absent})
	if errors.Is(err, store.ErrConflict) {
		return s.Get(ctx, masterKey)
	}
	return e, err
}
