// Package apis is OpenWhisk's API gateway: HTTP APIs that tenants put in front
// of their web actions with `wsk api`. It keeps the APIs, carries out their
// management (the actions createApi, getApi, deleteApi and subscriptions of the
// package whisk.system/apimgmt, which are functions of kind builtin), and serves
// them at /api/{tenant}/{base path}{path}.
//
// Key in the store, the base path percent-encoded:
//
//	/whisk/apis/{namespace}/{base path}  one API
//
// The value is a document: the API's Swagger text as its owner sees it, the
// tenant id in its URL, and digests of the keys its clients have. All documents
// are kept compiled in memory; a request takes the site of its tenant, which
// never changes, and matches in it without I/O.
package apis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"

	"millrace/store"
	"millrace/whisk"
)

// Config says what an APIs works with. Log, Store and Tenants are needed.
type Config struct {
	Log     *slog.Logger
	Store   store.Store
	Tenants Tenants
	// URL is where clients reach the gateway, such as https://apis.example.com;
	// empty: at the host by which they reached the management, at Port.
	URL  string
	Port int
	// Local tells whether a base URL (http://host:port) is the platform itself,
	// whose web actions are called without a connection; nil: none is, except
	// for loopback and the host by which an API's owner reaches the platform.
	Local func(baseURL string) bool
	// Backends are networks that APIs may call beside the public Internet.
	Backends []netip.Prefix
}

// Tenants knows the namespaces.
type Tenants interface {
	// Namespace answers the owner of a namespace with its current key; nil: there
	// is no such namespace.
	Namespace(name string) *whisk.Identity
	// HasKey tells whether a valid key of a namespace has a UUID.
	HasKey(namespace, uuid string) bool
}

// APIs keeps the APIs of every namespace. All methods may be called from several
// goroutines.
type APIs struct {
	cfg   Config
	quota quota // of each namespace

	mu sync.RWMutex
	// records are by key in the store. One without an API is a deletion that the
	// watch has not told of yet: without it an older change, told late, would
	// bring the API back.
	records    map[string]record
	namespaces map[string]map[string]*api // by base path
	seen       int64                      // revision up to which the watch has told all

	sites sync.Map // tenant id → site; written with mu held
}

type record struct {
	revision int64
	api      *api
}

// site is what one tenant serves: its APIs by base path. It never changes.
type site map[string]*api

// Open reads the APIs from the store. They follow the store while Run runs.
func Open(ctx context.Context, cfg Config) (*APIs, error) {
	if cfg.Local == nil {
		cfg.Local = func(string) bool { return false }
	}
	a := &APIs{cfg: cfg, quota: quota{apis: 1000, bytes: 8 << 20}, records: map[string]record{}, namespaces: map[string]map[string]*api{}}
	if err := a.reload(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Run follows the store until ctx is done.
func (a *APIs) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := a.follow(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Log.Error("following the APIs in the store", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// follow applies changes until the watch ends, then reads everything anew.
func (a *APIs) follow(ctx context.Context) error {
	a.mu.RLock()
	seen := a.seen
	a.mu.RUnlock()
	events, err := a.cfg.Store.Watch(ctx, prefix, seen)
	if err == nil {
		for batch := range events {
			for _, ev := range batch {
				a.applyEvent(ev)
			}
		}
	} else if !errors.Is(err, store.ErrCompacted) {
		return fmt.Errorf("watching %s: %w", prefix, err)
	}
	if ctx.Err() != nil {
		return nil
	}
	return a.reload(ctx)
}

func (a *APIs) reload(ctx context.Context) error {
	entries, revision, err := a.cfg.Store.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("listing the APIs: %w", err)
	}
	listed := make(map[string]bool, len(entries))
	for _, e := range entries {
		listed[e.Key] = true
		a.applyEntry(e)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, r := range a.records {
		if !listed[key] && r.revision <= revision {
			a.apply(key, record{revision: revision})
		}
	}
	a.passed(revision)
	return nil
}

func (a *APIs) applyEvent(ev store.Event) {
	if !ev.Deleted {
		a.applyEntry(ev.Entry)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if ev.Deleted {
		a.apply(ev.Key, record{revision: ev.ModRevision})
	}
	a.passed(ev.ModRevision)
}

// applyEntry takes over what stands in the store. What cannot be read is as good
// as deleted.
func (a *APIs) applyEntry(e store.Entry) {
	a.mu.RLock()
	known := a.records[e.Key].revision >= e.ModRevision
	a.mu.RUnlock()
	if known { // our own writes, which are most
		return
	}
	compiled, err := a.decode(e)
	if err != nil {
		a.cfg.Log.Error("an API in the store cannot be used", "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apply(e.Key, record{e.ModRevision, compiled})
}

// passed notes that the watch has told everything up to revision; mu is held.
func (a *APIs) passed(revision int64) {
	if revision <= a.seen {
		return
	}
	a.seen = revision
	for key, r := range a.records {
		if r.api == nil && r.revision <= revision {
			delete(a.records, key)
		}
	}
}

// apply puts a newer state of an API into memory; mu is held.
func (a *APIs) apply(key string, r record) {
	old := a.records[key]
	if old.revision >= r.revision {
		return
	}
	a.records[key] = r
	if old.api != nil {
		a.unlist(old.api)
	}
	if r.api == nil {
		return
	}
	if old.api != nil && old.api.limit.same(r.api.limit) {
		r.api.limit = old.api.limit // its counts go on
		r.api.limit.keepOnly(r.api.clients)
	}
	if a.namespaces[r.api.namespace] == nil {
		a.namespaces[r.api.namespace] = map[string]*api{}
	}
	a.namespaces[r.api.namespace][r.api.base] = r.api
	a.editSite(r.api.doc.Tenant, func(s site) { s[r.api.base] = r.api })
}

// unlist takes an API out of memory; mu is held.
func (a *APIs) unlist(old *api) {
	delete(a.namespaces[old.namespace], old.base)
	if len(a.namespaces[old.namespace]) == 0 {
		delete(a.namespaces, old.namespace)
	}
	a.editSite(old.doc.Tenant, func(s site) { delete(s, old.base) })
}

// editSite replaces the site of a tenant; mu is held.
func (a *APIs) editSite(tenant string, edit func(site)) {
	next := site{}
	if s, ok := a.sites.Load(tenant); ok {
		next = maps.Clone(s.(site))
	}
	edit(next)
	if len(next) == 0 {
		a.sites.Delete(tenant)
		return
	}
	a.sites.Store(tenant, next)
}

// site answers what a tenant serves; nil: nothing.
func (a *APIs) site(tenant string) site {
	s, ok := a.sites.Load(tenant)
	if !ok {
		if s, ok = a.sites.Load(strings.ToLower(tenant)); !ok {
			return nil
		}
	}
	return s.(site)
}
