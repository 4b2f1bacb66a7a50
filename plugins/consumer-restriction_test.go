package plugins

import (
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestConsumerRestrictionConfiguration(t *testing.T) {
	checkPriority(t, "consumer-restriction", 2400)
	const none = `object matches none of the required: ["blacklist"] or ["whitelist"] or ["allowed_by_methods"]`
	checkConfs(t, "consumer-restriction", []confCase{
		{`{"whitelist":["jack"]}`, ``},
		{`{"blacklist":["jack"],"whitelist":["jill"],"type":"route_id","rejected_code":200}`, ``},
		{`{"allowed_by_methods":[{"user":"jack","methods":["GET","PURGE"]}]}`, ``},
		{`{}`, none},
		{`{"type":"consumer_name"}`, none},
		{`{"whitelist":[]}`, `property "whitelist" validation failed: expect array to have at least 1 items`},
		{`{"blacklist":[1]}`, `property "blacklist" validation failed: failed to validate item 1: wrong type: expected string, got number`},
		{`{"blacklist":["a"],"rejected_code":199}`, `property "rejected_code" validation failed: expected 199 to be at least 200`},
		{`{"blacklist":["a"],"type":"nope"}`, `property "type" validation failed: matches none of the enum values`},
		{`{"allowed_by_methods":[{"user":"jack","methods":["FOO"]}]}`,
			`property "allowed_by_methods" validation failed: failed to validate item 1: property "methods" validation failed: failed to validate item 1: matches none of the enum values`},
		{`{"allowed_by_methods":[{"user":"jack","methods":[]}]}`,
			`property "allowed_by_methods" validation failed: failed to validate item 1: property "methods" validation failed: expect array to have at least 1 items`},
	})
}

func TestConsumerRestriction(t *testing.T) {
	const forbidden = `{"message":"The consumer_name is forbidden."}` + "\n"
	methods := `"allowed_by_methods":[{"user":"jack","methods":["POST"]}]`
	cases := []struct {
		name, conf, line, user string
		status                 int
		body                   string
	}{
		{"whitelisted", `{"whitelist":["jack"]}`, "GET /", "jack", 0, ""},
		{"not whitelisted", `{"whitelist":["jack"]}`, "GET /", "jill", 403, forbidden},
		{"blacklisted", `{"blacklist":["jack"]}`, "GET /", "jack", 403, forbidden},
		{"not blacklisted", `{"blacklist":["jack"]}`, "GET /", "jill", 0, ""},
		{"the blacklist comes first", `{"blacklist":["jack"],"whitelist":["jack"]}`, "GET /", "jack", 403, forbidden},
		{"nobody", `{"blacklist":["jack"]}`, "GET /", "", 401,
			`{"message":"The request is rejected, please check the consumer_name for this request"}` + "\n"},
		{"other code and message", `{"blacklist":["jack"],"rejected_code":412,"rejected_msg":"no"}`, "GET /", "jack", 412, `{"message":"no"}` + "\n"},
		{"method allowed", `{` + methods + `}`, "POST /", "jack", 0, ""},
		{"method missing", `{` + methods + `}`, "GET /", "jack", 403, forbidden},
		{"user without methods", `{` + methods + `}`, "GET /", "jill", 0, ""},
		{"whitelisted whatever the method", `{"whitelist":["jack"],` + methods + `}`, "GET /", "jack", 0, ""},
		{"not whitelisted, method allowed", `{"whitelist":["jill"],` + methods + `}`, "POST /", "jack", 403, forbidden},
		{"blacklisted, method allowed", `{"blacklist":["jack"],` + methods + `}`, "POST /", "jack", 403, forbidden},
		{"route", `{"type":"route_id","whitelist":["r1"]}`, "GET /", "jack", 0, ""},
		{"other route", `{"type":"route_id","blacklist":["r1"]}`, "GET /", "jack", 403, `{"message":"The route_id is forbidden."}` + "\n"},
		{"service", `{"type":"service_id","blacklist":["s1"]}`, "GET /", "jack", 403, `{"message":"The service_id is forbidden."}` + "\n"},
		{"group", `{"type":"consumer_group_id","whitelist":["g1"]}`, "GET /", "jack", 0, ""},
		{"no group", `{"type":"consumer_group_id","whitelist":["g1"]}`, "GET /", "", 401,
			`{"message":"The request is rejected, please check the consumer_group_id for this request"}` + "\n"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"consumer-restriction":`+tc.conf+`}`)
			c := plugintest.NewContext(request(tc.line))
			c.Matched = plugin.Matched{RouteID: "r1", ServiceID: "s1"}
			if tc.user != "" {
				c.Consumer = plugin.Consumer{Username: tc.user, GroupID: "g1"}
			}
			res := plugintest.RunContext(chain, c)
			if res.Status != tc.status || string(res.Body) != tc.body {
				t.Errorf("%d %q, want %d %q", res.Status, res.Body, tc.status, tc.body)
			}
		})
	}
}
