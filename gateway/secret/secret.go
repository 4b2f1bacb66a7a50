// Package secret finds what references in the gateway's configuration stand for:
// $env://NAME[/key] a variable of the environment, or a member of the JSON object
// that it holds; $secret://<manager>/<id>/<path>[/<key>] what a manager of secrets
// keeps, which is reached as the resource /apisix/secrets/<manager>/<id> says. The
// scheme is case-insensitive.
//
// What a manager answered is kept while the configuration refers to it, and asked
// for again in the background: nobody waits for a manager that has answered once,
// and one that is away changes nothing. Each manager is a file of this package.
package secret

import (
	"context"
	"crypto/x509"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// Settings are how managers are asked. Zero values stand for the defaults that
// are named.
type Settings struct {
	Log *slog.Logger
	// Env answers a variable of the environment; nil is os.LookupEnv.
	Env func(name string) (string, bool)
	// TTL is how long a value holds before it is asked for again (300 s),
	// NegativeTTL how long it is before what failed is tried again (60 s).
	TTL, NegativeTTL time.Duration
	// Count and NegativeCount bound how many values, and how many failures, are
	// kept although nothing refers to them any more (512 each).
	Count, NegativeCount int
	// Timeout bounds one request to a manager, and how long the configuration waits
	// for a manager that has not answered yet (5 s).
	Timeout time.Duration
	// Roots sign the certificates of managers; nil are the system's.
	Roots *x509.CertPool
}

func (s *Settings) fillDefaults() {
	for _, d := range []struct {
		to        *time.Duration
		otherwise time.Duration
	}{{&s.TTL, 300 * time.Second}, {&s.NegativeTTL, 60 * time.Second}, {&s.Timeout, 5 * time.Second}} {
		if *d.to <= 0 {
			*d.to = d.otherwise
		}
	}
	for _, n := range []*int{&s.Count, &s.NegativeCount} {
		if *n <= 0 {
			*n = 512
		}
	}
	if s.Env == nil {
		s.Env = os.LookupEnv
	}
}

// Resolver knows what references stand for. Its methods may be called by several
// goroutines at once.
type Resolver struct {
	Settings
	client *client

	mu      sync.Mutex
	objects map[string]*object // by vault/1
	entries map[string]*entry  // by reference
	refers  map[string][]string
	changed map[string]struct{} // keys whose references stand for something else now
	// progress is closed, and made anew, when something has been tried.
	progress chan struct{}
	wake     chan struct{} // there may be something to fetch
	notify   chan struct{} // changed is not empty
}

// object is a resource /apisix/secrets/<manager>/<id>.
type object struct {
	manager manager
	err     error // why there is no manager
	busy    bool  // a batch is on its way
	// silent: it did not answer in time, so nobody waits for it.
	silent bool
}

// entry is a reference of the configuration to a manager.
type entry struct {
	reference, object, path string
	state
	tried bool      // since the object is what it is
	due   time.Time // when to fetch; zero: when the object changes
	users map[string]struct{}
	// shown is what resolve answered last, if it was asked.
	shown *state
}

// state is what a reference stands for; ok is false if it leads nowhere.
type state struct {
	value string
	ok    bool
}

// New makes a Resolver, which fetches nothing before Run.
func New(s Settings) *Resolver {
	s.fillDefaults()
	return &Resolver{
		Settings: s, client: newClient(&s), objects: map[string]*object{}, entries: map[string]*entry{},
		refers: map[string][]string{}, changed: map[string]struct{}{},
		progress: make(chan struct{}), wake: make(chan struct{}, 1), notify: make(chan struct{}, 1),
	}
}

// setObject puts the resource with an id such as vault/1 into force; nil removes it.
// What refers to it is fetched anew.
func (r *Resolver) setObject(id string, conf []byte) {
	var o *object
	if conf != nil {
		o = &object{}
		o.manager, o.err = r.open(id, conf)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.objects, id)
	if o != nil {
		r.objects[id] = o
	}
	for _, e := range r.entries {
		if e.object == id {
			r.begin(e)
		}
	}
	signal(r.wake)
}

// begin makes an entry ready to be fetched; one that cannot be leads nowhere.
func (r *Resolver) begin(e *entry) {
	o := r.objects[e.object]
	switch {
	case o == nil:
		r.settle(e, state{}, &absentError{"no secret conf, secret_uri: " + e.reference})
		e.due = time.Time{}
	case o.err != nil:
		r.settle(e, state{}, o.err)
		e.due = time.Time{}
	default:
		e.tried, e.due = false, time.Now()
	}
}

// refer notes the references of a stored resource, in the place of those that it
// had before.
func (r *Resolver) refer(key string, references []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.refers[key]
	if len(before) == 0 && len(references) == 0 {
		return
	}
	delete(r.refers, key)
	for _, ref := range references {
		r.use(key, ref)
	}
	unused := false
	for _, ref := range before {
		if e := r.entries[ref]; e != nil && !slices.Contains(references, ref) {
			delete(e.users, key)
			unused = unused || len(e.users) == 0
		}
	}
	if unused {
		r.forget()
	}
	signal(r.wake)
}

// add is refer for further references.
func (r *Resolver) add(key string, references []string) {
	if len(references) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range references {
		r.use(key, ref)
	}
	signal(r.wake)
}

// use enters a reference of a key, and answers nil if it is no reference to a
// manager or not well-formed. r.mu is held.
func (r *Resolver) use(key, ref string) *entry {
	e := r.entries[ref]
	if e == nil {
		object, path, err := parse(ref)
		if err != nil {
			return nil
		}
		e = &entry{reference: ref, object: object, path: path, users: map[string]struct{}{}}
		r.entries[ref] = e
		r.begin(e)
	}
	e.users[key] = struct{}{}
	if !slices.Contains(r.refers[key], ref) {
		r.refers[key] = append(r.refers[key], ref)
	}
	return e
}

// resolve answers what is known of a reference in the resource with a key; ok is
// false if it leads nowhere, as far as is known. It does not wait: see await.
func (r *Resolver) resolve(key, ref string) (value string, ok bool) {
	if name, isEnv := cutPrefixFold(ref, envScheme); isEnv {
		value, err := variable(name, r.Env)
		if err != nil {
			r.failed(ref, err)
		}
		return value, err == nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.use(key, ref)
	if e == nil {
		_, _, err := parse(ref)
		r.failed(ref, err)
		return "", false
	}
	signal(r.wake)
	known := e.state
	e.shown = &known
	return e.value, e.ok
}

// failed says in the log that a reference leads nowhere. Errors here hold nothing
// of what was read.
func (r *Resolver) failed(ref string, err error) {
	r.Log.Error("failed to fetch secret value", "reference", ref, "err", err)
}

// await returns when each reference has been tried once. It does not wait for a
// manager longer than Timeout, nor again for one that has kept it waiting.
func (r *Resolver) await(ctx context.Context) {
	var timeout <-chan time.Time
	for {
		r.mu.Lock()
		waiting, progress := r.untried(), r.progress
		r.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		if timeout == nil {
			t := time.NewTimer(r.Timeout)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return
		case <-timeout:
			r.silence(waiting)
			return
		}
	}
}

// untried answers the objects that somebody may wait for.
func (r *Resolver) untried() []*object {
	var waiting []*object
	for _, e := range r.entries {
		if o := r.objects[e.object]; !e.tried && o != nil && !o.silent {
			waiting = append(waiting, o)
		}
	}
	return waiting
}

func (r *Resolver) silence(objects []*object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range objects {
		o.silent = true
	}
}

// Changed is sent to when Again of the reader has something to tell.
func (r *Resolver) Changed() <-chan struct{} { return r.notify }

// takeChanged answers, once, the keys of the resources whose references no longer
// stand for what resolve answered.
func (r *Resolver) takeChanged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := slices.Sorted(maps.Keys(r.changed))
	clear(r.changed)
	return keys
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
