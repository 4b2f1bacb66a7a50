package etcd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"millrace/internal/freeport"
	"millrace/store"
	"millrace/store/etcd/etcdtest"
	"millrace/store/reserve"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// tool is what another program would use.
func (s *server) tool(user ...string) *clientv3.Client {
	s.t.Helper()
	conf := clientv3.Config{Endpoints: []string{s.URL}, DialTimeout: 30 * time.Second}
	if len(user) > 0 {
		conf.Username, conf.Password = user[0], user[1]
	}
	c, err := clientv3.New(conf)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// must makes a request of another program until etcd takes it.
func must(t testing.TB, request func(ctx context.Context) error) {
	t.Helper()
	await(t, "a request of another program", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return request(ctx) == nil
	})
}

func mustPut(t testing.TB, c *clientv3.Client, key, value string, options ...clientv3.OpOption) {
	t.Helper()
	must(t, func(ctx context.Context) error { _, err := c.Put(ctx, key, value, options...); return err })
}

// keys is what a store has, as key=value.
func keys(t testing.TB, s store.Store) string {
	t.Helper()
	entries, _, err := s.List(t.Context(), "/apisix/")
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		all = append(all, strings.TrimPrefix(e.Key, "/apisix/")+"="+string(e.Value))
	}
	return strings.Join(all, " ")
}

// source opens and runs one; it is ended by the function that comes with it.
func source(t testing.TB, cfg Config) (*Source, func()) {
	t.Helper()
	s, err := OpenSource(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.writeEvery, s.settle = 10*time.Millisecond, time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	t.Cleanup(end)
	return s, end
}

// kept is what a reserve has.
func kept(path string) string {
	_, entries, err := reserve.Read(path)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		all = append(all, strings.TrimPrefix(e.Key, "/apisix/")+"="+string(e.Value))
	}
	return strings.Join(all, " ")
}

// What etcd held last is served when it is away at the start, but not what lives on a
// lease; nothing can be written. When it is back, those who follow get what it has now.
func TestEtcdAwayAtTheStart(t *testing.T) {
	t.Parallel()
	e := startServer(t)
	tool := e.tool()
	lease, err := tool.Grant(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, tool, "/gw/routes/1", "one")
	mustPut(t, tool, "/gwx/routes/9", "of another prefix")
	var log logged
	cfg := Config{Endpoints: []string{e.URL}, From: "/apisix", To: "/gw", Timeout: 20 * time.Second, Wait: 100 * time.Millisecond, Attempts: 5,
		Reserve: filepath.Join(t.TempDir(), "s"), Log: slog.New(slog.NewTextHandler(&log, nil))}
	_, end := source(t, cfg)
	await(t, "the first reserve", func() bool { return kept(cfg.Reserve) == "routes/1=one" })
	mustPut(t, tool, "/gw/routes/2", "two")
	mustPut(t, tool, "/gw/routes/leased", "for a while", clientv3.WithLease(lease.ID))
	mustPut(t, tool, "/gw/routes/", "init_dir")
	must(t, func(ctx context.Context) error { _, err := tool.Delete(ctx, "/gw/routes/1"); return err })
	mustPut(t, tool, "/gw/routes/3", "three")
	const last = "routes/=init_dir routes/2=two routes/3=three"
	await(t, "a reserve of the changes", func() bool { return kept(cfg.Reserve) == last })
	mustPut(t, tool, "/gw/routes/3", "3")
	end() // writes what is left, if it has come here
	e.Stop()

	s, _ := source(t, cfg)
	if got := keys(t, s.Followed()); got != last && got != last[:len(last)-5]+"3" {
		t.Errorf("served without etcd: %s", got)
	}
	if e, err := s.Followed().Get(t.Context(), "/apisix/routes/2"); err != nil || string(e.Value) != "two" {
		t.Errorf("Get without etcd: %v, %v", e, err)
	}
	if _, err := s.Followed().Get(t.Context(), "/apisix/routes/1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get without etcd of what it did not hold: %v", err)
	}
	for what, err := range map[string]error{
		"List of who does not serve": func() error { _, _, err := s.List(t.Context(), "/"); return err }(),
		"Put":                        func() error { _, err := s.Put(t.Context(), "/apisix/x", nil, store.PutOptions{}); return err }(),
		"Delete":                     func() error { _, err := s.Delete(t.Context(), "/apisix/x", store.Any); return err }(),
		"Get":                        func() error { _, err := s.Get(t.Context(), "/apisix/x"); return err }(),
		"Watch":                      func() error { _, err := s.Watch(t.Context(), "/", 1); return err }(),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if text := log.String(); s.Reachable() || strings.Count(text, "etcd does not answer: serving what it held when it was last read") != 1 || !strings.Contains(text, e.URL) {
		t.Errorf("reachable %t, log %s", s.Reachable(), text)
	}
	_, revision, err := s.Followed().List(t.Context(), "/apisix/")
	if err != nil {
		t.Fatal(err)
	}
	changes, err := s.Followed().Watch(t.Context(), "/apisix/", revision)
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	must(t, func(ctx context.Context) error { _, err := tool.Delete(ctx, "/gw/routes/2"); return err })
	if events, open := <-changes; open {
		t.Errorf("events of what etcd held last: %v", events)
	}
	await(t, "what etcd has now", func() bool {
		return keys(t, s.Followed()) == "routes/=init_dir routes/3=3 routes/leased=for a while" && s.Reachable()
	})
	if _, err := s.Put(t.Context(), "/apisix/routes/4", []byte("four"), store.PutOptions{}); err != nil {
		t.Error(err)
	}
	await(t, "a reserve again", func() bool { return kept(cfg.Reserve) == "routes/=init_dir routes/3=3 routes/4=four" })
	if text, err := os.ReadFile(cfg.Reserve); err != nil || bytes.Contains(text, []byte("for a while")) {
		t.Errorf("what is on a lease is in the file, or %v", err)
	}
}

