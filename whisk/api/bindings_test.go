package api

import (
	"strings"
	"testing"

	"millrace/whisk"
)

// as sends the steps as another namespace, below whose own paths … stands.
func (s *system) as(key string, steps []step) {
	s.t.Helper()
	for _, st := range steps {
		path := strings.Replace(st.path, "…", "/api/v1/namespaces/_", 1)
		r := s.send(st.method, path, st.body, "Authorization", basic(key))
		if r.status != st.status || normal(r.body) != st.want {
			s.t.Errorf("%s %s %s\n got %d %s\nwant %d %s", st.method, st.path, st.body, r.status, normal(r.body), st.status, st.want)
		}
	}
}

func (s *system) mustPutAs(key, path, body string) {
	s.t.Helper()
	r := s.send("PUT", "/api/v1/namespaces/_/"+path+"?overwrite=true", body, "Authorization", basic(key))
	if r.status != 200 {
		s.t.Fatalf("PUT %s: %d %s", path, r.status, r.body)
	}
}

const (
	packagedCode = `{"exec":{"kind":"nodejs:20","code":"x"},"parameters":[{"key":"b","value":3}]}`
	feedCode     = `{"exec":{"kind":"nodejs:20","code":"x"},"annotations":[{"key":"feed","value":true}]}`
)

