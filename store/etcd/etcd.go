// Package etcd is the store.Store that keeps everything in an etcd, as APISIX
// does: values are what APISIX writes and reads, so both can share one etcd.
//
// A key of ours that begins with Config.From is kept under the same key with
// Config.To in its place: with From /apisix and To /gw, /apisix/routes/1 is
// /gw/routes/1. Revisions are etcd's own. A time to live is a lease, in whole
// seconds.
package etcd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"millrace/store"
)

// Config says which etcd is meant.
type Config struct {
	// Endpoints are URLs, such as http://127.0.0.1:2379.
	Endpoints []string
	// User and Password may be empty; the password is never logged.
	User, Password string
	TLS            *tls.Config
	// From and To are described above; an empty From puts To before every key.
	From, To string
	// Timeout bounds one request; 0 is 30 s.
	Timeout time.Duration
	// Attempts is how often Open tries to reach it, at least once.
	Attempts int
	// Log hears that Open is waiting, and of other data than before; nil says nothing.
	Log *slog.Logger
	// Reserve is the file that keeps what is under From for OpenSource, Wait how long
	// that waits for etcd if there is such a file. Empty keeps nothing.
	Reserve string
	Wait    time.Duration

	// The constants of these names, unless a test has less time.
	patience, awayTime time.Duration
}

// Store is a store.Store in an etcd.
type Store struct {
	cfg       Config
	client    *clientv3.Client
	anonymous *clientv3.Client // see tokens
	history   history
	up        atomic.Bool // it has been reached

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	watches sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open connects and asks one question, so that an etcd which cannot be reached is
// noticed at once.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg.fillDefaults()
	s, err := try(ctx, cfg)
	if err != nil {
		return nil, openError(cfg, err)
	}
	return s, nil
}

func (cfg *Config) fillDefaults() {
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.patience = cmp.Or(cfg.patience, patience)
	cfg.awayTime = cmp.Or(cfg.awayTime, awayTime)
}

// try connects, several times if it must: waiting does not mend a refusal.
func try(ctx context.Context, cfg Config) (*Store, error) {
	defer cfg.sayWaiting(ctx)()
	for attempt := 1; ; attempt++ {
		s, err := connect(ctx, cfg)
		if !errors.Is(err, store.ErrUnavailable) || attempt >= cfg.Attempts || ctx.Err() != nil {
			return s, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// patience is how long Open says nothing.
const patience = 3 * time.Second

// sayWaiting says that etcd does not answer, unless that ends before.
func (cfg Config) sayWaiting(ctx context.Context) (end func()) {
	if cfg.Log == nil {
		return func() {}
	}
	atMost := time.Duration(max(cfg.Attempts, 1)) * (cfg.Timeout + time.Second)
	if end, has := ctx.Deadline(); has {
		atMost = min(atMost, time.Until(end).Round(time.Second))
	}
	said := make(chan struct{})
	timer := time.AfterFunc(cfg.patience, func() {
		defer close(said)
		cfg.Log.Warn("waiting for etcd, which does not answer", "endpoints", strings.Join(cfg.Endpoints, ", "),
			"at_most", atMost, "err", unreachable(cfg))
	})
	return func() {
		if !timer.Stop() {
			<-said
		}
	}
}

// connect is one attempt of Open.
func connect(ctx context.Context, cfg Config) (*Store, error) {
	dialing := min(cfg.Timeout, 5*time.Second)
	if end, has := ctx.Deadline(); has {
		dialing = max(min(dialing, time.Until(end)), time.Millisecond)
	}
	client, anonymous, err := newClient(clientv3.Config{
		Endpoints: cfg.Endpoints, Username: cfg.User, Password: cfg.Password, TLS: cfg.TLS,
		DialTimeout: dialing, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(reconnecting)},
		Logger:      zap.NewNop(), // errors come back to us
	})
	if err != nil { // it has asked for a token, if there is a user
		if isAway(err) {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return nil, err
	}
	s := &Store{cfg: cfg, client: client, anonymous: anonymous}
	client.Watcher = clientv3.NewWatchFromWatchClient(watching{pb.NewWatchClient(client.ActiveConnection()), s}, client)
	s.ctx, s.stop = context.WithCancel(context.Background())
	head, err := s.head(ctx)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.history.saw(head)
	s.up.Store(true)
	return s, nil
}

// reconnecting is how an etcd that is away is tried again; left alone, attempts would
// come to be two minutes apart.
var reconnecting = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// isAway tells whether an error of the client says that no etcd has answered.
func isAway(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
}

func openError(cfg Config, err error) error {
	if reason := unreachable(cfg); reason != nil {
		err = fmt.Errorf("%w (%w)", err, reason)
	}
	return fmt.Errorf("connecting to etcd at %s: start it, or correct the address or the credentials: %w",
		strings.Join(cfg.Endpoints, ", "), err)
}

// outer is a key as etcd has it, inner as we have it.
func (s *Store) outer(key string) string { return s.cfg.To + strings.TrimPrefix(key, s.cfg.From) }
func (s *Store) inner(key string) string { return s.cfg.From + strings.TrimPrefix(key, s.cfg.To) }

// awayTime is how long a request waits for an etcd that is known to be away.
const awayTime = 2 * time.Second

// bounded gives a request its time.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if s.ctx.Err() != nil {
		return nil, nil, store.ErrUnavailable
	}
	bound, end := context.WithTimeoutCause(ctx, s.cfg.Timeout, store.ErrUnavailable)
	bound, cancel := context.WithCancelCause(bound)
	closing := context.AfterFunc(s.ctx, func() { cancel(store.ErrUnavailable) })
	away := time.AfterFunc(s.cfg.awayTime, func() {
		if s.up.Load() && !s.Reachable() {
			cancel(store.ErrUnavailable)
		}
	})
	return bound, func() { away.Stop(); closing(); cancel(nil); end() }, nil
}

// failure makes an error of the client one of ours.
func (s *Store) failure(ctx context.Context, err error) error {
	code := status.Code(err)
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil, errors.Is(err, clientv3.ErrNoAvailableEndpoints):
		return store.ErrUnavailable
	case errors.Is(err, rpctypes.ErrCompacted):
		return store.ErrCompacted
	case errors.Is(err, rpctypes.ErrRequestTooLarge), code == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max"):
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	case isAway(err), errors.Is(context.Cause(ctx), store.ErrUnavailable):
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, store.ErrUnavailable) && !errors.Is(cause, context.DeadlineExceeded) {
			return cause
		}
		return fmt.Errorf("%w: has no healthy etcd endpoint available: %w", store.ErrUnavailable, err)
	}
	return fmt.Errorf("asking etcd: %w", err)
}

