package ledger

import (
	"context"
	"strings"
	"sync"

	"millrace/store"
)

// Bounds of what is kept for watchers: a watcher further behind is too slow.
const (
	historyEvents = 10_000
	historyBytes  = 8 << 20
	batchEvents   = 1_000 // at most so many in one batch to a watcher
)

// history keeps the newest events, in memory, and is the queue of all watchers:
// each has only a position in it, so a slow one costs nothing.
type history struct {
	done chan struct{} // closed with the store

	mu       sync.Mutex
	first    int64         // revision of events[0], or the next one if there is none
	events   []store.Event // revisions follow one another
	bytes    int           // of keys and values in events
	watchers map[*watcher]struct{}
}

type watcher struct {
	prefix string
	cursor int64         // revision of the last event looked at
	wake   chan struct{} // has room for one: something was added
	out    chan []store.Event
}

func newHistory(revision int64) *history {
	return &history{
		done:     make(chan struct{}),
		first:    revision + 1,
		watchers: map[*watcher]struct{}{},
	}
}

// add appends the events of a commit and wakes the watchers.
func (h *history) add(changes []Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range changes {
		h.events = append(h.events, changes[i].Event)
		h.bytes += size(&changes[i].Event)
	}
	drop := 0
	for len(h.events)-drop > historyEvents || h.bytes > historyBytes {
		h.bytes -= size(&h.events[drop])
		drop++
	}
	clear(h.events[:drop]) // the array lives on; let go of the values
	h.events = h.events[drop:]
	h.first += int64(drop)
	for w := range h.watchers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func size(e *store.Event) int { return len(e.Key) + len(e.Value) }

// watch starts a watcher that ends with ctx or the history.
func (h *history) watch(ctx context.Context, prefix string, after int64) (<-chan []store.Event, error) {
	w := &watcher{
		prefix: prefix,
		cursor: after,
		wake:   make(chan struct{}, 1),
		out:    make(chan []store.Event),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.done:
		return nil, store.ErrUnavailable
	default:
	}
	if after+1 < h.first {
		return nil, store.ErrCompacted
	}
	h.watchers[w] = struct{}{}
	go h.run(ctx, w)
	return w.out, nil
}

func (h *history) run(ctx context.Context, w *watcher) {
	defer func() {
		h.mu.Lock()
		delete(h.watchers, w)
		h.mu.Unlock()
		close(w.out)
	}()
	for {
		batch, ok := h.next(w)
		if !ok {
			return
		}
		out, wake := w.out, (<-chan struct{})(nil)
		if len(batch) == 0 {
			out, wake = nil, w.wake
		}
		select {
		case out <- batch:
		case <-wake:
		case <-ctx.Done():
			return
		case <-h.done:
			return
		}
	}
}

// next answers the following events for w, none if it has seen all, and false
// if some of them are gone.
func (h *history) next(w *watcher) ([]store.Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.cursor+1 < h.first {
		return nil, false
	}
	var batch []store.Event
	// A cursor may lie in the future: it then passes over what comes until there.
	for i := w.cursor + 1 - h.first; i < int64(len(h.events)) && len(batch) < batchEvents; i++ {
		e := &h.events[i]
		w.cursor = e.ModRevision
		if strings.HasPrefix(e.Key, w.prefix) {
			batch = append(batch, *e)
		}
	}
	return batch, true
}

// close ends all watchers.
func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.done)
}
