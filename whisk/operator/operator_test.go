package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/sealed"
	"millrace/store"
	"millrace/store/mem"
	"millrace/whisk"
	"millrace/whisk/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key   = "an operator key that is long enough"
	guest = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

// site is an operator API with a store of its own.
type site struct {
	*API
	t     testing.TB
	store store.Store
	log   bytes.Buffer
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, store: mem.New()}
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	sealer, err := tenant.Unlock(t.Context(), s.store, func(bool) (string, error) { return sealed.NewKey(), nil })
	if err != nil {
		t.Fatal(err)
	}
	id, secret, _ := strings.Cut(guest, ":")
	registry, err := tenant.Open(t.Context(), tenant.Config{
		Log: log, Store: s.store, Sealer: sealer, Platform: whisk.DefaultSystemLimits(),
		Fixed: []whisk.Identity{{Namespace: "guest", UUID: id, Secret: secret}},
		Owned: func(ns string) []string { return []string{"/entities/" + ns + "/"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); registry.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended; s.store.Close() })
	if s.API, err = New(Config{Log: log, Namespaces: registry, APIHost: "http://here:3233", Key: key}); err != nil {
		t.Fatal(err)
	}
	return s
}

// send sends a request with the operator key.
func (s *site) send(method, path, body string) (int, string) {
	s.t.Helper()
	return s.sendAs("Bearer "+key, method, path, body)
}

