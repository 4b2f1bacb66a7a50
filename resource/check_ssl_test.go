package resource

import (
	"testing"

	"millrace/plugin"
)

func TestCheckSSLExtensions(t *testing.T) {
	const forbidden = "invalid configuration: additional properties forbidden, found ocsp_stapling"
	without := plugin.NewSet([]string{"tester"})
	with := plugin.NewSet([]string{"tester", StaplingPlugin})
	for _, tt := range []struct {
		name, ssl string
		set       *plugin.Set
		want      string
	}{
		{"ACME", `{"sni":"a.com","acme":true}`, nil, ""},
		{"ACME, several", `{"snis":["a.com","b.com"],"acme":true}`, nil, ""},
		{"ACME, wildcard", `{"snis":["a.com","*.b.com"],"acme":true}`, nil, "acme: there is no way to get a certificate for *.b.com: give cert and key"},
		{"ACME, off", `{"sni":"a.com","acme":false}`, nil, "invalid configuration: then clause did not match"},
		{"ACME, no name", `{"acme":true}`, nil, "invalid configuration: then clause did not match"},
		{"stapling", `{"sni":"a.com","acme":true,"ocsp_stapling":{"enabled":true,"skip_verify":true,"cache_ttl":60}}`, with, ""},
		{"stapling, all plugins", `{"sni":"a.com","acme":true,"ocsp_stapling":{}}`, nil, ""},
		{"stapling, plugin not listed", `{"sni":"a.com","acme":true,"ocsp_stapling":{}}`, without, forbidden},
		{"stapling, short", `{"sni":"a.com","acme":true,"ocsp_stapling":{"cache_ttl":59}}`, with,
			`invalid configuration: property "ocsp_stapling" validation failed: property "cache_ttl" validation failed: expected 59 to be at least 60`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expectError(t, CheckStored(Prefix+"ssls/1", []byte(tt.ssl), World{Plugins: tt.set}), tt.want)
		})
	}
}
