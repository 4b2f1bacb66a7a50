package invoke

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/activation"
	"millrace/whisk"
)

// conductorCalled is an action with a truthy annotation conductor.
func conductorCalled(name string) *whisk.Action {
	a := action(name)
	a.Annotations = whisk.KeyValues{kv("conductor", "1")}
	a.Limits.MemoryMB = 128
	return a
}

// scripted is a conductor that answers what its arguments say: the text of the
// member "do", or of the first of the list "then" that is left in its state.
func scripted(args json.RawMessage) (json.RawMessage, error) {
	var in struct {
		Do   json.RawMessage
		Then []json.RawMessage
	}
	if err := json.Unmarshal(args, &in); err != nil {
		return nil, err
	}
	if len(in.Then) == 0 {
		return in.Do, nil
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(in.Then[0], &out); err != nil {
		return nil, err
	}
	if len(in.Then) > 1 {
		out["state"] = must(json.Marshal(map[string]any{"then": in.Then[1:]}))
	}
	return json.Marshal(out)
}

// asks is a conductor that answers the given texts one after the other, whatever
// it is called with, and keeps the calls' arguments.
func asks(answers ...string) (fn func(json.RawMessage) (json.RawMessage, error), heard *[]string) {
	heard = new([]string)
	return func(args json.RawMessage) (json.RawMessage, error) {
		*heard = append(*heard, string(args))
		n := min(len(*heard), len(answers))
		return json.RawMessage(answers[n-1]), nil
	}, heard
}

func TestComposition(t *testing.T) {
	fn, heard := asks(`{"action":"a","params":{"n":1},"state":{"s":1}}`, `{"action":"/guest/mine/b","state":{"by":"S"}}`, `{"params":{"done":true},"more":1}`)
	h, s := newStock(t, functions{"c": fn, "a": adding("a"), "b": adding("b")})
	bound := action("b")
	bound.Namespace, bound.Package, bound.Limits.MemoryMB = "whisk.system", "tools", 384
	bound.Parameters = whisk.KeyValues{kv("own", "1")}
	s.reach("guest/mine/b", &whisk.Resolved{Action: bound, Binding: "guest/mine"})
	conductor := conductorCalled("c")
	conductor.Parameters = whisk.KeyValues{kv("p", "0"), kv("s", "0")}
	c := call(conductor, `{"x":1}`)
	rec := h.invoke(c)
	h.want(rec, whisk.Success, `{"done":true}`)
	want := []string{`{"p":0,"s":0,"x":1}`, `{"p":0,"by":"a","n":1,"s":1}`, `{"p":0,"s":0,"own":1,"by":"S"}`}
	if diff := cmp.Diff(want, *heard); diff != "" {
		t.Errorf("the conductor's arguments (-want +got):\n%s", diff)
	}
	wantAnnotations := map[string]string{
		"path": `"guest/c"`, "kind": `"sequence"`, "conductor": "true", "topmost": "true", "waitTime": "number",
		"limits": `{"timeout":60000,"memory":384,"logs":10,"concurrency":1}`,
	}
	if diff := cmp.Diff(wantAnnotations, annotations(rec)); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	var names string
	var sum int64
	for _, id := range rec.Logs {
		part := h.ended("guest", id)
		names, sum = names+part.Name, sum+part.Duration
		got := annotations(part)
		if part.Cause != c.ID || got["causedBy"] != `"sequence"` || got["kind"] != `"go:test"` || got["topmost"]+got["conductor"] != "" {
			t.Errorf("%s: cause %s, %v", part.Name, part.Cause, got)
		}
	}
	if names != "cacbc" || rec.Duration != sum || rec.ID != c.ID {
		t.Errorf("calls %s, duration %d, want %d", names, rec.Duration, sum)
	}
}

// What a conductor answers, and what becomes of it.
func TestConductorAnswers(t *testing.T) {
	h, s := newStock(t, functions{"c": scripted, "a": adding("a"), "echo": echo,
		"app":   func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{"error":"mine"}`), nil },
		"throw": func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("boom") },
		"list":  func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`[1,2]`), nil },
	})
	packaged := action("echo")
	packaged.Package, packaged.Parameters = "p", whisk.KeyValues{kv("own", "1")}
	s.put(packaged)
	s.put(sequenceOf("s", "/guest/a", "/guest/a"))
	for _, tc := range []struct {
		name, payload string
		status        whisk.Status
		result        string
		logs          int
	}{
		{"no action", `{"do":{"x":1}}`, whisk.Success, `{"x":1}`, 1},
		{"params", `{"do":{"x":1,"params":{"y":2}}}`, whisk.Success, `{"y":2}`, 1},
		{"params that are no object", `{"do":{"params":[1]}}`, whisk.Success, `{"value":[1]}`, 1},
		{"params that are null", `{"do":{"params":null}}`, whisk.Success, `{"value":null}`, 1},
		{"params with an error", `{"do":{"params":{"error":1}}}`, whisk.Success, `{"error":1}`, 1},
		{"array", `{"do":[1]}`, whisk.Success, `[1]`, 1},
		{"error", `{"do":{"error":"mine","action":"a","params":{}}}`, whisk.ApplicationError, `{"error":"mine"}`, 1},
		{"spelt otherwise", `{"do":{"\u0070arams":{"y":2}}}`, whisk.Success, `{"y":2}`, 1},
		{"component without params", `{"then":[{"action":"p/echo"},{}]}`, whisk.Success, `{}`, 3},
		{"component fails", `{"then":[{"action":"app"},{"params":{"caught":true}}]}`, whisk.Success, `{"caught":true}`, 3},
		{"component throws", `{"then":[{"action":"throw"},{"params":{"caught":true}}]}`, whisk.Success, `{"caught":true}`, 3},
		{"sequence", `{"then":[{"action":"s"},{"params":1}]}`, whisk.Success, `{"value":1}`, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h.t = t
			rec := h.invoke(call(conductorCalled("c"), tc.payload))
			h.want(rec, tc.status, tc.result)
			if len(rec.Logs) != tc.logs {
				t.Errorf("%d calls, want %d", len(rec.Logs), tc.logs)
			}
		})
	}
}

// What the conductor hears of a component, beside the state that it has kept.
func TestConductorHears(t *testing.T) {
	funcs := functions{"c": nil, "a": adding("a"), "echo": echo,
		"app":  func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{"error":"mine"}`), nil },
		"list": func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`[1,2]`), nil },
	}
	for _, tc := range []struct{ name, answer, hears string }{
		{"own name", `{"action":"a"}`, `{"by":"a"}`},
		{"packaged", `{"action":"p/a"}`, `{"by":"a"}`},
		{"of a namespace", `{"action":"/guest/a"}`, `{"by":"a"}`},
		{"of a namespace without a slash", `{"action":"guest/p/a"}`, `{"by":"a"}`},
		{"of _", `{"action":"/_/p/a"}`, `{"by":"a"}`},
		{"state wins", `{"action":"a","params":{"by":"x","y":1},"state":{"by":"S"}}`, `{"y":1,"by":"S"}`},
		{"state that is no object", `{"action":"a","state":7}`, `{"by":"a","state":7}`},
		{"state that is null", `{"action":"a","state":null}`, `{"by":"a","state":null}`},
		{"state that is empty", `{"action":"a","state":{}}`, `{"by":"a"}`},
		{"params that are no object", `{"action":"echo","params":"text"}`, `{"value":"text"}`},
		{"failure", `{"action":"app","state":{"s":1}}`, `{"error":"mine","s":1}`},
		{"array", `{"action":"list","state":{"s":1}}`, `{"s":1}`},
		{"sequence", `{"action":"s"}`, `{"by":"aa"}`},
		{"no text", `{"action":{ "a": 1 },"state":{"s":1}}`,
			`{"error":"Failed to parse action name from json value {\"a\":1} during composition.","s":1}`},
		{"null", `{"action":null}`, `{"error":"Failed to parse action name from json value null during composition."}`},
		{"malformed", `{"action":"a b "}`, `{"error":"Failed to parse action name from json value \"a b \" during composition."}`},
		{"no name", `{"action":"/a"}`, `{"error":"Failed to parse action name from json value \"/a\" during composition."}`},
		{"too long", `{"action":"/guest/p/a/b"}`, `{"error":"Failed to parse action name from json value \"/guest/p/a/b\" during composition."}`},
		{"missing", `{"action":"p/none"}`, `{"error":"Failed to resolve action with name 'guest/p/none' during composition."}`},
		{"forbidden", `{"action":"/other/p/a"}`, `{"error":"Failed entitlement check for action with name 'other/p/a' during composition."}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fn, heard := asks(tc.answer, `{}`)
			funcs["c"] = fn
			h, s := newStock(t, funcs)
			packaged := action("a")
			packaged.Package = "p"
			s.put(packaged)
			s.put(sequenceOf("s", "/guest/a", "/guest/a"))
			h.want(h.invoke(call(conductorCalled("c"), "")), whisk.Success, `{}`)
			if len(*heard) != 2 || (*heard)[1] != tc.hears {
				t.Errorf("heard %q, want %s", *heard, tc.hears)
			}
		})
	}
}

func TestConductorWithoutPayload(t *testing.T) {
	fn, heard := asks(`{}`)
	h, _ := newStock(t, functions{"c": fn, "list": func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`[1]`), nil }})
	h.v.cfg.Actions.(*stock).put(conductorCalled("c"))
	h.want(h.invoke(call(sequenceOf("s", "/guest/list", "/guest/c"), "")), whisk.Success, `{}`)
	if (*heard)[0] != `{}` {
		t.Errorf("an array came through: %s", *heard)
	}
}

func TestCompositionBudget(t *testing.T) {
	for _, tc := range []struct {
		name, conductor   string // what the outer conductor always answers
		inner             []string
		status            whisk.Status
		components, calls int // of action a, and of all actions
	}{
		// 50 components; then the conductor is refused 51 times.
		{"components", `{"action":"a"}`, nil, whisk.ApplicationError, 50, 50 + 101},
		{"sequences", `{"action":"s"}`, nil, whisk.ApplicationError, 100, 100 + 101},
		{"nothing to call", `{"action":7}`, nil, whisk.ApplicationError, 0, 101},
		// One conductor call begins a round, one is the inner conductor's.
		{"nested that end at once", `{"action":"inner"}`, []string{`{}`}, whisk.ApplicationError, 0, 101},
		{"itself", `{"action":"c"}`, nil, whisk.ApplicationError, 0, 101},
		{"nested that call", `{"action":"inner"}`, []string{`{"action":"a","state":{"go":1}}`, `{}`}, whisk.ApplicationError, 34, 34 + 101},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var i int
			h, s := newStock(t, functions{
				"a": func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{}`), nil },
				"c": func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(tc.conductor), nil },
				"inner": func(args json.RawMessage) (json.RawMessage, error) {
					i++
					return json.RawMessage(tc.inner[(i-1)%len(tc.inner)]), nil
				},
			})
			s.put(conductorCalled("inner"))
			s.put(sequenceOf("s", "/guest/a", "/guest/a"))
			rec := h.invoke(call(s.put(conductorCalled("c")), `{}`))
			h.want(rec, tc.status, `{"error":"Too many actions in the composition."}`)
			var components int
			for _, run := range h.launcher.runs {
				if run.Action == "/guest/a" {
					components++
				}
			}
			if components != tc.components || len(h.launcher.runs) != tc.calls {
				t.Errorf("%d components and %d calls in all, want %d and %d", components, len(h.launcher.runs), tc.components, tc.calls)
			}
		})
	}
}

