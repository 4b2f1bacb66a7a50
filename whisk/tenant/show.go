package tenant

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/whisk"
)

// Namespace is what operators see of one.
type Namespace struct {
	Name, Subject string
	Created       int64 // ms since 1970; 0 for one of the configuration
	Blocked       bool
	// Deleting: its deletion has begun and has not ended.
	Deleting bool
	// Fixed: the configuration names it.
	Fixed bool
	Keys  []Key
	// Own are its overrides, In force what results.
	Own     *whisk.Overrides
	InForce *whisk.SystemLimits
}

// Key is what operators see of one: not its secret.
type Key struct {
	UUID             string
	Created, Expires int64 // ms since 1970; 0: by the configuration, never
	Fixed            bool  // the configuration names it
	// Current: it is the one that actions of the namespace get.
	Current bool
}

// Find answers a namespace. The error is a *whisk.Error 404.
func (r *Registry) Find(name string) (Namespace, error) {
	s, ok := r.spaces.get(name)
	if !ok {
		return Namespace{}, refusal(http.StatusNotFound, msgNoNamespace)
	}
	return r.show(s), nil
}

// List answers at most limit namespaces whose names come after a text, by name.
func (r *Registry) List(after string, limit int) []Namespace {
	var all []*space
	r.spaces.all(func(name string, s *space) bool {
		if name > after {
			all = append(all, s)
		}
		return true
	})
	slices.SortFunc(all, func(a, b *space) int { return strings.Compare(a.name, b.name) })
	all = all[:min(len(all), limit)]
	out := make([]Namespace, len(all))
	for i, s := range all {
		out[i] = r.show(s)
	}
	return out
}

func (r *Registry) show(s *space) Namespace {
	_, fixed := r.fixed[s.name]
	ns := Namespace{
		Name: s.name, Subject: s.keyless.Subject, Fixed: fixed, Keys: []Key{},
		Own: s.doc.overrides(), InForce: s.keyless.SystemLimits(&r.platform),
	}
	if s.doc != nil {
		ns.Created, ns.Blocked, ns.Deleting = s.doc.Created, s.doc.Blocked, s.doc.Deleting
	}
	now := time.Now().UnixMilli()
	for _, c := range s.keys {
		if c.expired(now) {
			continue
		}
		ns.Keys = append(ns.Keys, Key{
			UUID: c.identity.UUID, Created: c.created, Expires: c.expires, Fixed: c.fixed, Current: len(ns.Keys) == 0,
		})
	}
	return ns
}
