package api

import (
	"strings"
	"testing"
)

const (
	triggerDoc = `{"annotations":[],"limits":{},"name":"t","namespace":"guest","parameters":[],"publish":false,"updated":{ms},"version":"0.0.1"}`
	ruleDoc    = `{"action":{"name":"hello","path":"guest"},"annotations":[],"name":"r","namespace":"guest","status":"active","trigger":{"name":"t","path":"guest"},"publish":false,"updated":{ms},"version":"0.0.1"}`
)

// The transcripts of the specification (§12), in its order.
func TestTriggerTranscript(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/hello")
	s.run([]step{
		{"PUT", "…/triggers/t", `{}`, 200, triggerDoc},
		{"PUT", "…/triggers/t", `{}`, 409, failed("resource already exists")},
	})
	if r := s.send("POST", "/api/v1/namespaces/_/triggers/t", `{"a":1}`); r.status != 204 || r.body != "" {
		t.Errorf("fired without rules: %d %s", r.status, r.body)
	}
	s.run([]step{
		{"PUT", "…/rules/r", `{"trigger":"/_/t","action":"/_/hello"}`, 200, ruleDoc},
		{"POST", "…/triggers/t", `{"a":1}`, 202, `{"activationId":"{id}"}`},
		{"GET", "…/rules/r", "", 200, ruleDoc},
		{"GET", "…/rules", "", 200, `[` + strings.Replace(ruleDoc, `"status":"active",`, "", 1) + `]`},
		{"GET", "…/triggers", "", 200, `[{"annotations":[],"name":"t","namespace":"guest","publish":false,"updated":{ms},"version":"0.0.1"}]`},
		{"GET", "…/triggers/t", "", 200, strings.Replace(triggerDoc, `"publish"`, `"rules":{"guest/r":{"action":{"name":"hello","path":"guest"},"status":"active"}},"publish"`, 1)},
	})
	r := s.send("POST", "/api/v1/namespaces/_/rules/r", `{"status":"inactive","trigger":null,"action":null}`)
	if r.status != 200 || r.body != "OK" || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
		t.Errorf("state change: %d %q %v", r.status, r.body, r.header)
	}
	inactive := strings.Replace(ruleDoc, `"active"`, `"inactive"`, 1)
	s.run([]step{
		{"GET", "…/rules/r", "", 200, inactive},
		{"DELETE", "…/rules/r", "", 200, inactive},
		{"DELETE", "…/rules/r", "", 404, failed("The requested resource does not exist.")},
		{"DELETE", "…/triggers/t", "", 200, triggerDoc},
		{"GET", "…/triggers/t", "", 404, failed("The requested resource does not exist.")},
	})
}

// Every name is of one entity: §1.4.
func TestOtherCollections(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a")
	s.mustPut("packages/p", `{}`)
	s.mustPut("triggers/t", `{}`)
	s.mustPut("rules/r", `{"trigger":"/_/t","action":"/_/a"}`)
	const code = `{"exec":{"kind":"nodejs:20","code":"x"}}`
	other := failed("Resource by this name exists but is not in this collection.")
	for path, body := range map[string]string{"actions/": code, "packages/": `{}`, "triggers/": `{}`, "rules/": `{"trigger":"/_/t","action":"/_/a"}`} {
		for name, in := range map[string]string{"a": "actions/", "p": "packages/", "t": "triggers/", "r": "rules/"} {
			if in == path {
				continue
			}
			s.run([]step{
				{"PUT", "…/" + path + name, body, 409, other},
				{"PUT", "…/" + path + name + "?overwrite=true", body, 409, other},
				{"GET", "…/" + path + name, "", 409, other},
				{"DELETE", "…/" + path + name, "", 409, other},
			})
			if path == "triggers/" {
				s.run([]step{{"POST", "…/triggers/" + name, "", 409, other}})
			}
		}
	}
	s.run([]step{
		{"POST", "…/rules/t", `{"status":"active"}`, 409, other},
		{"POST", "…/actions/t", "", 409, other},
	})
}

