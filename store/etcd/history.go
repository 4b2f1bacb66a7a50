package etcd

import (
	"context"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// history is the newest that an etcd has told of itself. One whose data was lost, or
// restored from a backup, or in whose place there is another, goes on at a smaller
// revision or term, or is another cluster. A watch that is made anew there at the old
// revision would hear nothing until that revision is reached.
type history struct {
	mu            sync.Mutex
	cluster, term uint64
	revision      int64
}

// saw takes in what an answer says.
func (h *history) saw(head *pb.ResponseHeader) {
	if head == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cluster != 0 && h.cluster != head.ClusterId {
		return // brokenBy finds out
	}
	h.cluster = head.ClusterId
	h.term, h.revision = max(h.term, head.RaftTerm), max(h.revision, head.Revision)
}

// brokenBy tells whether an answer is older than what is known, or of another cluster.
func (h *history) brokenBy(head *pb.ResponseHeader) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cluster != 0 && (head.ClusterId != h.cluster || head.Revision < h.revision || head.RaftTerm < h.term)
}

// begin starts a new history.
func (h *history) begin(head *pb.ResponseHeader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cluster, h.term, h.revision = head.ClusterId, head.RaftTerm, head.Revision
}

// errOtherHistory ends the watches; those who watch list anew.
var errOtherHistory = status.Error(codes.DataLoss, "etcd has other data than before")

// watching is the client of watches that ends them when etcd has another history.
type watching struct {
	pb.WatchClient
	s *Store
}

func (w watching) Watch(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[pb.WatchRequest, pb.WatchResponse], error) {
	stream, err := w.WatchClient.Watch(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return watchStream{stream, w.s}, nil
}

type watchStream struct {
	grpc.BidiStreamingClient[pb.WatchRequest, pb.WatchResponse]
	s *Store
}

func (w watchStream) Recv() (*pb.WatchResponse, error) {
	r, err := w.BidiStreamingClient.Recv()
	if err != nil || r.Header == nil {
		return r, err
	}
	if r.Created && w.s.history.brokenBy(r.Header) {
		if err := w.s.verifyHistory(w.Context()); err != nil {
			return nil, err
		}
	}
	w.s.history.saw(r.Header)
	return r, nil
}

// verifyHistory asks the whole cluster, since one member may only be late: it answers
// errOtherHistory if the cluster has other data than before.
func (s *Store) verifyHistory(ctx context.Context) error {
	head, err := s.head(ctx)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error()) // the watch is tried again
	}
	if !s.history.brokenBy(head) {
		return nil
	}
	s.history.begin(head)
	s.cfg.warn("etcd has lost data, was restored, or is another one: reading all of it again")
	return errOtherHistory
}
