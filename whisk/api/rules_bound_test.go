package api

import (
	"fmt"
	"strings"
	"testing"

	"millrace/whisk"
)

// The rules of one trigger are bounded; those it has can still be changed.
func TestRulesOfOneTrigger(t *testing.T) {
	s := newSystem(t, nil)
	const ns = "/api/v1/namespaces/_/"
	rule := func(name, trigger string) reply {
		return s.send("PUT", ns+"rules/"+name+"?overwrite=true", `{"trigger":"/_/`+trigger+`","action":"/_/a"}`)
	}
	s.send("PUT", ns+"actions/a", `{"exec":{"kind":"nodejs:20","code":"x"}}`)
	s.send("PUT", ns+"triggers/t", `{}`)
	s.send("PUT", ns+"triggers/other", `{}`)
	for n := range maxRules {
		if got := rule(fmt.Sprint("r", n), "t"); got.status != 200 {
			t.Fatalf("rule %d: %d, %s", n, got.status, got.body)
		}
	}
	if got := rule("more", "t"); got.status != 400 || !strings.Contains(got.body, whisk.MsgTooManyRules(maxRules)) {
		t.Errorf("one more: %d, %s", got.status, got.body)
	}
	if got := rule("r0", "t"); got.status != 200 {
		t.Errorf("one of them: %d, %s", got.status, got.body)
	}
	if got := rule("more", "other"); got.status != 200 {
		t.Errorf("of another trigger: %d, %s", got.status, got.body)
	}
	if got := rule("more", "t"); got.status != 400 {
		t.Errorf("moved here: %d, %s", got.status, got.body)
	}
}
