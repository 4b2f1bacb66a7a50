package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"millrace/internal/freeport"
	"millrace/store"
	"millrace/store/etcd/etcdtest"
	"millrace/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a real etcd.
type server struct {
	*etcdtest.Server
	t testing.TB
}

func startServer(t testing.TB, args ...string) *server { return &server{etcdtest.Start(t, args...), t} }

func (s *server) open(prefix string) *Store {
	s.t.Helper()
	st, err := Open(s.t.Context(), Config{Endpoints: []string{s.URL}, To: prefix, Timeout: 20 * time.Second, Attempts: 5, awayTime: 200 * time.Millisecond})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.Log())
	}
	return st
}

// compacting can drop its history, as storetest asks engines that do not do it by
// themselves.
type compacting struct{ *Store }

func (c compacting) Compact(ctx context.Context) error {
	r, err := c.client.Get(ctx, "any")
	if err != nil {
		return err
	}
	_, err = c.client.Compact(ctx, r.Header.Revision)
	return err
}

func TestStore(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var n atomic.Int64
	storetest.Run(t, func(t *testing.T) store.Store {
		return compacting{s.open(fmt.Sprintf("/test%d", n.Add(1)))}
	})
}

// What another tool writes into APISIX's key layout is seen, and the reverse.
func TestSharedWithOthers(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.open("").Close() // it is up
	other, err := clientv3.New(clientv3.Config{Endpoints: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	st, err := Open(t.Context(), Config{Endpoints: []string{s.URL}, From: "/apisix", To: "/gw"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := other.Put(t.Context(), "/gw/routes/1", `{"uri":"/a"}`); err != nil {
		t.Fatal(err)
	}
	e, err := st.Get(t.Context(), "/apisix/routes/1")
	if err != nil || e.Key != "/apisix/routes/1" || string(e.Value) != `{"uri":"/a"}` {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := st.Put(t.Context(), "/apisix/upstreams/1", []byte(`{}`), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := other.Get(t.Context(), "/gw/upstreams/1")
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "{}" {
		t.Errorf("%v, %v", r, err)
	}
}

// While etcd is away, writes fail at once and say why; watches go on afterwards
// without a gap.
func TestServerAway(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	st := s.open("")
	defer st.Close()
	before, err := st.Put(t.Context(), "/a", []byte("1"), store.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := st.Watch(t.Context(), "/", before.ModRevision)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := st.Put(t.Context(), "/a", []byte("lost"), store.PutOptions{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put while etcd is away: %v", err)
	}
	if _, _, err := st.List(t.Context(), "/"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("List while etcd is away: %v", err)
	}
	s.Start()
	await(t, "a Put after etcd is back", func() bool {
		_, err := st.Put(t.Context(), "/a", []byte("2"), store.PutOptions{})
		return err == nil
	})
	select {
	case events, ok := <-changes:
		if !ok || string(events[len(events)-1].Value) != "2" {
			t.Errorf("events %v, open %t", events, ok)
		}
	case <-time.After(20 * time.Second):
		t.Error("no event came after etcd was back")
	}
}

// A start that waits says so, and for whom.
func TestOpenSaysThatItWaits(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	address := "http://" + freeport.Address(t)
	_, err := Open(t.Context(), Config{Endpoints: []string{address}, Timeout: time.Second, patience: 100 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err == nil || strings.Count(log.String(), "waiting for etcd") != 1 || !strings.Contains(log.String(), address) || !strings.Contains(log.String(), "connection refused") {
		t.Errorf("got error %v and the log %s", err, &log)
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Endpoints: []string{"http://" + freeport.Address(t)}, Timeout: 100 * time.Millisecond, User: "root", Password: "hidden"})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
