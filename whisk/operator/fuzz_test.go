package operator

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever is sent, the answer is JSON and blames nobody but the sender.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		"", "{}", `{"subject":"a","key":"k:s","limits":{"firesPerMinute":1e400}}`, `{"limits":{"firesPerMinute":null}}`,
		`{"grace":"1h"}`, `{"expiresIn":"-1h","key":"\ud800"}`, `[[[`, `{"blocked":true}{}`, "\xef\xbb\xbf{}", `{"a":NaN}`,
	} {
		f.Add(body)
	}
	s := newSite(f)
	const acme = "/v1/namespaces/acme"
	f.Fuzz(func(t *testing.T, body string) {
		s.t = t
		for _, r := range [][2]string{
			{"PUT", acme}, {"PATCH", acme}, {"PUT", acme + "/limits"}, {"PATCH", acme + "/limits"},
			{"POST", acme + "/keys"}, {"POST", acme + "/keys/rotate"}, {"DELETE", acme + "?force=true"},
		} {
			if status, text := s.send(r[0], r[1], body); status >= 500 {
				t.Errorf("%s %s %q: %d %s", r[0], r[1], body, status, text)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, query := range []string{"limit=1&after=a", "limit=-1", "limit=99999999999999999999", "after=%00", "a=%zz;b", "force=maybe"} {
		f.Add(query)
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/v1/namespaces", strings.NewReader(""))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code >= 500 {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}