// Compositions in sequences in compositions: who caused what, and whose calls
// are whose.
func TestNestedComposition(t *testing.T) {
	outer, _ := asks(`{"action":"s"}`, `{"action":"inner","params":{"by":"x"}}`, `{"params":{"end":1}}`)
	inner, _ := asks(`{"action":"a"}`, `{"params":{"by":"1"}}`, `{"action":"a","params":{"by":"3"}}`, `{"params":{"by":"2"}}`)
	h, s := newStock(t, functions{"outer": outer, "inner": inner, "a": adding("a")})
	s.put(conductorCalled("inner"))
	s.put(sequenceOf("s", "/guest/inner", "/guest/a"))
	c := call(conductorCalled("outer"), `{}`)
	rec := h.invoke(c)
	h.want(rec, whisk.Success, `{"end":1}`)
	var tree func(id string) string
	tree = func(id string) string {
		r := h.ended("guest", id)
		var parts []string
		for _, part := range r.Logs {
			if p := h.ended("guest", part); p.Cause != id || annotations(p)["causedBy"] != `"sequence"` {
				t.Errorf("%s is caused by %q, its parent is %s", p.Name, p.Cause, id)
			}
			parts = append(parts, tree(part))
		}
		if len(parts) == 0 {
			return r.Name
		}
		topmost := map[string]string{"true": "!", "false": ""}[annotations(r)["topmost"]]
		return r.Name + topmost + "(" + strings.Join(parts, " ") + ")"
	}
	want := "outer!(outer s(inner(inner a inner) a) outer inner(inner a inner) outer)"
	if got := tree(rec.ID); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Mixtures that call themselves end, however they do so.
func TestEndlessMixture(t *testing.T) {
	limits := whisk.DefaultSystemLimits()
	limits.SequenceLength = 20
	for _, tc := range []struct {
		name   string
		answer func(args string) string // of a conductor whose component is a sequence of itself
		what   string
		calls  int
	}{
		{"gives up", func(args string) string {
			if strings.Contains(args, "error") {
				return args
			}
			return `{"action":"s"}`
		}, "sequence", maxDepth},
		{"tries again", func(string) string { return `{"action":"s"}` }, "composition", maxCalls(20)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, s := newStock(t, functions{"c": func(args json.RawMessage) (json.RawMessage, error) {
				return json.RawMessage(tc.answer(string(args))), nil
			}}, func(c *Config) { c.Limits = &limits })
			s.put(conductorCalled("c"))
			rec := h.invoke(call(s.put(sequenceOf("s", "/guest/c")), `{}`))
			h.want(rec, whisk.ApplicationError, `{"error":"Too many actions in the `+tc.what+`."}`)
			if n := len(h.launcher.runs); n > tc.calls {
				t.Errorf("%d calls, want at most %d", n, tc.calls)
			}
			recs := must(h.log.List(context.Background(), "guest", activation.Query{}))
			for _, rec := range recs {
				if rec.Response.Status == whisk.Running {
					t.Fatalf("%s still runs", rec.Name)
				}
			}
		})
	}
}

