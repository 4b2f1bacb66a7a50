package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/whisk"
)

const followedID = "0123456789abcdef0123456789abcdef"

// tailOf is a whisk.Tail that a test adds lines to.
type tailOf struct {
	mu    sync.Mutex
	lines []string
	over  bool
	more  chan struct{}
}

func (t *tailOf) Lines(from int) ([]string, <-chan struct{}, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.more == nil {
		t.more = make(chan struct{})
	}
	return t.lines[from:], t.more, t.over
}

func (t *tailOf) add(over bool, lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines, t.over = append(t.lines, lines...), over
	if t.more != nil {
		close(t.more)
		t.more = nil
	}
}

// put puts the record of the followed call. No logs: it has not ended.
func (s *system) putCall(tail whisk.Tail, queued bool, logs ...string) {
	rec := &whisk.Activation{
		Namespace: "guest", Name: "a", ID: followedID, Start: 1000, Tail: tail, Queued: queued,
		Response: whisk.Response{Status: whisk.Running},
	}
	if logs != nil {
		rec.End, rec.Logs, rec.Response = 1001, logs, whisk.Response{Result: json.RawMessage("{}")}
	}
	s.invoke.log.Put(rec)
}

// events is an open stream.
type events struct {
	t      *testing.T
	resp   *http.Response
	in     *bufio.Reader
	cancel context.CancelFunc
}

func (s *system) follow(t *testing.T) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/api/v1/namespaces/_/activations/"+followedID+"/logs?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(GuestKey, ":")
	req.SetBasicAuth(user, password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &events{t: t, resp: resp, in: bufio.NewReader(resp.Body), cancel: cancel}
}

// expect reads events and compares them with text.
func (e *events) expect(want string) {
	e.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(e.in, got); err != nil || string(got) != want {
		e.t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

func (e *events) end() {
	e.t.Helper()
	if rest, err := io.ReadAll(e.in); err != nil || len(rest) > 0 {
		e.t.Errorf("after the end: %q, %v", rest, err)
	}
}

func logEvent(line string) string { return "event: log\ndata: " + line + "\n\n" }

const endEvent = "event: end\ndata: {\"activationId\":\"" + followedID + "\",\"status\":\"success\",\"success\":true}\n\n"

func TestFollow(t *testing.T) {
	s := newSystem(t, nil)
	tail := &tailOf{}
	tail.add(false, "one")
	s.putCall(tail, false)
	e := s.follow(t)
	if ct := e.resp.Header.Get("Content-Type"); e.resp.StatusCode != 200 || ct != "text/event-stream" {
		t.Errorf("%d, %s", e.resp.StatusCode, ct)
	}
	e.expect(logEvent("one"))
	if r := s.send("GET", "/api/v1/namespaces/_/activations/"+followedID+"/logs", ""); r.body != `{"logs":["one"]}` {
		t.Errorf("the document while it runs: %s", r.body)
	}
	tail.add(false, "two", "three")
	e.expect(logEvent("two") + logEvent("three"))
	s.putCall(nil, false, "one", "two", "three", "four")
	tail.add(true)
	e.expect(logEvent("four") + endEvent)
	e.end()

	again := s.follow(t)
	again.expect(logEvent("one") + logEvent("two") + logEvent("three") + logEvent("four") + endEvent)
	again.end()
}

// A call that waits, is tried, fails, waits and is tried again.
func TestFollowAttempts(t *testing.T) {
	s := newSystem(t, nil)
	s.putCall(nil, true)
	e := s.follow(t)
	first, second := &tailOf{}, &tailOf{}
	s.putCall(first, false)
	first.add(false, "one")
	e.expect(logEvent("one"))
	s.putCall(nil, true)
	first.add(true)
	s.putCall(second, false)
	second.add(false, "again", "carriage\rreturn")
	e.expect("event: attempt\ndata: {}\n\n" + logEvent("again") + "event: log\ndata: carriage\ndata: return\n\n")
	s.putCall(nil, false, "again", "carriage\rreturn")
	second.add(true)
	e.expect(endEvent)
	e.end()
}

func TestFollowIsAliveAndEnds(t *testing.T) {
	s := newSystem(t, nil)
	s.api.heartbeat = time.Millisecond
	s.putCall(&tailOf{}, false)
	e, gone := s.follow(t), s.follow(t)
	e.expect(":\n\n:\n\n")
	gone.cancel()
	open := func() int {
		s.api.followers.mu.Lock()
		defer s.api.followers.mu.Unlock()
		return s.api.followers.all
	}
	for end := time.Now().Add(30 * time.Second); open() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d streams are open", open())
		}
	}
	s.api.EndStreams()
	s.api.EndStreams()
	if _, err := io.ReadAll(e.in); err != nil {
		t.Errorf("the end of the server: %v", err)
	}
	if rest, err := io.ReadAll(s.follow(t).in); err != nil || strings.Trim(string(rest), ":\n") != "" {
		t.Errorf("a stream of a server that ends: %q, %v", rest, err)
	}
}

