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
