package gateway

import (
	"context"
	"errors"
	"sync"

	"millrace/gateway/follow"
	"millrace/gateway/route"
	"millrace/gateway/secret"
	"millrace/internal/watermark"
	"millrace/plugin"
	"millrace/resource"
	"millrace/store"
)

// Run compiles what the store holds and follows its changes until ctx ends. It
// returns ctx's error when its goroutines are gone.
func (g *Gateway) Run(ctx context.Context) error {
	var pool sync.WaitGroup
	pool.Go(func() { g.pool.Run(ctx) })
	pool.Go(func() { _ = g.conf.TLS.Stapler.Run(ctx) }) // says that ctx has ended
	pool.Go(func() { g.secrets.Run(ctx) })
	defer pool.Wait()
	f := newFollower(g)
	following := follow.Follower{
		Log: g.conf.Log, Store: g.conf.Store, Check: g.conf.Check, Apply: f.apply,
		Changed: g.secrets.Changed(), Anew: g.conf.Env.Plugins.Replaced, Following: g.applied.follows, Applied: g.applied.Mark,
	}
	return following.Run(ctx)
}

// WaitApplied returns when requests are served with the store's revision or a
// newer one, or with ctx's error.
func (g *Gateway) WaitApplied(ctx context.Context, revision int64) error {
	return g.applied.Wait(ctx, revision)
}

// progress is how far the store has been followed.
type progress struct {
	*watermark.Mark // the store's revision

	mu        sync.Mutex
	following bool             // the store is there
	folders   map[string]int64 // the newest revision of each
}

func (p *progress) init() {
	p.Mark, p.folders = watermark.New(-1), map[string]int64{}
}

// follows notes whether the store is being followed.
func (p *progress) follows(now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.following = now
}

// note notes a change in a folder.
func (p *progress) note(folder string, revision int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.folders[folder] = max(p.folders[folder], revision)
}

// follower turns changes of the store into new tables. Only Run's goroutine
// uses it.
type follower struct {
	g             *Gateway
	routes        map[string]*followedRoute
	upstreams     map[string]*sharedUpstream
	services      map[string]*serviceConf
	pluginConfigs map[string]*pluginConf
	users         map[string]*followedUser
	globalRules   map[string]*globalRule
	metadata      plugin.Metadata
	ssls          map[string]followedSSL
	referrers     users
	secrets       *secret.Reader

	// gone are the chains that the next table no longer uses.
	gone map[*heldChain]bool
}

// changes are what a batch of events touches.
type changes struct {
	routes           map[string]bool
	global, metadata bool
	ssls             bool
}

// followedRoute is a route as it was last good.
type followedRoute struct {
	// conf is kept for routes that refer to other resources, whose changes make them
	// anew. Others are compiled once, and it is many times what is made of it.
	conf *resource.Route
	// raw is the same as the store has it.
	raw     []byte
	gone    bool // deleted, and about to leave the table
	created int64
	served  *servedRoute
}

func newFollower(g *Gateway) *follower {
	return &follower{
		g: g, routes: map[string]*followedRoute{},
		upstreams: map[string]*sharedUpstream{}, services: map[string]*serviceConf{},
		pluginConfigs: map[string]*pluginConf{}, users: map[string]*followedUser{},
		globalRules: map[string]*globalRule{}, gone: map[*heldChain]bool{},
		ssls: map[string]followedSSL{}, referrers: users{},
		secrets: g.secrets.Reader(g.conf.Keyring),
	}
}

// apply takes in changes of the store, and of the secrets that it refers to, and
// swaps the snapshot.
func (f *follower) apply(ctx context.Context, events []store.Event) {
	ch := changes{routes: map[string]bool{}}
	f.secrets.Settle(ctx, events)
	for i := range events {
		f.take(&events[i], &ch)
	}
	f.takeChangedSecrets(&ch)
	if len(ch.routes) > 0 || ch.global || ch.metadata {
		f.rebuild(&ch)
	}
	if ch.ssls {
		f.setCertificates()
	}
	f.closeGone()
}

// letGo closes a chain once requests have a way to find what has come for it.
func (f *follower) letGo(h *heldChain) {
	if h != noPlugins {
		f.gone[h] = true
	}
}

func (f *follower) closeGone() {
	if len(f.gone) == 0 {
		return
	}
	f.g.merged.sweep(f.gone)
	for h := range f.gone {
		h.release()
	}
	clear(f.gone)
}

// take notes one change and marks what it touches.
func (f *follower) take(e *store.Event, ch *changes) {
	folder, id, ok := resource.SplitKey(e.Key)
	if !ok {
		return
	}
	f.g.applied.note(folder, e.ModRevision)
	if err := follow.Guard(func() error { return f.takeInto(folder, id, e, ch) }); err != nil {
		f.g.conf.Log.Error("reading configuration; what was there before stays", "key", e.Key, "err", err)
	}
}

func (f *follower) takeInto(folder, id string, e *store.Event, ch *changes) (err error) {
	switch folder {
	case "routes":
		if err = f.takeRoute(id, e); err == nil {
			ch.routes[id] = true
		}
	case "upstreams":
		err = f.takeUpstream(id, e)
		f.mark(ch, reference{folder, id})
	case "services":
		before := serviceReferences(f.services[id])
		err = takeConf(f, f.services, id, e)
		f.referrers.change(reference{folder, id}, before, serviceReferences(f.services[id]))
		f.mark(ch, reference{folder, id})
	case "plugin_configs":
		err = takeConf(f, f.pluginConfigs, id, e)
		f.mark(ch, reference{folder, id})
	case "consumers":
		err = f.takeConsumer(id, e)
	case "credentials":
		err = f.takeCredential(id, e)
	case "consumer_groups":
		err = f.takeGroup(id, e)
	case "global_rules":
		err, ch.global = f.takeGlobalRule(id, e), true
	case "ssls":
		err, ch.ssls = errors.Join(f.takeSSL(id, e), f.takeClientCert(id, e, ch)), true
	case "plugin_metadata":
		err, ch.metadata = f.takeMetadata(id, e), true
	}
	return err
}

