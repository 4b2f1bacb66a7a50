package apis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"millrace/internal/jsonvalue"
	"millrace/store"
)

const prefix = "/whisk/apis/"

// Limits on what an API may be.
const (
	maxDocument      = 1 << 20 // bytes of Swagger text
	maxOperations    = 2000
	maxSubscriptions = 1000
)

// quota bounds what a namespace keeps.
type quota struct {
	apis  int
	bytes int // of Swagger text
}

// document is an API as stored.
type document struct {
	// Tenant is the id in the API's URL, a UUID in lower case: that of the
	// namespace's key when it made its first API. It stays when keys change.
	Tenant string `json:"tenant"`
	// Host is where the owner reached the platform, host:port. Backend URLs with
	// this host are the platform's own.
	Host          string          `json:"host,omitempty"`
	Swagger       json.RawMessage `json:"swagger"`
	Subscriptions []subscription  `json:"subscriptions,omitempty"`
}

func keyOf(namespace, base string) string {
	return prefix + namespace + "/" + url.PathEscape(base)
}

// parseKey is the reverse of keyOf.
func parseKey(key string) (namespace, base string, err error) {
	namespace, escaped, ok := strings.Cut(strings.TrimPrefix(key, prefix), "/")
	if base, err = url.PathUnescape(escaped); err != nil || !ok {
		return "", "", fmt.Errorf("unknown key %s", key)
	}
	return namespace, base, nil
}

func (a *APIs) decode(e store.Entry) (*api, error) {
	namespace, base, err := parseKey(e.Key)
	if err != nil {
		return nil, err
	}
	doc := &document{}
	if err := json.Unmarshal(e.Value, doc); err != nil {
		return nil, fmt.Errorf("reading %s: %w", e.Key, err)
	}
	compiled, err := a.compile(namespace, doc)
	if err != nil {
		return nil, fmt.Errorf("compiling %s: %w", e.Key, err)
	}
	if compiled.base != base {
		return nil, fmt.Errorf("reading %s: it holds the API %s", e.Key, compiled.base)
	}
	compiled.revision = e.ModRevision
	return compiled, nil
}

// find answers an API of a namespace by its base path, or nil.
func (a *APIs) find(namespace, base string) *api {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.namespaces[namespace][base]
}

// usage answers what a namespace keeps, apart from the API at a base path, and the
// tenant id of its APIs if it has any.
func (a *APIs) usage(namespace, except string) (u quota, tenant string) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for base, p := range a.namespaces[namespace] {
		tenant = p.doc.Tenant
		if base != except {
			u.apis++
			u.bytes += len(p.doc.Swagger)
		}
	}
	return u, tenant
}

// list answers the APIs of a namespace by base path.
func (a *APIs) list(namespace string) []*api {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := make([]*api, 0, len(a.namespaces[namespace]))
	for _, p := range a.namespaces[namespace] {
		out = append(out, p)
	}
	slices.SortFunc(out, func(p, q *api) int { return strings.Compare(p.base, q.base) })
	return out
}

// maxAttempts is how often a change is tried while others change the same API.
const maxAttempts = 10

// change writes what edit makes of an API: old is nil if there is none, and an
// answer of nil deletes it. Errors of edit come back as they are. edit may be
// called again when somebody else wrote in between.
func (a *APIs) change(ctx context.Context, namespace, base string, edit func(old *api) (*document, error)) (*api, error) {
	var err error
	for range maxAttempts {
		old := a.find(namespace, base)
		var doc *document
		if doc, err = edit(old); err != nil {
			return nil, err
		}
		var p *api
		if p, err = a.replace(ctx, namespace, base, old, doc); err == nil {
			return p, nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			break
		}
		if err = a.refresh(ctx, keyOf(namespace, base)); err != nil {
			break
		}
	}
	if err == nil {
		err = store.ErrConflict
	}
	return nil, fmt.Errorf("writing %s: %w", keyOf(namespace, base), err)
}

// replace writes doc, or deletes if it is nil, provided that the store has old.
func (a *APIs) replace(ctx context.Context, namespace, base string, old *api, doc *document) (*api, error) {
	key := keyOf(namespace, base)
	if doc == nil {
		if old == nil {
			return nil, nil
		}
		revision, err := a.cfg.Store.Delete(ctx, key, old.revision)
		if err == nil {
			a.own(key, record{revision: revision})
		}
		return nil, err
	}
	compiled, err := a.compile(namespace, doc)
	if err != nil {
		return nil, err
	}
	value, err := jsonvalue.Encode(doc)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	expect := store.Absent
	if old != nil {
		expect = old.revision
	}
	e, err := a.cfg.Store.Put(ctx, key, value, store.PutOptions{If: expect})
	if err != nil {
		return nil, err
	}
	compiled.revision = e.ModRevision
	a.own(key, record{e.ModRevision, compiled})
	return compiled, nil
}

// own puts what we have written into memory. If the watch has told of it
// already, it has told of what came after too: then memory is newer.
func (a *APIs) own(key string, r record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.revision > a.seen {
		a.apply(key, r)
	}
}

// refresh takes over what the store has under key.
func (a *APIs) refresh(ctx context.Context, key string) error {
	entries, revision, err := a.cfg.Store.List(ctx, key)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Key == key {
			a.applyEntry(e)
			return nil
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.records[key]; r.api != nil && r.revision <= revision {
		a.apply(key, record{revision: revision})
	}
	return nil
}
