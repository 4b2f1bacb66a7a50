package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSecrets(t *testing.T) {
	c := mustParse(t, `
apisix: {lru: {secret: {ttl: 5, neg_ttl: 2s, count: 7, neg_count: 8}}}
nginx_config: {envs: [PATH, "A=b=c", "EMPTY=", "${{NAME:=FROM}}=x"]}
`, nil)
	want := Secrets{TTL: 5 * time.Second, NegativeTTL: 2 * time.Second, Count: 7, NegativeCount: 8, Env: map[string]string{"A": "b=c", "EMPTY": "", "FROM": "x"}}
	if diff := cmp.Diff(want, c.Gateway.Secrets); diff != "" {
		t.Error(diff)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
	if diff := cmp.Diff(Secrets{TTL: 300 * time.Second, NegativeTTL: 60 * time.Second, Count: 512, NegativeCount: 512}, Default().Gateway.Secrets); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{
		"apisix: {lru: {secret: {ttl: 0}}}":        "apisix.lru.secret.ttl: want a duration above 0",
		"apisix: {lru: {secret: {neg_ttl: x}}}":    "apisix.lru.secret.neg_ttl: want a duration",
		"apisix: {lru: {secret: {count: 0}}}":      "apisix.lru.secret.count: want a whole number, at least 1",
		"nginx_config: {envs: [{TOKEN: hunter2}]}": "nginx_config.envs[0]: want a text",
	} {
		if _, err := parse("config.yaml", []byte(text), noEnv); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The salt of APISIX 2 decrypts too.
func TestSalt(t *testing.T) {
	c := mustParse(t, "apisix: {ssl: {key_encrypt_salt: [edd1c9f0985e76a2, 1234567890123456]}}", nil)
	if got := c.Gateway.DataEncryption.Keyring; len(got) != 3 || got[0] != "qeddd145sfvddff3" || got[2] != "1234567890123456" {
		t.Errorf("%q", got)
	}
	if len(Default().Gateway.DataEncryption.Keyring) != 2 {
		t.Error("the defaults have changed")
	}
}
