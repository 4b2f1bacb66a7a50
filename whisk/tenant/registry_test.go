package tenant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/sealed"
	"millrace/store"
	"millrace/store/mem"
	"millrace/whisk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a store with a registry that follows it.
type site struct {
	*Registry
	t     *testing.T
	store store.Store
	key   string // the master key
	log   bytes.Buffer
	cfg   Config
}

func newSite(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, store: mem.New(), key: sealed.NewKey()}
	t.Cleanup(func() { s.store.Close() })
	s.Registry = s.open(change...)
	return s
}

// open makes one more registry of the store, as another process would have.
func (s *site) open(change ...func(*Config)) *Registry {
	s.t.Helper()
	sealer, err := Unlock(s.t.Context(), s.store, func(bool) (string, error) { return s.key, nil })
	if err != nil {
		s.t.Fatal(err)
	}
	s.cfg = Config{
		Log: slog.New(slog.NewTextHandler(&s.log, nil)), Store: s.store, Sealer: sealer, Platform: whisk.DefaultSystemLimits(),
		Fixed: []whisk.Identity{{Namespace: "guest", UUID: uuid, Secret: secret}},
		Owned: func(ns string) []string { return []string{"/entities/" + ns + "/"} },
	}
	for _, c := range change {
		c(&s.cfg)
	}
	r, err := Open(s.t.Context(), s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	s.t.Cleanup(func() { cancel(); <-ended })
	return r
}

func (s *site) create(name string) string {
	s.t.Helper()
	_, key, err := s.Create(s.t.Context(), name, Spec{})
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// who answers the namespace of a key, or "".
func who(r *Registry, key string) string {
	id, err := r.Authenticate(key)
	if err != nil {
		return ""
	}
	return id.Namespace
}

func status(err error) int {
	var e *whisk.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

func (s *site) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

func (s *site) refused(err error, want int) {
	s.t.Helper()
	if status(err) != want {
		s.t.Errorf("%v, want status %d", err, want)
	}
}

func TestCreate(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	key := s.create("acme")
	if _, _, err := whisk.ParseKey(key); err != nil {
		t.Errorf("the key %v", err)
	}
	id, err := s.Authenticate(key)
	if err != nil || id.Namespace != "acme" || id.Subject != "acme" || id.UUID+":"+id.Secret != key || id.System != nil {
		t.Errorf("%+v, %v", id, err)
	}
	if id := s.Namespace("acme"); id == nil || id.UUID+":"+id.Secret != key {
		t.Errorf("%+v", id)
	}
	own := strings.ToUpper("0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11") + ":" + strings.Repeat("k", 64)
	ns, got, err := s.Create(ctx, "other", Spec{Subject: "someone", Key: own})
	if err != nil || got != strings.ToLower(own) || ns.Subject != "someone" || who(s.Registry, own) != "other" {
		t.Errorf("%+v, %v", ns, err)
	}
	for name, c := range map[string]struct {
		namespace string
		spec      Spec
		want      int
	}{
		"twice":               {"acme", Spec{}, 409},
		"of the config":       {"guest", Spec{}, 409},
		"caller's own":        {"_", Spec{}, 400},
		"slash":               {"a/b", Spec{}, 400},
		"empty":               {"", Spec{}, 400},
		"short subject":       {"new", Spec{Subject: "me"}, 400},
		"no key":              {"new", Spec{Key: "nonsense"}, 400},
		"UUID taken":          {"new", Spec{Key: own}, 409},
		"UUID of the config":  {"new", Spec{Key: uuid + ":" + strings.Repeat("x", 64)}, 409},
		"limits out of range": {"new", Spec{Limits: whisk.Overrides{FiresPerMinute: new(int), MaxPayloadSize: new(int)}}, 400},
	} {
		if _, _, err := s.Create(ctx, c.namespace, c.spec); status(err) != c.want {
			t.Errorf("%s: %v, want status %d", name, err, c.want)
		}
	}
}

func TestSecretsAreSealed(t *testing.T) {
	s := newSite(t)
	_, secret, _ := strings.Cut(s.create("acme"), ":")
	made, err := s.AddKey(t.Context(), "acme", "", 0)
	s.ok(err)
	_, second, _ := strings.Cut(made, ":")
	entries, _, err := s.store.List(t.Context(), "/")
	s.ok(err)
	for _, e := range entries {
		if bytes.Contains(e.Value, []byte(secret)) || bytes.Contains(e.Value, []byte(second)) {
			t.Errorf("%s holds a secret in clear", e.Key)
		}
	}
	// A document copied to another name does not bring its keys with it.
	e, err := s.store.Get(t.Context(), prefix+"acme")
	s.ok(err)
	_, err = s.store.Put(t.Context(), prefix+"thief", e.Value, store.PutOptions{})
	s.ok(err)
	s.create("later") // by then the copy has been seen
	if id := s.Namespace("thief"); id == nil || id.Secret != "" {
		t.Errorf("%+v", id)
	}
	if who(s.Registry, made) != "acme" {
		t.Error("the key is not the first namespace's any more")
	}
	if strings.Contains(s.log.String(), secret) {
		t.Error("the log holds a secret")
	}
}

func TestOtherProcessesFollow(t *testing.T) {
	s := newSite(t)
	other := s.open()
	key := s.create("acme")
	await := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(); {
			if time.Now().After(end) {
				t.Fatal(what)
			}
			time.Sleep(time.Millisecond)
		}
	}
	await("the other process does not know the key", func() bool { return who(other, key) == "acme" })
	s.ok(s.Delete(t.Context(), "acme", false))
	await("the other process still takes the key", func() bool { return who(other, key) == "" })
	later := s.open()
	if who(later, key) != "" || len(later.List("", 10)) != 1 {
		t.Errorf("after a restart: %+v", later.List("", 10))
	}
}

func TestRotationHasNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		ctx := t.Context()
		first := s.create("acme")
		second, err := s.RotateKeys(ctx, "acme", time.Hour)
		s.ok(err)
		if who(s.Registry, first) != "acme" || who(s.Registry, second) != "acme" {
			t.Error("not both keys are valid during the grace")
		}
		if id := s.Namespace("acme"); id.UUID+":"+id.Secret != second {
			t.Error("actions get the old key")
		}
		time.Sleep(time.Hour - time.Millisecond)
		if who(s.Registry, first) != "acme" {
			t.Error("the old key is refused before its time")
		}
		time.Sleep(time.Millisecond)
		if who(s.Registry, first) != "" || who(s.Registry, second) != "acme" {
			t.Error("after the grace the old key is still valid, or the new one is not")
		}
		if ns, _ := s.Find("acme"); len(ns.Keys) != 1 || !ns.Keys[0].Current {
			t.Errorf("keys %+v", ns.Keys)
		}
		third, err := s.RotateKeys(ctx, "acme", 0)
		s.ok(err)
		if who(s.Registry, second) != "" || who(s.Registry, third) != "acme" {
			t.Error("without a grace the old key is still valid")
		}
		_, err = s.RotateKeys(ctx, "acme", -1)
		s.refused(err, 400)
		_, err = s.RotateKeys(ctx, "none", 0)
		s.refused(err, 404)
	})
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		ctx := t.Context()
		first := s.create("acme")
		temporary, err := s.AddKey(ctx, "acme", "", time.Minute)
		s.ok(err)
		if id := s.Namespace("acme"); id.UUID+":"+id.Secret != first {
			t.Error("actions get a key that expires though there is one that stays")
		}
		uuid, _, _ := strings.Cut(first, ":")
		s.ok(s.RevokeKey(ctx, "acme", strings.ToUpper(uuid)))
		if who(s.Registry, first) != "" || who(s.Registry, temporary) != "acme" {
			t.Error("not just the revoked key is refused")
		}
		time.Sleep(time.Minute)
		if id := s.Namespace("acme"); id == nil || id.Secret != "" || who(s.Registry, temporary) != "" {
			t.Errorf("without a valid key: %+v", id)
		}
		s.refused(s.RevokeKey(ctx, "acme", uuid), 404)
		_, err = s.AddKey(ctx, "acme", "", -time.Second)
		s.refused(err, 400)
		for range maxKeys {
			_, err := s.AddKey(ctx, "acme", "", 0)
			s.ok(err)
		}
		_, err = s.AddKey(ctx, "acme", "", 0)
		s.refused(err, 409)
	})
}

