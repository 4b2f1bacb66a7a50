package plugins

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestCORSConfiguration(t *testing.T) {
	checkPriority(t, "cors", 4000)
	const credential = `you can not set '*' for other option when 'allow_credential' is true`
	checkConfs(t, "cors", []confCase{
		{`{}`, ``},
		{`{"allow_origins":"http://sub.domain.com,http://sub2.domain.com:80","allow_methods":"GET","allow_headers":"a,b","expose_headers":"c","max_age":50,"allow_credential":true}`, ``},
		{`{"allow_origins":"null"}`, ``},
		{`{"allow_origins":"**","allow_methods":"**","allow_headers":"**","expose_headers":"**","allow_credential":true}`, ``},
		{`{"allow_credential":true}`, credential},
		{`{"allow_origins":"http://a.b","allow_methods":"GET","allow_headers":"a","expose_headers":"*","allow_credential":true}`, credential},
		{`{"allow_origins":"http://a.b","allow_methods":"GET","allow_headers":"a","timing_allow_origins":"*","allow_credential":true}`, credential},
		{`{"allow_origins":"http://a.b","allow_methods":"GET","allow_headers":"a","allow_credential":true}`, ``},
		{`{"max_age":"10"}`, `property "max_age" validation failed: wrong type: expected integer, got string`},
		{`{"allow_origins_by_regex":[]}`, `property "allow_origins_by_regex" validation failed: expect array to have at least 1 items`},
		{`{"allow_origins_by_regex":[""]}`, `property "allow_origins_by_regex" validation failed: failed to validate item 1: string too short, expected at least 1, got 0`},
		{`{"allow_origins_by_regex":["a","a"]}`, `property "allow_origins_by_regex" validation failed: expected unique items but items 1 and 2 are equal`},
		{`{"allow_origins_by_metadata":[]}`, `property "allow_origins_by_metadata" validation failed: expect array to have at least 1 items`},
	})
	typ, _ := plugin.Lookup("cors")
	for _, bad := range []string{`a.b`, `http://a.b,`, `*,http://a.b`, ``} {
		if typ.Check(json.RawMessage(`{"allow_origins":"`+bad+`"}`)) == nil {
			t.Errorf("allow_origins %q is let through", bad)
		}
	}
	if typ.Check(json.RawMessage(`{"allow_origins_by_regex":["("]}`)) == nil {
		t.Error("a pattern that does not compile is let through")
	}
	for conf, ok := range map[string]bool{
		`{"allow_origins":{"a":"http://a.b,https://c.d","b":"*"}}`: true, `{}`: true,
		`{"allow_origins":{"a":"a.b"}}`: false, `{"allow_origins":{"a":1}}`: false, `{"allow_origins":[1]}`: false,
	} {
		if _, err := typ.LoadMetadata(json.RawMessage(conf)); (err == nil) != ok {
			t.Errorf("metadata %s: %v", conf, err)
		}
	}
}

// corsHeaders are the headers of an answer that cors sets, shortened.
func corsHeaders(h http.Header) string {
	var out []string
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Max-Age",
		"Access-Control-Expose-Headers", "Access-Control-Allow-Headers", "Access-Control-Allow-Credentials", "Timing-Allow-Origin", "Vary"} {
		for _, value := range h.Values(name) {
			out = append(out, strings.TrimPrefix(name, "Access-Control-")+"="+value)
		}
	}
	return strings.Join(out, " ")
}

