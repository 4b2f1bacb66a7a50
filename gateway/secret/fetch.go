package secret

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// parallel is how many documents of one object are fetched at once.
const parallel = 8

// Run fetches what is to be fetched until ctx ends. It returns ctx's error when its
// goroutines are gone.
func (r *Resolver) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer r.client.close()
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := r.start(ctx, &running)
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// start begins a batch for each object of which something is due, and answers when
// more will be.
func (r *Resolver) start(ctx context.Context, running *sync.WaitGroup) (next time.Duration) {
	const never = time.Hour
	r.mu.Lock()
	defer r.mu.Unlock()
	now, next, batches := time.Now(), never, map[*object][]*entry{}
	for ref, e := range r.entries {
		o := r.objects[e.object]
		wait := e.due.Sub(now)
		switch {
		case e.due.IsZero(), o == nil, o.busy:
		case wait > 0:
			next = min(next, wait)
		case len(e.users) == 0:
			delete(r.entries, ref)
		default:
			batches[o] = append(batches[o], e)
		}
	}
	for o, entries := range batches {
		o.busy = true
		running.Go(func() { r.fetch(ctx, o, entries) })
	}
	return next
}

// batch fetches the documents of one object, each once.
type batch struct {
	manager   manager
	mu        sync.Mutex
	documents map[string]*document
	silent    bool // a request was not answered in time: no others are made
}

type document struct {
	once sync.Once
	text string
	err  error
}

// outcome is what came of a reference.
type outcome struct {
	entry *entry
	value string
	err   error
}

// fetch fetches what entries of an object stand for. All of it counts at once, so
// that a certificate and its key change together.
func (r *Resolver) fetch(ctx context.Context, o *object, entries []*entry) {
	b := &batch{manager: o.manager, documents: map[string]*document{}}
	outcomes := make([]outcome, len(entries))
	free := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for i, e := range entries {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			value, err := b.value(ctx, e.path)
			outcomes[i] = outcome{e, value, err}
		})
	}
	wg.Wait()
	r.finish(ctx, o, b, outcomes)
}

// finish takes in what a batch has found, unless the object has changed since.
func (r *Resolver) finish(ctx context.Context, o *object, b *batch, outcomes []outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer signal(r.wake)
	o.busy, o.silent = false, b.silent
	if ctx.Err() != nil {
		return
	}
	for _, found := range outcomes {
		e := found.entry
		if r.objects[e.object] != o || r.entries[e.reference] != e {
			continue
		}
		if found.err != nil {
			r.settle(e, state{}, found.err)
			continue
		}
		r.settle(e, state{found.value, true}, nil)
	}
}

// settle notes what came of trying an entry. A failure of the manager leaves a
// value that was there.
func (r *Resolver) settle(e *entry, now state, err error) {
	ttl := r.TTL
	if err != nil {
		r.failed(e.reference, err)
		ttl = r.NegativeTTL
		if e.ok && !isAbsent(err) {
			now = e.state
		}
	}
	e.state, e.tried, e.due = now, true, time.Now().Add(ttl)
	if e.shown != nil && *e.shown != now && len(e.users) > 0 {
		for key := range e.users {
			r.changed[key] = struct{}{}
		}
		signal(r.notify)
	}
	close(r.progress)
	r.progress = make(chan struct{})
}

// value answers what a path stands for.
func (b *batch) value(ctx context.Context, path string) (string, error) {
	parts, err := b.manager.parts(path)
	if err != nil {
		return "", err
	}
	var first error
	for _, p := range parts {
		text, err := b.document(ctx, p.document)
		if err == nil {
			if p.member == "" {
				return text, nil
			}
			return member(text, p.member)
		}
		if first == nil {
			first = err
		}
		if !isAbsent(err) {
			break
		}
	}
	return "", first
}

// document fetches a document unless the batch has done so.
func (b *batch) document(ctx context.Context, name string) (string, error) {
	b.mu.Lock()
	d := b.documents[name]
	if d == nil {
		d = &document{}
		b.documents[name] = d
	}
	b.mu.Unlock()
	d.once.Do(func() {
		if b.gaveUp() {
			d.err = errors.New("the manager did not answer before")
			return
		}
		d.text, d.err = b.manager.fetch(ctx, name)
		var timeout net.Error
		if errors.As(d.err, &timeout) && timeout.Timeout() {
			b.mu.Lock()
			b.silent = true
			b.mu.Unlock()
		}
	})
	return d.text, d.err
}

func (b *batch) gaveUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.silent
}

// forget drops the oldest entries that nothing refers to, beyond what is to be
// kept. r.mu is held.
func (r *Resolver) forget() {
	var unused [2][]*entry // failures, values
	for _, e := range r.entries {
		switch {
		case len(e.users) > 0:
		case e.ok:
			unused[1] = append(unused[1], e)
		default:
			unused[0] = append(unused[0], e)
		}
	}
	for i, keep := range []int{r.NegativeCount, r.Count} {
		if len(unused[i]) <= keep {
			continue
		}
		slices.SortFunc(unused[i], func(a, b *entry) int { return a.due.Compare(b.due) })
		for _, e := range unused[i][:len(unused[i])-keep] {
			delete(r.entries, e.reference)
		}
	}
}
