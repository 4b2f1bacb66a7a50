// Package feed connects triggers to what happens outside: to the time of day, to
// signed requests of other services. A client subscribes a trigger by calling a
// feed, an action of whisk.system that this package carries out; the source
// behind the feed then fires the trigger at every event.
//
// A new source is a new file that calls Register. It keeps what it was configured
// with, and what it notes as it goes, in the Subscription, which is stored and
// read again at start. Subscriptions name a namespace and a trigger and hold no
// key, so they outlive its rotation; one whose trigger is gone is switched off and
// says why.
//
// Keys in the store:
//
//	/whisk/feeds/{namespace}/{trigger}/{package}  Subscription
//
// A trigger has one subscription to the feeds of a package.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/store"
	"millrace/whisk"
	"millrace/whisk/request"
)

// prefix is what the keys begin with.
const prefix = "/whisk/feeds/"

// Config is what Open needs. All fields but Meter must be set.
type Config struct {
	Log      *slog.Logger
	Store    store.Store
	Keys     Keys
	Triggers Triggers
	Firer    Firer
	Sealer   Sealer
	// URL is the base URL of the functions API for clients, without a slash at
	// its end.
	URL string
	// MaxPayload bounds what a trigger is fired with, in bytes.
	MaxPayload int64
	// Meter bounds what clients have in memory at once; nil: nothing does.
	Meter *request.Meter
	// CronFields is how many fields a cron pattern may have: 6 allows seconds.
	CronFields int
}

// Keys knows namespaces by their keys and names.
type Keys interface {
	// Authenticate finds who has a key (uuid:secret), comparing in constant time.
	Authenticate(key string) (*whisk.Identity, error)
	// Namespace answers the identity that a namespace itself calls with, or nil.
	Namespace(name string) *whisk.Identity
}

// Triggers are the triggers and rules of every namespace.
type Triggers interface {
	Trigger(namespace, name string) (*whisk.Trigger, bool)
	Rules(t *whisk.Trigger) []*whisk.Rule
	DeleteTrigger(ctx context.Context, t *whisk.Trigger) error
	DeleteRule(ctx context.Context, r *whisk.Rule) error
}

// Firer fires triggers as a POST on them does. The id is empty if no rule is
// active. Errors that a client would see are *whisk.Error.
type Firer interface {
	FireLocal(ctx context.Context, caller *whisk.Identity, trigger whisk.FullName, payload []byte) (activationID string, err error)
}

// Sealer encrypts secrets for the store. A text opens only for the purpose it was
// sealed for.
type Sealer interface {
	Seal(purpose, secret string) string
	Open(purpose, text string) (string, error)
}

// ID names a subscription.
type ID struct {
	Namespace string `json:"namespace"`
	Trigger   string `json:"trigger"`
	Package   string `json:"package"`
}

func (id ID) key() string { return prefix + id.Namespace + "/" + id.Trigger + "/" + id.Package }

// Subscription is a trigger that a feed fires. It is not changed once made: each
// write makes another one.
type Subscription struct {
	ID
	// Feed is the name of the feed in its package.
	Feed string `json:"feed"`
	// TriggerID tells the trigger from a later one of its name.
	TriggerID string `json:"triggerId"`
	// Settings are what the client asked for, State what the source notes as it
	// goes, both in a form that only the source knows.
	Settings json.RawMessage `json:"settings"`
	State    json.RawMessage `json:"state,omitempty"`
	Active   bool            `json:"active"`
	// Paused: the client switched it off, and an UPDATE leaves it off.
	Paused bool `json:"paused,omitempty"`
	// Reason says why it was switched off, Changed is when it was switched last,
	// in ms since 1970.
	Reason  string `json:"reason,omitempty"`
	Changed int64  `json:"changed"`

	// Revision is the store's ModRevision.
	Revision int64 `json:"-"`
}

// switched answers a copy that is active, or is not for a reason.
func (s *Subscription) switched(active bool, reason string) *Subscription {
	c := *s
	c.Active, c.Reason, c.Changed = active, reason, time.Now().UnixMilli()
	return &c
}

// Feeds are the sources with all subscriptions.
type Feeds struct {
	cfg      Config
	sources  map[string]Source // by package
	handlers map[string]http.Handler

	// writing is held while a subscription is written, by its hash: writes of
	// one follow each other, while those of several share a sync of the disk.
	writing [256]sync.Mutex
	seed    maphash.Seed

	mu   sync.RWMutex
	subs map[ID]*Subscription
}

// Open makes the sources and reads the subscriptions. Their events begin with Run.
func Open(ctx context.Context, cfg Config) (*Feeds, error) {
	f := &Feeds{
		cfg: cfg, seed: maphash.MakeSeed(), subs: map[ID]*Subscription{},
		sources: map[string]Source{}, handlers: map[string]http.Handler{},
	}
	for _, p := range packages() {
		f.sources[p.Name] = p.New(f)
		if h, ok := f.sources[p.Name].(http.Handler); ok {
			f.handlers[p.Path] = h
		}
	}
	entries, _, err := cfg.Store.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("reading the subscriptions: %w", err)
	}
	for i := range entries {
		f.restore(&entries[i])
	}
	return f, nil
}

