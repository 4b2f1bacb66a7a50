// Package tenant knows the namespaces of the platform: their keys and their
// limits. A key is found by its UUID and compared in constant time.
package tenant

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"millrace/whisk"
)

// Directory finds identities. Values it answers are not changed once made. All
// methods may be called from several goroutines.
type Directory struct {
	snapshot atomic.Pointer[snapshot]
}

type snapshot struct {
	byUUID      map[string]*whisk.Identity // lower-case
	byNamespace map[string]*whisk.Identity
}

// New makes a directory of the identities that the configuration names. One
// without limits gets defaults.
func New(fixed []whisk.Identity, defaults whisk.NamespaceLimits) (*Directory, error) {
	s := &snapshot{byUUID: map[string]*whisk.Identity{}, byNamespace: map[string]*whisk.Identity{}}
	for _, id := range fixed {
		if err := s.add(id, defaults); err != nil {
			return nil, err
		}
	}
	d := &Directory{}
	d.snapshot.Store(s)
	return d, nil
}

func (s *snapshot) add(id whisk.Identity, defaults whisk.NamespaceLimits) error {
	if _, _, err := whisk.ParseKey(id.UUID + ":" + id.Secret); err != nil {
		return fmt.Errorf("key of namespace %s: %w", id.Namespace, err)
	}
	if err := whisk.CheckNamespace(id.Namespace); err != nil {
		return fmt.Errorf("namespace %q: %w", id.Namespace, err)
	}
	id.UUID = strings.ToLower(id.UUID)
	if other := s.byUUID[id.UUID]; other != nil {
		return fmt.Errorf("namespaces %s and %s have keys with the same UUID", other.Namespace, id.Namespace)
	}
	if id.Subject == "" {
		id.Subject = id.Namespace
	}
	if id.Limits == (whisk.NamespaceLimits{}) {
		id.Limits = defaults
	}
	s.byUUID[id.UUID] = &id
	if s.byNamespace[id.Namespace] == nil {
		s.byNamespace[id.Namespace] = &id
	}
	return nil
}

// Authenticate finds who has a key (uuid:secret). The error is a *whisk.Error 401.
func (d *Directory) Authenticate(key string) (*whisk.Identity, error) {
	uuid, secret, _ := strings.Cut(key, ":")
	s := d.snapshot.Load()
	id := s.byUUID[uuid]
	if id == nil {
		id = s.byUUID[strings.ToLower(uuid)]
	}
	if id == nil || subtle.ConstantTimeCompare([]byte(id.Secret), []byte(secret)) != 1 {
		return nil, &whisk.Error{Status: http.StatusUnauthorized, Msg: whisk.MsgAuthenticationInvalid}
	}
	return id, nil
}

// Namespace answers the identity that calls of a namespace's own doing have, such
// as web actions, schedules and what is taken up again after a restart: the owner
// with its current key. nil: there is no such namespace.
func (d *Directory) Namespace(name string) *whisk.Identity {
	return d.snapshot.Load().byNamespace[name]
}
