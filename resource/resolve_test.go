package resource

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/internal/fieldcrypt"
)

// Where references are looked up, and where they stay texts.
func TestParseResolved(t *testing.T) {
	ring, err := fieldcrypt.New([]string{"qeddd145sfvddff3"})
	if err != nil {
		t.Fatal(err)
	}
	encrypted := ring.Encrypt("$secret://old") // as some releases of APISIX keep them
	for _, c := range []struct{ key, raw, want string }{
		{"/apisix/routes/1", `{"uri":"$env://A","desc":"$env://A","plugins":{"a":{"b":["$env://A",{"c":"$SECRET://B"}],"$env://A":5,"d":"x$env://A","e":"$Env://NONE"}},
			"upstream":{"upstream_host":"$env://A","tls":{"client_cert":"$env://A","client_key":"$secret://B"}}}`,
			`{"uri":"$env://A","desc":"$env://A","plugins":{"a":{"b":["<A>",{"c":"<B>"}],"$env://A":5,"d":"x$env://A","e":"$Env://NONE"}},
			"upstream":{"upstream_host":"$env://A","tls":{"client_cert":"<A>","client_key":"<B>"}}}`},
		{"/apisix/upstreams/1", `{"tls":{"client_cert":"$env://A","client_cert_id":5},"name":"$env://A"}`, `{"tls":{"client_cert":"<A>","client_cert_id":5},"name":"$env://A"}`},
		{"/apisix/ssls/1", `{"sni":"$env://A","cert":"$env://A","key":"$env://A","certs":["$env://A","c"],"keys":["$secret://B"],"client":{"ca":"$env://A","skip_mtls_uri_regex":["$env://A"]}}`,
			`{"sni":"$env://A","cert":"<A>","key":"<A>","certs":["<A>","c"],"keys":["<B>"],"client":{"ca":"<A>","skip_mtls_uri_regex":["$env://A"]}}`},
		{"/apisix/consumers/jack", `{"username":"jack","plugins":{"k":{"key":"$env://A"}},"desc":"$env://A"}`, `{"username":"jack","plugins":{"k":{"key":"<A>"}},"desc":"$env://A"}`},
		{"/apisix/consumers/jack/credentials/1", `{"plugins":{"k":{"key":"$env://A"}}}`, `{"plugins":{"k":{"key":"<A>"}}}`},
		{"/apisix/plugin_metadata/a", `{"id":"$env://A","x":{"y":"$env://A"}}`, `{"id":"$env://A","x":{"y":"<A>"}}`},
		{"/apisix/services/1", `{"plugins":{"tester":{"token":"` + encrypted + `"}}}`, `{"plugins":{"tester":{"token":"<old>"}}}`},
		{"/apisix/routes/2", `{"plugins":[],"upstream":5,"tls":null}`, `{"plugins":[],"upstream":5,"tls":null}`},
	} {
		var met []string
		got, err := ParseResolved[json.RawMessage](c.key, []byte(c.raw), ring, func(ref string) (string, bool) {
			met = append(met, ref)
			_, name, _ := strings.Cut(ref, "://")
			return "<" + name + ">", name != "NONE"
		})
		if err != nil {
			t.Errorf("%s: %v", c.key, err)
			continue
		}
		if diff := cmp.Diff(document(t, c.want), document(t, string(*got))); diff != "" {
			t.Errorf("%s: %s", c.key, diff)
		}
		found := SecretReferences(c.key, []byte(c.raw))
		slices.Sort(met)
		slices.Sort(found)
		if met = slices.DeleteFunc(met, func(ref string) bool { return ref == "$secret://old" }); !slices.Equal(found, met) {
			t.Errorf("%s: found %q, met %q", c.key, found, met)
		}
	}
	if _, err := ParseResolved[any]("/apisix/routes/1", []byte(`{`), nil, nil); err == nil {
		t.Error("what is no JSON is accepted")
	}
}

func TestHasReference(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"key":"$secret://vault/1/a/b"}`: true, `{"a":[{"b":"$ENV://X"}]}`: true, `{"a":"x$env://X"}`: false, `{"$env://X":1}`: false, `{"a":"$b"}`: false, `{`: false, `{"a":"b"}`: false,
	} {
		if got := HasReference([]byte(raw)); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}
