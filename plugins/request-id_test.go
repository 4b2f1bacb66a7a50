package plugins

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/plugin/plugintest"
)

func TestRequestIDConfiguration(t *testing.T) {
	checkPriority(t, "request-id", 12015)
	checkConfs(t, "request-id", []confCase{
		{`{}`, ``},
		{`{"header_name":"X-Custom","include_in_response":false,"algorithm":"range_id","range_id":{"length":6,"char_set":"abcdef"}}`, ``},
		{`{"include_in_response":"bad_type"}`, `property "include_in_response" validation failed: wrong type: expected boolean, got string`},
		{`{"algorithm":"bad_algorithm"}`, `property "algorithm" validation failed: matches none of the enum values`},
		{`{"algorithm":"range_id","range_id":{"char_set":"abc"}}`,
			`property "range_id" validation failed: property "char_set" validation failed: string too short, expected at least 6, got 3`},
		{`{"range_id":{"length":5}}`, `property "range_id" validation failed: property "length" validation failed: expected 5 to be at least 6`},
	})
}

func TestRequestID(t *testing.T) {
	cases := []struct {
		conf, header string
		want         string
	}{
		{`{}`, "X-Request-Id", `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
		{`{"header_name":"X-Custom"}`, "X-Custom", `^[0-9a-f-]{36}$`},
		{`{"algorithm":"nanoid"}`, "X-Request-Id", `^[A-Za-z0-9_-]{21}$`},
		{`{"algorithm":"range_id"}`, "X-Request-Id", `^[A-Za-z0-9]{16}$`},
		{`{"algorithm":"range_id","range_id":{"length":100,"char_set":"abcdefgh"}}`, "X-Request-Id", `^[a-h]{100}$`},
		{`{"algorithm":"ksuid"}`, "X-Request-Id", `^[A-Za-z0-9]{27}$`},
		{`{"algorithm":"uuidv7"}`, "X-Request-Id", `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
	}
	for _, tc := range cases {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"request-id":`+tc.conf+`}`)
		seen := map[string]bool{}
		for range 200 {
			res := plugintest.Run(chain, request("GET /"))
			id := string(res.Sent.Header(tc.header))
			if !regexp.MustCompile(tc.want).MatchString(id) || res.Header.Get(tc.header) != id {
				t.Fatalf("%s: sent %q, answered %q", tc.conf, id, res.Header.Get(tc.header))
			}
			seen[id] = true
		}
		if len(seen) != 200 {
			t.Errorf("%s: %d different names of 200", tc.conf, len(seen))
		}
	}
}

func TestRequestIDThatIsThere(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"request-id":{}}`)
	res := plugintest.Run(chain, request("GET /", "X-Request-Id: mine"))
	if string(res.Sent.Header("X-Request-Id")) != "mine" || res.Header.Get("X-Request-Id") != "mine" {
		t.Errorf("the client's name was replaced: %q", res.Header.Get("X-Request-Id"))
	}
	r := request("GET /")
	r.Header["X-Request-Id"] = []string{""}
	if res = plugintest.Run(chain, r); len(res.Header.Get("X-Request-Id")) != 36 {
		t.Errorf("an empty name stays: %q", res.Header.Get("X-Request-Id"))
	}
	c := plugintest.NewContext(request("GET /", "X-Request-Id: mine"))
	c.Response.SetHeader("X-Request-Id", "upstream's")
	if res = plugintest.RunContext(chain, c); res.Header.Get("X-Request-Id") != "upstream's" {
		t.Errorf("the upstream's name was replaced: %q", res.Header.Get("X-Request-Id"))
	}
	chain = plugintest.Compile(t, plugintest.Env(t), `{"request-id":{"include_in_response":false}}`)
	if res = plugintest.Run(chain, request("GET /")); res.Header.Get("X-Request-Id") != "" || res.Sent.Header("X-Request-Id") == nil {
		t.Error("include_in_response false is not heard")
	}
}

// Names with the time in them sort by it, and have the right one.
func TestRequestIDsWithTime(t *testing.T) {
	at := time.Date(2017, 10, 10, 4, 0, 47, 0, time.UTC)
	// 0ujtsYcgvSTl8PAuAdqWYSMnLOv is the example of the ksuid specification.
	if a := ksuid(at); !strings.HasPrefix(a, "0uj") || ksuid(at.Add(time.Second)) < a {
		t.Errorf("ksuid %s", a)
	}
	if a := uuid7(at); !strings.HasPrefix(a, "015f0471-2d98-") || uuid7(at.Add(time.Millisecond)) < a {
		t.Errorf("uuid %s", a)
	}
}
