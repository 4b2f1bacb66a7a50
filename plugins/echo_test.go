package plugins

import (
	"testing"

	"millrace/plugin/plugintest"
)

func TestEchoConfiguration(t *testing.T) {
	checkPriority(t, "echo", 412)
	const none = `object matches none of the required: ["before_body"] or ["body"] or ["after_body"]`
	checkConfs(t, "echo", []confCase{
		{`{"before_body":"b","body":"x","after_body":"a","headers":{"X":"1"}}`, ``},
		{`{"body":""}`, ``},
		{`{}`, `expect object to have at least 1 properties`},
		{`{"headers":{"X":"1"}}`, none},
		{`{"body":1}`, `property "body" validation failed: wrong type: expected string, got number`},
		{`{"body":"x","headers":{}}`, `property "headers" validation failed: expect object to have at least 1 properties`},
	})
}

func TestEcho(t *testing.T) {
	for conf, want := range map[string]string{
		`{"body":"new"}`:                       "new",
		`{"body":""}`:                          "",
		`{"before_body":"b "}`:                 "b example",
		`{"after_body":" a"}`:                  "example a",
		`{"before_body":"b ","after_body":""}`: "b example",
		`{"before_body":"b ","body":"new","after_body":" a"}`: "b new a",
	} {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"echo":`+conf+`,"mocking":{"response_example":"example"}}`)
		if res := plugintest.Run(chain, request("GET /")); string(res.Body) != want || res.Status != 200 {
			t.Errorf("%s: %d %q, want %q", conf, res.Status, res.Body, want)
		}
	}
}

func TestEchoHeaders(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"echo":{"body":"x","headers":{"Location":"https://iresty.com","X-N":3,"X-B":true}}}`)
	c := plugintest.NewContext(request("GET /"))
	c.Response.SetHeader("ETag", "old")
	c.Response.SetHeader("Location", "old")
	h := plugintest.RunContext(chain, c).Header
	if h.Get("ETag") != "" || h.Get("Location") != "https://iresty.com" || h.Get("X-N") != "3" || h.Get("X-B") != "true" {
		t.Errorf("%q", h)
	}
}