// stranger binds guest's public package: documents of §1.5, semantics of §1.7,
// rights of §1.8.
func TestBinding(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("packages/lib", `{"publish":true,"parameters":[{"key":"a","value":1},{"key":"b","value":1}]}`)
	s.mustPut("actions/lib/act", packagedCode)
	s.mustPut("actions/lib/f", feedCode)
	const (
		annotation = `{"key":"binding","value":{"namespace":"guest","name":"lib"}}`
		tail       = `"binding":{"name":"lib","namespace":"guest"},"name":"mine","namespace":"stranger",`
		members    = `"actions":[{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"name":"act","version":"0.0.1"}],` +
			`"feeds":[{"annotations":[{"key":"feed","value":true},{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"name":"f","version":"0.0.1"}],`
		end     = `"publish":false,"updated":{ms},"version":"0.0.1"}`
		summary = `{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"exec":{"binary":false},` +
			`"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},"name":"act","namespace":"guest/lib",` + end
		limits   = `"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},"name":"act","namespace":"guest/lib",`
		merged   = `"parameters":[{"key":"a","value":1},{"key":"b","value":3},{"key":"c","value":2}],`
		provided = `"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],`
	)
	s.as(strangerKey, []step{
		{"PUT", "…/packages/mine", `{"binding":{"namespace":"guest","name":"lib"},"parameters":[{"key":"b","value":2},{"key":"c","value":2}]}`, 200,
			`{"annotations":[` + annotation + `],` + tail + `"parameters":[{"key":"b","value":2},{"key":"c","value":2}],` + end},
		{"GET", "…/packages/mine", "", 200,
			`{` + members + `"annotations":[` + annotation + `],` + tail + `"parameters":[{"key":"a","value":1},{"key":"b","value":2},{"key":"c","value":2}],` + end},
		{"GET", "…/packages", "", 200, `[{"annotations":[` + annotation + `],` + tail + end + `]`},
		{"GET", "…/actions/mine/?limit=1&skip=1", "", 200, `[` + summary + `]`},
		{"GET", "…/actions/mine/?count=true", "", 200, `{"actions":2}`},
		{"GET", "…/actions?count=true", "", 200, `{"actions":0}`},
		{"GET", "…/actions/mine/act?code=false", "", 200,
			`{` + provided + `"binding":"stranger/mine","exec":{"kind":"nodejs:20","binary":false},` + limits + merged + end},
		{"GET", "…/actions/mine/act", "", 200, `{` + provided + `"exec":{"kind":"nodejs:20","code":"x","binary":false},` + limits + merged + end},
		{"POST", "…/actions/mine/act?blocking=true&result=true", "", 200, `{"greeting":"Hi A"}`},
		{"POST", "…/actions/mine/none", "", 404, failed(whisk.MsgNotFound)},
		{"PUT", "…/actions/mine/act?overwrite=true", packagedCode, 400, failed("Operation not permitted on package binding.")},
		{"PUT", "…/actions/mine/new", packagedCode, 400, failed("Operation not permitted on package binding.")},
		{"DELETE", "…/actions/mine/act", "", 400, failed("Operation not permitted on package binding.")},
		{"PUT", "…/packages/chain", `{"binding":{"namespace":"_","name":"mine"}}`, 400, failed("Cannot bind to another package binding.")},
	})
	call := s.invoke.last
	if got := string(call.Inherited.AppendJSON(nil)); got != `[{"key":"a","value":1},{"key":"b","value":2},{"key":"c","value":2}]` || call.Binding != "stranger/mine" ||
		call.Action.Path() != "guest/lib/act" || call.Caller.Namespace != "stranger" {
		t.Errorf("called %s through %q with %s", call.Action.Path(), call.Binding, got)
	}
	// A binding is for its owner, whatever it says of itself.
	s.mustPutAs(strangerKey, "packages/mine", `{"publish":true}`)
	no := func(resource string) string { return failed(whisk.MsgForbidden(resource)) }
	s.run([]step{
		{"GET", "/api/v1/namespaces/stranger/packages", "", 200, `[]`},
		{"GET", "/api/v1/namespaces/stranger/packages?count=true", "", 200, `{"packages":0}`},
		{"GET", "/api/v1/namespaces/stranger/packages/mine", "", 403, no("stranger/mine")},
		{"GET", "/api/v1/namespaces/stranger/actions/mine/act", "", 403, no("stranger/mine/act")},
		{"PUT", "…/packages/theirs", `{"binding":{"namespace":"stranger","name":"mine"}}`, 403, no("stranger/mine")},
		{"PUT", "…/packages/lib?overwrite=true", `{"publish":false}`, 200, // no longer shared
			`{"annotations":[],"binding":{},"name":"lib","namespace":"guest","parameters":[{"key":"a","value":1},{"key":"b","value":1}],"publish":false,"updated":{ms},"version":"0.0.2"}`},
	})
	s.as(strangerKey, []step{
		{"GET", "…/packages/mine", "", 403, no("stranger/mine")},
		{"GET", "…/actions/mine/", "", 403, no("stranger/mine")},
		{"GET", "…/actions/mine/act", "", 403, no("stranger/mine/act")},
		{"POST", "…/actions/mine/act", "", 403, no("stranger/mine/act")},
		{"PUT", "…/packages/again", `{"binding":{"namespace":"guest","name":"lib"}}`, 403, no("guest/lib")},
		{"PUT", "…/packages/again", `{"binding":{"namespace":"guest","name":"none"}}`, 403, no("guest/none")},
	})
	if r := s.send("DELETE", "/api/v1/namespaces/_/packages/mine", "", "Authorization", basic(strangerKey)); r.status != 200 {
		t.Errorf("a binding of what is gone cannot be deleted: %d %s", r.status, r.body)
	}
}