func TestOverlay(t *testing.T) {
	for _, tc := range []struct{ under, over, want string }{
		{``, ``, ``},
		{`{"a":1}`, ``, `{"a":1}`},
		{``, `{"a":1}`, `{"a":1}`},
		{` { } `, `{"a":1}`, `{"a":1}`},
		{`{"a":1}`, `{ }`, `{"a":1}`},
		{`{"a":1,"b":[{"a":1}],"c":"}"}`, ` {"a": 2 } `, `{"b":[{"a":1}],"c":"}","a": 2}`},
		{`{"\u0061":1,"b":2}`, `{"a":3}`, `{"b":2,"a":3}`},
		{`{"a":1,"b":2}`, `{"\u0061":3}`, `{"b":2,"\u0061":3}`},
		{`{"a":1}`, `{"a":2}`, `{"a":2}`},
		{`{"a":1,"a":2,"b":3}`, `{"a":2}`, `{"b":3,"a":2}`},
	} {
		if got := string(overlay(json.RawMessage(tc.under), json.RawMessage(tc.over))); got != tc.want {
			t.Errorf("%s under %s: %s, want %s", tc.under, tc.over, got, tc.want)
		}
	}
}

// FuzzConductorAnswer: what a conductor answers is read as encoding/json reads it,
// and laid over another object as maps are.
func FuzzConductorAnswer(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"action":"a","params":{"x":1},"state":7}`, `{"action":"/_/p/a"}`},
		{`{"\u0061ction":["/"],"a":{"}":"\""}}`, ` { "a" : 1 , "a" : [ ] } `},
		{`{}`, `{"":null}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, answer, under []byte) {
		var over, base map[string]any
		if json.Unmarshal(answer, &over) != nil || json.Unmarshal(under, &base) != nil || over == nil || base == nil {
			return
		}
		maps.Copy(base, over)
		var got map[string]any
		if err := json.Unmarshal(overlay(under, answer), &got); err != nil || !reflect.DeepEqual(got, base) {
			t.Errorf("%s under %s: %v, %v", under, answer, got, err)
		}
		d := readDecision(answer)
		for name, value := range map[string]json.RawMessage{"action": d.action, "params": d.params, "state": d.state} {
			_, there := over[name]
			if there != (value != nil) {
				t.Errorf("%s of %s: %s", name, answer, value)
			}
			if there && !json.Valid(boxed(name, value)) {
				t.Errorf("boxed: %s", boxed(name, value))
			}
		}
		if d.action != nil {
			_, _ = parseTarget(d.action, "guest")
		}
	})
}
