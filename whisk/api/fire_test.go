package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/invoke"
)

// acceptor keeps the calls that are accepted together.
type acceptor struct {
	*functions
	accepted []*invoke.Call
}

func (a *acceptor) AcceptAll(ctx context.Context, calls []*invoke.Call, records ...*whisk.Activation) error {
	a.accepted = append(a.accepted, calls...)
	return a.functions.AcceptAll(ctx, calls, records...)
}

// firingSystem is a system whose triggers are fired.
type firingSystem struct {
	*system
	acceptor *acceptor
}

func newFiringSystem(t *testing.T) *firingSystem {
	f := &firingSystem{acceptor: new(acceptor)}
	f.system = newSystem(t, func(c *Config) {
		f.acceptor.functions = c.Invoker.(*functions)
		c.Invoker = f.acceptor
	})
	return f
}

// fired is what one firing did: the calls it made by the path of their action,
// with their arguments, and its log lines, ids left out.
type fired struct {
	Calls map[string]string
	Lines []string
}

// outcome reads what a firing did from its record and the calls accepted.
func (s *firingSystem) outcome(id string) fired {
	s.t.Helper()
	r := s.send("GET", "/api/v1/namespaces/_/activations/"+id, "")
	if r.status != 200 {
		s.t.Fatalf("no record of the firing: %d %s", r.status, r.body)
	}
	out := fired{Calls: map[string]string{}}
	ids := map[string]string{}
	for _, c := range s.acceptor.accepted {
		out.Calls[c.Action.Path()] = string(c.Payload)
		ids[c.ID] = c.Action.Name
	}
	s.acceptor.accepted = nil
	for _, line := range gjson.Get(r.body, "logs").Array() {
		text := line.String()
		if id := gjson.Get(text, "activationId").String(); ids[id] != "" {
			text = strings.Replace(text, id, "the id of "+ids[id], 1)
		}
		out.Lines = append(out.Lines, text)
	}
	return out
}

func (s *firingSystem) fire(trigger, body string, headers ...string) (id string) {
	s.t.Helper()
	r := s.send("POST", "/api/v1/namespaces/_/triggers/"+trigger, body, headers...)
	id = r.header.Get("X-Openwhisk-Activation-Id")
	if r.status != 202 || r.body != `{"activationId":"`+id+`"}` {
		s.t.Fatalf("firing %s: %d %s", trigger, r.status, r.body)
	}
	return id
}

func ran(rule, action string) string {
	return `{"statusCode":0,"success":true,"activationId":"the id of ` + action[strings.LastIndexByte(action, '/')+1:] + `","rule":"guest/` + rule + `","action":"` + action + `"}`
}

func refusedLine(status, text, rule, action string) string {
	return `{"statusCode":` + status + `,"success":false,"error":` + string(whisk.AppendString(nil, text)) + `,"rule":"guest/` + rule + `","action":"` + action + `"}`
}

