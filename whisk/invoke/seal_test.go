package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"millrace/activation"
	"millrace/activation/activationtest"
	activationmem "millrace/activation/mem"
	"millrace/internal/sealed"
)

const withKey = `{"authKey":"uuid:very-secret","lifecycleEvent":"CREATE"}`

func sealer(t *testing.T) *sealed.Sealer {
	t.Helper()
	s, err := sealed.New(must(sealed.ParseKey(sealed.NewKey())))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A key among the arguments is not in the log in clear, in neither form of an
// accepted call, and the action gets it after a restart all the same.
func TestKeysAmongArguments(t *testing.T) {
	log, key := activationmem.New(), sealer(t)
	set := func(c *Config) { c.Activations, c.Sealer = log, key }
	fn, leave := hold()
	first, _ := newStock(t, functions{"hold": fn, "echo": echo}, set)
	first.v.backlog.bounds.heldCallsOfOne = 1
	stray := action("echo") // not what has this name, so it is kept with its action
	stray.Name = "stray"
	held := first.accepted(call(action("hold"), ""))
	eventually(t, "start", func() bool { return first.initCount() == 1 })
	ids := []string{first.accepted(call(stray, withKey)), first.accepted(call(action("echo"), withKey)), first.accepted(call(action("echo"), `{"a":1}`))}
	calls := must(activationtest.Pending(context.Background(), log))
	if len(calls) != 4 {
		t.Errorf("%d calls are pending", len(calls))
	}
	for _, c := range calls {
		if bytes.Contains(c.Call, []byte("very-secret")) {
			t.Errorf("the key is in the log: %q", c.Call)
		}
	}
	first.stop()
	close(leave)

	second, _ := newStock(t, functions{"hold": fn, "echo": echo}, set, func(c *Config) { c.Owner = anyone })
	second.ended("guest", held)
	for i, want := range []string{withKey, withKey, `{"a":1}`} {
		if got := string(second.ended("guest", ids[i]).Response.Result); got != want {
			t.Errorf("call %d got %s, want %s", i, got, want)
		}
	}
}

// Nor while it is tried again, or is a dead letter, which its owner can read.
func TestKeysOfFailedCalls(t *testing.T) {
	log := &watchedLog{Log: activationmem.New()}
	h := newHouse(t, functions{"fails": flaky(9)}, func(c *Config) { c.Activations, c.Sealer = log, sealer(t) })
	id := h.accepted(call(annotated("fails", kv("dead-letter", "true"), kv("retries", `{"max":1,`+quickly+`}`)), withKey))
	h.ended("guest", id)
	letter, err := h.v.Letter(context.Background(), "guest", id)
	if err != nil || !json.Valid(letter) || !strings.Contains(string(letter), withKey) {
		t.Errorf("%s, %v", letter, err)
	}
	written := log.all()
	if len(written) != 3 { // the call, its second attempt, the letter
		t.Errorf("%d calls were written", len(written))
	}
	for _, data := range written {
		if bytes.Contains(data, []byte("very-secret")) {
			t.Errorf("the key is in the log: %q", data)
		}
	}
}

// A log of another namespace's, or one that was tampered with, does not open.
func TestSealedElsewhere(t *testing.T) {
	v := &Invoker{}
	v.cfg.Sealer = sealer(t)
	r := &request{Call: *call(action("a"), withKey)}
	data := must(v.encodeCall("guest", r.head(), r.Payload))
	if _, payload, err := v.decodeCall("guest", data); err != nil || string(payload) != withKey {
		t.Errorf("%s, %v", payload, err)
	}
	if _, _, err := v.decodeCall("stranger", data); err == nil {
		t.Error("a stranger's call opens")
	}
	if _, _, err := (&Invoker{}).decodeCall("guest", data); err == nil {
		t.Error("it opens without a key")
	}
}

// watchedLog notes the calls that are written, dead letters included.
type watchedLog struct {
	activation.Log
	mu      sync.Mutex
	written [][]byte
}

func (l *watchedLog) Apply(ctx context.Context, c activation.Change) error {
	l.mu.Lock()
	for _, a := range c.Accept {
		l.written = append(l.written, a.Call)
	}
	for i := range c.Bury {
		l.written = append(l.written, c.Bury[i].Call)
	}
	l.mu.Unlock()
	return l.Log.Apply(ctx, c)
}

func (l *watchedLog) all() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}
