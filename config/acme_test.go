package config

import (
	"crypto/tls"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestACMEAndTLS(t *testing.T) {
	c := mustParse(t, `
apisix:
  ssl:
    listen: [{port: 9443, enable_http3: true}, {port: 9444}]
    ssl_ciphers: ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384
acme: {agree: true, email: ops@example.com, ca: "https://ca.example.com/dir", key_id: k, mac_key: m, challenges: [tls-alpn-01]}
`, nil)
	g := &c.Gateway
	want := ACME{Agree: true, CA: "https://ca.example.com/dir", Email: "ops@example.com", KeyID: "k", MACKey: "m", Challenges: []string{TLSALPN01}}
	if diff := cmp.Diff(want, g.ACME); diff != "" {
		t.Error(diff)
	}
	if g.ACME.Has(HTTP01) || !g.ACME.Has(TLSALPN01) {
		t.Error("challenges")
	}
	if !g.TLS.Listen[0].HTTP3 || g.TLS.Listen[1].HTTP3 {
		t.Error("enable_http3")
	}
	suites := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	if diff := cmp.Diff(suites, g.TLS.CipherSuites); diff != "" {
		t.Error(diff)
	}
}
