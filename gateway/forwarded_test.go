package gateway

import (
	"strings"
	"testing"

	"millrace/plugin"
)

func init() { plugin.Register[listHeaders]("test-headers", 4, anySchema) }

// listHeaders answers with the headers that say how the client called, all of them and
// then the first of each name.
type listHeaders struct{}

func (listHeaders) Access(c *plugin.Context) error {
	var b strings.Builder
	c.Request.Headers(func(name, value []byte) bool {
		if strings.Contains(strings.ToLower(string(name)), "forwarded") {
			b.WriteString(string(name) + ": " + string(value) + "\n")
		}
		return true
	})
	for _, name := range []string{"x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-for", "forwarded"} {
		b.WriteString(string(c.Request.Header(name)) + ";")
	}
	return c.Exit(200, b.String())
}

var spoofed = []string{
	"Host: h.example:81", "x-forwarded-proto: https", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: theirs", "X-Forwarded-Proto: ftp", "Forwarded: for=x",
}

// Plugins and conditions see of these headers what the upstream gets.
func TestForwardedAsPluginsSeeIt(t *testing.T) {
	const ours = "x-forwarded-proto: http\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Host: h.example:81\nX-Forwarded-Port: 81\nhttp;h.example:81;81;192.0.2.1;;"
	for name, test := range map[string]struct {
		trusted []string
		want    string
		matches bool
	}{
		"nobody is said to be trusted": {nil, ours, false},
		"not trusted":                  {[]string{"10.0.0.1"}, strings.NewReplacer("X-Forwarded-For: 192.0.2.1\n", "", ";192.0.2.1;", ";;").Replace(ours), false},
		"trusted": {[]string{"127.0.0.0/8"}, "x-forwarded-proto: https\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Host: theirs\nX-Forwarded-Proto: ftp\nForwarded: for=x\n" +
			"X-Forwarded-Port: 81\nhttps;theirs;81;192.0.2.1;for=x;", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *Config) { c.TrustedAddresses = test.trusted })
			r.put("routes/1", `{"uri":"/x","plugins":{"test-headers":{}}}`)
			if rep := r.get("/x", spoofed...); rep.body != test.want {
				t.Errorf("got\n%s\nwant\n%s", rep.body, test.want)
			}
			r.put("routes/2", `{"uri":"/vars","vars":[["http_x_forwarded_proto","~~","^https"]],"plugins":{"test-headers":{}}}`)
			if rep := r.get("/vars", spoofed...); (rep.status == 200) != test.matches {
				t.Errorf("a condition: %s", rep.line)
			}
		})
	}
}

// What a plugin says itself counts, whoever the client is.
func TestForwardedByPlugins(t *testing.T) {
	r := start(t, func(c *Config) { c.TrustedAddresses = []string{"10.0.0.1"} })
	up := ok(t, "x")
	r.put("routes/1", `{"uri":"/x","upstream":{"nodes":{"`+up.addr+`":1}},"plugins":{"test-change":{
		"headers":{"X-Forwarded-For":"192.0.2.9","Forwarded":"for=y","X-Forwarded-Proto":"wss"}}}}`)
	r.get("/x", spoofed...)
	sent := up.last(t)
	for _, want := range []string{"\r\nX-Forwarded-For: 192.0.2.9, 127.0.0.1\r\n", "\r\nForwarded: for=y\r\n", "\r\nX-Forwarded-Proto: wss\r\n", "\r\nX-Forwarded-Host: h.example:81\r\n"} {
		if !strings.Contains(sent, want) {
			t.Errorf("%q is missing in %q", want, sent)
		}
	}
	for _, none := range []string{"192.0.2.1", "for=x", "https", "theirs"} {
		if strings.Contains(sent, none) {
			t.Errorf("%q was sent on in %q", none, sent)
		}
	}
}