// PUT of triggers: §1.7.
func TestTriggerUpdates(t *testing.T) {
	s := newSystem(t, nil)
	const doc = `{"annotations":[{"key":"feed","value":"/_/f"}],"limits":{},"name":"t","namespace":"guest",` +
		`"parameters":[{"key":"a","value":1,"init":true}],"publish":true,"updated":{ms},"version":"`
	s.run([]step{
		{"PUT", "…/triggers/t", `{"annotations":[{"key":"feed","value":"no feed/"}]}`, 400, failed("Feed name is not valid")},
		{"PUT", "…/triggers/t", `{"namespace":"_","name":"other","publish":true,"annotations":[{"key":"feed","value":"/_/f"}],"parameters":[{"key":"a","value":1,"init":true}],"limits":{"x":1},"rules":{"guest/r":{}}}`, 200, doc + `0.0.1"}`},
		{"PUT", "…/triggers/t?overwrite=true", `{}`, 200, doc + `0.0.2"}`},
		{"PUT", "…/triggers/t?overwrite=true", `{"version":"1"}`, 200, doc + `1.0.0"}`},
		{"PUT", "…/triggers/t?overwrite=true", `{"parameters":[],"annotations":[],"publish":false}`, 200,
			`{"annotations":[],"limits":{},"name":"t","namespace":"guest","parameters":[],"publish":false,"updated":{ms},"version":"1.0.1"}`},
		{"PUT", "…/triggers/t?overwrite=x", `{}`, 400, failed("The query parameter 'overwrite' was malformed:\n'x' is not a valid Boolean value")},
		{"PUT", "…/triggers/u", `{"parameters":{"a":1}}`, 400, failed("The request content was malformed:\nparameters malformed!")},
		{"PUT", "…/triggers/u", `[]`, 400, failed("The request content was malformed:\nJSON object expected")},
		{"PUT", "…/triggers/$x", `{}`, 400, failed("The name of the entity contains illegal characters.")},
		{"GET", "…/triggers?count=true", "", 200, `{"triggers":1}`},
		{"POST", "…/triggers", "", 404, failed("The requested resource could not be found.")},
	})
}

// Rules refer to what they are given, move, and survive their trigger: §1.7, §4.5.
func TestRuleLinks(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/hello")
	s.mustPut("packages/p", `{}`)
	s.mustPut("packages/b", `{"binding":{"namespace":"_","name":"p"}}`)
	s.mustPut("actions/p/a")
	s.mustPut("triggers/t", `{}`)
	s.mustPut("triggers/u", `{}`)
	rule := func(trigger, path, name, status, version string) string {
		return `{"action":{"name":"` + name + `","path":"` + path + `"},"annotations":[],"name":"r","namespace":"guest","status":"` + status +
			`","trigger":{"name":"` + trigger + `","path":"guest"},"publish":false,"updated":{ms},"version":"` + version + `"}`
	}
	unlinked := func(name, version string) string {
		return `{"annotations":[],"limits":{},"name":"` + name + `","namespace":"guest","parameters":[],"publish":false,"updated":{ms},"version":"` + version + `"}`
	}
	onlyExisting := failed("Only rules with existing triggers can be activated")
	s.run([]step{
		{"PUT", "…/rules/r", `{}`, 400, failed("rule requires a valid trigger and a valid action")},
		{"PUT", "…/rules/r", `{"trigger":"/_/t"}`, 400, failed("rule requires a valid trigger and a valid action")},
		{"PUT", "…/rules/r", `{"trigger":"/_/none","action":"/_/hello"}`, 400, failed("trigger /guest/none does not exist")},
		{"PUT", "…/rules/r", `{"trigger":"/_/hello","action":"/_/hello"}`, 400, failed("trigger /guest/hello does not exist")},
		{"PUT", "…/rules/r", `{"trigger":"/_/t","action":"/_/p/none"}`, 400, failed("action /guest/p/none does not exist")},
		{"PUT", "…/rules/r", `{"trigger":"/_/t","action":"/_/none/a"}`, 400, failed("action /guest/none/a does not exist")},
		{"PUT", "…/rules/r", `{"trigger":"/_/t","action":"/_/t"}`, 400, failed("action /guest/t does not exist")},
		{"PUT", "…/rules/r", `{"trigger":"/stranger/t","action":"/stranger/a"}`, 403, failed("The supplied authentication is not authorized to access 'stranger/a, stranger/t'.")},
		{"PUT", "…/rules/r", `{"trigger":{"path":"_","name":"t"},"action":{"path":"_/b","name":"a"}}`, 200, rule("t", "guest/b", "a", "active", "0.0.1")},
		{"PUT", "…/rules/r", `{}`, 409, failed("resource already exists")},
		{"PUT", "…/rules/r?overwrite=true", `{"trigger":null,"action":"/_/hello"}`, 200, rule("t", "guest", "hello", "active", "0.0.2")},
		{"PUT", "…/rules/r?overwrite=true", `{"trigger":"/guest/u"}`, 200, rule("u", "guest", "hello", "active", "0.0.3")},
		{"GET", "…/triggers/t", "", 200, unlinked("t", "0.0.1")},
		{"GET", "…/rules?count=true&skip=0", "", 200, `{"rules":1}`},
		{"POST", "…/rules/r", `{"status":"x"}`, 400, failed("The request content was malformed:\n'x' is not a recognized rule state, must be one of ['active', 'inactive']")},
		{"POST", "…/rules/none", `{"status":"active"}`, 404, failed("The requested resource does not exist.")},
	})
	s.state("r", "inactive", "active", "active", "inactive", "inactive")
	s.run([]step{
		{"GET", "…/rules/r", "", 200, rule("u", "guest", "hello", "inactive", "0.0.3")},
		{"PUT", "…/rules/r?overwrite=true", `{}`, 200, rule("u", "guest", "hello", "inactive", "0.0.4")},
	})
	s.state("r", "active")

	// The trigger goes: the rule is an orphan until it is updated.
	s.send("DELETE", "/api/v1/namespaces/_/triggers/u", "")
	s.run([]step{
		{"GET", "…/rules/r", "", 200, rule("u", "guest", "hello", "inactive", "0.0.4")},
		{"POST", "…/rules/r", `{"status":"active"}`, 404, onlyExisting},
		{"PUT", "…/rules/r?overwrite=true", `{}`, 400, failed("trigger /guest/u does not exist")},
		{"PUT", "…/triggers/u", `{}`, 200, unlinked("u", "0.0.1")},
		{"GET", "…/rules/r", "", 200, rule("u", "guest", "hello", "inactive", "0.0.4")},
		{"POST", "…/rules/r", `{"status":"active"}`, 404, onlyExisting},
		{"PUT", "…/rules/r?overwrite=true", `{}`, 200, rule("u", "guest", "hello", "inactive", "0.0.5")},
	})
	s.state("r", "active")

	// The action goes: the rule stays active.
	s.send("DELETE", "/api/v1/namespaces/_/actions/hello", "")
	s.run([]step{
		{"GET", "…/rules/r", "", 200, rule("u", "guest", "hello", "active", "0.0.5")},
		{"DELETE", "…/rules/r", "", 200, rule("u", "guest", "hello", "inactive", "0.0.5")},
		{"GET", "…/triggers/u", "", 200, unlinked("u", "0.0.1")},
		{"PUT", "…/rules/r", `{"trigger":"/_/u","action":"/_/p/a"}`, 200, rule("u", "guest/p", "a", "active", "0.0.1")},
	})
	// A trigger with rules can go, and its rules after it.
	s.send("DELETE", "/api/v1/namespaces/_/triggers/u", "")
	s.run([]step{{"DELETE", "…/rules/r", "", 200, rule("u", "guest/p", "a", "inactive", "0.0.1")}})
}

