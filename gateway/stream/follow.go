package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"

	"millrace/gateway/follow"
	"millrace/gateway/secret"
	"millrace/gateway/sni"
	"millrace/plugin"
	"millrace/resource"
	"millrace/store"
)

// Run compiles what the store holds and follows its changes until ctx ends. It
// returns ctx's error.
func (s *Server) Run(ctx context.Context) error {
	var resolving sync.WaitGroup
	resolving.Go(func() { _ = s.secrets.Run(ctx) })
	defer resolving.Wait()
	f := newFollower(s)
	following := follow.Follower{
		Log: s.conf.Log.With("of", "streams"), Store: s.conf.Store, Wants: wants, Check: s.conf.Check, Apply: f.apply,
		Changed: s.secrets.Changed(), Anew: s.conf.Env.Plugins.Replaced, Applied: s.applied,
	}
	return following.Run(ctx)
}

// WaitApplied returns when connections are served with the store's revision or a
// newer one, or with ctx's error.
func (s *Server) WaitApplied(ctx context.Context, revision int64) error {
	return s.applied.Wait(ctx, revision)
}

// follower turns changes of the store into new tables. Only Run's goroutine uses
// it.
type follower struct {
	s         *Server
	routes    map[string]*followedRoute
	upstreams map[string]*target
	services  map[string]*resource.Service
	ssls      map[string]followedSSL
	secrets   *secret.Reader

	// What a batch of changes touches: routes, the resources that others refer to, and
	// whether certificates of listeners are among them.
	dirty           map[string]bool
	changed         map[reference]bool
	newCertificates bool
}

// followedRoute is a route as it was last good; conf is nil once it is deleted.
type followedRoute struct {
	conf    *resource.StreamRoute
	created int64
	served  *route
}

// reference names a resource: the folder of its kind, and its id.
type reference struct{ folder, id string }

// followedSSL is an ssl object made ready, with the order in which it came.
type followedSSL struct {
	entry   *sni.Entry
	created int64
}

func newFollower(s *Server) *follower {
	return &follower{
		s: s, routes: map[string]*followedRoute{}, upstreams: map[string]*target{},
		services: map[string]*resource.Service{}, ssls: map[string]followedSSL{}, dirty: map[string]bool{}, changed: map[reference]bool{},
		secrets: s.secrets.Reader(s.conf.Keyring),
	}
}

// wants tells whether a key is of a resource that matters for streams.
func wants(key string) bool {
	switch folder, _, _ := resource.SplitKey(key); folder {
	case "stream_routes", "upstreams", "services", "ssls", "plugin_metadata", "secrets":
		return true
	}
	return false
}

// apply takes in changes of the store, and of the secrets that it refers to, and swaps
// the table.
func (f *follower) apply(ctx context.Context, events []store.Event) {
	f.secrets.Settle(ctx, events)
	for i := range events {
		f.take(&events[i])
	}
	for _, e := range f.secrets.Again() {
		f.take(&e)
	}
	if f.newCertificates {
		f.setCertificates()
	}
	if len(f.changed) > 0 {
		f.markDependents()
	}
	if len(f.dirty) > 0 {
		f.rebuild()
	}
}

// parse reads a stored resource with the secrets that it refers to.
func parse[T any](f *follower, e *store.Event) (*T, error) { return secret.Parse[T](f.secrets, e) }

// take takes in one change. What cannot be read leaves what was there before.
func (f *follower) take(e *store.Event) {
	if err := follow.Guard(func() error { return f.takeInto(e) }); err != nil {
		f.s.conf.Log.Error("reading configuration of streams; what was there before stays", "key", e.Key, "err", err)
	}
}

// takeInto notes one change and marks the routes that it touches.
func (f *follower) takeInto(e *store.Event) error {
	folder, id, _ := resource.SplitKey(e.Key)
	switch folder {
	case "stream_routes":
		return f.takeRoute(id, e)
	case "upstreams":
		return f.takeUpstream(id, e)
	case "services":
		return f.takeService(id, e)
	case "ssls":
		return f.takeSSL(id, e)
	case "plugin_metadata":
		return f.takeMetadata(id, e)
	}
	return nil
}

func (f *follower) takeRoute(id string, e *store.Event) error {
	r := f.routes[id]
	if e.Deleted {
		if r != nil {
			r.conf, f.dirty[id] = nil, true
		}
		return nil
	}
	conf, err := parse[resource.StreamRoute](f, e)
	if err != nil {
		return err
	}
	if r == nil {
		r = &followedRoute{}
		f.routes[id] = r
	}
	r.conf, r.created, f.dirty[id] = conf, e.CreateRevision, true
	return nil
}

func (f *follower) takeUpstream(id string, e *store.Event) error {
	if !e.Deleted {
		conf, err := parse[resource.Upstream](f, e)
		if err != nil {
			return err
		}
		f.setUpstream(id, conf)
		return nil
	}
	f.upstreams[id].Close()
	delete(f.upstreams, id)
	f.s.upstreams.Delete(id)
	f.changed[reference{"upstreams", id}] = true
	return nil
}

// setUpstream makes an upstream ready in the place of the one that it replaces.
func (f *follower) setUpstream(id string, conf *resource.Upstream) {
	t := f.s.compileTarget(resource.Prefix+"upstreams/"+id, conf)
	f.upstreams[id].Close()
	f.upstreams[id] = t
	f.s.upstreams.Store(id, t)
	f.changed[reference{"upstreams", id}] = true
}

