package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace/config"
	"millrace/internal/sealed"
	"millrace/whisk"
	"millrace/whisk/operator"
	"millrace/whisk/system"
	"millrace/whisk/tenant"
)

// openTenants opens the namespaces, those of the configuration and those of the
// store, and sets the Sealer that others may use too.
func (s *Server) openTenants(ctx context.Context, limits *whisk.SystemLimits) error {
	var err error
	if s.sealer, err = tenant.Unlock(ctx, s.state.store, s.masterKey); err != nil {
		if errors.Is(err, tenant.ErrMasterKey) {
			err = fmt.Errorf("%w: restore the file master.key that belongs to the data folder, or set functions.master_key to that key", err)
		}
		return err
	}
	s.tenants, err = tenant.Open(ctx, tenant.Config{
		Log:      s.log,
		Store:    s.state.store,
		Sealer:   s.sealer,
		Fixed:    withSystem(identities(s.cfg.Functions.Users)),
		Platform: *limits,
		Owned:    owned,
		Forget:   s.forget,
	})
	if err != nil {
		return err
	}
	s.state.activations = &records{Log: s.state.activations, tenants: s.tenants}
	s.add(part{name: "namespaces", run: s.tenants.Run})
	return nil
}

// withSystem adds the namespace of the platform's own packages, if the configuration
// does not name it, with a key that nobody knows.
func withSystem(fixed []whisk.Identity) []whisk.Identity {
	if slices.ContainsFunc(fixed, func(id whisk.Identity) bool { return id.Namespace == system.Namespace }) {
		return fixed
	}
	uuid, secret, _ := strings.Cut(tenant.NewKey(), ":")
	return append(fixed, whisk.Identity{Namespace: system.Namespace, UUID: uuid, Secret: secret})
}

// owned are the prefixes of the keys in the store of what a namespace owns.
func owned(namespace string) []string {
	return []string{
		"/whisk/entities/" + namespace + "/",
		"/whisk/apis/" + namespace + "/",
		"/whisk/feeds/" + namespace + "/",
	}
}

// masterKey answers the key that seals secrets in the store. One is made only if
// nothing was sealed before.
func (s *Server) masterKey(first bool) (string, error) {
	cfg := &s.cfg.Functions
	switch {
	case cfg.MasterKey != "":
		return cfg.MasterKey, nil
	case cfg.MasterKeyFile != "":
		key, _, err := sealed.KeyFile(cfg.MasterKeyFile, false)
		if err != nil {
			return "", fmt.Errorf("functions.master_key_file: %w", err)
		}
		return key, nil
	case s.state.dir == "":
		return sealed.NewKey(), nil // nothing is kept
	}
	path := filepath.Join(s.state.dir, "master.key")
	key, made, err := sealed.KeyFile(path, first)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the master key %s is missing, and the store holds secrets that are sealed under it: restore the file, or set functions.master_key to that key", path)
	}
	if made {
		s.log.Info("made the master key, without which the keys of namespaces cannot be read: keep a copy apart from the data folder's", "file", path)
	}
	return key, err
}

// openOperator opens the API by which namespaces are made.
func (s *Server) openOperator(context.Context) error {
	if s.tenants == nil {
		return errors.New("the role operator needs the role functions in the same process: add it to roles")
	}
	key, err := s.operatorKey()
	if err != nil {
		return err
	}
	h, err := operator.New(operator.Config{Log: s.log, Namespaces: s.tenants, APIHost: s.urlOf(config.RoleFunctions), Key: key})
	if err != nil {
		return fmt.Errorf("the operator API: %w", err)
	}
	listeners, err := s.listen("the operator API", "operator.listen", s.cfg.Operator.Listen)
	if err != nil {
		return err
	}
	s.addHTTP(config.RoleOperator, "operator API", s.withoutActions(h), listeners)
	return nil
}

// operatorKey answers the key of the operator API and notes where it can be read.
func (s *Server) operatorKey() (string, error) {
	cfg := &s.cfg.Operator
	switch {
	case cfg.Key != "":
		return cfg.Key, nil
	case cfg.KeyFile != "":
		key, err := operator.ReadKey(cfg.KeyFile)
		if err != nil {
			return "", fmt.Errorf("operator.key_file: %w", err)
		}
		return key, nil
	}
	dir := s.state.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "millrace-"); err != nil {
			return "", fmt.Errorf("making a folder for the operator key: %w", err)
		}
		s.add(part{name: "the operator key", close: func() error { return os.RemoveAll(dir) }})
	}
	s.operatorKeyFile = filepath.Join(dir, "operator.key")
	key, _, err := sealed.KeyFile(s.operatorKeyFile, true)
	return key, err
}

// urlOf is where a role listens first; empty if it does not run.
func (s *Server) urlOf(role config.Role) string {
	for _, a := range s.status.Addresses {
		if a.Role == string(role) {
			return a.URL
		}
	}
	return ""
}

// OperatorKeyFile is the file with the key of the operator API that was made for
// it; empty if the configuration sets the key or the role does not run.
func (s *Server) OperatorKeyFile() string { return s.operatorKeyFile }