func (s *site) sendAs(credentials, method, path, body string) (int, string) {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if credentials != "" {
		r.Header.Set("Authorization", credentials)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(text) > 0 && (!json.Valid(text) || w.Header().Get("Content-Type") != "application/json") {
		s.t.Errorf("%s %s answers no JSON: %s", method, path, text)
	}
	return w.Code, strings.TrimSpace(string(text))
}

// check sends requests and compares status and a part of the answer.
func (s *site) check(cases [][4]any) {
	s.t.Helper()
	for _, c := range cases {
		request := strings.SplitN(c[0].(string), " ", 2)
		code, body := s.send(request[0], "/v1/namespaces"+request[1], c[1].(string))
		if code != c[2] || !strings.Contains(body, c[3].(string)) {
			s.t.Errorf("%s %s: %d %s, want %d %s", c[0], c[1], code, body, c[2], c[3])
		}
	}
}

func TestNamespaces(t *testing.T) {
	s := newSite(t)
	own := "0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11:" + strings.Repeat("k", 64)
	if _, err := s.store.Put(t.Context(), "/entities/acme/a", []byte("{}"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	s.check([][4]any{
		{"GET /acme", "", 404, `{"error":"there is no such namespace"}`},
		{"PUT /acme", `{"subject":"acme-team","key":"` + own + `","limits":{"firesPerMinute":5}}`, 201, `"key":"` + own + `","apihost":"http://here:3233"`},
		{"PUT /acme", ``, 409, `the namespace exists already`},
		{"PUT /_", ``, 400, `stands for the caller's own namespace`},
		{"PUT /new", `{"colour":1}`, 400, `the request body is malformed: unknown field \"colour\"`},
		{"PUT /new", `{"limits":{"colour":1}}`, 400, `unknown field \"colour\"`},
		{"PUT /new", `{"limits":[]}`, 400, `limits must be an object`},
		{"PUT /new", `{}{}`, 400, `text after the document`},
		{"PUT /new", `{"key":"` + strings.Repeat("k", 64<<10) + `"}`, 413, `larger than 64 KB`},
		{"GET /acme", "", 200, `"subject":"acme-team","created":1`},
		{"GET /acme", "", 200, `"blocked":false,"keys":[{"uuid":"0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11","created":`},
		{"GET /guest", "", 200, `"fixed":true`},
		{"GET ", "", 200, `{"namespaces":[{"name":"acme",`},
		{"GET ?limit=1", "", 200, `"next":"acme"}`},
		{"GET ?limit=1&after=acme", "", 200, `{"namespaces":[{"name":"guest",`},
		{"GET ?limit=0", "", 400, `limit must be`},
		{"PATCH /acme", `{"subject":"others","blocked":true,"limits":{"firesPerMinute":null,"maxActionMemory":600}}`, 200, `"limits":{"maxActionMemory":600}`},
		{"GET /acme", "", 200, `"subject":"others"`},
		{"GET /acme", "", 200, `"blocked":true`},
		{"POST /acme/unblock", "", 200, `"blocked":false`},
		{"POST /acme/block", "", 200, `"blocked":true`},
		{"PATCH /none", `{}`, 404, `no such namespace`},
		{"POST /none/block", "", 404, `no such namespace`},
		{"DELETE /acme?force=perhaps", "", 400, `force must be true or false`},
		{"DELETE /acme", "", 409, `it holds 1 entity`},
		{"DELETE /acme?force=true", "", 204, ``},
		{"GET /acme", "", 404, `no such namespace`},
		{"DELETE /guest?force=true", "", 409, `functions.users`},
		{"POST /acme", "", 404, `there is no such path or method`},
	})
}

func TestLimits(t *testing.T) {
	s := newSite(t)
	s.check([][4]any{
		{"GET /guest/limits", "", 200, `{"limits":{},"inForce":{"invocationsPerMinute":60000,"concurrentInvocations":1000,"firesPerMinute":60000,` +
			`"minActionMemory":128,"maxActionMemory":512,"minActionLogs":0,"maxActionLogs":10,"minActionTimeout":100,"maxActionTimeout":300000,` +
			`"minActionConcurrency":1,"maxActionConcurrency":1,"maxActionInstances":1000,"maxParameterSize":1048576,"maxPayloadSize":1048576,` +
			`"allowedKinds":null,"storeActivations":true}}`},
		{"PATCH /guest/limits", `{"concurrentInvocations":3,"allowedKinds":["nodejs:20"],"storeActivations":false}`, 200,
			`{"limits":{"concurrentInvocations":3,"allowedKinds":["nodejs:20"],"storeActivations":false},"inForce":`},
		{"GET /guest/limits", "", 200, `"maxActionInstances":3,`},
		{"PATCH /guest/limits", `{"allowedKinds":null}`, 200, `"allowedKinds":null,"storeActivations":false}}`},
		{"PATCH /guest/limits", `{"firesPerMinute":-1}`, 400, `firesPerMinute must be a whole number from 0`},
		{"PATCH /guest/limits", `{"minActionMemory":600}`, 400, `minActionMemory 600 is above maxActionMemory 512`},
		{"PATCH /guest/limits", `{"colour":1}`, 400, `the limits are malformed: unknown field \"colour\"`},
		{"PATCH /guest/limits", `nonsense`, 400, `the limits are malformed`},
		{"PUT /guest/limits", `{"firesPerMinute":1}`, 200, `{"limits":{"firesPerMinute":1},`},
		{"DELETE /guest/limits", ``, 200, `{"limits":{},`},
		{"GET /none/limits", ``, 404, `no such namespace`},
		{"PUT /none/limits", `{}`, 404, `no such namespace`},
	})
}

func TestKeys(t *testing.T) {
	s := newSite(t)
	own := "0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11:" + strings.Repeat("k", 64)
	s.check([][4]any{
		{"PUT /acme", `{"key":"` + own + `"}`, 201, ``},
		{"POST /acme/keys", `{"key":"nonsense"}`, 400, `a key has the form uuid:secret`},
		{"POST /acme/keys", `{"expiresIn":"soon"}`, 400, `expiresIn must be a duration`},
		{"POST /acme/keys", `{"expiresIn":"1h"}`, 201, `"apihost":"http://here:3233"`},
		{"POST /acme/keys", ``, 201, `{"key":"`},
		{"POST /acme/keys/rotate", `{"grace":"later"}`, 400, `grace must be a duration`},
		{"POST /acme/keys/rotate", `{"grace":"10000h"}`, 400, `from 0 to 90 days`},
		{"POST /acme/keys/rotate", `{"grace":"1h"}`, 201, `{"key":"`},
		{"DELETE /acme/keys/0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11", ``, 204, ``},
		{"DELETE /acme/keys/0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11", ``, 404, `has no such key`},
		{"DELETE /guest/keys/23bc46b1-71f6-4ed5-8c54-816aa4f8c502", ``, 409, `functions.users`},
		{"GET /none/keys", ``, 404, `no such namespace`},
		{"GET /acme/keys", ``, 200, `"current":true}`},
	})
	_, body := s.send("GET", "/v1/namespaces/acme/keys", "")
	if n := strings.Count(body, `"uuid"`); n != 3 {
		t.Errorf("%d keys: %s", n, body)
	}
	for _, secret := range []string{strings.Repeat("k", 64), key} {
		if strings.Contains(body, secret) || strings.Contains(s.log.String(), secret) {
			t.Error("a list or the log holds a secret")
		}
	}
}

// Nothing but the operator key opens anything, and guessing it is slow.
func TestKeyIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		want := `{"error":"the operator key is missing or wrong; send it as Authorization: Bearer KEY"}`
		for range 2 * maxFailures { // no key is no guess
			if code, body := s.sendAs("", "GET", "/v1/namespaces", ""); code != 401 || body != want {
				t.Fatalf("without a key: %d %s", code, body)
			}
		}
		for i, credentials := range []string{"Bearer", "Bearer x", "Bearer " + key + "x", "Basic " + key, key,
			"Bearer " + guest, "Basic Z3Vlc3Q6Z3Vlc3Q="} {
			if code, body := s.sendAs(credentials, "PUT", "/v1/namespaces/x", "{}"); code != 401 || body != want {
				t.Errorf("%d: %d %s", i, code, body)
			}
		}
		for range maxFailures - 7 {
			s.sendAs("Bearer guess", "GET", "/v1/namespaces", "")
		}
		if code, body := s.send("GET", "/v1/namespaces", ""); code != 429 {
			t.Errorf("after too many wrong keys: %d %s", code, body)
		}
		time.Sleep(time.Minute)
		if code, _ := s.send("GET", "/v1/namespaces", ""); code != 200 {
			t.Errorf("a minute later: %d", code)
		}
		if code, _ := s.sendAs("bearer "+key, "GET", "/v1/namespaces", ""); code != 200 {
			t.Errorf("the scheme in lower case: %d", code)
		}
	})
}