func TestCORS(t *testing.T) {
	const (
		all  = "Allow-Origin=* Allow-Methods=* Max-Age=5 Allow-Headers=*"
		rest = " Allow-Methods=* Max-Age=5 Allow-Headers=*"
		list = `"allow_origins":"http://sub.domain.com,http://sub2.domain.com"`
	)
	metadata := `{"allow_origins":{"one":"https://domain.com,https://sub.domain.com","any":"*"}}`
	cases := []struct {
		name, conf, line, origin, want string
	}{
		{"defaults", `{}`, "GET /", "https://a.b", all},
		{"no origin", `{}`, "GET /", "", all},
		{"one of a list", `{` + list + `}`, "GET /", "http://sub2.domain.com", "Allow-Origin=http://sub2.domain.com" + rest + " Vary=Origin"},
		{"not on the list", `{` + list + `}`, "GET /", "http://sub3.domain.com", "Vary=Origin"},
		{"a list, no origin", `{` + list + `}`, "GET /", "", "Vary=Origin"},
		{"a single origin", `{"allow_origins":"http://a.b"}`, "GET /", "http://a.b", "Allow-Origin=http://a.b" + rest + " Vary=Origin"},
		{"another than the single one", `{"allow_origins":"http://a.b"}`, "GET /", "http://c.d", "Vary=Origin"},
		{"the single one, no origin", `{"allow_origins":"http://a.b"}`, "GET /", "", "Vary=Origin"},
		{"null", `{"allow_origins":"null"}`, "GET /", "null", "Allow-Origin=null" + rest + " Vary=Origin"},
		{"forced", `{"allow_origins":"**","allow_methods":"**","allow_headers":"**","expose_headers":"*","max_age":9}`, "GET /", "https://a.b",
			"Allow-Origin=https://a.b Allow-Methods=GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE Max-Age=9 Expose-Headers=* Allow-Headers=X-A,X-B Vary=Origin"},
		{"forced, no origin", `{"allow_origins":"**"}`, "GET /", "", "Allow-Origin=*" + rest + " Vary=Origin"},
		{"credentials", `{"allow_origins":"http://a.b","allow_methods":"GET","allow_headers":"h","expose_headers":"e","allow_credential":true}`, "GET /", "http://a.b",
			"Allow-Origin=http://a.b Allow-Methods=GET Max-Age=5 Expose-Headers=e Allow-Headers=h Allow-Credentials=true Vary=Origin"},
		{"pattern", `{"allow_origins_by_regex":[".*\\.test.com$","^https://x"]}`, "GET /", "http://a.test.com", "Allow-Origin=http://a.test.com" + rest},
		{"no pattern", `{"allow_origins_by_regex":[".*\\.test.com$"]}`, "GET /", "http://a.test2.com", ""},
		{"a pattern, no origin", `{"allow_origins_by_regex":[".*"]}`, "GET /", "", ""},
		{"the pattern counts, not the list", `{` + list + `,"allow_origins_by_regex":["test"]}`, "GET /", "http://sub.domain.com", "Vary=Origin"},
		{"metadata", `{"allow_origins_by_metadata":["none","one"]}`, "GET /", "https://sub.domain.com", "Allow-Origin=https://sub.domain.com" + rest},
		{"not in the metadata", `{"allow_origins_by_metadata":["one"]}`, "GET /", "https://other.com", ""},
		{"neither in the metadata nor listed", `{"allow_origins_by_metadata":["one"],` + list + `}`, "GET /", "https://other.com", "Vary=Origin"},
		{"not in the metadata, but listed", `{"allow_origins_by_metadata":["one"],` + list + `}`, "GET /", "http://sub.domain.com",
			"Allow-Origin=http://sub.domain.com" + rest + " Vary=Origin"},
		{"metadata that allows all", `{"allow_origins_by_metadata":["any"]}`, "GET /", "https://other.com", all},
		{"timing", `{"timing_allow_origins":"http://a.b,http://c.d"}`, "GET /", "http://c.d", all + " Timing-Allow-Origin=http://c.d"},
		{"timing for all", `{"timing_allow_origins":"*"}`, "GET /", "", all + " Timing-Allow-Origin=*"},
		{"timing for others", `{"timing_allow_origins":"http://a.b"}`, "GET /", "http://c.d", all},
		{"timing by pattern", `{"timing_allow_origins_by_regex":["c"]}`, "GET /", "http://c.d", all + " Timing-Allow-Origin=http://c.d"},
	}
	typ, _ := plugin.Lookup("cors")
	m, err := typ.LoadMetadata(json.RawMessage(metadata))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"cors":`+tc.conf+`}`)
			r := request(tc.line, "Access-Control-Request-Headers: X-A,X-B")
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			c := plugintest.NewContext(r)
			c.Metadata = plugin.Metadata{"cors": m}
			if diff := cmp.Diff(tc.want, corsHeaders(plugintest.RunContext(chain, c).Header)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A preflight request is answered before authentication, allowed or not.
func TestCORSPreflight(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"cors":{"allow_origins":"http://a.b"},"key-auth":{}}`)
	for origin, want := range map[string]string{"http://a.b": "http://a.b", "http://c.d": ""} {
		res := plugintest.Run(chain, request("OPTIONS /", "Origin: "+origin))
		if res.Status != 200 || len(res.Body) > 0 || res.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%s: %d %q %q", origin, res.Status, res.Body, res.Header)
		}
	}
	res := plugintest.Run(chain, request("GET /", "Origin: http://a.b"))
	if res.Status != 401 || res.Header.Get("Access-Control-Allow-Origin") != "http://a.b" {
		t.Errorf("a refusal: %d %q", res.Status, res.Header)
	}
}

// What the upstream says of CORS is replaced, but for an origin that is not allowed.
func TestCORSOverTheUpstream(t *testing.T) {
	chain := plugintest.Compile(t, plugintest.Env(t), `{"cors":{"allow_headers":"**"}}`)
	c := plugintest.NewContext(request("GET /"))
	c.Response.SetHeader("Access-Control-Allow-Origin", "http://up")
	c.Response.SetHeader("Access-Control-Allow-Headers", "up")
	if got := corsHeaders(plugintest.RunContext(chain, c).Header); got != "Allow-Origin=* Allow-Methods=* Max-Age=5" {
		t.Error(got)
	}
}
