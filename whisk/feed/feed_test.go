package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	blobmem "millrace/blob/mem"
	"millrace/internal/sealed"
	"millrace/store"
	storemem "millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/feed"
	"millrace/whisk/runtime"
	"millrace/whisk/system"
	"millrace/whisk/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	guestKey = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:" + strings.Repeat("g", 64)
	otherKey = "33bc46b1-71f6-4ed5-8c54-816aa4f8c502:" + strings.Repeat("o", 64)
)

// site is what feeds stand on, which outlives them.
type site struct {
	t        testing.TB
	store    store.Store
	triggers *catalog.Catalog
	keys     atomic.Pointer[tenant.Directory]
	firer    *firer
	sealer   *sealed.Sealer

	cronFields int

	feeds *feed.Feeds
	stop  func()
}

func identity(namespace, key string) whisk.Identity {
	uuid, secret, _ := strings.Cut(key, ":")
	return whisk.Identity{Subject: namespace, Namespace: namespace, UUID: uuid, Secret: secret}
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, store: storemem.New(), firer: &firer{}, cronFields: 6}
	s.setKeys(guestKey)
	var err error
	if s.triggers, err = catalog.Open(context.Background(), slog.New(slog.DiscardHandler), s.store, blobmem.New()); err != nil {
		t.Fatal(err)
	}
	if s.sealer, err = sealed.New(make([]byte, sealed.KeySize)); err != nil {
		t.Fatal(err)
	}
	s.open()
	t.Cleanup(func() {
		s.close()
		s.store.Close()
	})
	return s
}

// setKeys makes the directory of the namespaces guest and other.
func (s *site) setKeys(guest string) {
	s.t.Helper()
	keys, err := tenant.New([]whisk.Identity{identity("guest", guest), identity("other", otherKey)}, whisk.NamespaceLimits{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.keys.Store(keys)
}

// Authenticate and Namespace ask the directory of the moment.
func (s *site) Authenticate(key string) (*whisk.Identity, error) {
	return s.keys.Load().Authenticate(key)
}
func (s *site) Namespace(name string) *whisk.Identity { return s.keys.Load().Namespace(name) }

func (s *site) config() feed.Config {
	return feed.Config{
		Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)), Store: s.store, Keys: s, Triggers: s.triggers,
		Firer: s.firer, Sealer: s.sealer, URL: "http://localhost:3233", MaxPayload: 1 << 20, CronFields: s.cronFields,
	}
}

// open starts the feeds.
func (s *site) open() {
	s.t.Helper()
	f, err := feed.Open(context.Background(), s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	s.feeds = f
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
}

// close stops the feeds.
func (s *site) close() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// trigger makes a trigger of guest with a rule.
func (s *site) trigger(name string) *whisk.Trigger {
	s.t.Helper()
	t, err := s.triggers.PutTrigger(context.Background(), &whisk.Trigger{Namespace: "guest", Name: name, Version: "0.0.1"})
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// call makes a lifecycle call, for guest's key, as a client does: with the
// parameters of the package, and more as members of a JSON object. It answers the
// result, or the text of the error after "error: ".
func (s *site) call(path, event, trigger, more string) string {
	s.t.Helper()
	return s.callWith(path, fmt.Sprintf(`{"authKey":%q,"lifecycleEvent":%q,"triggerName":%q%s}`, guestKey, event, trigger, more))
}

func (s *site) callWith(path, args string) string {
	s.t.Helper()
	function := s.feeds.Functions()["feed/"+path]
	if function == nil {
		s.t.Fatalf("there is no feed %s", path)
	}
	args = strings.Replace(args, "{", `{"apihost":"","trigger_payload":"",`, 1)
	if i := strings.Index(args, `"trigger_payload":""`); strings.Count(args, `"trigger_payload"`) > 1 {
		args = args[:i] + args[i+len(`"trigger_payload":"",`):]
	}
	if !json.Valid([]byte(args)) {
		s.t.Fatalf("the test gives bad JSON: %s", args)
	}
	result, err := function(context.Background(), &runtime.Run{Namespace: "guest", Args: json.RawMessage(args)})
	if err != nil {
		return "error: " + err.Error()
	}
	return string(result)
}

// mustCall expects success.
func (s *site) mustCall(path, event, trigger, more string) {
	s.t.Helper()
	if got := s.call(path, event, trigger, more); !strings.HasPrefix(got, `{"status":"success"`) {
		s.t.Fatalf("%s of %s answers %s", event, trigger, got)
	}
}

// firing is one event that arrived.
type firing struct {
	at      time.Time
	caller  whisk.Identity
	trigger string
	payload string
}

// firer takes events.
type firer struct {
	mu     sync.Mutex
	fired  []firing
	refuse func(trigger string) error // nil: nothing
}

func (f *firer) FireLocal(_ context.Context, caller *whisk.Identity, trigger whisk.FullName, payload []byte) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if err := f.refuse(trigger.Name); err != nil {
			return "", err
		}
	}
	f.fired = append(f.fired, firing{time.Now(), *caller, trigger.Path(), string(payload)})
	return strings.Repeat("a", 32), nil
}

func (f *firer) setRefuse(fn func(trigger string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = fn
}

// take answers the events since the last call.
func (f *firer) take() []firing {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.fired)
	f.fired = nil
	return all
}

// times are those of events, in a short form.
func times(events []firing) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%s ", e.at.UTC().Format("02T15:04:05"))
	}
	return strings.TrimSpace(b.String())
}

