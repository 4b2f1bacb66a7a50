package plugins

import (
	"testing"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestKeyAuthConfiguration(t *testing.T) {
	checkPriority(t, "key-auth", 2500)
	checkConfs(t, "key-auth", []confCase{
		{`{}`, ``},
		{`{"header":"X-K","query":"k","hide_credentials":true,"realm":"my realm","anonymous_consumer":"anon","other":1}`, ``},
		{`{"header":1}`, `property "header" validation failed: wrong type: expected string, got number`},
		{`{"hide_credentials":"x"}`, `property "hide_credentials" validation failed: wrong type: expected boolean, got string`},
		{`{"anonymous_consumer":""}`, `property "anonymous_consumer" validation failed: string too short, expected at least 1, got 0`},
		{`{"realm":""}`, `property "realm" validation failed: string too short, expected at least 1, got 0`},
	})
	for _, bad := range []string{`a\"b`, `a\\b`, `a\nb`, `é`} {
		typ, _ := plugin.Lookup("key-auth")
		if typ.Check([]byte(`{"realm":"`+bad+`"}`)) == nil {
			t.Errorf("realm %s is let through", bad)
		}
	}
	checkConsumers(t, "key-auth", []confCase{
		{`{"key":"k"}`, ``},
		{`{}`, `property "key" is required`},
		{`{"key":123}`, `property "key" validation failed: wrong type: expected string, got number`},
	})
}

func TestKeyAuth(t *testing.T) {
	people := newCrowd(t).
		add("key-auth", `{"key":"k1"}`, plugin.Consumer{Username: "jack", CustomID: "495"}).
		add("key-auth", `{"key":"k 2"}`, plugin.Consumer{Username: "jill", CredentialID: "c2"}).
		add("basic-auth", `{"username":"anon","password":"x"}`, plugin.Consumer{Username: "anon"})
	cases := []struct {
		name, conf, line string
		headers          []string
		status           int
		body             string
		user             string
	}{
		{"header", `{}`, "GET /", []string{"apikey: k1"}, 0, "", "jack"},
		{"query", `{}`, "GET /?a=1&apikey=k1", nil, 0, "", "jack"},
		{"query, encoded", `{}`, "GET /?apikey=k%202", nil, 0, "", "jill"},
		{"header before query", `{}`, "GET /?apikey=k1", []string{"apikey: wrong"}, 401, keyAuthInvalid, ""},
		{"nothing", `{}`, "GET /", nil, 401, "Missing API key in request", ""},
		{"wrong", `{}`, "GET /", []string{"apikey: k3"}, 401, "Invalid API key in request", ""},
		{"other names", `{"header":"X-Key","query":"q"}`, "GET /", []string{"X-Key: k1"}, 0, "", "jack"},
		{"other names, query", `{"header":"X-Key","query":"q"}`, "GET /?q=k1", []string{"apikey: k3"}, 0, "", "jack"},
		{"anonymous, nothing", `{"anonymous_consumer":"anon"}`, "GET /", nil, 0, "", "anon"},
		{"anonymous, wrong", `{"anonymous_consumer":"anon"}`, "GET /", []string{"apikey: k3"}, 0, "", "anon"},
		{"anonymous, right", `{"anonymous_consumer":"anon"}`, "GET /", []string{"apikey: k1"}, 0, "", "jack"},
		{"anonymous missing", `{"anonymous_consumer":"nobody"}`, "GET /", nil, 401, "Invalid user authorization", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"key-auth":`+tc.conf+`}`)
			res := runWith(chain, people, request(tc.line, tc.headers...))
			checkAuth(t, res, tc.status, tc.body, `apikey realm="key"`, tc.user)
		})
	}
}

// checkAuth checks how an authentication ended: refused with a message, or passed
// as a user.
func checkAuth(t *testing.T, res plugintest.Result, status int, text, challenge, user string) {
	t.Helper()
	if res.Err != nil || res.Status != status {
		t.Errorf("status %d, %v, want %d", res.Status, res.Err, status)
	}
	body := ""
	if text != "" {
		body = `{"message":"` + text + `"}` + "\n"
	} else {
		challenge = ""
	}
	if string(res.Body) != body {
		t.Errorf("body %q, want %q", res.Body, body)
	}
	if got := res.Header.Get("WWW-Authenticate"); got != challenge {
		t.Errorf("challenge %q, want %q", got, challenge)
	}
	if got := string(res.Sent.Header("X-Consumer-Username")); got != user {
		t.Errorf("consumer %q, want %q", got, user)
	}
}

func TestKeyAuthWithoutConsumers(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"key-auth":{"realm":"r"}}`)
	checkAuth(t, runWith(chain, nil, request("GET /", "apikey: k1")), 401, keyAuthInvalid, `apikey realm="r"`, "")
}

func TestKeyAuthHeadersForTheUpstream(t *testing.T) {
	people := newCrowd(t).
		add("key-auth", `{"key":"k1"}`, plugin.Consumer{Username: "jack", CustomID: "495"}).
		add("key-auth", `{"key":"k2"}`, plugin.Consumer{Username: "jill", CredentialID: "c2"})
	chain := plugintest.Compile(t, plugintest.Env(t), `{"key-auth":{}}`)
	forged := []string{"X-Consumer-Username: root", "X-Credential-Identifier: forged", "X-Consumer-Custom-ID: forged"}
	for key, want := range map[string][3]string{"k1": {"jack", "", "495"}, "k2": {"jill", "c2", ""}} {
		sent := runWith(chain, people, request("GET /", append(forged, "apikey: "+key)...)).Sent
		got := [3]string{string(sent.Header("X-Consumer-Username")), string(sent.Header("X-Credential-Identifier")), string(sent.Header("X-Consumer-Custom-ID"))}
		if got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
		if string(sent.Header("apikey")) != key {
			t.Error("the key is hidden though nobody asked for it")
		}
	}
}

// spec §14, vector 11, and its neighbours.
func TestKeyAuthHidesCredentials(t *testing.T) {
	people := newCrowd(t).add("key-auth", `{"key":"k1"}`, plugin.Consumer{Username: "jack"})
	chain := plugintest.Compile(t, plugintest.Env(t), `{"key-auth":{"hide_credentials":true}}`)
	if got := upstreamTarget(chain, people, request("GET /a?apikey=k1", "apikey: k1")); got != "/a?apikey=k1" {
		t.Errorf("the query must stay when the header was used: %s", got)
	}
	if sent := runWith(chain, people, request("GET /", "apikey: k1")).Sent; sent.Header("apikey") != nil {
		t.Error("the header was not removed")
	}
	for target, want := range map[string]string{
		"/a?apikey=k1":             "/a",
		"/a?x=1&apikey=k1&y=%20z":  "/a?x=1&y=%20z",
		"/a?apikey=k1&apikey=k3&z": "/a?z",
		"/a?api%6Bey=k1&b=2":       "/a?b=2",
	} {
		if got := upstreamTarget(chain, people, request("GET "+target)); got != want {
			t.Errorf("%s: sent as %s, want %s", target, got, want)
		}
	}
}

// What a plugin that follows makes of the target does not bring the key back.
func TestKeyAuthHidesCredentialsFromOthers(t *testing.T) {
	people := newCrowd(t).add("key-auth", `{"key":"k1"}`, plugin.Consumer{Username: "jack"})
	for rewrite, want := range map[string]string{
		`{"uri":"/new?z=$args"}`:                      "/new?z=x=1&x=1",
		`{"uri":"/new/$arg_apikey"}`:                  "/new/?x=1",
		`{"use_real_request_uri_unsafe":true}`:        "/a?x=1",
		`{"uri":"/early","_meta":{"priority":20000}}`: "/early?x=1",
	} {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"key-auth":{"hide_credentials":true},"proxy-rewrite":`+rewrite+`}`)
		if got := upstreamTarget(chain, people, request("GET /a?x=1&apikey=k1")); got != want {
			t.Errorf("%s: sent as %s, want %s", rewrite, got, want)
		}
	}
}
