package admin_test

import (
	"strings"
	"testing"

	"millrace/admin"
)

const (
	missing = `{"error_msg":"failed to check token","description":"missing apikey"}`
	wrong   = `{"error_msg":"failed to check token","description":"wrong apikey"}`
	viewer  = `{"error_msg":"failed to check token","description":"invalid method for role viewer"}`
	empty   = `{"total":0,"list":[]}`
)

func TestKeys(t *testing.T) {
	b := start(t, nil)
	tests := []struct {
		name, method, path string
		headers            []string
		status             int
		want               string
	}{
		{"header", "GET", "/routes", []string{"X-API-KEY", adminKey}, 200, empty},
		{"query", "GET", "/routes?api_key=" + adminKey, []string{"X-API-KEY", ""}, 200, empty},
		{"cookie", "GET", "/routes", []string{"X-API-KEY", "", "Cookie", "x_api_key=" + adminKey}, 200, empty},
		{"query first", "GET", "/routes?api_key=x", []string{"X-API-KEY", adminKey}, 401, wrong},
		{"header before cookie", "GET", "/routes", []string{"X-API-KEY", "x", "Cookie", "x_api_key=" + adminKey}, 401, wrong},
		{"none", "GET", "/routes", []string{"X-API-KEY", ""}, 401, missing},
		{"none for an unknown resource", "GET", "/routs", []string{"X-API-KEY", ""}, 401, missing},
		{"prefix of a key", "GET", "/routes", []string{"X-API-KEY", adminKey[:5]}, 401, wrong},
		{"viewer reads", "GET", "/routes", []string{"X-API-KEY", viewerKey}, 200, empty},
		{"viewer writes", "PUT", "/routes/1", []string{"X-API-KEY", viewerKey}, 401, viewer},
		{"viewer deletes", "DELETE", "/routes/1", []string{"X-API-KEY", viewerKey}, 401, viewer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.expect(b.do(tt.method, tt.path, "", tt.headers...), tt.status, tt.want)
		})
	}
}

func TestNoKeyRequired(t *testing.T) {
	b := start(t, func(c *admin.Config) { c.KeyRequired = false })
	b.expect(b.do("PUT", "/routes/1", plain, "X-API-KEY", ""), 201, `{"key":"/apisix/routes/1","value":`+routeBody("1")+`}`)
}

// Without a key, what a web page in a browser on this machine sends must not count.
func TestNoKeyRequiredOfWebPages(t *testing.T) {
	for _, tt := range []struct {
		host, origin string
		insecure     bool
		status       int
	}{
		{"localhost:9180", "http://127.0.0.1:9000", false, 200},
		{"localhost:9180", "http://example.com", false, 403},
		{"localhost:9180", "null", false, 403},
		{"example.com:9180", "", false, 403},
		{"example.com:9180", "http://example.com", true, 200},
	} {
		b := start(t, func(c *admin.Config) { c.KeyRequired, c.InsecureWellKnownKeys = false, tt.insecure })
		got := b.do("GET", "/routes", "", "X-API-KEY", "", "Host", tt.host, "Origin", tt.origin)
		if got.status != tt.status || got.status == 403 && !strings.Contains(got.body, "admin_key_required") {
			t.Errorf("Host %s, Origin %q: %d %s", tt.host, tt.origin, got.status, got.body)
		}
	}
}

func TestAllowList(t *testing.T) {
	for list, want := range map[string]int{
		"": 200, "127.0.0.1": 200, "10.0.0.0/8,127.0.0.0/24": 200, "10.0.0.0/8,::1": 403,
	} {
		b := start(t, func(c *admin.Config) {
			c.AllowAdmin = nil
			if list != "" {
				c.AllowAdmin = strings.Split(list, ",")
			}
		})
		got := b.do("GET", "/routes", "")
		if got.status != want {
			t.Errorf("%q: status %d, want %d", list, got.status, want)
		}
		if want == 403 && (!strings.Contains(got.body, "<title>403 Forbidden</title>") || got.header.Get("Content-Type") != "text/html; charset=utf-8") {
			t.Errorf("%q: page %s %s", list, got.header, got.body)
		}
	}
}

func TestWellKnownKey(t *testing.T) {
	const key = "edd1c9f034335f136f87ad84b625c8f1"
	wellKnown := start(t, func(c *admin.Config) { c.Keys = []admin.Key{{Name: "admin", Key: key, Role: "admin"}} })
	tests := []struct {
		host, origin string
		served       bool
	}{
		{"127.0.0.1:9180", "", true},
		{"localhost", "", true},
		{"LocalHost.:9180", "http://localhost:3232", true},
		{"console.localhost", "http://127.1.2.3", true},
		{"[::1]:9180", "https://[::1]", true},
		{"example.com", "", false},
		{"127.0.0.1.example.com", "", false},
		{"192.168.0.1", "", false},
		{"localhost", "http://example.com", false},
		{"localhost", "http://localhost.example.com", false},
		{"localhost", "null", false},
	}
	for _, tt := range tests {
		headers := []string{"X-API-KEY", key, "Host", tt.host, "Origin", tt.origin}
		got := wellKnown.do("GET", "/routes", "", headers...)
		if served := got.status == 200; served != tt.served || !served && (got.status != 403 || !strings.Contains(got.body, "deployment.admin.admin_key")) {
			t.Errorf("Host %s, Origin %q: %d %s", tt.host, tt.origin, got.status, got.body)
		}
	}
	insecure := start(t, func(c *admin.Config) {
		c.Keys, c.InsecureWellKnownKeys = []admin.Key{{Name: "admin", Key: key, Role: "admin"}}, true
	})
	if got := insecure.do("GET", "/routes", "", "X-API-KEY", key, "Host", "example.com"); got.status != 200 {
		t.Errorf("a well-known key that may be used from everywhere is refused: %d %s", got.status, got.body)
	}
	own := start(t, nil)
	if got := own.do("GET", "/routes", "", "Host", "example.com", "Origin", "http://example.com"); got.status != 200 {
		t.Errorf("an own key is refused for another host: %d %s", got.status, got.body)
	}
	if !admin.WellKnown(key) || !admin.WellKnown("4054f7cf07e344346cd3f287985e76a2") || admin.WellKnown(adminKey) {
		t.Error("WellKnown does not know the well-known keys")
	}
}

func TestBadConfig(t *testing.T) {
	for want, cfg := range map[string]admin.Config{
		`"10.0.0"`:               {AllowAdmin: []string{"10.0.0"}},
		`key named "x" is empty`: {Keys: []admin.Key{{Name: "x"}}},
		`there is no key`:        {KeyRequired: true},
	} {
		if _, err := admin.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