// What a fired trigger does, rule by rule: §4.6.
func TestFire(t *testing.T) {
	s := newFiringSystem(t)
	s.mustPut("packages/p", `{}`)
	s.mustPut("packages/b", `{"binding":{"namespace":"_","name":"p"}}`)
	for _, name := range []string{"echo", "gone", "p/a", "off"} {
		s.mustPut("actions/" + name)
	}
	s.mustPut("actions/final", `{"exec":{"kind":"nodejs:20","code":"x"},"parameters":[{"key":"fixed","value":1}],"annotations":[{"key":"final","value":true}]}`)
	s.mustPut("actions/seq", `{"exec":{"kind":"sequence","components":["/_/echo","/_/p/a"]}}`)
	s.mustPut("triggers/t", `{"parameters":[{"key":"x","value":1},{"key":"y","value":{"z":[1]}}]}`)
	for rule, action := range map[string]string{"r1": "echo", "r2": "b/a", "r3": "gone", "r4": "final", "r5": "off", "r6": "seq"} {
		s.mustPut("rules/"+rule, `{"trigger":"/_/t","action":"/_/`+action+`"}`)
	}
	s.send("DELETE", "/api/v1/namespaces/_/actions/gone", "")
	s.state("r5", "inactive")

	id := s.fire("t", `{"x":2,"fixed":3,"__ow_headers":"mine"}`)
	const args = `{"y":{"z":[1]},"x":2,"fixed":3,"__ow_headers":"mine"}`
	want := fired{
		Calls: map[string]string{"guest/echo": args, "guest/p/a": args, "guest/seq": args},
		Lines: []string{
			ran("r1", "guest/echo"),
			ran("r2", "guest/b/a"),
			refusedLine("1", "The requested resource does not exist.", "r3", "guest/gone"),
			refusedLine("1", "Request defines parameters that are not allowed (e.g., reserved properties).", "r4", "guest/final"),
			refusedLine("1", "Rule 'guest/r5' is inactive, action 'guest/off' was not activated.", "r5", "guest/off"),
			ran("r6", "guest/seq"),
		},
	}
	if d := cmp.Diff(want, s.outcome(id)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}

	r := s.send("GET", "/api/v1/namespaces/_/activations/"+id, "")
	for path, want := range map[string]string{
		"name": "t", "namespace": "guest", "subject": "guest", "version": "0.0.1", "annotations": "[]", "end": "", "duration": "",
		"response": `{"result":{"x":2,"fixed":3,"__ow_headers":"mine"},"status":"success","success":true}`,
	} {
		if got := gjson.Get(r.body, path).String(); got != want {
			t.Errorf("record's %s: %s, want %s", path, got, want)
		}
	}
	list := s.send("GET", "/api/v1/namespaces/_/activations?name=t", "")
	if gjson.Get(list.body, "0.activationId").String() != id || gjson.Get(list.body, "0.statusCode").Exists() {
		t.Errorf("summary: %s", list.body)
	}
}

// The request's headers reach the actions, but not who the client is.
func TestFireHeaders(t *testing.T) {
	s := newFiringSystem(t)
	s.mustPut("actions/echo")
	s.mustPut("triggers/t", `{"parameters":[{"key":"__ow_headers","value":1}]}`)
	s.mustPut("rules/r", `{"trigger":"/_/t","action":"/_/echo"}`)
	for _, body := range []string{"", "{}", ` { "a" : 1 } `} {
		got := s.outcome(s.fire("t", body, "X-Custom", `"q"`, "Cookie", "secret=1", "Proxy-Authorization", "secret")).Calls["guest/echo"]
		var args struct {
			A       *int              `json:"a"`
			Headers map[string]string `json:"__ow_headers"`
		}
		if err := json.Unmarshal([]byte(got), &args); err != nil {
			t.Fatalf("arguments %s: %v", got, err)
		}
		if args.Headers["x-custom"] != `"q"` || args.Headers["host"] != strings.TrimPrefix(s.url, "http://") || strings.Contains(got, "secret") || args.Headers["authorization"] != "" || (args.A != nil) != strings.Contains(body, "a") {
			t.Errorf("body %q: %s", body, got)
		}
	}
}

func TestFireWithoutActiveRules(t *testing.T) {
	s := newFiringSystem(t)
	s.mustPut("actions/a")
	s.mustPut("triggers/t", `{}`)
	s.mustPut("rules/r", `{"trigger":"/_/t","action":"/_/a"}`)
	s.state("r", "inactive")
	r := s.send("POST", "/api/v1/namespaces/_/triggers/t", `{}`)
	for _, name := range []string{"Content-Type", "Content-Length", "X-Openwhisk-Activation-Id"} {
		if r.header.Get(name) != "" {
			t.Errorf("204 with %s: %s", name, r.header.Get(name))
		}
	}
	if r.status != 204 || r.body != "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	s.state("r", "active")
	s.send("DELETE", "/api/v1/namespaces/_/triggers/t", "")
	s.mustPut("triggers/t", `{}`)
	if r := s.send("POST", "/api/v1/namespaces/_/triggers/t", `{}`); r.status != 204 {
		t.Errorf("a new trigger fired an orphaned rule: %d", r.status)
	}
	s.run([]step{{"GET", "…/activations", "", 200, `[]`}})
}

