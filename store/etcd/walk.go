package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// pageSize is how many entries walk asks for at once.
const pageSize = 1000

// page is a part of what is under a prefix at one revision of a cluster.
type page struct {
	cluster  uint64
	revision int64
	kvs      []*mvccpb.KeyValue
}

// walk calls fn for what is under a prefix, page by page, so that it need not be in
// memory as a whole; at least once.
func (s *Store) walk(ctx context.Context, prefix string, fn func(page) error) error {
	from := s.outer(prefix)
	end := clientv3.GetPrefixRangeEnd(from)
	revision := int64(0) // the newest
	for {
		r, err := s.part(ctx, from, end, revision)
		if err != nil {
			return err
		}
		if revision == 0 {
			revision = r.Header.Revision
		}
		if err := fn(page{cluster: r.Header.ClusterId, revision: revision, kvs: r.Kvs}); err != nil || !r.More {
			return err
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
}

// part gets the first entries of a range of keys.
func (s *Store) part(ctx context.Context, from, end string, revision int64) (*clientv3.GetResponse, error) {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	r, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
	return r, s.failure(ctx, err)
}
