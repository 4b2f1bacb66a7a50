package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/server/servertest"
)

// operator makes a request to the operator API.
func (s *site) operator(method, path, body string) answer {
	s.t.Helper()
	return s.as("Bearer "+servertest.OperatorKey, method, s.Operator+"/v1/namespaces"+path, body)
}

// as makes a request with an Authorization header, unless that is empty.
func (s *site) as(credentials, method, url, body string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if credentials != "" {
		req.Header.Set("Authorization", credentials)
	}
	req.Header.Set("X-Request-Id", "tid")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Header.Del("Date")
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// basic is the Authorization header for a key.
func basic(key string) string {
	req := http.Request{Header: http.Header{}}
	uuid, secret, _ := strings.Cut(key, ":")
	req.SetBasicAuth(uuid, secret)
	return req.Header.Get("Authorization")
}

// namespace makes a namespace and answers its key.
func (s *site) namespace(name string) string {
	s.t.Helper()
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(s.must(s.operator("PUT", "/"+name, "")).Body), &made); err != nil {
		s.t.Fatal(err)
	}
	return made.Key
}

// The names of what the victim has begin with zebra, and what it keeps to itself
// is okapi. The names of what it has not are as long and begin with horse.
const (
	there, missing = "zebra", "horse"
	private        = "okapi"
)

// victim makes the namespace zebra with one of everything, and answers its key and
// the id of an activation.
func (s *site) victim() (key, activation string) {
	s.t.Helper()
	key = s.namespace(there)
	credentials := basic(key)
	put := func(path, body string) {
		s.t.Helper()
		s.must(s.as(credentials, "PUT", s.Functions+"/api/v1/namespaces/_/"+path, body))
	}
	const secret = `"parameters":[{"key":"okapi","value":"okapi"}]`
	code := `"exec":{"kind":"nodejs:default","code":"function main() { console.log('okapi'); return {okapi: 1} }"}`
	put("packages/zebra-p", `{`+secret+`}`)
	put("actions/zebra-a", `{`+code+`,`+secret+`}`)
	put("actions/zebra-p/zebra-a", `{`+code+`}`)
	put("actions/zebra-s", `{"exec":{"kind":"sequence","components":["/_/zebra-a"]}}`)
	put("triggers/zebra-t", `{`+secret+`}`)
	put("rules/zebra-r", `{"trigger":"/_/zebra-t","action":"/_/zebra-a"}`)
	put("actions/shown", `{`+code+`,"annotations":[{"key":"web-export","value":true}]}`)
	api := strings.Replace(endpoint(s, "/zebra", "/okapi", "GET", "shown", "}"), servertest.GuestKey, key, 1)
	s.must(s.as(credentials, "POST", s.Functions+"/api/v1/web/whisk.system/apimgmt/createApi?responsetype=json", api))
	got := s.must(s.as(credentials, "POST", s.Functions+"/api/v1/namespaces/_/actions/zebra-a?blocking=true", "{}"))
	return key, got.Header.Get("X-Openwhisk-Activation-Id")
}

// strangerRequest is a request about what is the victim's. ZEBRA in its path and
// body begins the name of something that exists or that does not, or is a
// namespace that does or does not; ID is an activation, UUID that of a key.
type strangerRequest struct{ method, path, body string }

// known is what a stranger asks with: a name, the id of an activation and the UUID
// of a key, which are the victim's or nobody's.
type known struct{ name, activation, uuid string }

