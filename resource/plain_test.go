package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// However a resource is read, the same comes of it.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		key, raw string
		plain    bool
	}{
		{"/apisix/routes/1", `{"uri":"/a.b","priority":3,"upstream":{"nodes":{"127.0.0.1:80":1}},"enable_websocket":true}`, true},
		{"/apisix/routes/1", `{"uri":"/a","priority":3.0}`, false},
		{"/apisix/routes/1", `{"uri":"/a","priority":1e1}`, false},
		{"/apisix/routes/1", `{"uri":"/a","priority":-1E1}`, false},
		{"/apisix/routes/1", `{"uri":"/a\"1.5","priority":1}`, false},
		{"/apisix/routes/1", `{"uri":"/a","plugins":{}}`, false},
		{"/apisix/routes/1", `{"uri":"$env://A"}`, false},
		{"/apisix/upstreams/1", `{"nodes":{"a:80":1},"tls":{"client_key":"x"}}`, false},
		{"/apisix/consumers/1", `{"username":"a"}`, false},
	} {
		if got := isPlain(c.key, []byte(c.raw)); got != c.plain {
			t.Errorf("%s is plain: %t", c.raw, got)
		}
		whole, err := Parse[Route]([]byte(c.raw), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseResolved[Route](c.key, []byte(c.raw), nil, func(ref string) (string, bool) { return ref, true })
		if diff := cmp.Diff(whole, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.raw, err, diff)
		}
	}
	if _, err := ParseResolved[Route]("/apisix/routes/1", []byte(`{"uri":1}`), nil, nil); err == nil {
		t.Error("a wrong type was taken")
	}
}
