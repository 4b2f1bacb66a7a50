// Package follow keeps whoever serves a configuration up to date with the store that it
// is kept in: it lists what is there, watches what changes, and begins anew with what is
// different when the store was away. The changes come in batches, without those that
// cannot be used.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/watermark"
	"millrace/resource"
	"millrace/store"
)

// Follower follows a store. Log, Store, Apply and Applied are needed.
type Follower struct {
	Log   *slog.Logger
	Store store.Store
	// Wants tells whether a key matters; nil: all do.
	Wants func(key string) bool
	// Check tells why a stored resource cannot be used; nil: those who write have
	// checked it.
	Check func(key string, value []byte) error
	// Apply takes changes in, on the goroutine of Run. What came before a change that
	// is not among them, because Check found fault with it, stays.
	Apply func(ctx context.Context, events []store.Event)
	// Changed makes Apply be called without changes: something else has changed.
	Changed <-chan struct{}
	// Anew, unless nil, answers a channel that is closed when Apply needs everything
	// again that is stored, and after that another.
	Anew func() <-chan struct{}
	// Following, unless nil, is told whether the store is there.
	Following func(bool)
	// Applied is raised to the revision up to which changes have been taken in.
	Applied *watermark.Mark

	known *store.Known
	anew  <-chan struct{} // as Anew answered before everything was applied
}

var errAnew = errors.New("everything is applied again")

// Run follows the store until ctx ends, and returns its error.
func (f *Follower) Run(ctx context.Context) error {
	f.known = store.NewKnown()
	for wait := time.Duration(0); ; wait = min(max(100*time.Millisecond, 2*wait), 5*time.Second) {
		f.pause(ctx, wait)
		followed, err := f.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if followed {
			wait = 0
		}
		if errors.Is(err, errAnew) {
			continue
		}
		f.Log.Warn("following the configuration", "err", err)
	}
}

// pause waits, and takes in meanwhile what changes without the store.
func (f *Follower) pause(ctx context.Context, wait time.Duration) {
	over := time.After(wait)
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-f.Changed:
			f.Apply(ctx, nil)
		}
	}
}

// follow lists and watches until the watch ends; followed says that it began.
func (f *Follower) follow(ctx context.Context) (followed bool, err error) {
	f.begin()
	if f.Following != nil {
		defer func() {
			if !errors.Is(err, errAnew) { // the store is still there then
				f.Following(false)
			}
		}()
	}
	entries, revision, err := f.Store.List(ctx, resource.Prefix)
	if err != nil {
		return false, err
	}
	if f.Following != nil {
		f.Following(true)
	}
	if f.Wants != nil {
		entries = slices.DeleteFunc(entries, func(e store.Entry) bool { return !f.Wants(e.Key) })
	}
	f.take(ctx, f.known.Difference(entries), revision)
	f.Applied.Lower(revision) // the store may have lost its data, and counts again
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := f.Store.Watch(ctx, resource.Prefix, revision)
	if err != nil {
		return false, err
	}
	for {
		select {
		case events, open := <-changes:
			if !open {
				return true, errors.New("the store ended the watch")
			}
			if n := len(events); n > 0 {
				f.take(ctx, events, events[n-1].ModRevision)
			}
		case <-f.Changed:
			f.Apply(ctx, nil)
		case <-f.anew:
			return true, errAnew
		}
	}
}

// begin forgets what is known if everything is to be applied again.
func (f *Follower) begin() {
	if f.Anew == nil {
		return
	}
	if anew := f.Anew(); anew != f.anew {
		f.known.Forget()
		f.anew = anew
	}
}

// take takes in changes up to a revision of the store.
func (f *Follower) take(ctx context.Context, events []store.Event, revision int64) {
	if f.Wants != nil {
		events = slices.DeleteFunc(slices.Clone(events), func(e store.Event) bool { return !f.Wants(e.Key) })
	}
	for i := range events {
		f.known.Note(&events[i])
	}
	f.Apply(ctx, f.usable(events))
	f.Applied.Raise(revision)
}

// usable answers those of events that no fault is found with.
func (f *Follower) usable(events []store.Event) []store.Event {
	faults := f.checkAll(events)
	if faults == nil {
		return events
	}
	var usable []store.Event
	for i, e := range events {
		if faults[i] == nil {
			usable = append(usable, e)
			continue
		}
		f.Log.Error("the configuration has a fault; what was there before stays", "key", e.Key, "err", faults[i])
	}
	return usable
}

// checkAll tells of each event why its resource cannot be used, nil if all of them
// can. A check costs more than all else that is done with a resource at start, so they
// are shared out among the processors.
func (f *Follower) checkAll(events []store.Event) []error {
	if f.Check == nil {
		return nil
	}
	faults := make([]error, len(events))
	var found atomic.Bool
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(events)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(events)); i = next.Add(1) - 1 {
				e := &events[i]
				if e.Deleted {
					continue
				}
				if faults[i] = Guard(func() error { return f.Check(e.Key, e.Value) }); faults[i] != nil {
					found.Store(true)
				}
			}
		})
	}
	workers.Wait()
	if !found.Load() {
		return nil
	}
	return faults
}

// Guard makes an error of a panic: one resource with which something goes wrong must
// not take the others with it.
func Guard(fn func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("a panic: %v\n%s", reason, debug.Stack())
		}
	}()
	return fn()
}
