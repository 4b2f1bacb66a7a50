package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"millrace/store"
	"millrace/store/reserve"
)

const (
	// settle is how long the keeper waits at first: the start has enough to do.
	settle = 2 * time.Second
	// writeEvery is the least time between two reserves.
	writeEvery = 10 * time.Second
	// writeShare is how many times the time of writing passes between two of them.
	writeShare = 50
	// maxPause is how long the keeper comes to wait when it fails again and again.
	maxPause = 10 * time.Minute
)

// keeper keeps the reserve of a store: it watches on its own, so that nobody waits for
// it, and writes what has changed into the file from time to time. What lives on a
// lease is left out, since its end could not be known without etcd.
type keeper struct {
	s                  *Store
	writeEvery, settle time.Duration

	written reserve.Header         // what the file has
	changes map[string]store.Event // since then
	newest  int64                  // the revision of the last of them
	took    time.Duration          // how long writing took
}

// run keeps the reserve until ctx ends, and then writes what is left to write.
func (k *keeper) run(ctx context.Context) {
	said := ""
	for wait := k.settle; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		err := k.keep(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) {
			wait = k.writeEvery
			continue
		}
		wait = min(max(2*wait, k.writeEvery), maxPause)
		if text := err.Error(); text != said {
			said = text
			k.s.cfg.warn("keeping what etcd holds for a start without it", "file", k.s.cfg.Reserve, "err", err)
		}
	}
}

// keep brings the file up to date and follows etcd until that ends.
func (k *keeper) keep(ctx context.Context) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	changes := k.s.client.Watch(watching, k.s.outer(k.s.cfg.From+"/"), clientv3.WithPrefix(), clientv3.WithRev(k.written.Revision+1))
	k.changes, k.newest = map[string]store.Event{}, k.written.Revision
	var due <-chan time.Time
	for {
		select {
		case r, open := <-changes:
			if !open || r.Err() != nil {
				return k.write()
			}
			if k.take(r.Events); due == nil && len(k.changes) > 0 {
				due = time.After(max(k.writeEvery-time.Since(k.written.Written), writeShare*k.took, 0))
			}
		case <-due:
			if due = nil; k.write() != nil {
				return k.writeAll(ctx)
			}
		}
	}
}

// begin makes sure that the file is of this etcd's history and can be gone on with.
func (k *keeper) begin(ctx context.Context) error {
	h, newest, err := reserve.Check(k.s.cfg.Reserve)
	if err == nil && k.s.cfg.owns(&h) == nil && k.s.had(ctx, &h, newest) {
		k.written = h
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.s.cfg.warn("the file with what etcd held last is written anew", "file", k.s.cfg.Reserve, "err", err)
	}
	return k.writeAll(ctx)
}

// had tells whether etcd had an entry at the revision of a reserve, and knows all
// changes since then.
func (s *Store) had(ctx context.Context, h *reserve.Header, e store.Entry) bool {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil || e.Key == "" {
		return false
	}
	defer cancel()
	r, err := s.client.Get(ctx, s.outer(e.Key), clientv3.WithRev(h.Revision))
	return err == nil && r.Header.ClusterId == h.Cluster && len(r.Kvs) == 1 && r.Kvs[0].ModRevision == e.ModRevision && bytes.Equal(r.Kvs[0].Value, e.Value)
}

// take notes changes.
func (k *keeper) take(events []*clientv3.Event) {
	for _, e := range events {
		change := k.s.event(e)
		change.Deleted = change.Deleted || e.Kv.Lease != 0
		k.changes[change.Key] = change
		k.newest = change.ModRevision
	}
}

func (k *keeper) header(cluster uint64, revision int64) reserve.Header {
	return reserve.Header{Prefix: k.s.cfg.To, Endpoints: k.s.cfg.Endpoints, Cluster: cluster, Revision: revision, Written: time.Now().UTC()}
}

// write brings the changes into the file.
func (k *keeper) write() error {
	if len(k.changes) == 0 {
		return nil
	}
	begun, h := time.Now(), k.header(k.written.Cluster, k.newest)
	if err := reserve.Update(k.s.cfg.Reserve, h, k.changes); err != nil {
		return err
	}
	k.written, k.took, k.changes = h, time.Since(begun), map[string]store.Event{}
	return nil
}

// writeAll writes the file from what etcd holds.
func (k *keeper) writeAll(ctx context.Context) error {
	var w *reserve.Writer
	var h reserve.Header
	begun := time.Now()
	err := k.s.walk(ctx, k.s.cfg.From+"/", func(p page) (err error) {
		if w == nil {
			h = k.header(p.cluster, p.revision)
			if w, err = reserve.Create(k.s.cfg.Reserve, h); err != nil {
				return err
			}
		}
		k.add(w, p.kvs)
		return nil
	})
	if err != nil {
		if w != nil {
			w.Abort()
		}
		return fmt.Errorf("reading etcd: %w", err)
	}
	k.written, k.took = h, time.Since(begun)
	return w.Commit()
}

func (k *keeper) add(w *reserve.Writer, kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		if kv.Lease == 0 {
			e := k.s.entry(kv)
			w.Add(&e)
		}
	}
}