func TestFireIsChecked(t *testing.T) {
	s := newFiringSystem(t)
	s.mustPut("actions/a")
	s.mustPut("triggers/t", `{}`)
	s.mustPut("rules/r", `{"trigger":"/_/t","action":"/_/a"}`)
	malformed := func(detail string) string { return failed("The request content was malformed:\n" + detail) }
	s.run([]step{
		{"POST", "…/triggers/t", `[]`, 400, malformed("JSON object expected")},
		{"POST", "…/triggers/t", `{"a":`, 400, malformed("unexpected end of JSON input")},
		{"POST", "…/triggers/none", `{}`, 404, failed("The requested resource does not exist.")},
		{"POST", "…/triggers/t", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, 413, failed("Request larger than allowed: 1048584 > 1048576 bytes.")},
	})
	if r := s.send("POST", "/api/v1/namespaces/_/triggers/t", `a=1`, "Content-Type", "application/x-www-form-urlencoded"); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s", r.status, r.body)
	}
}

// Actions count as the caller's calls, the firing against a rate of its own.
func TestFireThrottles(t *testing.T) {
	s := newFiringSystem(t)
	s.mustPut("triggers/t", `{}`)
	for _, name := range []string{"a", "b"} {
		s.mustPut("actions/" + name)
		s.mustPut("rules/r-"+name, `{"trigger":"/_/t","action":"/_/`+name+`"}`)
	}
	s.invoke.allowed, s.invoke.firesAllowed = 1, 2
	const tooMany = "Too many requests in the last minute (count: 2, allowed: 1)."
	want := fired{Calls: map[string]string{"guest/a": "{}"}, Lines: []string{ran("r-a", "guest/a"), refusedLine("1", tooMany, "r-b", "guest/b")}}
	got := s.outcome(s.fire("t", `{"__ow_headers":{}}`))
	got.Calls["guest/a"] = strings.Replace(got.Calls["guest/a"], `"__ow_headers":{}`, "", 1)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	// With nothing to accept there is still a record of why.
	want = fired{Calls: map[string]string{}, Lines: []string{refusedLine("1", tooMany, "r-a", "guest/a"), refusedLine("1", tooMany, "r-b", "guest/b")}}
	if d := cmp.Diff(want, s.outcome(s.fire("t", ""))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	s.run([]step{{"POST", "…/triggers/t", "", 429, failed("Too many requests in the last minute (count: 3, allowed: 2).")}})
}

// The calls of one firing are written in one piece, which must not be of any size.
func TestFireIsBounded(t *testing.T) {
	s := newFiringSystem(t)
	s.mustPut("actions/a")
	s.mustPut("triggers/t", `{}`)
	for i := range 34 {
		s.mustPut(fmt.Sprint("rules/r", i), `{"trigger":"/_/t","action":"/_/a"}`)
	}
	r := s.send("POST", "/api/v1/namespaces/_/triggers/t", `{"a":"`+strings.Repeat("x", 1<<20-1000)+`","__ow_headers":{}}`)
	if r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var refused int
	for _, line := range s.outcome(r.header.Get("X-Openwhisk-Activation-Id")).Lines {
		if strings.Contains(line, `"statusCode":1,"success":false,"error":"The request is larger than the server is willing or able to process."`) {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d rules refused", refused)
	}
}

func TestFireLocal(t *testing.T) {
	s := newFiringSystem(t)
	s.mustPut("actions/a")
	s.mustPut("triggers/t", `{"parameters":[{"key":"x","value":1}]}`)
	guest := &whisk.Identity{Namespace: "guest", Subject: "guest"}
	name := whisk.FullName{Namespace: "guest", Name: "t"}
	if id, err := s.api.FireLocal(t.Context(), guest, name, nil); id != "" || err != nil {
		t.Errorf("without rules: %q, %v", id, err)
	}
	s.mustPut("rules/r", `{"trigger":"/_/t","action":"/_/a"}`)
	id, err := s.api.FireLocal(t.Context(), guest, name, []byte(`{"y":2}`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fired{map[string]string{"guest/a": `{"x":1,"y":2}`}, []string{ran("r", "guest/a")}}, s.outcome(id)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for _, tt := range []struct {
		caller, trigger, payload string
		status                   int
	}{
		{"stranger", "t", "", 403}, {"guest", "none", "", 404}, {"guest", "a", "", 409}, {"guest", "t", "[]", 400},
		{"guest", "t", `"` + strings.Repeat("x", 1<<20) + `"`, 413},
	} {
		_, err := s.api.FireLocal(t.Context(), &whisk.Identity{Namespace: tt.caller}, whisk.FullName{Namespace: "guest", Name: tt.trigger}, []byte(tt.payload))
		if e, ok := err.(*whisk.Error); !ok || e.Status != tt.status {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