// strangerRequests are every method on every kind of path, and the ways in which
// a stranger's own entities can name the victim's.
func strangerRequests() []strangerRequest {
	var all []strangerRequest
	for _, path := range []string{
		"", "limits", "actions", "actions/", "packages", "triggers", "rules", "activations", "deadletters",
		"actions?count=true", "packages?count=true", "triggers?count=true", "rules?count=true",
		"activations?count=true", "activations?name=ZEBRA-a", "activations?since=1&upto=9999999999999&docs=true&limit=200",
		"actions/ZEBRA-a", "actions/ZEBRA-a?code=false", "actions/ZEBRA-a?blocking=true&result=true", "actions/ZEBRA-a?overwrite=true",
		"actions/ZEBRA-s", "actions/ZEBRA-p/", "actions/ZEBRA-p", "actions/ZEBRA-p/ZEBRA-a", "actions/zebra-p/ZEBRA-a", "actions/ZEBRA-p/ZEBRA-a?blocking=true",
		"packages/ZEBRA-p", "packages/ZEBRA-p?force=true", "packages/ZEBRA-p?overwrite=true", "packages/ZEBRA-a",
		"triggers/ZEBRA-t", "triggers/ZEBRA-t?overwrite=true", "triggers/ZEBRA-a", "rules/ZEBRA-r", "rules/ZEBRA-r?overwrite=true", "rules/ZEBRA-a",
		"activations/ID", "activations/ID/logs", "activations/ID/logs?follow=true", "activations/ID/result", "deadletters/ID",
	} {
		for _, method := range []string{"GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"} {
			body := ""
			if method == "PUT" || method == "POST" {
				body = `{"status":"inactive","exec":{"kind":"nodejs:default","code":"x"},"trigger":"/zebra/ZEBRA-t","action":"/zebra/ZEBRA-a"}`
			}
			all = append(all, strangerRequest{method, "/namespaces/zebra/" + path, body}, strangerRequest{method, "/namespaces/ZEBRA/" + path, body})
		}
	}
	for _, path := range []string{"activations/ID", "activations/ID/logs", "activations/ID/result", "deadletters/ID", "activations?name=ZEBRA-a"} {
		all = append(all, strangerRequest{"GET", "/namespaces/_/" + path, ""})
	}
	for _, r := range []strangerRequest{
		{"PUT", "packages/bound", `{"binding":{"namespace":"zebra","name":"ZEBRA-p"}}`},
		{"PUT", "actions/sequence", `{"exec":{"kind":"sequence","components":["/zebra/ZEBRA-a"]}}`},
		{"PUT", "actions/sequence", `{"exec":{"kind":"sequence","components":["/zebra/ZEBRA-p/ZEBRA-a"]}}`},
		{"PUT", "rules/rule", `{"trigger":"/zebra/ZEBRA-t","action":"/_/own"}`},
		{"PUT", "rules/rule", `{"trigger":"/_/own-t","action":"/zebra/ZEBRA-a"}`},
		{"PUT", "rules/rule", `{"trigger":"/_/own-t","action":"/zebra/ZEBRA-p/ZEBRA-a"}`},
		{"POST", "deadletters/ID", ""}, {"DELETE", "deadletters/ID", ""},
	} {
		all = append(all, strangerRequest{r.method, "/namespaces/_/" + r.path, r.body})
	}
	for _, path := range []string{"ZEBRA-a", "ZEBRA-a.json", "ZEBRA-a.http", "ZEBRA-s.json", "ZEBRA-t.json", "ZEBRA-p.json"} {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
			for _, pkg := range []string{"zebra/default/", "ZEBRA/default/", "zebra/ZEBRA-p/", "ZEBRA/ZEBRA-p/"} {
				all = append(all, strangerRequest{method, "/web/" + pkg + path, ""})
			}
		}
	}
	for _, feed := range []string{"alarms/alarm", "alarms/interval", "alarms/once", "webhook/receive"} {
		for _, event := range []string{"CREATE", "READ", "DELETE", "PAUSE", "UNPAUSE", "UPDATE"} {
			body := fmt.Sprintf(`{"lifecycleEvent":%q,"triggerName":"/zebra/ZEBRA-t","authKey":"KEY","cron":"0 0 1 1 *"}`, event)
			all = append(all, strangerRequest{"POST", "/namespaces/whisk.system/actions/" + feed + "?blocking=true&result=true", body})
		}
	}
	for _, query := range []string{"?basepath=/ZEBRA", "?spaceguid=UUID", "?spaceguid=UUID&basepath=/ZEBRA"} {
		all = append(all, strangerRequest{"GET", "/web/whisk.system/apimgmt/getApi.http" + query, ""},
			strangerRequest{"DELETE", "/web/whisk.system/apimgmt/deleteApi.http" + query, ""})
	}
	return all
}