// What is not of this etcd, or damaged, is not served, and the log says why.
func TestReservesThatAreNotServed(t *testing.T) {
	t.Parallel()
	address := "http://" + freeport.Address(t)
	for what, c := range map[string]struct {
		h      reserve.Header
		damage bool
		want   string
	}{
		"of another prefix": {reserve.Header{Prefix: "/other", Endpoints: []string{address}}, false, "with the prefix /other"},
		"of other hosts":    {reserve.Header{Prefix: "/gw", Endpoints: []string{"http://elsewhere:1"}}, false, "it is of http://elsewhere:1"},
		"damaged":           {reserve.Header{Prefix: "/gw", Endpoints: []string{address}}, true, "the file is damaged"},
	} {
		var log logged
		cfg := Config{Endpoints: []string{address}, From: "/apisix", To: "/gw", Timeout: 100 * time.Millisecond, Wait: 100 * time.Millisecond,
			Reserve: filepath.Join(t.TempDir(), "s"), Log: slog.New(slog.NewTextHandler(&log, nil))}
		w, err := reserve.Create(cfg.Reserve, c.h)
		if err != nil {
			t.Fatal(err)
		}
		w.Add(&store.Entry{Key: "/apisix/routes/1"})
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if c.damage {
			if err := os.Truncate(cfg.Reserve, 150); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := OpenSource(t.Context(), cfg); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "connecting to etcd at "+address) {
			t.Errorf("%s: %v", what, err)
		}
		if text := log.String(); !strings.Contains(text, "is not served") || !strings.Contains(text, c.want) {
			t.Errorf("%s: the log says %s", what, text)
		}
	}
}

// An etcd whose data was lost counts from the beginning: watches end, and the reserve
// is of what there is now.
func TestDataLost(t *testing.T) {
	t.Parallel()
	e := startServer(t)
	tool := e.tool()
	cfg := Config{Endpoints: []string{e.URL}, From: "/apisix", To: "/apisix", Timeout: 20 * time.Second, Attempts: 5, Reserve: filepath.Join(t.TempDir(), "s")}
	mustPut(t, tool, "/apisix/routes/1", "before")
	for range 20 {
		mustPut(t, tool, "/apisix/routes/2", "two")
	}
	s, _ := source(t, cfg)
	_, revision, err := s.List(t.Context(), "/apisix/")
	if err != nil {
		t.Fatal(err)
	}
	changes, err := s.Watch(t.Context(), "/apisix/", revision)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the reserve", func() bool { return kept(cfg.Reserve) == "routes/1=before routes/2=two" })
	e.Stop()
	if err := os.RemoveAll(e.Data); err != nil {
		t.Fatal(err)
	}
	e.Start()
	mustPut(t, tool, "/apisix/routes/1", "after")
	if events, open := <-changes; open {
		t.Errorf("events %v", events)
	}
	if got := keys(t, s); got != "routes/1=after" {
		t.Errorf("listed: %s", got)
	}
	await(t, "the reserve of what there is now", func() bool { return kept(cfg.Reserve) == "routes/1=after" })
}