func TestFollowRefused(t *testing.T) {
	s := newSystem(t, nil)
	s.putCall(&tailOf{}, false)
	path := "…/activations/" + followedID + "/logs"
	s.run([]step{
		{"GET", path + "?follow=x", "", 400, failed("The query parameter 'follow' was malformed:\n'x' is not a valid Boolean value")},
		{"GET", "…/activations/1123456789abcdef0123456789abcdef/logs?follow=true", "", 404, failed(whisk.MsgNotFound)},
		{"GET", "…/activations/short/logs?follow=true", "", 400, failed("Activation id length is 5 but must be 32.")},
		{"GET", "/api/v1/namespaces/stranger/activations/" + followedID + "/logs?follow=true", "", 403, failed(whisk.MsgForbidden("stranger/" + followedID))},
	})
	for range maxFollowersOfOne {
		if _, _, err := s.api.followers.enter("guest"); err != nil {
			t.Fatal(err)
		}
	}
	s.run([]step{{"GET", path + "?follow=true", "", 429, failed(fmt.Sprintf("Too many logs are followed at once (count: %d, allowed: %d).", maxFollowersOfOne, maxFollowersOfOne))}})
	if _, leave, err := s.api.followers.enter("stranger"); err != nil {
		t.Error(err)
	} else {
		leave()
	}
}

// A namespace does not see what was of a deleted one with its name.
func TestActivationsOfADeletedNamespace(t *testing.T) {
	id := identity("guest", GuestKey)
	id.Created = 1001
	s := newSystem(t, func(c *Config) { c.Identities = directory(t, id) })
	s.putCall(nil, false, "line") // it started at 1000
	path := "…/activations/" + followedID
	for _, p := range []string{path, path + "/logs", path + "/logs?follow=true", path + "/result"} {
		s.run([]step{{"GET", p, "", 404, failed(whisk.MsgNotFound)}})
	}
	s.run([]step{
		{"GET", "…/activations", "", 200, "[]"},
		{"GET", "…/activations?since=5&docs=true", "", 200, "[]"},
		{"GET", "…/activations?count=true", "", 200, `{"activations":0}`},
	})
}

// revocable identities are those of a Directory until they are revoked.
type revocable struct {
	Identities
	revoked atomic.Bool
}

func (r *revocable) Authenticate(key string) (*whisk.Identity, error) {
	if r.revoked.Load() {
		return nil, &whisk.Error{Status: 401, Msg: whisk.MsgAuthenticationInvalid}
	}
	return r.Identities.Authenticate(key)
}

// A stream shows nothing more to who had the right to it.
func TestFollowRevoked(t *testing.T) {
	ids := &revocable{}
	s := newSystem(t, func(c *Config) { ids.Identities, c.Identities = c.Identities, ids })
	tail := &tailOf{}
	tail.add(false, "one")
	s.putCall(tail, false)
	e := s.follow(t)
	e.expect(logEvent("one"))
	ids.revoked.Store(true)
	tail.add(false, "two")
	e.end()
}
