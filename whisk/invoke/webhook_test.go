package invoke

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/activation"
	"millrace/activation/activationtest"
	activationmem "millrace/activation/mem"
	"millrace/whisk"
)

// hook is a webhook that answers statuses one after the other, then 200.
type hook struct {
	*httptest.Server
	t        *testing.T
	statuses []int
	calls    atomic.Int32
	got      chan []byte
}

func newHook(t *testing.T, statuses ...int) *hook {
	h := &hook{t: t, statuses: statuses, got: make(chan []byte, 16)}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
		h.t.Errorf("%s %v: %v", r.Method, r.Header, err)
	}
	h.checkSignature(r.Header.Get("X-Millrace-Signature"), body)
	if n := int(h.calls.Add(1)); n <= len(h.statuses) {
		w.Header().Set("Location", h.URL+"/elsewhere")
		w.WriteHeader(h.statuses[n-1])
		return
	}
	h.got <- body
}

// checkSignature does what the owner of a namespace does, who knows its key.
func (h *hook) checkSignature(given string, body []byte) {
	var at int64
	var v1 string
	if _, err := fmt.Sscanf(given, "t=%d,v1=%s", &at, &v1); err != nil || time.Since(time.Unix(at, 0)) > time.Hour {
		h.t.Errorf("signature %q: %v", given, err)
	}
	// HKDF with SHA-256 for one block: extract with an empty salt, expand once.
	extract := hmac.New(sha256.New, make([]byte, sha256.Size))
	extract.Write([]byte("owner-secret"))
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte("millrace webhook v1\x01"))
	mac := hmac.New(sha256.New, expand.Sum(nil))
	fmt.Fprintf(mac, "%d.%s", at, body)
	if v1 != hex.EncodeToString(mac.Sum(nil)) {
		h.t.Errorf("signature %q is not of the body", given)
	}
}

// wait answers the body of the call that was answered with 200.
func (h *hook) wait() string {
	h.t.Helper()
	select {
	case body := <-h.got:
		return string(body)
	case <-time.After(30 * time.Second):
		h.t.Fatal("the webhook was not called")
		return ""
	}
}

func withOwner(c *Config) {
	c.Owner = func(ns string) *whisk.Identity {
		id := anyone(ns)
		id.Secret = "owner-secret"
		return id
	}
}

func nothingPending(t *testing.T, log activation.Log) {
	t.Helper()
	eventually(t, "nothing to be pending", func() bool { return len(must(activationtest.Pending(context.Background(), log))) == 0 })
}

func TestWebhook(t *testing.T) {
	w := newHook(t, 500, 302, 404) // redirects are not followed
	h := newHouse(t, functions{"echo": echo, "fails": flaky(9)}, withOwner)
	h.v.webhooks.pauses = policy{backoff: time.Millisecond, maxBackoff: 5 * time.Millisecond}
	id := h.accepted(call(annotated("echo", kv("on-completion", `"`+w.URL+`/hook?a=1"`)), `{"a":1}`))
	body := w.wait()
	rec := h.ended("guest", id)
	if want := string(rec.AppendJSON(nil, rec.Logs)); body != want {
		t.Errorf("got %s, want %s", body, want)
	}
	if n := w.calls.Load(); n != 4 {
		t.Errorf("%d calls", n)
	}
	nothingPending(t, h.log)

	// With retries only the last attempt's end is told, and a dead letter is kept too.
	id = h.accepted(call(annotated("fails", kv("on-completion", `"`+w.URL+`"`), kv("retries", `{"max":1,`+quickly+`}`)), `{}`))
	if body := w.wait(); !strings.Contains(body, id) || !strings.Contains(body, `{"key":"attempt","value":2}`) {
		t.Errorf("got %s", body)
	}
	if _, n, _ := h.v.Letters(context.Background(), "guest", 0, 9); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	nothingPending(t, h.log)
}

