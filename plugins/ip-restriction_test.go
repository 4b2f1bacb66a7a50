package plugins

import (
	"net/netip"
	"testing"

	"millrace/plugin/plugintest"
)

func TestIPRestrictionConfiguration(t *testing.T) {
	checkPriority(t, "ip-restriction", 3000)
	const noneOf = `failed to validate item 1: object matches none of the required`
	checkConfs(t, "ip-restriction", []confCase{
		{`{"whitelist":["10.255.254.0/24","192.168.0.0/16","::1","fe80::/32"]}`, ``},
		{`{"blacklist":["127.0.0.1"],"message":"no","response_code":404}`, ``},
		{`{}`, `value should match only one schema, but matches none`},
		{`{"whitelist":["127.0.0.1"],"blacklist":["127.0.0.2"]}`, `value should match only one schema, but matches both schemas 1 and 2`},
		{`{"whitelist":[]}`, `property "whitelist" validation failed: expect array to have at least 1 items`},
		{`{"blacklist":["127.0.0.256"]}`, `property "blacklist" validation failed: ` + noneOf},
		{`{"whitelist":["10.255.256.0/24"]}`, `invalid ip address: 10.255.256.0/24`},
		{`{"whitelist":["10.0.0.0/38"]}`, `property "whitelist" validation failed: ` + noneOf},
		{`{"blacklist":["::1/129"]}`, `invalid ip address: ::1/129`},
		{`{"blacklist":["::1"],"message":""}`, `property "message" validation failed: string too short, expected at least 1, got 0`},
		{`{"blacklist":["::1"],"response_code":402}`, `property "response_code" validation failed: expected 402 to be at least 403`},
		{`{"blacklist":["::1"],"response_code":405}`, `property "response_code" validation failed: expected 405 to be at most 404`},
	})
}

func TestIPRestriction(t *testing.T) {
	const body = `{"message":"Your IP address is not allowed"}` + "\n"
	cases := []struct {
		conf, addr string
		status     int
		body       string
	}{
		{`{"whitelist":["127.0.0.0/24","113.74.26.106"]}`, "127.0.0.5", 0, ""},
		{`{"whitelist":["127.0.0.0/24","113.74.26.106"]}`, "113.74.26.106", 0, ""},
		{`{"whitelist":["127.0.0.0/24","113.74.26.106"]}`, "114.114.114.114", 403, body},
		{`{"blacklist":["127.0.0.0/24"]}`, "127.0.0.5", 403, body},
		{`{"blacklist":["127.0.0.0/24"]}`, "127.0.1.5", 0, ""},
		{`{"blacklist":["127.0.0.9/24"]}`, "127.0.0.5", 403, body},
		{`{"blacklist":["0.0.0.0/0"]}`, "1.2.3.4", 403, body},
		{`{"blacklist":["0.0.0.0/0"]}`, "::1", 0, ""},
		{`{"blacklist":["::1","fe80::/32"]}`, "::1", 403, body},
		{`{"blacklist":["::1","fe80::/32"]}`, "fe80::1:1", 403, body},
		{`{"blacklist":["::1","fe80::/32"]}`, "::2", 0, ""},
		{`{"blacklist":["127.0.0.1"]}`, "::ffff:127.0.0.1", 403, body},
		{`{"whitelist":["127.0.0.1"]}`, "unix:", 403, body},
		{`{"blacklist":["127.0.0.1"],"message":"Do you want to do something bad?","response_code":404}`, "127.0.0.1", 404,
			`{"message":"Do you want to do something bad?"}` + "\n"},
	}
	for _, tc := range cases {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"ip-restriction":`+tc.conf+`}`)
		c := plugintest.NewContext(request("GET /"))
		c.Conn.RemoteAddr = tc.addr
		if res := plugintest.RunContext(chain, c); res.Status != tc.status || string(res.Body) != tc.body {
			t.Errorf("%s from %s: %d %q, want %d %q", tc.conf, tc.addr, res.Status, res.Body, tc.status, tc.body)
		}
	}
}

func FuzzParseAddresses(f *testing.F) {
	f.Add("127.0.0.1/8")
	f.Add("::ffff:1.2.3.4/100")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAddresses([]string{text})
		if err == nil && len(a.single)+len(a.ranges) != 1 {
			t.Errorf("%q became nothing", text)
		}
		a.contain(netip.MustParseAddr("1.2.3.4"))
	})
}