// The answers of whoever may not subscribe a trigger (spec/openwhisk.md §4.7).
func TestAuthentication(t *testing.T) {
	s := newSite(t)
	s.trigger("t")
	const denied = "error: Trigger authentication request failed."
	for _, c := range []struct{ name, key, trigger, want string }{
		{"no name", guestKey, "", "error: no trigger name parameter was provided"},
		{"no key", "", "/_/t", denied},
		{"a wrong key", guestKey[:100] + "x", "/_/t", denied},
		{"a foreign key", otherKey, "/guest/t", denied},
		{"a foreign trigger", guestKey, "/other/t", denied},
		{"the caller's own of that name", otherKey, "/_/t", denied},
		{"no such trigger", guestKey, "/_/u", denied},
		{"an action's name", guestKey, "/_/p/t", denied},
		{"a path", guestKey, "/_/../t", denied},
		{"own", guestKey, "/_/t", `{"status":"success"}`},
		{"by the namespace", guestKey, "/guest/t", `{"status":"success"}`},
		{"without slashes", guestKey, "t", `{"status":"success"}`},
	} {
		args := fmt.Sprintf(`{"authKey":%q,"lifecycleEvent":"CREATE","triggerName":%q,"minutes":5}`, c.key, c.trigger)
		if got := s.callWith("alarms/interval", args); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLifecycle(t *testing.T) {
	s := newSite(t)
	trig := s.trigger("t")
	const interval = "alarms/interval"
	const unknown = "error: could not find trigger /guest/t in the database"
	for _, event := range []string{"READ", "UPDATE", "PAUSE", "UNPAUSE"} {
		if got := s.call(interval, event, "/_/t", ""); got != unknown {
			t.Errorf("%s before CREATE: %s", event, got)
		}
	}
	if got := s.call(interval, "DROP", "/_/t", ""); got != "error: unsupported lifecycleEvent" {
		t.Errorf("an unknown event: %s", got)
	}
	s.mustCall(interval, "CREATE", "/_/t", `,"minutes":5`)
	if got := s.call("alarms/once", "UPDATE", "/_/t", `,"date":"2999-01-01"`); got != "error: trigger /guest/t is subscribed to alarms/interval" {
		t.Errorf("UPDATE by another feed: %s", got)
	}
	s.mustCall(interval, "PAUSE", "/_/t", "")
	s.expectStatus(interval, false, "Paused")
	s.mustCall(interval, "UPDATE", "/_/t", `,"minutes":6`)
	s.expectStatus(interval, false, "Paused")
	s.mustCall(interval, "UNPAUSE", "/_/t", "")
	s.expectStatus(interval, true, "")
	s.mustCall("alarms/once", "CREATE", "/_/t", `,"date":"2999-01-01"`)

	if err := s.triggers.DeleteTrigger(t.Context(), trig); err != nil {
		t.Fatal(err)
	}
	s.mustCall(interval, "DELETE", "/_/t", "") // clients may delete the trigger first
	s.mustCall(interval, "DELETE", "/_/t", "")
	if entries, _, err := s.store.List(t.Context(), "/whisk/feeds/"); err != nil || len(entries) > 0 {
		t.Errorf("what is left in the store: %v, %v", entries, err)
	}
}

func (s *site) expectStatus(path string, active bool, reason string) {
	s.t.Helper()
	var got struct {
		Status struct {
			Active         bool
			Reason         string
			DateChanged    int64
			DateChangedISO string
		}
	}
	text := s.call(path, "READ", "/_/t", "")
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		s.t.Fatalf("READ answers %s", text)
	}
	st := got.Status
	if st.Active != active || st.Reason != reason {
		s.t.Errorf("the status is %+v, want active %v, reason %q", st, active, reason)
	}
	if st.DateChangedISO != time.UnixMilli(st.DateChanged).UTC().Format("2006-01-02T15:04:05.000Z") {
		s.t.Errorf("the dates of %s differ", text)
	}
}

// A trigger of the same name, perhaps of another owner, inherits nothing.
func TestAnotherTriggerOfTheName(t *testing.T) {
	s := newSite(t)
	old := s.trigger("t")
	s.mustCall("webhook/receive", "CREATE", "/_/t", "")
	if err := s.triggers.DeleteTrigger(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	s.trigger("t")
	if got := s.call("webhook/receive", "READ", "/_/t", ""); got != "error: could not find trigger /guest/t in the database" {
		t.Errorf("READ for the new trigger: %s", got)
	}
	s.mustCall("webhook/receive", "CREATE", "/_/t", "")
}

// Whoever deletes a namespace deletes the keys in the store.
func TestDeletedInTheStore(t *testing.T) {
	s := newSite(t)
	s.trigger("t")
	s.mustCall("alarms/interval", "CREATE", "/_/t", `,"minutes":5`)
	if _, err := s.store.Delete(t.Context(), "/whisk/feeds/guest/t/alarms", store.Any); err != nil {
		t.Fatal(err)
	}
	if got := s.call("alarms/interval", "UPDATE", "/_/t", `,"minutes":6`); got != "error: Concurrent modification to resource detected." {
		t.Errorf("UPDATE answers %s", got)
	}
	if got := s.call("alarms/interval", "READ", "/_/t", ""); !strings.HasPrefix(got, "error: could not find") {
		t.Errorf("READ answers %s", got)
	}
	s.mustCall("alarms/interval", "CREATE", "/_/t", `,"minutes":5`)
}

// What is registered is what whisk.system shows.
func TestRegisteredInTheCatalog(t *testing.T) {
	found := map[string]bool{}
	for _, p := range system.Packages() {
		for _, a := range p.Actions {
			if a.Annotations.Find("feed") != nil {
				found[p.Name+"/"+a.Name] = true
			}
		}
	}
	for _, want := range []string{"alarms/alarm", "alarms/interval", "alarms/once", "webhook/receive"} {
		if !found[want] {
			t.Errorf("%s is not in whisk.system", want)
		}
	}
}