// restore takes up a stored subscription. One that is damaged, or whose source
// this version of the platform lacks, is left as it is.
func (f *Feeds) restore(e *store.Entry) {
	s := &Subscription{Revision: e.ModRevision}
	err := json.Unmarshal(e.Value, s)
	src := f.sources[s.Package]
	if err == nil && src == nil {
		err = fmt.Errorf("there is no source %q", s.Package)
	}
	if err == nil {
		f.subs[s.ID] = s
		err = src.Apply(s)
	}
	if err != nil {
		f.cfg.Log.Error("taking up a subscription", "key", e.Key, "error", err)
	}
}

// Run lets the sources produce events until ctx is done, and returns when their
// goroutines are gone.
func (f *Feeds) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(f.sources))
	for name, src := range f.sources {
		go func() {
			err := src.Run(ctx)
			if err != nil {
				err = fmt.Errorf("event source %s: %w", name, err)
			}
			cancel()
			ended <- err
		}()
	}
	f.sweepRegularly(ctx)
	var errs []error
	for range f.sources {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// sweepEvery is how often subscriptions are removed whose trigger was gone the last
// time too: nobody can reach them any more.
const sweepEvery = time.Hour

func (f *Feeds) sweepRegularly(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	var orphans map[*Subscription]bool
	for {
		select {
		case <-ticker.C:
			orphans = f.sweep(ctx, orphans)
		case <-ctx.Done():
			return
		}
	}
}

// sweep removes subscriptions that have no trigger and had none before, and answers
// those that have none now.
func (f *Feeds) sweep(ctx context.Context, before map[*Subscription]bool) (now map[*Subscription]bool) {
	f.mu.RLock()
	all := slices.Collect(maps.Values(f.subs))
	f.mu.RUnlock()
	now = map[*Subscription]bool{}
	for _, s := range all {
		if f.hasTrigger(s) {
			continue
		}
		now[s] = true
		if !before[s] || ctx.Err() != nil {
			continue
		}
		if err := f.removeCurrent(ctx, s); err != nil {
			f.cfg.Log.Error("removing a subscription without a trigger", "error", err)
		}
	}
	return now
}

// removeCurrent deletes s unless it has been written since.
func (f *Feeds) removeCurrent(ctx context.Context, s *Subscription) error {
	defer f.lock(s.ID)()
	if f.find(s.ID) != s {
		return nil
	}
	return f.remove(ctx, s.ID)
}

// hasTrigger tells whether the trigger of s is still there, and not another one
// of its name.
func (f *Feeds) hasTrigger(s *Subscription) bool {
	t, ok := f.cfg.Triggers.Trigger(s.Namespace, s.Trigger)
	return ok && t.ID == s.TriggerID
}

// Handler answers the requests to sources, /api/v1/{path}/…, and leaves others to
// next.
func (f *Feeds) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/api/v1/"); ok {
			segment, _, _ := strings.Cut(rest, "/")
			if h := f.handlers[segment]; h != nil {
				h.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// find answers a subscription, or nil.
func (f *Feeds) find(id ID) *Subscription {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.subs[id]
}

// lock keeps others from writing a subscription until unlock is called.
func (f *Feeds) lock(id ID) (unlock func()) {
	m := &f.writing[maphash.Comparable(f.seed, id)%uint64(len(f.writing))]
	m.Lock()
	return m.Unlock
}

// write stores s in place of its revision; the caller holds its lock. It answers
// it as stored.
func (f *Feeds) write(ctx context.Context, s *Subscription) (*Subscription, error) {
	value, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", s.key(), err)
	}
	expect := s.Revision
	if expect == 0 {
		expect = store.Absent
	}
	// What is begun is finished: a client that goes away does not know either way.
	ctx = context.WithoutCancel(ctx)
	e, err := f.cfg.Store.Put(ctx, s.key(), value, store.PutOptions{If: expect})
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return nil, f.refresh(ctx, s.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", s.key(), err)
	}
	written := *s
	written.Revision = e.ModRevision
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs[s.ID] = &written
	return &written, nil
}

// refresh takes over what others did to a stored subscription, such as deleting
// it with its namespace; the caller holds its lock. It answers errStale.
func (f *Feeds) refresh(ctx context.Context, id ID) error {
	e, err := f.cfg.Store.Get(ctx, id.key())
	if errors.Is(err, store.ErrNotFound) {
		f.forget(id)
		return errStale
	}
	s := &Subscription{Revision: e.ModRevision}
	if err == nil {
		err = json.Unmarshal(e.Value, s)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", id.key(), err)
	}
	f.mu.Lock()
	f.subs[id] = s
	f.mu.Unlock()
	if err := f.sources[id.Package].Apply(s); err != nil {
		return err
	}
	return errStale
}

// remove deletes a subscription, if there is one; the caller holds its lock.
func (f *Feeds) remove(ctx context.Context, id ID) error {
	_, err := f.cfg.Store.Delete(context.WithoutCancel(ctx), id.key(), store.Any)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("deleting %s: %w", id.key(), err)
	}
	f.forget(id)
	return nil
}

func (f *Feeds) forget(id ID) {
	f.mu.Lock()
	delete(f.subs, id)
	f.mu.Unlock()
	f.sources[id.Package].Forget(id)
}