// Of three members the one that leads is killed, then comes back; whoever is left
// takes writes, and a watch has all of them, once and in order.
func TestMembersLost(t *testing.T) {
	t.Parallel()
	members := etcdtest.StartCluster(t, 3)
	var urls []string
	for _, m := range members {
		urls = append(urls, m.URL)
	}
	s, err := Open(t.Context(), Config{Endpoints: urls, Timeout: 20 * time.Second, Attempts: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, revision, err := s.List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	changes, err := s.Watch(t.Context(), "/k", revision)
	if err != nil {
		t.Fatal(err)
	}
	var wrote []string
	write := func(value string) {
		t.Helper()
		await(t, "a write of "+value, func() bool {
			e, err := s.Get(t.Context(), "/k")
			if err == nil && string(e.Value) == value {
				return true // the answer was lost, the write was not
			}
			_, err = s.Put(t.Context(), "/k", []byte(value), store.PutOptions{})
			return err == nil
		})
		wrote = append(wrote, value)
	}
	write("before")
	leader := slices.IndexFunc(members, func(m *etcdtest.Server) bool {
		r, err := s.client.Status(t.Context(), m.URL)
		return err == nil && r.Leader == r.Header.MemberId
	})
	members[leader].Stop()
	write("without the leader")
	members[leader].Start()
	other := members[(leader+1)%3]
	other.Stop()
	write("without another")
	other.Start()
	write("with all")
	var got []string
	for len(got) == 0 || got[len(got)-1] != "with all" {
		select {
		case events, open := <-changes:
			if !open {
				t.Fatalf("the watch has ended after %q", got)
			}
			for _, e := range events {
				if len(got) == 0 || got[len(got)-1] != string(e.Value) { // a write of which only the answer was lost may come twice
					got = append(got, string(e.Value))
				}
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("only %q came", got)
		}
	}
	if !slices.Equal(got, wrote) {
		t.Errorf("seen %q, written %q", got, wrote)
	}
}

// tokenEnd is after the end of tokens that hold for a second and are looked at every
// second. A token that is still good then makes the test see less, not fail.
const tokenEnd = 2500 * time.Millisecond

// Tokens end by themselves: requests and watches go on with new ones. An etcd that
// refuses the credentials ends the start, whatever it held last.
func TestUsers(t *testing.T) {
	t.Parallel()
	e := startServer(t, "--auth-token-ttl", "1", "--bcrypt-cost", "4")
	tool := e.tool()
	must(t, func(ctx context.Context) error { _, err := tool.Get(ctx, "x"); return err })
	for _, step := range []func() error{
		func() error { _, err := tool.UserAdd(t.Context(), "root", "secret"); return err },
		func() error { _, err := tool.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := tool.AuthEnable(t.Context()); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Endpoints: []string{e.URL}, From: "/apisix", To: "/gw", User: "root", Password: "secret", Timeout: 20 * time.Second, Wait: 20 * time.Second,
		Attempts: 5, Reserve: filepath.Join(t.TempDir(), "s")}
	s, _ := source(t, cfg)
	await(t, "the reserve", func() bool { return kept(cfg.Reserve) == "" })
	changes, err := s.Watch(t.Context(), "/apisix/", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"first", "with a new token"} {
		if _, err := s.Put(t.Context(), "/apisix/routes/1", []byte(value), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		select {
		case events, open := <-changes:
			if !open || string(events[0].Value) != value {
				t.Fatalf("%v %t, want %s", events, open, value)
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("%s did not come", value)
		}
		if value == "first" {
			time.Sleep(tokenEnd) // there is no asking: that would prolong it
		}
	}
	cfg.Password = "wrong"
	if _, err := OpenSource(t.Context(), cfg); err == nil || errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("with a wrong password: %v", err)
	}
}
