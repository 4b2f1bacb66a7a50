package gateway

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"millrace/store"
)

// checkAll tells of each event why its resource cannot be used, nil if all of them
// can. A check costs more than all else that is done with a resource at start, so they
// are shared out among the processors.
func (f *follower) checkAll(events []store.Event) []error {
	check := f.g.conf.Check
	if check == nil {
		return nil
	}
	faults := make([]error, len(events))
	var found atomic.Bool
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(events)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(events)); i = next.Add(1) - 1 {
				if e := &events[i]; !e.Deleted {
					faults[i] = guard(func() error { return check(e.Key, e.Value) })
					if faults[i] != nil {
						found.Store(true)
					}
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

// refuse leaves out a change that check has found fault with: what was there before
// stays.
func (f *follower) refuse(e *store.Event, fault error) {
	f.seen.Note(e)
	f.g.conf.Log.Error("the configuration has a fault; what was there before stays", "key", e.Key, "err", fault)
}

// guard makes an error of a panic: one resource with which something goes wrong must
// not take the others with it.
func guard(fn func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("a panic: %v\n%s", reason, debug.Stack())
		}
	}()
	return fn()
}
