package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/gateway/upstream/resolver/resolvertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files writes files of a test and answers their paths.
func files(t *testing.T, hosts, resolvConf string) (string, string) {
	t.Helper()
	dir := t.TempDir()
	h, r := filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	for path, text := range map[string]string{h: hosts, r: resolvConf} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h, r
}

func start(t *testing.T, hosts, resolvConf string, records ...string) (*Resolver, *resolvertest.Server) {
	s := resolvertest.Start(t, records...)
	h, conf := files(t, hosts, resolvConf)
	return New(Config{Servers: []string{s.Addr}, HostsFile: h, ResolvConf: conf}), s
}

func lookup(t *testing.T, r *Resolver, name string) string {
	t.Helper()
	a, err := r.Lookup(t.Context(), name)
	if errors.Is(err, ErrNotFound) {
		return "none"
	}
	if err != nil {
		return "error"
	}
	var texts []string
	for _, addr := range a.Addrs {
		texts = append(texts, addr.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// TestAliases: they are followed where the name server does not, and no longer than the
// shortest of their records holds.
func TestAliases(t *testing.T) {
	r, s := start(t, "", "", "real.test. 60 IN A 10.0.0.1", "alias.test. 2 IN CNAME other.test.", "other.test. 60 IN CNAME real.test.",
		"round.test. 60 IN CNAME about.test.", "about.test. 60 IN CNAME round.test.", "astray.test. 60 IN CNAME none.test.")
	for name, want := range map[string]string{"alias.test": "10.0.0.1", "round.test": "none", "astray.test": "none"} {
		if got := lookup(t, r, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if a, _ := r.Lookup(t.Context(), "alias.test"); time.Until(a.Until) > 3*time.Second {
		t.Errorf("an alias of two seconds holds until %s", a.Until)
	}
	if n := s.Asked("about.test. A"); n > maxAliases {
		t.Errorf("asked %d times", n)
	}
}

func TestLookup(t *testing.T) {
	r, _ := start(t, "10.1.1.1 Filed # a comment\n::1 six\nfe80::1 filed\nx y\n", "search corp.test\noptions ndots:1\n",
		"one.test. 60 IN A 10.0.0.1", "two.test. 60 IN A 10.0.0.2", "two.test. 60 IN A 10.0.0.3", "two.test. 60 IN AAAA 2001:db8::1",
		"six.test. 60 IN AAAA 2001:db8::6", "short.corp.test. 60 IN A 10.0.0.4", "empty.test. 60 IN TXT x")
	for name, want := range map[string]string{
		"one.test": "10.0.0.1", "ONE.test": "10.0.0.1", "one.test.": "10.0.0.1", "two.test": "10.0.0.2 10.0.0.3",
		"six.test": "2001:db8::6", "short": "10.0.0.4", "filed": "10.1.1.1", "six": "::1",
		"10.2.3.4": "10.2.3.4", "::1": "::1", "none.test": "none", "empty.test": "none", "localhost": "127.0.0.1",
	} {
		if got := lookup(t, r, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	one, err := r.One(t.Context(), "two.test")
	if err != nil || one.String() != "10.0.0.2" && one.String() != "10.0.0.3" {
		t.Errorf("one of two: %v, %v", one, err)
	}
}

func TestAnswersAreKept(t *testing.T) {
	r, s := start(t, "", "", "a.test. 30 IN A 10.0.0.1", "b.test. 0 IN A 10.0.0.2", "c.test. 1000000 IN A 10.0.0.3")
	var running sync.WaitGroup
	for range 10 {
		running.Go(func() { lookup(t, r, "a.test") })
	}
	running.Wait()
	if n := s.Asked("a.test. A"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	for name, want := range map[string]time.Duration{"a.test": 30 * time.Second, "b.test": minValid, "c.test": maxValid} {
		a, err := r.Lookup(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(a.Until); left > want || left < want-30*time.Second {
			t.Errorf("%s is used for %v", name, left)
		}
	}
	s.Set(t, "a.test. 30 IN A 10.0.0.9")
	r.mu.Lock()
	r.names["a.test"].answer.Until = time.Now().Add(-time.Second)
	r.mu.Unlock()
	if got := lookup(t, r, "a.test"); got != "10.0.0.9" {
		t.Errorf("after its time: %s", got)
	}
}

func TestServers(t *testing.T) {
	r, s := start(t, "", "", "a.test. 60 IN A 10.0.0.1")
	s.Fail(true)
	if got := lookup(t, r, "a.test"); got != "error" {
		t.Errorf("a failing server: %s", got)
	}
	other := resolvertest.Start(t, "b.test. 60 IN A 10.0.0.2")
	other.Truncate()
	r = New(Config{Servers: []string{s.Addr, other.Addr}, Valid: 7 * time.Second})
	if got := lookup(t, r, "b.test"); got != "10.0.0.2" || other.Asked("b.test. A") != 2 {
		t.Errorf("by TCP from the second server: %s, asked %d times", got, other.Asked("b.test. A"))
	}
	if a, _ := r.Lookup(t.Context(), "b.test"); time.Until(a.Until) > 7*time.Second {
		t.Error("the configured time does not hold")
	}
}

func TestHostsFileIsReadAgain(t *testing.T) {
	h, conf := files(t, "10.0.0.1 a\n", "nameserver 127.0.0.1\n")
	r := New(Config{HostsFile: h, ResolvConf: conf})
	if got := lookup(t, r, "a"); got != "10.0.0.1" {
		t.Fatal(got)
	}
	if err := os.WriteFile(h, []byte("10.0.0.2 a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(h, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r.hosts.checked = time.Time{}
	if got := r.hosts.lookup("a"); len(got) != 1 || got[0] != netip.MustParseAddr("10.0.0.2") {
		t.Errorf("after a change: %v", got)
	}
}

func TestNamesAreBounded(t *testing.T) {
	h, conf := files(t, "", "nameserver 127.0.0.1\n")
	r := New(Config{HostsFile: h, ResolvConf: conf})
	for i := range maxNames + 10 {
		r.remember(fmt.Sprint(i), &entry{done: make(chan struct{})}, time.Now())
	}
	if n := len(r.names); n > maxNames {
		t.Errorf("%d names are remembered", n)
	}
}

func FuzzParseHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost # x\n::1 a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, addrs := range parseHosts(text) {
			if name == "" || len(addrs) == 0 {
				t.Errorf("%q: %q has %v", text, name, addrs)
			}
		}
	})
}