func (f *follower) takeService(id string, e *store.Event) error {
	if e.Deleted {
		delete(f.services, id)
	} else {
		conf, err := parse[resource.Service](f, e)
		if err != nil {
			return err
		}
		f.services[id] = conf
	}
	f.changed[reference{"services", id}] = true
	return nil
}

// markDependents makes anew what refers to a resource that has changed: upstreams, and
// then routes.
func (f *follower) markDependents() {
	for id, t := range f.upstreams {
		if f.certChanged(t.conf) {
			f.setUpstream(id, t.conf)
		}
	}
	for id, r := range f.routes {
		if r.conf != nil && f.dependsOnChanged(r.conf) {
			f.dirty[id] = true
		}
	}
	clear(f.changed)
}

func (f *follower) dependsOnChanged(r *resource.StreamRoute) bool {
	if f.upstreamChanged(r.UpstreamID, r.Upstream) || f.changed[reference{"services", string(r.ServiceID)}] {
		return true
	}
	service := f.services[string(r.ServiceID)]
	return service != nil && f.upstreamChanged(service.UpstreamID, service.Upstream)
}

func (f *follower) upstreamChanged(id resource.ID, inline *resource.Upstream) bool {
	return f.changed[reference{"upstreams", string(id)}] || f.certChanged(inline)
}

func (f *follower) certChanged(u *resource.Upstream) bool {
	return u != nil && u.TLS != nil && f.changed[reference{"ssls", string(u.TLS.ClientCertID)}]
}

// takeSSL keeps the certificates of an ssl object, be they for the listeners or for
// calls to upstreams.
func (f *follower) takeSSL(id string, e *store.Event) error {
	next, cert, err := f.readSSL(e)
	if err != nil {
		return err
	}
	delete(f.ssls, id)
	delete(f.s.clientCerts, id)
	if next != nil {
		f.ssls[id] = followedSSL{next, e.CreateRevision}
	}
	if cert != nil {
		f.s.clientCerts[id] = *cert
	}
	f.changed[reference{"ssls", id}], f.newCertificates = true, true
	return nil
}

// setCertificates swaps the table of certificates. Of two objects with the same name the
// newer one counts.
func (f *follower) setCertificates() {
	f.newCertificates = false
	all := slices.SortedFunc(maps.Values(f.ssls), func(a, b followedSSL) int { return cmp.Compare(a.created, b.created) })
	entries := make([]*sni.Entry, len(all))
	for i := range all {
		entries[i] = all[i].entry
	}
	f.s.certificates.Store(sni.NewTable(entries, f.s.conf.TLS))
}

// readSSL makes the certificates of an ssl object ready: a server's or a client's,
// none if it is deleted or switched off.
func (f *follower) readSSL(e *store.Event) (*sni.Entry, *clientCert, error) {
	if e.Deleted {
		return nil, nil, nil
	}
	conf, err := parse[resource.SSL](f, e)
	if err != nil {
		return nil, nil, err
	}
	if conf.Status != nil && *conf.Status == 0 {
		return nil, nil, nil
	}
	if !conf.IsServer() {
		return nil, &clientCert{conf.Cert, conf.Key}, nil
	}
	entry, err := sni.Compile(conf, f.s.conf.TLS)
	return entry, nil, err
}

// takeMetadata notes a change of a plugin's metadata. The map is copied: connections
// read the one before.
func (f *follower) takeMetadata(name string, e *store.Event) error {
	t, ok := f.s.conf.Env.Plugins.LookupStream(name)
	if !ok {
		return nil // it is a plugin of requests
	}
	next := maps.Clone(*f.s.metadata.Load())
	if delete(next, name); !e.Deleted {
		conf, err := parse[json.RawMessage](f, e)
		if err != nil {
			return err
		}
		m, err := t.LoadMetadata(*conf)
		if err != nil {
			return err
		}
		if m != nil {
			next[name] = m
		}
	}
	f.s.metadata.Store(&next)
	return nil
}

// rebuild compiles the dirty routes, swaps the table and lets go of what was
// replaced. A route that does not compile stays as it was, unless it asks for what
// there is not.
func (f *follower) rebuild() {
	var replaced []*route
	for id := range f.dirty {
		r := f.routes[id]
		if r == nil {
			continue
		}
		var next *route
		err := follow.Guard(func() (err error) {
			if r.conf != nil {
				next, err = f.compileRoute(id, r)
			}
			return err
		})
		if err != nil {
			f.s.conf.Log.Error("compiling a stream route", "route", id, "err", err)
			if !errors.Is(err, errProtocol) {
				continue
			}
		}
		if r.served != nil {
			replaced = append(replaced, r.served)
		}
		if r.served = next; r.conf == nil {
			delete(f.routes, id)
		}
	}
	clear(f.dirty)
	var routes []*route
	for _, r := range f.routes {
		if r.served != nil {
			routes = append(routes, r.served)
		}
	}
	f.s.table.Store(newTable(routes))
	for _, r := range replaced {
		r.inline.Close()
		r.release()
	}
}

var _ plugin.UpstreamHandle = (*namedUpstream)(nil)