func TestBlocked(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	key, yes, no := s.create("acme"), true, false
	for _, ns := range []struct{ name, key string }{{"acme", key}, {"guest", uuid + ":" + secret}} {
		s.ok(s.Change(ctx, ns.name, Change{Blocked: &yes}))
		if who(s.Registry, ns.key) != "" || s.Namespace(ns.name) != nil {
			t.Errorf("%s is blocked and still works", ns.name)
		}
		_, _, err := s.Create(ctx, "thief", Spec{Key: ns.key})
		s.refused(err, 409)
		s.ok(s.Change(ctx, ns.name, Change{Blocked: &no}))
		if who(s.Registry, ns.key) != ns.name || s.Namespace(ns.name) == nil {
			t.Errorf("%s does not work again", ns.name)
		}
	}
	s.refused(s.Change(ctx, "none", Change{Blocked: &yes}), 404)
}

func TestLimitsAreInForceAtOnce(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	key := s.create("acme")
	set := func(text string) {
		t.Helper()
		s.ok(s.Change(ctx, "acme", Change{Limits: func(now *whisk.Overrides) (*whisk.Overrides, error) { return now.Patched([]byte(text)) }}))
	}
	set(`{"invocationsPerMinute":7,"maxActionMemory":1024}`)
	set(`{"storeActivations":false,"maxActionMemory":null}`)
	id, err := s.Authenticate(key)
	if err != nil || id.Limits.InvocationsPerMinute != 7 || !id.Unrecorded || id.System.MemoryMB.Max != 512 {
		t.Errorf("%+v, %v", id, err)
	}
	bad := func(*whisk.Overrides) (*whisk.Overrides, error) { return nil, errors.New("nonsense") }
	s.refused(s.Change(ctx, "acme", Change{Limits: bad}), 400)
	// One of the configuration has limits too, and keeps its key.
	s.ok(s.Change(ctx, "guest", Change{Limits: func(now *whisk.Overrides) (*whisk.Overrides, error) {
		return now.Patched([]byte(`{"firesPerMinute":1}`))
	}}))
	if id, err := s.Authenticate(uuid + ":" + secret); err != nil || id.Limits.FiresPerMinute != 1 {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestFixed(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	s.refused(s.Delete(ctx, "guest", true), 409)
	s.refused(s.RevokeKey(ctx, "guest", uuid), 409)
	made, err := s.RotateKeys(ctx, "guest", 0)
	s.ok(err)
	if who(s.Registry, made) != "guest" || who(s.Registry, uuid+":"+secret) != "guest" {
		t.Error("not both keys are valid")
	}
	if ns, err := s.Find("guest"); err != nil || !ns.Fixed || len(ns.Keys) != 2 || !ns.Keys[1].Fixed {
		t.Errorf("%+v, %v", ns, err)
	}
	// Taken out of the configuration, it is one as others.
	later := s.open(func(c *Config) { c.Fixed = nil })
	if who(later, made) != "guest" || who(later, uuid+":"+secret) != "" {
		t.Error("the key of the configuration outlives it, or the other does not")
	}
	s.ok(later.Delete(ctx, "guest", false))
}

func TestDelete(t *testing.T) {
	var forgotten []string
	fail := errors.New("no")
	failing := true
	s := newSite(t, func(c *Config) {
		c.Forget = func(_ context.Context, ns string) error {
			forgotten = append(forgotten, ns)
			if failing {
				return fail
			}
			return nil
		}
	})
	ctx := t.Context()
	key := s.create("acme")
	s.create("acme2")
	for _, k := range []string{"/entities/acme/a", "/entities/acme/p/b", "/entities/acme2/a"} {
		_, err := s.store.Put(ctx, k, []byte("{}"), store.PutOptions{})
		s.ok(err)
	}
	err := s.Delete(ctx, "acme", false)
	s.refused(err, 409)
	if !strings.Contains(err.Error(), "holds 2 entities") || who(s.Registry, key) != "acme" {
		t.Errorf("%v", err)
	}
	if err := s.Delete(ctx, "acme", true); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	if who(s.Registry, key) != "" || s.Namespace("acme") != nil {
		t.Error("a namespace that is being deleted still works")
	}
	_, _, err = s.Create(ctx, "acme", Spec{})
	s.refused(err, 409)
	yes := true
	s.refused(s.Change(ctx, "acme", Change{Blocked: &yes}), 409)
	failing = false
	s.ok(s.Delete(ctx, "acme", false)) // it goes on
	s.refused(s.Delete(ctx, "acme", true), 404)
	if left, _, _ := s.store.List(ctx, "/entities/"); len(left) != 1 || left[0].Key != "/entities/acme2/a" {
		t.Errorf("left %v", left)
	}
	before := s.Since("acme")
	s.create("acme")
	if s.Since("acme") <= before {
		t.Error("the new namespace is as old as the deleted one")
	}
}

func TestUnlock(t *testing.T) {
	st := mem.New()
	defer st.Close()
	ctx := t.Context()
	unlock := func(key string) (bool, error) {
		var first bool
		_, err := Unlock(ctx, st, func(f bool) (string, error) { first = f; return key, nil })
		return first, err
	}
	one, two := sealed.NewKey(), sealed.NewKey()
	if first, err := unlock(one); err != nil || !first {
		t.Errorf("the first start: %v, %v", first, err)
	}
	if first, err := unlock(one); err != nil || first {
		t.Errorf("the second start: %v, %v", first, err)
	}
	if _, err := unlock(two); !errors.Is(err, ErrMasterKey) || strings.Contains(err.Error(), two) {
		t.Errorf("another key: %v", err)
	}
	if _, err := unlock("nonsense"); err == nil || errors.Is(err, ErrMasterKey) {
		t.Errorf("no key: %v", err)
	}
	missing := errors.New("no such file")
	if _, err := Unlock(ctx, st, func(bool) (string, error) { return "", missing }); !errors.Is(err, missing) {
		t.Errorf("no file: %v", err)
	}
}

// However many change one namespace at once, no change is lost.
func TestChangesAtOnce(t *testing.T) {
	s := newSite(t)
	s.create("acme")
	other := s.open()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			r := s.Registry
			if i%2 == 0 {
				r = other
			}
			if _, err := r.AddKey(t.Context(), "acme", "", 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ns, err := s.open().Find("acme"); err != nil || len(ns.Keys) != 7 {
		t.Errorf("%d keys, %v", len(ns.Keys), err)
	}
}

func TestListPages(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.create(fmt.Sprint("n", i))
	}
	var got []string
	for after := ""; ; {
		page := s.List(after, 2)
		for _, ns := range page {
			got = append(got, ns.Name)
		}
		if len(page) < 2 {
			break
		}
		after = page[1].Name
	}
	if fmt.Sprint(got) != "[guest n0 n1 n2 n3 n4]" {
		t.Errorf("%v", got)
	}
}

// Lookups take no lock and no memory.
func TestLookupsAllocateNothing(t *testing.T) {
	s := newSite(t)
	key := s.create("acme")
	if n := testing.AllocsPerRun(100, func() {
		if id, err := s.Authenticate(key); err != nil || s.Namespace(id.Namespace) == nil {
			t.Error("not found")
		}
	}); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	d, err := New([]whisk.Identity{{Namespace: "guest", UUID: uuid, Secret: secret}}, whisk.NamespaceLimits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Authenticate(uuid + ":" + secret); err != nil {
			b.Fatal(err)
		}
	}
}