func TestGateIsBounded(t *testing.T) {
	g := newGate(key)
	try := func(from, credentials string) error {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		r.Header.Set("Authorization", credentials)
		return g.admit(r)
	}
	for i := range maxClients + 10 {
		try(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), "Bearer guess")
	}
	if len(g.failures) > maxClients {
		t.Errorf("%d clients are remembered", len(g.failures))
	}
	if err := try("10.0.0.1:2", "Bearer "+key); err != nil {
		t.Errorf("who failed once: %v", err)
	}
	g = newGate(key)
	for i := range maxFailures { // one network of those that are given out whole
		try(fmt.Sprintf("[2001:db8::%x]:1", i), "Bearer guess")
	}
	if err := try("[2001:db8::ffff]:1", "Bearer "+key); err != errTooMany {
		t.Errorf("from the same network: %v", err)
	}
	if err := try("[2001:db8:1::1]:1", "Bearer "+key); err != nil {
		t.Errorf("from another network: %v", err)
	}
}

func TestNewRefusesShortKeys(t *testing.T) {
	s := newSite(t)
	if _, err := New(Config{Log: s.API.log, Namespaces: s.namespaces, Key: "short"}); err == nil {
		t.Error("a short key is taken")
	}
	if _, err := New(Config{Key: key}); err == nil {
		t.Error("nothing is taken")
	}
	path := filepath.Join(t.TempDir(), "key")
	if _, err := ReadKey(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("  "+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadKey(path); got != key || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
