package etcd

import (
	"context"
	"errors"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"millrace/store"
)

// backlogBytes is how far a watcher may fall behind.
const backlogBytes = 8 << 20

func (s *Store) entry(kv *mvccpb.KeyValue) store.Entry {
	return store.Entry{Key: s.inner(string(kv.Key)), Value: kv.Value, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision}
}

func (s *Store) event(e *clientv3.Event) store.Event {
	out := store.Event{Entry: s.entry(e.Kv)}
	if e.Type == clientv3.EventTypeDelete {
		out.Deleted, out.Value = true, nil
		if e.PrevKv != nil {
			out.CreateRevision = e.PrevKv.CreateRevision
		}
	}
	return out
}

// Watch sends changes. While etcd cannot be reached nothing comes; what happened
// meanwhile follows.
func (s *Store) Watch(ctx context.Context, prefix string, after int64) (<-chan []store.Event, error) {
	if err := s.kept(ctx, prefix, after); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(s.ctx, cancel)
	// Without a leader etcd would be silent for ever; so the watch is made anew.
	changes := s.client.Watch(clientv3.WithRequireLeader(ctx), s.outer(prefix), clientv3.WithPrefix(),
		clientv3.WithRev(max(after, 0)+1), clientv3.WithPrevKV())
	b := &backlog{wake: make(chan struct{}, 1)}
	out := make(chan []store.Event)
	s.watches.Go(func() {
		defer cancel()
		s.collect(ctx, changes, b)
	})
	s.watches.Go(func() {
		defer close(out)
		defer release()
		defer cancel()
		b.deliver(ctx, out)
	})
	return out, nil
}

// kept answers ErrCompacted if the changes after a revision are not all kept.
// It asks about a key under prefix, since a user of etcd may be allowed no other.
func (s *Store) kept(ctx context.Context, prefix string, after int64) error {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	_, err = s.client.Get(ctx, s.outer(prefix), clientv3.WithRev(max(after, 1)), clientv3.WithCountOnly())
	if errors.Is(err, rpctypes.ErrFutureRev) {
		return nil
	}
	return s.failure(ctx, err)
}

// collect takes events until the watch ends or its reader is too slow.
func (s *Store) collect(ctx context.Context, changes clientv3.WatchChan, b *backlog) {
	defer b.end()
	for r := range changes {
		if r.Err() != nil {
			return
		}
		events := make([]store.Event, len(r.Events))
		bytes := 0
		for i, e := range r.Events {
			events[i] = s.event(e)
			bytes += len(e.Kv.Key) + len(e.Kv.Value)
		}
		if len(events) > 0 && !b.add(events, bytes) {
			return
		}
	}
}

// backlog is what a watcher has not taken yet.
type backlog struct {
	mu     sync.Mutex
	events []store.Event
	bytes  int
	ended  bool
	wake   chan struct{} // has room for one
}

func (b *backlog) add(events []store.Event, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+bytes > backlogBytes {
		return false
	}
	b.events = append(b.events, events...)
	b.bytes += bytes
	b.signal()
	return true
}

func (b *backlog) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.signal()
}

func (b *backlog) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *backlog) take() (events []store.Event, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, b.events, b.bytes = b.events, nil, 0
	return events, b.ended
}

// deliver sends batches until the backlog has ended.
func (b *backlog) deliver(ctx context.Context, out chan<- []store.Event) {
	for {
		events, ended := b.take()
		if len(events) > 0 {
			select {
			case out <- events:
			case <-ctx.Done():
				return
			}
			continue
		}
		if ended {
			return
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		}
	}
}