// Bindings within one namespace, and what cannot be bound.
func TestBindingConflicts(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("packages/lib", `{}`)
	s.mustPut("packages/other", `{}`)
	s.mustPut("actions/act")
	s.mustPut("actions/lib/act")
	const doc = `{"annotations":[{"key":"binding","value":{"namespace":"guest","name":"%"}}],"binding":{"name":"%","namespace":"guest"},` +
		`"name":"b","namespace":"guest","parameters":[],"publish":false,"updated":{ms},"version":"`
	bound := func(to, version string) string { return strings.ReplaceAll(doc, "%", to) + version + `"}` }
	s.run([]step{
		{"PUT", "…/packages/b", `{"binding":{"namespace":"_","name":"none"}}`, 400, failed("Binding references a package that does not exist.")},
		{"PUT", "…/packages/b", `{"binding":{"namespace":"_","name":"act"}}`, 409, failed("Cannot bind to a resource that is not a package.")},
		{"PUT", "…/packages/b", `{"binding":{"namespace":"_","name":"b"}}`, 400, failed("Binding references a package that does not exist.")},
		{"PUT", "…/packages/lib?overwrite=true", `{"binding":{"namespace":"_","name":"other"}}`, 409, failed("Resource is a package and cannot be converted into a binding.")},
		{"PUT", "…/packages/b", `{"binding":{"namespace":"_","name":"lib"}}`, 200, bound("lib", "0.0.1")},
		{"PUT", "…/packages/b?overwrite=true", `{"binding":{"namespace":"_","name":"b"}}`, 400, failed("Cannot bind to another package binding.")},
		{"PUT", "…/packages/b?overwrite=true", `{"annotations":[]}`, 200, bound("lib", "0.0.2")},
		{"PUT", "…/packages/b?overwrite=true", `{"binding":{"namespace":"guest","name":"other"}}`, 200, bound("other", "0.0.3")},
		{"GET", "…/actions/b/act", "", 404, failed(whisk.MsgNotFound)},
		{"DELETE", "…/packages/other", "", 200, `{"annotations":[],"binding":{},"name":"other","namespace":"guest","parameters":[],"publish":false,"updated":{ms},"version":"0.0.1"}`},
		{"GET", "…/packages/b", "", 404, failed("The requested resource 'guest/other' does not exist.")},
		{"GET", "…/actions/b/", "", 404, failed("The requested resource 'guest/other' does not exist.")},
		{"POST", "…/actions/b/act", "", 404, failed("The requested resource 'guest/other' does not exist.")},
		{"DELETE", "…/packages/b", "", 200, bound("other", "0.0.3")},
		{"POST", "…/packages/lib", "", 404, failed(whisk.MsgNoSuchPath)},
	})
}

// Sequences are checked when they are made; running them is another matter.
func TestSequenceDocuments(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a")
	const (
		head = `{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"sequence"}],`
		tail = `"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},"name":"seq","namespace":"guest",` +
			`"parameters":[{"key":"_actions","value":["/guest/a","/guest/a"]}],"publish":false,"updated":{ms},"version":"0.0.1"}`
		doc = head + `"exec":{"kind":"sequence","components":["/guest/a","/guest/a"]},` + tail
	)
	many := `"/_/a"` + strings.Repeat(`,"/_/a"`, 50)
	s.run([]step{
		{"PUT", "…/actions/seq", `{"exec":{"kind":"sequence","components":["/_/a","/_/a"]},"parameters":[{"key":"p","value":1}]}`, 200, doc},
		{"GET", "…/actions/seq", "", 200, doc},
		{"GET", "…/actions/seq?code=false", "", 200, doc},
		{"GET", "…/actions?limit=1", "", 200, `[` + head + `"exec":{"binary":false},` + strings.Replace(tail, `"parameters":[{"key":"_actions","value":["/guest/a","/guest/a"]}],`, "", 1) + `]`},
		{"PUT", "…/actions/seq?overwrite=true", `{"exec":{"kind":"sequence","components":["/_/seq"]}}`, 400, failed("Sequence may not refer to itself.")},
		{"PUT", "…/actions/x", `{"exec":{"kind":"sequence","components":["/_/x"]}}`, 400, failed("Sequence may not refer to itself.")},
		{"PUT", "…/actions/x", `{"exec":{"kind":"sequence","components":[]}}`, 400, failed("No component specified for the sequence.")},
		{"PUT", "…/actions/x", `{"exec":{"kind":"sequence","components":["/_/none"]}}`, 400, failed("Sequence component does not exist.")},
		{"PUT", "…/actions/x", `{"exec":{"kind":"sequence","components":["/stranger/a"]}}`, 403, failed(whisk.MsgForbidden("stranger/a"))},
		{"PUT", "…/actions/x", `{"exec":{"kind":"sequence","components":[` + many + `]}}`, 400, failed("Too many actions in the sequence.")},
		{"DELETE", "…/actions/seq", "", 200, doc},
	})
}