// head asks the whole cluster how far it is, by way of a key that a user who has rights to
// the prefix alone may read.
func (s *Store) head(ctx context.Context) (*pb.ResponseHeader, error) {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	r, err := s.client.Get(ctx, s.outer(s.cfg.From+"/routes/"), clientv3.WithCountOnly())
	if err != nil {
		return nil, s.failure(ctx, err)
	}
	return r.Header, nil
}

// Get answers the entry of a key.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer cancel()
	r, err := s.client.Get(ctx, s.outer(key))
	if err != nil {
		return store.Entry{}, s.failure(ctx, err)
	}
	if len(r.Kvs) == 0 {
		return store.Entry{}, store.ErrNotFound
	}
	return s.entry(r.Kvs[0]), nil
}

// List answers the entries under a prefix.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, int64, error) {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()
	r, err := s.client.Get(ctx, s.outer(prefix), clientv3.WithPrefix())
	if err != nil {
		return nil, 0, s.failure(ctx, err)
	}
	s.history.saw(r.Header)
	entries := make([]store.Entry, len(r.Kvs))
	for i, kv := range r.Kvs {
		entries[i] = s.entry(kv)
	}
	return entries, r.Header.Revision, nil
}

// Put writes a value.
func (s *Store) Put(ctx context.Context, key string, value []byte, o store.PutOptions) (store.Entry, error) {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer cancel()
	outer := s.outer(key)
	var options []clientv3.OpOption
	if o.TTL > 0 {
		lease, err := s.client.Grant(ctx, int64((o.TTL+time.Second-1)/time.Second))
		if err != nil {
			return store.Entry{}, s.failure(ctx, err)
		}
		options = append(options, clientv3.WithLease(lease.ID))
	}
	txn := s.client.Txn(ctx)
	if o.If != store.Any {
		txn = txn.If(expectation(outer, o.If))
	}
	r, err := txn.Then(clientv3.OpPut(outer, string(value), options...), clientv3.OpGet(outer)).Commit()
	switch {
	case err != nil:
		return store.Entry{}, s.failure(ctx, err)
	case !r.Succeeded:
		return store.Entry{}, store.ErrConflict
	}
	return s.entry(r.Responses[1].GetResponseRange().Kvs[0]), nil
}

// expectation is what must hold of a key.
func expectation(key string, expect int64) clientv3.Cmp {
	if expect == store.Absent {
		return clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	}
	return clientv3.Compare(clientv3.ModRevision(key), "=", expect)
}

// Delete removes a key.
func (s *Store) Delete(ctx context.Context, key string, expect int64) (int64, error) {
	ctx, cancel, err := s.bounded(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	outer := s.outer(key)
	there := clientv3.Compare(clientv3.CreateRevision(outer), ">", 0)
	condition := []clientv3.Cmp{there}
	if expect != store.Any {
		condition = append(condition, expectation(outer, expect))
	}
	r, err := s.client.Txn(ctx).If(condition...).Then(clientv3.OpDelete(outer)).Else(clientv3.OpGet(outer, clientv3.WithCountOnly())).Commit()
	switch {
	case err != nil:
		return 0, s.failure(ctx, err)
	case r.Succeeded:
		return r.Header.Revision, nil
	case r.Responses[0].GetResponseRange().Count == 0:
		return 0, store.ErrNotFound
	}
	return 0, store.ErrConflict
}

// Reachable tells whether etcd answers, as far as is known from the connection.
func (s *Store) Reachable() bool {
	return s.client.ActiveConnection().GetState() == connectivity.Ready
}

// Close ends the watches and the connection.
func (s *Store) Close() error {
	s.stop()
	s.watches.Wait()
	err := s.closeClients()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