// mark makes the routes dirty that a resource is part of.
func (f *follower) mark(ch *changes, changed reference) {
	f.referrers.routes(changed, func(id string) { ch.routes[id] = true })
}

func (f *follower) takeRoute(id string, e *store.Event) error {
	if e.Deleted {
		if r := f.routes[id]; r != nil {
			f.referrers.change(reference{"routes", id}, routeReferences(r.conf), referred{})
			r.conf, r.raw, r.gone = nil, nil, true
		}
		return nil
	}
	conf, err := parse[resource.Route](f, e)
	if err != nil {
		return err
	}
	r := f.routes[id]
	if r == nil {
		r = &followedRoute{}
		f.routes[id] = r
	}
	f.referrers.change(reference{"routes", id}, routeReferences(r.conf), routeReferences(conf))
	r.conf, r.raw, r.gone, r.created = conf, e.Value, false, e.CreateRevision
	return nil
}

func (f *follower) takeUpstream(id string, e *store.Event) error {
	if e.Deleted {
		f.upstreams[id].close()
		f.referrers.change(reference{"upstreams", id}, upstreamReferences(f.upstreams[id]), referred{})
		delete(f.upstreams, id)
		f.g.upstreams.Delete(id)
		return nil
	}
	conf, err := parse[resource.Upstream](f, e)
	if err != nil {
		return err
	}
	return f.setUpstream(id, conf)
}

// setUpstream makes an upstream ready in the place of the one that it replaces.
func (f *follower) setUpstream(id string, conf *resource.Upstream) error {
	u, err := f.g.compileUpstream(resource.Prefix+"upstreams/"+id, conf)
	if err != nil {
		return err
	}
	if clientCertID(conf) != "" {
		u.conf = conf
	}
	f.referrers.change(reference{"upstreams", id}, upstreamReferences(f.upstreams[id]), upstreamReferences(&u))
	f.upstreams[id].close()
	f.upstreams[id] = &u
	f.g.upstreams.Store(id, &u)
	return nil
}

// routeParts are the resources that only routes make use of, with their plugins.
type routeParts interface {
	plugins() (resource.Plugins, *sharedPlugins)
}

// takeConf keeps one of them. Its plugins are made ready here, once for all its
// routes.
func takeConf[T any, P interface {
	*T
	routeParts
}](f *follower, confs map[string]P, id string, e *store.Event) error {
	var old *sharedPlugins
	if before := confs[id]; before != nil {
		_, old = before.plugins()
	}
	if e.Deleted {
		old.close()
		delete(confs, id)
		return nil
	}
	conf, err := parse[T](f, e)
	if err != nil {
		return err
	}
	plugins, shared := P(conf).plugins()
	shared.compile(plugins, f.g.conf.Env, old)
	confs[id] = conf
	return nil
}

// rebuild compiles what has changed, swaps the snapshot and lets go of what was
// replaced. A route that does not compile stays as it was.
func (f *follower) rebuild(ch *changes) {
	old := f.g.snapshot.Load()
	next := *old
	next.metadata = f.metadata
	var replaced []*servedRoute
	if len(ch.routes) > 0 {
		next.table, replaced = f.rebuildTable(old.table, ch.routes)
	}
	if ch.global {
		next.global = f.recompileGlobal()
	}
	f.g.snapshot.Store(&next)
	if ch.global {
		f.letGo(old.global)
	}
	for _, s := range replaced {
		if s.own != nil {
			s.own.Close()
		}
		s.closeUpstream()
		f.letGo(s.chain)
	}
}

// rebuildTable compiles the dirty routes into a new table and answers which
// routes it no longer has.
func (f *follower) rebuildTable(table *route.Table[*servedRoute], dirty map[string]bool) (*route.Table[*servedRoute], []*servedRoute) {
	editor := table.Edit()
	var replaced []*servedRoute
	for id := range dirty {
		r := f.routes[id]
		if r == nil || r.conf == nil && !r.gone {
			continue
		}
		next, keep := f.recompile(id, r)
		if routeReferences(r.conf) == (referred{}) {
			r.conf, r.raw = nil, nil
		}
		if keep {
			continue
		}
		if old := r.served; old != nil {
			replaced = append(replaced, old)
			if old.rule != nil {
				editor.Remove(old.rule)
			}
		}
		if next != nil && next.rule != nil {
			editor.Add(next.rule)
		}
		if r.served = next; r.gone {
			delete(f.routes, id)
		}
	}
	return editor.Table(), replaced
}

// recompile answers the route's new form, nil if it is not to be served; keep
// says that the form it has stays.
func (f *follower) recompile(id string, r *followedRoute) (next *servedRoute, keep bool) {
	if r.gone {
		return nil, false
	}
	err := follow.Guard(func() (err error) {
		next, err = f.compileRoute(id, r)
		return err
	})
	if err == nil {
		return next, false
	}
	f.g.conf.Log.Error("compiling a route", "route", id, "err", err)
	return nil, !errors.Is(err, errScript)
}