// state sets the state of a rule again and again.
func (s *system) state(rule string, states ...string) {
	s.t.Helper()
	for _, state := range states {
		r := s.send("POST", "/api/v1/namespaces/_/rules/"+rule, `{"status":"`+state+`"}`)
		if r.status != 200 || r.body != "OK" {
			s.t.Errorf("%s: %d %s", state, r.status, r.body)
		}
		if doc := s.send("GET", "/api/v1/namespaces/_/rules/"+rule, ""); !strings.Contains(doc.body, `"status":"`+state+`"`) {
			s.t.Errorf("after %s: %s", state, doc.body)
		}
	}
}

// A stranger gets nothing of guest's triggers and rules, and learns nothing: §1.8.
func TestStrangerAndTriggers(t *testing.T) {
	s := newSystem(t, nil)
	s.mustPut("actions/a")
	s.mustPut("triggers/t", `{"publish":true}`)
	s.mustPut("rules/r", `{"trigger":"/_/t","action":"/_/a","publish":true}`)
	s.mustPutAs(strangerKey, "triggers/mine", `{}`)
	s.mustPutAs(strangerKey, "actions/mine-too", `{"exec":{"kind":"nodejs:20","code":"x"}}`)
	no := func(resource string) string {
		return failed("The supplied authentication is not authorized to access '" + resource + "'.")
	}
	var steps []step
	for _, c := range []string{"triggers", "rules"} {
		steps = append(steps, step{"GET", "…/" + c, "", 403, no("guest")}, step{"GET", "…/" + c + "?count=true", "", 403, no("guest")})
		for _, name := range []string{"t", "r", "none"} {
			for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
				steps = append(steps, step{method, "…/" + c + "/" + name, `{}`, 403, no("guest/" + name)})
			}
		}
	}
	for i := range steps {
		steps[i].path = strings.Replace(steps[i].path, "…", "/api/v1/namespaces/guest", 1)
	}
	s.as(strangerKey, append(steps,
		step{"PUT", "…/rules/x", `{"trigger":"/guest/t","action":"/_/mine-too"}`, 403, no("guest/t")},
		step{"PUT", "…/rules/x", `{"trigger":"/guest/none","action":"/_/mine-too"}`, 403, no("guest/none")},
		step{"PUT", "…/rules/x", `{"trigger":"/_/mine","action":"/guest/a"}`, 403, no("guest/a")},
		step{"GET", "…/rules", "", 200, `[]`},
	))
}
