package tenant

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/store"
	"millrace/whisk"
)

// maxKeys is how many keys a namespace may have at once.
const maxKeys = 16

// longest times that clients may ask for.
const (
	maxGrace    = 90 * 24 * time.Hour
	maxLifetime = 10 * 365 * 24 * time.Hour
)

// Spec is what a namespace is made of. What is left out gets a default.
type Spec struct {
	Subject string          // default: the name
	Key     string          // uuid:secret; default: a random one
	Limits  whisk.Overrides // default: those of the platform
}

// Create makes a namespace and answers it with its key.
func (r *Registry) Create(ctx context.Context, name string, spec Spec) (ns Namespace, key string, err error) {
	if err := r.checkSpec(name, &spec); err != nil {
		return ns, "", err
	}
	now := time.Now().UnixMilli()
	doc := &document{Subject: spec.Subject, Created: now}
	if !spec.Limits.Empty() {
		doc.Limits = &spec.Limits
	}
	r.creating.Lock()
	defer r.creating.Unlock()
	if s, ok := r.spaces.get(name); ok {
		if s.doc != nil && s.doc.Deleting {
			return ns, "", refusal(http.StatusConflict, msgDeleting)
		}
		return ns, "", refusal(http.StatusConflict, msgExists)
	}
	if key, err = r.addKey(name, doc, spec.Key, now, 0); err != nil {
		return ns, "", err
	}
	if err := r.put(ctx, name, doc, store.Absent); err != nil {
		if errors.Is(err, store.ErrConflict) {
			err = refusal(http.StatusConflict, msgExists)
		}
		return ns, "", err
	}
	ns, err = r.Find(name)
	return ns, key, err
}

func (r *Registry) checkSpec(name string, spec *Spec) error {
	if name == "_" {
		return refusal(http.StatusBadRequest, msgReservedName)
	}
	if err := whisk.CheckNamespace(name); err != nil {
		return err
	}
	if err := checkSubject(spec.Subject); err != nil {
		return err
	}
	return r.checkLimits(&spec.Limits)
}

// checkSubject: empty stands for the default.
func checkSubject(s string) error {
	if s != "" && (len(s) < 5 || len(s) > 256) {
		return refusal(http.StatusBadRequest, msgSubjectLength)
	}
	return nil
}

func (r *Registry) checkLimits(o *whisk.Overrides) error {
	if err := o.Check(&r.platform); err != nil {
		return refusal(http.StatusBadRequest, err.Error())
	}
	return nil
}

// Change is what to change of a namespace; nil leaves something as it is.
type Change struct {
	// Subject is whom the namespace's records name; empty: its own name.
	Subject *string
	// Blocked: the namespace's keys are not accepted, its web actions are not
	// found, and its schedules and accepted calls do not start; what runs may end.
	Blocked *bool
	Limits  LimitsChange
}

// LimitsChange answers the overrides of a namespace that come after those there
// are, which it must not write to. Its errors are for clients.
type LimitsChange func(now *whisk.Overrides) (*whisk.Overrides, error)

// Change changes a namespace.
func (r *Registry) Change(ctx context.Context, name string, c Change) error {
	if c.Subject != nil {
		if err := checkSubject(*c.Subject); err != nil {
			return err
		}
	}
	return r.update(ctx, name, func(doc *document) error {
		if c.Subject != nil {
			doc.Subject = *c.Subject
		}
		if c.Blocked != nil {
			doc.Blocked = *c.Blocked
		}
		if c.Limits == nil {
			return nil
		}
		return r.changeLimits(doc, c.Limits)
	})
}

func (r *Registry) changeLimits(doc *document, change LimitsChange) error {
	next, err := change(doc.overrides())
	if err != nil {
		return refusal(http.StatusBadRequest, msgLimitsMalformed(err))
	}
	if err := r.checkLimits(next); err != nil {
		return err
	}
	doc.Limits = next
	if next.Empty() {
		doc.Limits = nil
	}
	return nil
}

// AddKey gives a namespace one more key: the given one (uuid:secret) or, if that
// is empty, a random one. lifetime is how long it is valid; 0: until it is
// revoked. It answers the key.
func (r *Registry) AddKey(ctx context.Context, name, key string, lifetime time.Duration) (string, error) {
	if lifetime < 0 || lifetime > maxLifetime {
		return "", refusal(http.StatusBadRequest, msgLifetime)
	}
	r.creating.Lock()
	defer r.creating.Unlock()
	var made string
	err := r.update(ctx, name, func(doc *document) (err error) {
		now := time.Now()
		expires := int64(0)
		if lifetime > 0 {
			expires = now.Add(lifetime).UnixMilli()
		}
		made, err = r.addKey(name, doc, key, now.UnixMilli(), expires)
		return err
	})
	return made, err
}

