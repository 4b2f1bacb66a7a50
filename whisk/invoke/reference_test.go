package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"millrace/whisk"
)

// A call that has waited outside memory runs what its action's name means by
// then, reached as before.
func TestReferencedCalls(t *testing.T) {
	fn, leave := hold()
	answer := func(s string) func(json.RawMessage) (json.RawMessage, error) {
		return func(args json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`{"by":"` + s + `","args":` + string(args) + `}`), nil
		}
	}
	h, s := newStock(t, functions{"hold": fn, "old": answer("old"), "new": answer("new")})
	h.v.backlog.bounds.heldCallsOfOne = 1
	changed, bound := action("old"), action("old")
	changed.Name, bound.Name, bound.Package = "changed", "act", "pkg"
	s.put(changed)
	s.reach("guest/mine/act", &whisk.Resolved{Action: bound, Inherited: whisk.KeyValues{kv("i", "1")}, Binding: "guest/mine"})
	removed := s.put(action("old"))
	stray := action("old") // not what has this name
	stray.Name = "stray"

	first := h.accepted(call(action("hold"), ""))
	ids := map[string]string{}
	for _, a := range []*whisk.Action{changed, removed, stray} {
		ids[a.Name] = h.accepted(call(a, `{"a":1}`))
	}
	c := call(bound, `{"a":1}`)
	c.Inherited, c.Binding = whisk.KeyValues{kv("i", "0")}, "guest/mine"
	ids["act"] = h.accepted(c)
	for name, named := range map[string]bool{"changed": true, "old": true, "act": true, "stray": false} {
		a, err := h.log.Call(context.Background(), ids[name])
		if err != nil {
			t.Fatal(err)
		}
		if (a.Call[0] == 0) != named {
			t.Errorf("%s is kept as %q", name, a.Call)
		}
	}

	next := action("new")
	next.Name, next.Revision, next.Version = "changed", 9, "0.0.9"
	s.put(next)
	s.mu.Lock()
	delete(s.actions, "guest/old")
	s.mu.Unlock()
	if rec, err := h.v.Queued(context.Background(), "guest", ids["changed"]); err != nil || rec.Name != "changed" || rec.Version != "0.0.9" {
		t.Errorf("%+v, %v", rec, err)
	}
	close(leave)
	h.ended("guest", first)
	for name, want := range map[string]string{
		"changed": `{"by":"new","args":{"a":1}}`,
		"act":     `{"by":"old","args":{"i":1,"a":1}}`,
		"stray":   `{"by":"old","args":{"a":1}}`,
		"old":     `{"error":"Action could not be found or may have been deleted."}`,
	} {
		if got := string(h.ended("guest", ids[name]).Response.Result); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := string(h.ended("guest", ids["act"]).Annotations.Find("binding")); got != `"guest/mine"` {
		t.Errorf("binding %s", got)
	}
	eventually(t, "nothing to be in flight", func() bool { return h.v.throttle.of("guest").inFlight.Load() == 0 })
}

func FuzzDecodeHead(f *testing.F) {
	v := &Invoker{}
	v.cfg.Actions = &stock{actions: map[string]*whisk.Resolved{}}
	a := action("a")
	v.cfg.Actions.(*stock).put(a)
	c := call(a, `{"a":1}`)
	c.TransactionID = "tid"
	short := v.encodeReference(&request{Call: *c})
	f.Add(short)
	long, err := encodeHead((&request{Call: *c}).head(), c.Payload)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(long)
	for _, data := range [][]byte{short, long} {
		h, payload, err := decodeHead(data)
		if err != nil || h.Action.Path() != a.Path() || h.TransactionID != "tid" || h.Subject != c.Caller.Subject || string(payload) != `{"a":1}` {
			f.Errorf("%q: %+v, %s, %v", data, h, payload, err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, payload, err := decodeHead(data)
		if err == nil && h.Delivery == nil && (h.Action == nil || !bytes.HasSuffix(data, payload)) {
			t.Errorf("%q: %+v, %q", data, h, payload)
		}
	})
}
