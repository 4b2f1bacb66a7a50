package server

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"millrace/activation"
	activationdisk "millrace/activation/disk"
	activationmem "millrace/activation/mem"
	"millrace/blob"
	"millrace/blob/files"
	blobmem "millrace/blob/mem"
	"millrace/config"
	"millrace/store"
	storedisk "millrace/store/disk"
	storemem "millrace/store/mem"
)

// state is what the roles keep: in the data folder, or with Ephemeral nowhere.
//
//	<data>/store        resources and entities
//	<data>/blobs        action code
//	<data>/activations  records and accepted calls
//	<data>/run          what running instances need, cleaned at start
//	<data>/master.key   seals secrets in the store
//	<data>/operator.key opens the operator API
//	<data>/uid          names this process to others
//	<data>/etcd.reserve what an etcd with the resources held last
type state struct {
	store       store.Store
	blobs       blob.Store
	activations activation.Log
	// dir is the data folder; empty if there is none.
	dir string
	// run is a folder for instances; empty for a temporary one.
	run string
}

func openState(cfg *config.Config, log *slog.Logger) (*state, error) {
	if cfg.Ephemeral {
		return &state{store: storemem.New(), blobs: blobmem.New(), activations: activationmem.New()}, nil
	}
	dir, err := dataDir(cfg.Data)
	if err != nil {
		return nil, err
	}
	s := &state{dir: dir, run: filepath.Join(dir, "run")}
	if s.store, err = storedisk.Open(filepath.Join(dir, "store"), log); err != nil {
		return nil, err
	}
	if s.blobs, err = files.Open(filepath.Join(dir, "blobs")); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.activations, err = activationdisk.Open(filepath.Join(dir, "activations"), log); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *state) close() error {
	var errs []error
	if s.activations != nil {
		errs = append(errs, s.activations.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// dataDir makes the data folder. Only its owner may look into it.
func dataDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("making the data folder: %w; give another with --data, or --ephemeral to keep nothing", err)
	}
	return dir, nil
}