// RotateKeys gives a namespace a new random key; its other keys stay valid for
// grace, unless they expire before. It answers the new key. A key of the
// configuration stays valid.
func (r *Registry) RotateKeys(ctx context.Context, name string, grace time.Duration) (string, error) {
	if grace < 0 || grace > maxGrace {
		return "", refusal(http.StatusBadRequest, msgGrace)
	}
	r.creating.Lock()
	defer r.creating.Unlock()
	var made string
	err := r.update(ctx, name, func(doc *document) (err error) {
		now := time.Now()
		end := now.Add(grace).UnixMilli()
		for i := range doc.Keys {
			if k := &doc.Keys[i]; k.Expires == 0 || k.Expires > end {
				k.Expires = end
			}
		}
		doc.dropExpired(now)
		made, err = r.addKey(name, doc, "", now.UnixMilli(), 0)
		return err
	})
	return made, err
}

// RevokeKey ends a key at once.
func (r *Registry) RevokeKey(ctx context.Context, name, uuid string) error {
	uuid = strings.ToLower(uuid)
	return r.update(ctx, name, func(doc *document) error {
		i := slices.IndexFunc(doc.Keys, func(k storedKey) bool { return k.UUID == uuid })
		if i < 0 && r.fixed[name].UUID == uuid {
			return refusal(http.StatusConflict, msgFixedKey)
		}
		if i < 0 {
			return refusal(http.StatusNotFound, msgNoKey)
		}
		doc.Keys = slices.Delete(doc.Keys, i, i+1)
		return nil
	})
}

// addKey adds a key to a document, sealed, and answers it in clear. The caller
// holds creating.
func (r *Registry) addKey(name string, doc *document, key string, now, expires int64) (string, error) {
	if len(doc.Keys) >= maxKeys {
		return "", refusal(http.StatusConflict, msgTooManyKeys(maxKeys))
	}
	if key == "" {
		key = NewKey()
	}
	uuid, secret, err := whisk.ParseKey(key)
	if err != nil {
		return "", refusal(http.StatusBadRequest, err.Error())
	}
	uuid = strings.ToLower(uuid)
	if r.taken(uuid) {
		return "", refusal(http.StatusConflict, msgUUIDTaken)
	}
	doc.Keys = append(doc.Keys, storedKey{UUID: uuid, Secret: r.cfg.Sealer.Seal(purpose(name, uuid), secret), Created: now, Expires: expires})
	return uuid + ":" + secret, nil
}

// taken tells whether some namespace has a key with this UUID, also one that is
// not in force because the namespace is blocked.
func (r *Registry) taken(uuid string) bool {
	found := false
	r.spaces.all(func(_ string, s *space) bool {
		found = slices.ContainsFunc(s.keys, func(c *credential) bool { return c.identity.UUID == uuid })
		return !found
	})
	return found
}

func (doc *document) dropExpired(now time.Time) {
	doc.Keys = slices.DeleteFunc(doc.Keys, func(k storedKey) bool { return k.Expires != 0 && k.Expires <= now.UnixMilli() })
}

// NewKey makes a key (uuid:secret) of 122 and some 380 random bits.
func NewKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	uuid := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secret := make([]byte, 0, 64)
	for len(secret) < 64 {
		var c [64]byte
		_, _ = rand.Read(c[:])
		for _, c := range c {
			// 248 is the largest multiple of 62: above it some would be likelier.
			if c < 248 && len(secret) < 64 {
				secret = append(secret, alphabet[c%62])
			}
		}
	}
	return uuid + ":" + string(secret)
}

// update changes the document of a namespace that is not being deleted by fn.
func (r *Registry) update(ctx context.Context, name string, fn func(*document) error) error {
	return r.rewrite(ctx, name, func(doc *document) error {
		if doc.Deleting {
			return refusal(http.StatusConflict, msgDeleting)
		}
		return fn(doc)
	})
}

// rewrite changes the document of a namespace by fn, again if somebody else was
// faster. A fixed namespace gets its document with the first change.
func (r *Registry) rewrite(ctx context.Context, name string, fn func(*document) error) error {
	for {
		doc, err := r.read(ctx, name)
		if err != nil {
			return err
		}
		if err := fn(doc); err != nil {
			return err
		}
		doc.dropExpired(time.Now())
		expect := doc.revision
		if expect == 0 {
			expect = store.Absent
		}
		if err := r.put(ctx, name, doc, expect); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// read answers the document of a namespace, an empty one for a fixed namespace
// that has none.
func (r *Registry) read(ctx context.Context, name string) (*document, error) {
	e, err := r.cfg.Store.Get(ctx, prefix+name)
	if err == nil {
		return decode(&e)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("reading namespace %s: %w", name, err)
	}
	if _, fixed := r.fixed[name]; fixed {
		return new(document), nil
	}
	return nil, refusal(http.StatusNotFound, msgNoNamespace)
}

// put writes a document and returns when it is in force.
func (r *Registry) put(ctx context.Context, name string, doc *document, expect int64) error {
	value, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encoding namespace %s: %w", name, err)
	}
	e, err := r.cfg.Store.Put(ctx, prefix+name, value, store.PutOptions{If: expect})
	if err != nil {
		return fmt.Errorf("writing namespace %s: %w", name, err)
	}
	return r.await(ctx, e.ModRevision)
}

func refusal(status int, text string) error { return &whisk.Error{Status: status, Msg: text} }
