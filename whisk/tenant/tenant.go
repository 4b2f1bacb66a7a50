// Package tenant knows the namespaces of the platform: their keys and their
// limits. Those that the configuration names are fixed; the others are made,
// changed and deleted while the platform runs, through the Registry.
//
// A key is found by its UUID and compared in constant time. Actions may ask for
// the key of their namespace, so it must be at hand in clear: in the store it is
// sealed under the platform's master key, bound to its namespace and UUID.
//
// Keys in the store:
//
//	/whisk/namespaces/{name}  a document (document.go)
//	/whisk/master             what tells whether a master key is the right one
package tenant

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
	"time"

	"millrace/whisk"
)

// Directory finds identities. Values it answers are not changed once made. All
// methods may be called from several goroutines; readers do not wait.
type Directory struct {
	platform whisk.SystemLimits
	fixed    map[string]whisk.Identity // by namespace

	// One goroutine at a time writes these.
	spaces index[*space]      // by name
	keys   index[*credential] // by UUID in lower case
}

// space is a namespace as it is in force.
type space struct {
	name string
	doc  *document // nil for a fixed one without a document
	// keys are those that are valid, the one to hand to actions first.
	keys []*credential
	// keyless is who the namespace is when it has no valid key.
	keyless whisk.Identity
}

// credential is one key of a namespace.
type credential struct {
	identity whisk.Identity
	created  int64 // ms since 1970
	expires  int64 // ms since 1970; 0: never
	fixed    bool
}

func (c *credential) expired(now int64) bool { return c.expires != 0 && now >= c.expires }

// New makes a directory of nothing but fixed identities. One without limits of
// its own gets defaults.
func New(fixed []whisk.Identity, defaults whisk.NamespaceLimits) (*Directory, error) {
	return directory(fixed, &whisk.SystemLimits{Namespace: defaults})
}

func directory(fixed []whisk.Identity, platform *whisk.SystemLimits) (*Directory, error) {
	d := &Directory{platform: *platform, fixed: make(map[string]whisk.Identity, len(fixed))}
	d.spaces.init()
	d.keys.init()
	for _, id := range fixed {
		if err := d.fix(id); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// fix adds an identity of the configuration.
func (d *Directory) fix(id whisk.Identity) error {
	if _, _, err := whisk.ParseKey(id.UUID + ":" + id.Secret); err != nil {
		return fmt.Errorf("key of namespace %s: %w", id.Namespace, err)
	}
	if err := whisk.CheckNamespace(id.Namespace); err != nil {
		return fmt.Errorf("namespace %q: %w", id.Namespace, err)
	}
	if _, twice := d.fixed[id.Namespace]; twice {
		return fmt.Errorf("namespace %s is named twice", id.Namespace)
	}
	id.UUID = strings.ToLower(id.UUID)
	if other, taken := d.keys.get(id.UUID); taken {
		return fmt.Errorf("namespaces %s and %s have keys with the same UUID", other.identity.Namespace, id.Namespace)
	}
	if id.Subject == "" {
		id.Subject = id.Namespace
	}
	d.fixed[id.Namespace] = id
	d.enact(id.Namespace, d.compile(id.Namespace, nil, nil))
	return nil
}

// Authenticate finds who has a key (uuid:secret). The error is a *whisk.Error 401.
func (d *Directory) Authenticate(key string) (*whisk.Identity, error) {
	uuid, secret, _ := strings.Cut(key, ":")
	c, ok := d.keys.get(uuid)
	if !ok {
		c, ok = d.keys.get(strings.ToLower(uuid))
	}
	if !ok {
		c = &nobody
	}
	// An unknown UUID takes as long as a wrong secret.
	same := sameSecret(c.identity.Secret, secret)
	if !ok || !same || c.expires != 0 && c.expired(time.Now().UnixMilli()) {
		return nil, &whisk.Error{Status: http.StatusUnauthorized, Msg: whisk.MsgAuthenticationInvalid}
	}
	return &c.identity, nil
}

// sameSecret compares in a time that depends on the lengths only. As bytes, which
// crypto/subtle takes, both would have to be copied.
func sameSecret(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	var different byte
	for i := range len(a) {
		different |= a[i] ^ b[i]
	}
	return subtle.ConstantTimeByteEq(different, 0) == 1
}

// nobody has a secret that no key has, as its characters are no text.
var nobody = credential{identity: whisk.Identity{Secret: strings.Repeat("\x00", 64)}}

// Namespace answers the identity that calls of a namespace's own doing have, such
// as web actions, schedules and what is taken up again after a restart: the owner
// with its current key, without one if it has none. nil: there is no such
// namespace, or it is blocked.
func (d *Directory) Namespace(name string) *whisk.Identity {
	s, ok := d.spaces.get(name)
	if !ok || s.blocked() {
		return nil
	}
	for _, c := range s.keys {
		if c.expires == 0 || !c.expired(time.Now().UnixMilli()) {
			return &c.identity
		}
	}
	return &s.keyless
}

func (s *space) blocked() bool { return s.doc != nil && (s.doc.Blocked || s.doc.Deleting) }

// Since is when a namespace was made, in ms since 1970: what has its name and is
// older belonged to another, deleted one. 0: it has always been there, or is not.
func (d *Directory) Since(name string) int64 {
	if s, ok := d.spaces.get(name); ok && s.doc != nil {
		return s.doc.Created
	}
	return 0
}
