package plugins

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestBasicAuthConfiguration(t *testing.T) {
	checkPriority(t, "basic-auth", 2520)
	checkConfs(t, "basic-auth", []confCase{
		{`{}`, ``},
		{`{"hide_credentials":true,"realm":"r","anonymous_consumer":"a"}`, ``},
		{`{"hide_credentials":1}`, `property "hide_credentials" validation failed: wrong type: expected boolean, got number`},
	})
	checkConsumers(t, "basic-auth", []confCase{
		{`{"username":"foo","password":"bar"}`, ``},
		{`{"username":123,"password":"bar"}`, `property "username" validation failed: wrong type: expected string, got number`},
		{`{"password":"bar"}`, `property "username" is required`},
		{`{"username":"foo"}`, `property "password" is required`},
	})
}

func TestBasicAuth(t *testing.T) {
	people := newCrowd(t).
		add("basic-auth", `{"username":"foo","password":"bar"}`, plugin.Consumer{Username: "foo"}).
		add("basic-auth", `{"username":"colon","password":"a:b"}`, plugin.Consumer{Username: "colon"})
	pack := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	cases := []struct {
		name, header string
		status       int
		text, user   string
	}{
		{"right", "Basic " + pack("foo:bar"), 0, "", "foo"},
		{"scheme in another case", "bASIC " + pack("foo:bar"), 0, "", "foo"},
		{"unpadded", "Basic " + strings.TrimRight(pack("foo:bar"), "="), 0, "", "foo"},
		{"white space goes", "Basic " + pack(" f oo : b\tar\n"), 0, "", "foo"},
		{"after a second colon", "Basic " + pack("foo:bar:baz"), 0, "", "foo"},
		{"a password with a colon never matches", "Basic " + pack("colon:a:b"), 401, invalidUser, ""},
		{"wrong password", "Basic " + pack("foo:baz"), 401, invalidUser, ""},
		{"part of the password", "Basic " + pack("foo:ba"), 401, invalidUser, ""},
		{"no password", "Basic " + pack("foo:"), 401, invalidUser, ""},
		{"unknown", "Basic " + pack("bar:bar"), 401, "Invalid user authorization", ""},
		{"missing", "", 401, "Missing authorization in request", ""},
		{"another scheme", "Bearer " + pack("foo:bar"), 401, "Invalid authorization in request", ""},
		{"no scheme", pack("foo:bar"), 401, basicAuthInvalid, ""},
		{"scheme alone", "Basic", 401, basicAuthInvalid, ""},
		{"no Base64", "Basic aca_a", 401, basicAuthInvalid, ""},
		{"no colon", "Basic " + pack("foobar"), 401, basicAuthInvalid, ""},
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"basic-auth":{}}`)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := request("GET /")
			if tc.header != "" {
				r.Header.Set("Authorization", tc.header)
			}
			checkAuth(t, runWith(chain, people, r), tc.status, tc.text, `Basic realm="basic"`, tc.user)
		})
	}
}

func TestBasicAuthHidesCredentials(t *testing.T) {
	people := newCrowd(t).add("basic-auth", `{"username":"foo","password":"bar"}`, plugin.Consumer{Username: "foo"})
	const header = "Authorization: Basic Zm9vOmJhcg=="
	for conf, want := range map[string]string{`{}`: "Basic Zm9vOmJhcg==", `{"hide_credentials":true}`: ""} {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"basic-auth":`+conf+`}`)
		if got := string(runWith(chain, people, request("GET /", header)).Sent.Header("Authorization")); got != want {
			t.Errorf("%s: Authorization %q, want %q", conf, got, want)
		}
	}
	chain := plugintest.Compile(t, plugintest.Env(t), `{"basic-auth":{"anonymous_consumer":"foo"}}`)
	checkAuth(t, runWith(chain, people, request("GET /")), 0, "", "", "foo")
}

func FuzzBasicCredentials(f *testing.F) {
	f.Add("Basic Zm9vOmJhcg==")
	f.Add("basic  Og")
	f.Fuzz(func(t *testing.T, header string) {
		user, password, ok := basicCredentials(header)
		if ok && strings.ContainsFunc(user+password, func(r rune) bool { return unicode.IsSpace(r) || r == ':' }) {
			t.Errorf("%q: user %q, password %q", header, user, password)
		}
	})
}