// A webhook is called after a restart; one that never answers is given up, and
// one that may not be called at once.
func TestWebhookAfterRestart(t *testing.T) {
	log := activationmem.New()
	withLog := func(c *Config) { c.Activations = log }
	w := newHook(t, slices.Repeat([]int{503}, maxDeliveries+1)...)
	refused := newHook(t)
	port := netip.MustParseAddrPort(strings.TrimPrefix(refused.URL, "http://")).Port()
	h := newHouse(t, functions{"echo": echo}, withLog, withOwner, func(c *Config) {
		c.Refuse = func(a netip.AddrPort) bool { return a.Port() == port }
	})
	given := h.accepted(call(annotated("echo", kv("on-completion", `"`+refused.URL+`"`)), `{}`))
	h.ended("guest", given)
	nothingPending(t, log)
	h.v.webhooks.pauses = policy{backoff: time.Millisecond, maxBackoff: 5 * time.Millisecond}
	given = h.accepted(call(annotated("echo", kv("on-completion", `"`+w.URL+`"`)), `{}`))
	h.ended("guest", given)
	nothingPending(t, log)
	if n, refusedCalls := w.calls.Load(), refused.calls.Load(); n != maxDeliveries || refusedCalls != 0 {
		t.Fatalf("%d calls, and %d of a refused address", n, refusedCalls)
	}

	h.v.webhooks.pauses = policy{backoff: time.Hour, maxBackoff: time.Hour}
	id := h.accepted(call(annotated("echo", kv("on-completion", `"`+w.URL+`"`)), `{}`))
	h.ended("guest", id)
	eventually(t, "the first try to fail", func() bool {
		a, err := log.Call(context.Background(), id)
		return err == nil && strings.Contains(string(a.Call), `"tries":1`)
	})
	h.stop()
	a := must(log.Call(context.Background(), id)) // an hour passes
	head, _, err := decodeHead(a.Call)
	if err != nil {
		t.Fatal(err)
	}
	head.Delivery.Due = 0
	a.Call = must(encodeHead(head, nil))
	if err := log.Apply(context.Background(), activation.Change{Accept: []activation.Accepted{a}}); err != nil {
		t.Fatal(err)
	}
	newHouse(t, nil, withLog, withOwner)
	if body := w.wait(); !strings.Contains(body, id) {
		t.Errorf("got %s", body)
	}
	nothingPending(t, log)
}

// An action is told as well, once: not of its own end.
func TestCompletionAction(t *testing.T) {
	told := make(chan string, 8)
	funcs := functions{"echo": echo, "told": func(args json.RawMessage) (json.RawMessage, error) {
		told <- string(args)
		return json.RawMessage(`{}`), nil
	}}
	target := annotated("told", kv("on-completion", `"/guest/told"`))
	h := newHouse(t, funcs, func(c *Config) { c.Actions = only{target} })
	id := h.accepted(call(annotated("echo", kv("on-completion", `"/_/told"`)), `{"a":1}`))
	rec := h.ended("guest", id)
	if got, want := <-told, string(rec.AppendJSON(nil, nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	nothingPending(t, h.log)
	if len(told) != 0 {
		t.Errorf("told again: %s", <-told)
	}
	// One that does not exist keeps the record from nothing.
	lost := h.accepted(call(annotated("echo", kv("on-completion", `"/_/lost"`)), `{}`))
	h.ended("guest", lost)
	nothingPending(t, h.log)
}

// only finds one action.
type only struct{ action *whisk.Action }

func (o only) Resolve(_ *whisk.Identity, n whisk.FullName) (*whisk.Resolved, error) {
	if n.Path() != o.action.Path() {
		return nil, whisk.NotFound()
	}
	return &whisk.Resolved{Action: o.action}, nil
}

func TestRefusedAddresses(t *testing.T) {
	w := newWebhooks(func(a netip.AddrPort) bool { return a.Addr().IsLoopback() && a.Port() == 9180 })
	defer w.close()
	for _, url := range []string{
		"http://169.254.169.254/latest/meta-data/", "http://[fe80::1%25lo]:80/", "http://0.0.0.0:80/", "http://[::]:80/",
		"http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://168.63.129.16/",
		"http://224.0.0.1/", "http://255.255.255.255/", "http://127.0.0.1:9180/", "http://localhost:9180/", "http://[::ffff:127.0.0.1]:9180/",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err := w.send(ctx, url, &whisk.Activation{}, nil)
		cancel()
		if !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
