package tenant

import (
	"cmp"
	"slices"
	"strings"

	"millrace/whisk"
)

// document is a namespace as it is stored, in JSON.
type document struct {
	Subject string      `json:"subject"`
	Created int64       `json:"created"` // ms since 1970
	Keys    []storedKey `json:"keys"`
	// Blocked: its keys are not accepted, and nothing of it runs.
	Blocked bool `json:"blocked,omitempty"`
	// Deleting: its deletion has begun and goes on when it is asked for again.
	Deleting bool             `json:"deleting,omitempty"`
	Limits   *whisk.Overrides `json:"limits,omitempty"`
	// revision is that of the entry.
	revision int64
}

// storedKey is one key of a namespace. Secret is sealed.
type storedKey struct {
	UUID    string `json:"uuid"` // in lower case
	Secret  string `json:"secret"`
	Created int64  `json:"created"`           // ms since 1970
	Expires int64  `json:"expires,omitempty"` // ms since 1970
}

// purpose is what the secret of a key is sealed for.
func purpose(namespace, uuid string) string { return "namespace key/" + namespace + "/" + uuid }

// overrides are the limits of the document's own; there may be no document.
func (doc *document) overrides() *whisk.Overrides {
	if doc == nil || doc.Limits == nil {
		return new(whisk.Overrides)
	}
	return doc.Limits
}

// compile makes the namespace that a document describes; secrets are those of its
// keys in clear, empty for one that cannot be opened. It answers nil if there is
// neither a document nor a fixed identity.
func (d *Directory) compile(name string, doc *document, secrets []string) *space {
	id, fixed := d.fixed[name]
	if doc == nil && !fixed {
		return nil
	}
	id.Namespace = name
	if doc != nil {
		id.Subject, id.Created = cmp.Or(doc.Subject, id.Subject, name), doc.Created
	}
	platform := d.platform
	if id.Limits != (whisk.NamespaceLimits{}) {
		platform.Namespace = id.Limits
	}
	doc.overrides().Give(&id, &platform)
	s := &space{name: name, doc: doc, keyless: id}
	s.keyless.UUID, s.keyless.Secret = "", ""
	if fixed {
		s.keys = append(s.keys, &credential{identity: id, fixed: true})
	}
	if doc != nil {
		for i, k := range doc.Keys {
			if secrets[i] != "" {
				c := &credential{identity: id, created: k.Created, expires: k.Expires}
				c.identity.UUID, c.identity.Secret = k.UUID, secrets[i]
				s.keys = append(s.keys, c)
			}
		}
	}
	slices.SortStableFunc(s.keys, moreCurrent)
	return s
}

// moreCurrent sorts keys that stay before those that expire, and newer ones
// before older ones.
func moreCurrent(a, b *credential) int {
	if (a.expires == 0) != (b.expires == 0) {
		if a.expires == 0 {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.identity.UUID, b.identity.UUID))
}

// enact puts a namespace in force in place of what was there; nil removes it. It
// answers the UUIDs that are not taken over, since another namespace has them.
func (d *Directory) enact(name string, s *space) (taken []string) {
	old, _ := d.spaces.get(name)
	valid := map[string]bool{}
	if s != nil {
		d.spaces.set(name, s)
		if !s.blocked() {
			for _, c := range s.keys {
				uuid := c.identity.UUID
				if other, ok := d.keys.get(uuid); ok && other.identity.Namespace != name {
					taken = append(taken, uuid)
					continue
				}
				valid[uuid] = true
				d.keys.set(uuid, c)
			}
		}
	} else {
		d.spaces.remove(name)
	}
	if old == nil {
		return taken
	}
	for _, c := range old.keys {
		uuid := c.identity.UUID
		if other, ok := d.keys.get(uuid); ok && other.identity.Namespace == name && !valid[uuid] {
			d.keys.remove(uuid)
		}
	}
	return taken
}