// A stranger cannot see, list, change, invoke or infer what is another's
// (spec/openwhisk.md §1.8): whatever it asks, the answer is the same whether the
// thing exists or not, and holds nothing of it.
func TestStranger(t *testing.T) {
	t.Parallel()
	s := start(t)
	victim, activation := s.victim()
	stranger := s.namespace("stranger")
	for path, body := range map[string]string{
		"actions/own": `{"exec":{"kind":"nodejs:default","code":"function main() {}"}}`, "triggers/own-t": `{}`,
	} {
		s.must(s.as(basic(stranger), "PUT", s.Functions+"/api/v1/namespaces/_/"+path, body))
	}
	before := s.inventory(victim)
	uuid, _, _ := strings.Cut(victim, ":")
	exists := known{there, activation, uuid}
	missing := known{missing, strings.Repeat("0", 32), "0b3cda1c-5c36-4c0f-a0a2-7d9c8a2a7b11"}
	for who, key := range map[string]string{
		"with a key": stranger, "without a key": "", "with a wrong key": strings.Replace(servertest.GuestKey, "123zO", "xxxxx", 1),
	} {
		t.Run(who, func(t *testing.T) {
			s := &site{s.Site, t}
			for _, r := range strangerRequests() {
				got := s.ask(key, &r, &exists)
				if diff := cmp.Diff(s.ask(key, &r, &missing), got); diff != "" {
					t.Errorf("%s %s %s: -missing +existing:\n%s", r.method, r.path, r.body, diff)
				}
				if text := fmt.Sprint(got); strings.Contains(text, private) {
					t.Errorf("%s %s: the answer holds what is another's: %s", r.method, r.path, text)
				}
			}
		})
	}
	if diff := cmp.Diff(before, s.inventory(victim)); diff != "" {
		t.Errorf("what the victim has: -before +after:\n%s", diff)
	}
}

// ask sends a request and answers what comes back, without the names of what is
// asked for.
func (s *site) ask(key string, r *strangerRequest, k *known) answer {
	s.t.Helper()
	fill := strings.NewReplacer("ZEBRA", k.name, "UUID", k.uuid, "ID", k.activation, "KEY", key).Replace
	credentials := ""
	if key != "" {
		credentials = basic(key)
	}
	got := s.as(credentials, r.method, s.Functions+"/api/v1"+fill(r.path), fill(r.body))
	got.Header.Del("X-Openwhisk-Activation-Id") // of calls of the stranger's own
	got.Body = strings.NewReplacer(there, "ZEBRA", missing, "ZEBRA", k.activation, "ID").Replace(got.Body)
	return got
}

// inventory is everything that a namespace has.
func (s *site) inventory(key string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, path := range []string{
		"actions", "packages", "triggers", "rules", "activations?docs=true",
		"actions/zebra-a", "actions/zebra-s", "actions/zebra-p/zebra-a", "packages/zebra-p", "triggers/zebra-t", "rules/zebra-r",
	} {
		all[path] = s.must(s.as(basic(key), "GET", s.Functions+"/api/v1/namespaces/_/"+path, "")).Body
	}
	all["APIs"] = s.must(s.as(basic(key), "GET", s.Functions+"/api/v1/web/whisk.system/apimgmt/getApi.http?basepath=/zebra", "")).Body
	if !strings.Contains(all["APIs"], "/okapi") {
		s.t.Errorf("the victim's API: %s", all["APIs"])
	}
	if !strings.Contains(all["rules/zebra-r"], `"status":"active"`) {
		s.t.Errorf("the rule is not active: %s", all["rules/zebra-r"])
	}
	return all
}
