package server_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/config"
	"millrace/internal/fieldcrypt"
	"millrace/plugin"
	"millrace/server/servertest"
)

// spec/gateway.md §9.1, §10.48 and the redis settings at the head of §10.
func TestEncryptedFields(t *testing.T) {
	t.Parallel()
	fields := map[string]string{
		"key-auth": "key", "basic-auth": "password", "jwt-auth": "secret", "hmac-auth": "secret_key", "jwe-decrypt": "key secret", "csrf": "key",
		"openwhisk": "service_token", "azure-functions": "authorization.apikey", "openfunction": "authorization.service_token",
		"aws-lambda":     "authorization.apikey authorization.iam.accesskey authorization.iam.secretkey",
		"openid-connect": "client_secret client_rsa_private_key dpop.private_key session.secret session.redis.password",
		"authz-casdoor":  "client_secret", "authz-keycloak": "client_secret", "cas-auth": "cookie.secret",
		"limit-req": "redis_password", "limit-conn": "redis_password", "limit-count": "redis_password sentinel_password",
		"http-logger": "auth_header", "kafka-logger": "brokers.sasl_config.password", "kafka-proxy": "sasl.password", "loki-logger": "headers",
		"elasticsearch-logger": "auth.password headers",
	}
	for _, name := range plugin.Names() {
		found, _ := plugin.Lookup(name)
		got, want := slices.Sorted(slices.Values(found.EncryptFields)), strings.Fields(fields[name])
		slices.Sort(want)
		if _, known := fields[name]; (known || len(got) > 0) && !slices.Equal(got, want) {
			t.Errorf("%s encrypts %q, want %q", name, got, want)
		}
	}
}

// In a file nothing is encrypted but, if one likes, private keys; references are
// resolved, and variables replaced before.
func TestSecretsInAFile(t *testing.T) {
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/v1/kv/jack" || q.Header.Get("X-Vault-Token") != "of the configuration" {
			w.WriteHeader(404)
			return
		}
		fmt.Fprint(w, `{"data":{"key":"vaulted"}}`)
	}))
	defer vault.Close()
	ring, err := fieldcrypt.New(config.Default().Gateway.DataEncryption.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := selfSigned(t, "test.com")
	t.Setenv("MILLRACE_TEST_CERT", cert)
	path := filepath.Join(t.TempDir(), "apisix.yaml")
	text := fmt.Sprintf(`
secrets: [{id: vault/1, uri: %q, prefix: kv, token: $env://CONFIGURED}]
consumers:
  - {username: jack, plugins: {key-auth: {key: $secret://vault/1/jack/key}}}
  - {username: jill, plugins: {key-auth: {key: QbETMUqJqqoIwwCFwlbaOA==}}}
routes:
  - {id: 1, uri: "${{MILLRACE_TEST_URI:=/a}}", plugins: {key-auth: {}}, upstream: {nodes: {%q: 1}}}
ssls:
  - {id: 1, sni: test.com, cert: $env://MILLRACE_TEST_CERT, key: %q}
#END
`, vault.URL, upstreamOf(t, "one"), ring.Encrypt(key))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	site := servertest.Start(t, func(c *config.Config) {
		c.Roles = []config.Role{config.RoleGateway}
		c.Gateway.Source = config.Source{Provider: "file", File: path}
		c.Gateway.TLS.Enabled, c.Gateway.TLS.Listen = true, c.Gateway.Listen
		c.Gateway.Secrets.Env = map[string]string{"CONFIGURED": "of the configuration"}
	})
	for key, want := range map[string]string{"vaulted": "200 one", "QbETMUqJqqoIwwCFwlbaOA==": "200 one", "bobk": "401 ", "$secret://vault/1/jack/key": "401 "} {
		if got := answerOf(t, site, "/a?apikey="+key); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", key, got)
		}
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(site.Secured, "https://"), &tls.Config{ServerName: "test.com", InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("the certificate whose key is encrypted: %v", err)
	}
	conn.Close()
}

// Whether fields are encrypted is configuration; private keys are in any case.
func TestWithoutEncryptionOfFields(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t, "test.com")
	for _, on := range []bool{true, false} {
		site := servertest.Start(t, func(c *config.Config) {
			c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
			c.Gateway.DataEncryption.Enabled = on
		})
		_, answer := adminPut(t, site, "routes/1", `{"uri":"/a","plugins":{"openwhisk":{"api_host":"http://127.0.0.1:1","service_token":"u:p","namespace":"guest","action":"a"}}}`)
		if encrypted := strings.Contains(answer, `"3ADkE6U9nhfTup0vRb7T6g=="`); encrypted != on {
			t.Errorf("encryption %v: %s", on, answer)
		}
		status, answer := adminPut(t, site, "ssls/1", fmt.Sprintf(`{"sni":"test.com","cert":%q,"key":%q}`, cert, key))
		if status != 201 || strings.Contains(answer, "PRIVATE KEY") || !strings.Contains(answer, `"key":"`) {
			t.Errorf("encryption %v: %d %s", on, status, answer)
		}
	}
}
