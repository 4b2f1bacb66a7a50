package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"millrace/admin"
	"millrace/plugin"
)

func init() {
	plugin.Register[tester]("key-auth", 2500, `{"type":"object","properties":{"header":{"type":"string"}}}`,
		plugin.AsAuth[keyConf](`{"type":"object","properties":{"key":{"type":"string"}},"required":["key"],"encrypt_fields":["key"]}`, "key"))
	plugin.Register[tester]("traffic-split", 966, `{"type":"object"}`)
	plugin.Register[tester]("grpc-transcode", 506, `{"type":"object"}`)
}

type keyConf struct {
	Key string `json:"key"`
}

// step is a request with what it is to be answered.
type step struct {
	name, method, path, body string
	status                   int
	want                     string
}

func (b *bench) run(steps []step) {
	b.t.Helper()
	for _, s := range steps {
		b.t.(*testing.T).Run(s.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.expect(b.do(s.method, s.path, s.body), s.status, s.want)
		})
	}
}

const keyNotFound = `{"message":"Key not found"}`

func timed(key, members string) string {
	return `{"key":"/apisix/` + key + `","value":{` + members + `,"create_time":"T","update_time":"T"}}`
}

func TestConsumers(t *testing.T) {
	b := start(t, nil)
	const jack = `"username":"jack","plugins":{"key-auth":{"key":"QbETMUqJqqoIwwCFwlbaOA=="}}`
	const clear = `"username":"jack","plugins":{"key-auth":{"key":"bobk"}},"create_time":"T","update_time":"T"`
	b.run([]step{
		{"POST", "POST", "/consumers", `{"username":"jack"}`, 405, msg("not supported `POST` method for consumer")},
		{"PATCH", "PATCH", "/consumers/jack", `{}`, 405, msg("not supported `PATCH` method for consumer")},
		{"no username", "PUT", "/consumers/jack", `{}`, 400, msg(`invalid configuration: property "username" is required`)},
		{"bad username", "PUT", "/consumers", `{"username":"a b"}`, 400, msg(`invalid configuration: property "username" validation failed: failed to match pattern "^[a-zA-Z0-9_\\-]+$" with "a b"`)},
		{"id is unknown", "PUT", "/consumers", `{"username":"a","id":"a"}`, 400, msg(`invalid configuration: additional properties forbidden, found id`)},
		{"wrong username", "PUT", "/consumers/bob", `{"username":"jack"}`, 400, msg("wrong username")},
		{"time", "PUT", "/consumers", `{"username":"jack","create_time":1}`, 400, msg("the property is forbidden:  create_time")},
		{"unknown plugin", "PUT", "/consumers", `{"username":"jack","plugins":{"nope":{}}}`, 400, msg("invalid plugins configuration: unknown plugin [nope]")},
		{"plugin", "PUT", "/consumers", `{"username":"jack","plugins":{"key-auth":{}}}`, 400,
			msg(`invalid plugins configuration: failed to check the configuration of plugin key-auth err: property "key" is required`)},
		{"group", "PUT", "/consumers", `{"username":"jack","group_id":"g"}`, 400, msg("failed to fetch consumer group info by consumer group id [g], response code: 404")},
		{"new", "PUT", "/consumers", `{"username":"jack","plugins":{"key-auth":{"key":"bobk"}}}`, 201, timed("consumers/jack", jack)},
		{"again", "PUT", "/consumers/jack", `{"username":"jack","plugins":{"key-auth":{"key":"bobk"}}}`, 200, timed("consumers/jack", jack)},
		{"read", "GET", "/consumers/jack", "", 200, `{"key":"/apisix/consumers/jack","createdIndex":1,"modifiedIndex":2,"value":{` + clear + `}}`},
		{"another plugin", "PUT", "/consumers", `{"username":"ann","plugins":{"tester":{"count":1}}}`, 201, timed("consumers/ann", `"username":"ann","plugins":{"tester":{"count":1}}`)},
		{"duplicate key", "PUT", "/consumers", `{"username":"bob","plugins":{"key-auth":{"key":"bobk"}}}`, 400, msg("duplicate key of plugin key-auth found with consumer: jack")},

		{"credential POST", "POST", "/consumers/jack/credentials", `{}`, 405, msg("not supported `POST` method for credential")},
		{"credential PATCH", "PATCH", "/consumers/jack/credentials/c1", `{}`, 405, msg("not supported `PATCH` method for credential")},
		{"no credentials", "GET", "/consumers/jack/credentials", "", 404, keyNotFound},
		{"credentials of nobody", "GET", "/consumers/nobody/credentials", "", 404, keyNotFound},
		{"credential without id", "PUT", "/consumers/jack/credentials", `{}`, 400, msg("missing credential id")},
		{"credential of another id", "PUT", "/consumers/jack/credentials/c1", `{"id":"c2"}`, 400, msg("wrong credential id")},
		{"two plugins", "PUT", "/consumers/jack/credentials/c1", `{"plugins":{"key-auth":{"key":"a"},"tester":{}}}`, 400,
			msg(`invalid configuration: property "plugins" validation failed: expect object to have at most 1 properties`)},
		{"no proof", "PUT", "/consumers/jack/credentials/c1", `{"plugins":{"tester":{}}}`, 400, msg("only supports auth type plugins in consumer credential")},
		{"unknown proof", "PUT", "/consumers/jack/credentials/c1", `{"plugins":{"nope":{}}}`, 400, msg("invalid plugins configuration: unknown plugin [nope]")},
		{"credential for nobody", "PUT", "/consumers/nobody/credentials/c1", `{"plugins":{"key-auth":{"key":"x"}}}`, 404, msg("consumer not found")},
		{"duplicate comes first", "PUT", "/consumers/nobody/credentials/c1", `{"plugins":{"key-auth":{"key":"bobk"}}}`, 400,
			msg("duplicate key of plugin key-auth found with consumer: jack")},
		{"credential", "PUT", "/consumers/jack/credentials/c1", `{"desc":"d","plugins":{"key-auth":{"key":"cred1"}}}`, 201,
			timed("consumers/jack/credentials/c1", `"id":"c1","desc":"d","plugins":{"key-auth":{"key":"IsW/lRFQLUYzdZ+Bw68oYg=="}}`)},
		{"id in the body", "PUT", "/consumers/jack/credentials", `{"id":"c2"}`, 201, timed("consumers/jack/credentials/c2", `"id":"c2"`)},
		{"read credential", "GET", "/consumers/jack/credentials/c1", "", 200, `{"key":"/apisix/consumers/jack/credentials/c1","createdIndex":4,"modifiedIndex":4,
			"value":{"id":"c1","desc":"d","plugins":{"key-auth":{"key":"cred1"}},"create_time":"T","update_time":"T"}}`},
		{"key of a credential", "PUT", "/consumers", `{"username":"bob","plugins":{"key-auth":{"key":"cred1"}}}`, 400,
			msg("duplicate key of plugin key-auth found with credential: c1 of consumer: jack")},
		{"own key", "PUT", "/consumers/jack/credentials/c1", `{"plugins":{"key-auth":{"key":"cred1"}}}`, 200,
			timed("consumers/jack/credentials/c1", `"id":"c1","plugins":{"key-auth":{"key":"IsW/lRFQLUYzdZ+Bw68oYg=="}}`)},
		{"credential as a resource", "GET", "/credentials/c1", "", 404, msg("Unsupported resource type: credentials")},
		{"list", "GET", "/consumers", "", 200, `{"total":2,"list":[
			{"key":"/apisix/consumers/ann","createdIndex":3,"modifiedIndex":3,"value":{"username":"ann","plugins":{"tester":{"count":1}},"create_time":"T","update_time":"T"}},
			{"key":"/apisix/consumers/jack","createdIndex":1,"modifiedIndex":2,"value":{` + clear + `}}]}`},
		{"delete credential", "DELETE", "/consumers/jack/credentials/c2", "", 200, `{"key":"/apisix/consumers/jack/credentials/c2","deleted":"1"}`},
		{"delete credential without id", "DELETE", "/consumers/jack/credentials", "", 400, msg("missing credential id")},
		{"delete without id", "DELETE", "/consumers", "", 400, msg("missing consumer id")},
		{"delete", "DELETE", "/consumers/jack", "", 200, `{"key":"/apisix/consumers/jack","deleted":"1"}`},
		{"credentials are gone too", "GET", "/consumers/jack/credentials/c1", "", 404, keyNotFound},
		{"delete again", "DELETE", "/consumers/jack", "", 404, keyNotFound},
		{"the key is free", "PUT", "/consumers", `{"username":"bob","plugins":{"key-auth":{"key":"cred1"}}}`, 201,
			timed("consumers/bob", `"username":"bob","plugins":{"key-auth":{"key":"IsW/lRFQLUYzdZ+Bw68oYg=="}}`)},
	})
}

func TestGuards(t *testing.T) {
	split := func(id string) string {
		return `"plugins":{"traffic-split":{"rules":[{"weighted_upstreams":[{"weight":1},{"upstream_id":` + id + `}]}]}}`
	}
	inUse := func(what, by string) string {
		return msg("can not delete this " + what + ", " + by + " is still using it now")
	}
	tests := []struct{ name, path, body, guarded, want string }{
		{"route", "/routes/r", `{"uri":"/a","upstream_id":1}`, "/upstreams/1", inUse("upstream", "route [r]")},
		{"service", "/services/s1", `{"upstream_id":"1"}`, "/upstreams/1", inUse("upstream", "service [s1]")},
		{"stream route", "/stream_routes/x", `{"upstream_id":"1"}`, "/upstreams/1", inUse("upstream", "stream_route [x]")},
		{"plugin of route", "/routes/1", `{"uri":"/a",` + split("1") + `}`, "/upstreams/1", inUse("upstream", "plugin in route [1]")},
		{"plugin of service", "/services/1", `{` + split(`"1"`) + `}`, "/upstreams/1", inUse("upstream", "plugin in service [1]")},
		{"plugin of plugin config", "/plugin_configs/1", `{` + split("1") + `}`, "/upstreams/1", inUse("upstream", "plugin in plugin_config [1]")},
		{"plugin of consumer", "/consumers", `{"username":"bob",` + split("1") + `}`, "/upstreams/1", inUse("upstream", "plugin in consumer [bob]")},
		{"plugin of consumer group", "/consumer_groups/g", `{` + split("1") + `}`, "/upstreams/1", inUse("upstream", "plugin in consumer_group [g]")},
		{"plugin of global rule", "/global_rules/1", `{` + split("1") + `}`, "/upstreams/1", inUse("upstream", "plugin in global_rules [1]")},
		{"plugin of stream route", "/stream_routes/1", `{` + split("1") + `}`, "/upstreams/1", inUse("upstream", "plugin in stream_route [1]")},
		{"service of route", "/routes/ri", `{"uri":"/a","service_id":1}`, "/services/1", inUse("service directly", "route [ri]")},
		{"service of stream route", "/stream_routes/x", `{"service_id":1}`, "/services/1", inUse("service directly", "stream_route [x]")},
		{"plugin config", "/routes/ri2", `{"uri":"/a","plugins":{},"plugin_config_id":1}`, "/plugin_configs/1", inUse("plugin config", "route [ri2]")},
		{"consumer group", "/consumers", `{"username":"bob","group_id":1}`, "/consumer_groups/1", inUse("consumer group", "consumer [bob]")},
		{"proto of route", "/routes/1", `{"uri":"/a","plugins":{"grpc-transcode":{"proto_id":1}}}`, "/protos/1", inUse("proto", "route [1]")},
		{"proto of service", "/services/1", `{"plugins":{"grpc-transcode":{"proto_id":"1"}}}`, "/protos/1", inUse("proto", "service [1]")},
		{"stream route of another", "/stream_routes/x", `{"protocol":{"name":"redis","superior_id":1}}`, "/stream_routes/1",
			msg("can not delete this stream route directly, stream route [x] is still using it as superior_id")},
	}
	bodies := map[string]string{
		"/upstreams/1": `{"nodes":{}}`, "/services/1": `{}`, "/plugin_configs/1": `{"plugins":{}}`, "/consumer_groups/1": `{"plugins":{}}`,
		"/protos/1": `{"content":"syntax = \"proto3\"; message A {}"}`, "/stream_routes/1": `{"protocol":{"name":"redis"}}`,
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, func(c *admin.Config) { c.Stream = true })
			for _, s := range [][2]string{{tt.guarded, bodies[tt.guarded]}, {tt.path, tt.body}} {
				if got := b.do("PUT", s[0], s[1]); got.status != 201 {
					t.Fatalf("PUT %s: %d %s", s[0], got.status, got.body)
				}
			}
			b.expect(b.do("DELETE", tt.guarded, ""), 400, tt.want)
			user := tt.path
			if user == "/consumers" {
				user = "/consumers/bob"
			}
			if got := b.do("DELETE", user, ""); got.status != 200 {
				t.Fatalf("DELETE %s: %d %s", user, got.status, got.body)
			}
			if got := b.do("DELETE", tt.guarded, ""); got.status != 200 {
				t.Errorf("DELETE of what nobody uses any more: %d %s", got.status, got.body)
			}
		})
	}
}

func TestGlobalRules(t *testing.T) {
	b := start(t, nil)
	b.run([]step{
		{"POST", "POST", "/global_rules", `{"plugins":{}}`, 405, msg("not supported `POST` method for global rule")},
		{"no plugins", "PUT", "/global_rules/1", `{}`, 400, msg(`invalid configuration: property "plugins" is required`)},
		{"name", "PUT", "/global_rules/1", `{"plugins":{},"name":"a"}`, 400, msg("invalid configuration: additional properties forbidden, found name")},
		{"new", "PUT", "/global_rules/1", `{"plugins":{"tester":{"count":1}}}`, 201, timed("global_rules/1", `"id":"1","plugins":{"tester":{"count":1}}`)},
		{"again", "PUT", "/global_rules/1", `{"plugins":{"tester":{"count":2}}}`, 200, timed("global_rules/1", `"id":"1","plugins":{"tester":{"count":2}}`)},
		{"twice", "PUT", "/global_rules/2", `{"plugins":{"tester":{}}}`, 400, msg("plugin 'tester' already exists in global rule with id '1'")},
		{"patch", "PATCH", "/global_rules/1/plugins", `{"key-auth":{}}`, 200, timed("global_rules/1", `"id":"1","plugins":{"key-auth":{}}`)},
		{"now free", "PUT", "/global_rules/2", `{"plugins":{"tester":{}}}`, 201, timed("global_rules/2", `"id":"2","plugins":{"tester":{}}`)},
		{"patch to a taken one", "PATCH", "/global_rules/2", `{"plugins":{"key-auth":{}}}`, 400, msg("plugin 'key-auth' already exists in global rule with id '1'")},
	})
}

func TestMetadataSecretsProtos(t *testing.T) {
	b := start(t, nil)
	const vault = `"uri":"http://127.0.0.1:8200","prefix":"apisix/kv","token":"t"`
	proto, _ := json.Marshal("syntax = \"proto3\";\nmessage A { string a = 1; }")
	b.run([]step{
		{"metadata without plugin", "PUT", "/plugin_metadata", `{}`, 400, msg("missing plugin name")},
		{"unknown plugin", "PUT", "/plugin_metadata/nope", `{}`, 400, msg("invalid plugin name")},
		{"metadata POST", "POST", "/plugin_metadata/tester", `{}`, 405, msg("not supported `POST` method for plugin_metadata")},
		{"metadata PATCH", "PATCH", "/plugin_metadata/tester", `{}`, 405, msg("not supported `PATCH` method for plugin_metadata")},
		{"metadata schema", "PUT", "/plugin_metadata/tester", `{"size":"a"}`, 400,
			msg(`invalid configuration: property "size" validation failed: wrong type: expected integer, got string`)},
		{"metadata", "PUT", "/plugin_metadata/tester", `{"size":1}`, 201, `{"key":"/apisix/plugin_metadata/tester","value":{"id":"tester","size":1}}`},
		{"metadata without schema", "PUT", "/plugin_metadata/key-auth", `{"any":[1]}`, 201, `{"key":"/apisix/plugin_metadata/key-auth","value":{"id":"key-auth","any":[1]}}`},
		{"metadata of stream", "GET", "/plugin_metadata/nope", ``, 404, keyNotFound},
		{"delete metadata", "DELETE", "/plugin_metadata/key-auth", ``, 200, `{"key":"/apisix/plugin_metadata/key-auth","deleted":"1"}`},

		{"secret POST", "POST", "/secrets/vault/1", `{}`, 405, msg("not supported `POST` method for secret")},
		{"secret manager", "PUT", "/secrets/nope/1", `{}`, 400, msg("invalid secret manager: nope")},
		{"secret without id", "PUT", "/secrets/vault", `{` + vault + `}`, 400, msg("missing secret id")},
		{"secret of another id", "PUT", "/secrets/vault/1", `{"id":"1",` + vault + `}`, 400, msg("wrong secret id")},
		{"secret schema", "PUT", "/secrets/vault/1", `{"prefix":"a","token":"t"}`, 400, msg(`invalid configuration: property "uri" is required`)},
		{"secret uri", "PUT", "/secrets/vault/1", `{"uri":"a","prefix":"a","token":"t"}`, 400,
			msg(`invalid configuration: property "uri" validation failed: failed to match pattern "^[^\\/]+:\\/\\/([\\da-zA-Z.-]+|\\[[\\da-fA-F:]+\\])(:\\d+)?" with "a"`)},
		{"secret of AWS", "PUT", "/secrets/aws/1", `{"access_key_id":"a"}`, 400, msg(`invalid configuration: property "secret_access_key" is required`)},
		{"secret of GCP", "PUT", "/secrets/gcp/1", `{}`, 400, msg(`invalid configuration: value should match only one schema, but matches none`)},
		{"secret", "PUT", "/secrets/vault/1", `{` + vault + `}`, 201, timed("secrets/vault/1", `"id":"vault/1",`+vault)},
		{"another secret", "PUT", "/secrets/aws/1", `{"access_key_id":"a","secret_access_key":"b"}`, 201, timed("secrets/aws/1", `"id":"aws/1","access_key_id":"a","secret_access_key":"b"`)},
		{"patch without id", "PATCH", "/secrets/vault", `{}`, 400, msg("no secret id")},
		{"patch", "PATCH", "/secrets/vault/1", `{"namespace":"n"}`, 200, timed("secrets/vault/1", `"id":"vault/1","namespace":"n",`+vault)},
		{"patch below", "PATCH", "/secrets/vault/1/token", `"u"`, 200, timed("secrets/vault/1", `"id":"vault/1","namespace":"n",`+strings.Replace(vault, `"t"`, `"u"`, 1))},
		{"one manager", "GET", "/secrets/aws", ``, 200, `{"total":1,"list":[{"key":"/apisix/secrets/aws/1","createdIndex":5,"modifiedIndex":5,
			"value":{"id":"aws/1","access_key_id":"a","secret_access_key":"b","create_time":"T","update_time":"T"}}]}`},
		{"delete secret", "DELETE", "/secrets/vault/1", ``, 200, `{"key":"/apisix/secrets/vault/1","deleted":"1"}`},
		{"delete without id", "DELETE", "/secrets/vault", ``, 400, msg("missing secret id")},

		{"proto PATCH", "PATCH", "/protos/1", `{}`, 405, msg("not supported `PATCH` method for proto")},
		{"no content", "PUT", "/protos/1", `{}`, 400, msg(`invalid configuration: property "content" is required`)},
		{"bad content", "PUT", "/protos/1", `{"content":"message {"}`, 400, msg("invalid content: proto:1:9: syntax error: unexpected '{'")},
		{"proto", "PUT", "/protos/1", `{"content":` + string(proto) + `}`, 201, timed("protos/1", `"id":"1","content":`+string(proto))},
	})
	if got := b.do("GET", "/secrets", ""); !strings.Contains(got.body, `"total":1`) {
		t.Errorf("list of secrets: %s", got.body)
	}
}

// certificate makes a PEM pair.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test.com"}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"test.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	quote := func(kind string, der []byte) string {
		text, _ := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
		return string(text)
	}
	return quote("CERTIFICATE", der), quote("PRIVATE KEY", pkcs8)
}

func TestSSL(t *testing.T) {
	b := start(t, nil)
	cert, key := certificate(t)
	long := `"` + strings.Repeat("x", 200) + `"`
	broken := `"---` + strings.Repeat("x", 200) + `"`
	ssl := func(more string) string { return `{"sni":"test.com",` + more + `}` }
	pair := `"cert":` + cert + `,"key":` + key
	b.run([]step{
		{"nothing", "PUT", "/ssls/1", `{}`, 400, msg("invalid configuration: then clause did not match")},
		{"client without key", "PUT", "/ssls/1", `{"type":"client","cert":` + cert + `}`, 400, msg("invalid configuration: else clause did not match")},
		{"sni and snis", "PUT", "/ssls/1", ssl(`"snis":["a.com"],` + pair), 400, msg("invalid configuration: then clause did not match")},
		{"short key", "PUT", "/ssls/1", ssl(`"cert":` + cert + `,"key":"a"`), 400, msg(`invalid configuration: property "key" validation failed: string too short, expected at least 64, got 1`)},
		{"bad cert", "PUT", "/ssls/1", ssl(`"cert":` + long + `,"key":` + key), 400, msg("failed to parse cert: PEM_read_bio_X509_AUX() failed")},
		{"bad key", "PUT", "/ssls/1", ssl(`"cert":` + cert + `,"key":` + broken), 400, msg("failed to parse key: PEM_read_bio_PrivateKey() failed")},
		{"strange key", "PUT", "/ssls/1", ssl(`"cert":` + cert + `,"key":` + long), 400, msg("failed to decrypt previous encrypted key")},
		{"certs without keys", "PUT", "/ssls/1", ssl(pair + `,"certs":[` + cert + `]`), 400, msg("mismatched number of certs and keys")},
		{"second pair", "PUT", "/ssls/1", ssl(pair + `,"certs":[` + long + `],"keys":[` + key + `]`), 400,
			msg("failed to handle cert-key pair[1]: failed to parse cert: PEM_read_bio_X509_AUX() failed")},
		{"client CA", "PUT", "/ssls/1", ssl(pair + `,"client":{"ca":` + long + `}`), 400,
			msg("failed to validate client_cert: failed to parse cert: PEM_read_bio_X509_AUX() failed")},
		{"protocols", "PUT", "/ssls/1", ssl(pair + `,"ssl_protocols":["TLSv1.0"]`), 400,
			msg(`invalid configuration: property "ssl_protocols" validation failed: failed to validate item 1: matches none of the enum values`)},
		{"reference", "PUT", "/ssls/r", ssl(`"cert":"$env://CERT","key":"$secret://vault/1/ssl/key"`), 201,
			timed("ssls/r", `"id":"r","sni":"test.com","cert":"$env://CERT","key":"$secret://vault/1/ssl/key"`)},
		{"read reference", "GET", "/ssls/r", "", 200,
			`{"key":"/apisix/ssls/r","createdIndex":1,"modifiedIndex":1,"value":{"id":"r","sni":"test.com","cert":"$env://CERT","create_time":"T","update_time":"T"}}`},
	})
	got := b.do("PUT", "/ssls/1", ssl(pair+`,"certs":[`+cert+`],"keys":[`+key+`],"client":{"ca":`+cert+`},"snis":null`))
	if got.status != 400 {
		t.Errorf("snis null: %d", got.status)
	}
	got = b.do("PUT", "/ssls/1", ssl(pair+`,"certs":[`+cert+`],"keys":[`+key+`],"client":{"ca":`+cert+`}`))
	if got.status != 201 || strings.Contains(got.body, "PRIVATE KEY") || !strings.Contains(got.body, `"key":"`) {
		t.Errorf("PUT: %d %s", got.status, got.body)
	}
	var sent struct{ Value map[string]any }
	if err := json.Unmarshal([]byte(got.body), &sent); err != nil {
		t.Fatal(err)
	}
	// The encrypted key may be sent back as it came.
	cipher, _ := json.Marshal(sent.Value["key"])
	again := b.do("PUT", "/ssls/1", ssl(`"cert":`+cert+`,"key":`+string(cipher)))
	if again.status != 200 || !strings.Contains(again.body, `"key":`+string(cipher)) {
		t.Errorf("PUT of an encrypted key: %d %s", again.status, again.body)
	}
	for _, path := range []string{"/ssls/1", "/ssls"} {
		if got := b.do("GET", path, ""); got.status != 200 || strings.Contains(got.body, `"key":"-`) || strings.Contains(got.body, `"keys"`) || strings.Contains(got.body, string(cipher)) {
			t.Errorf("GET %s: %d %s", path, got.status, got.body)
		}
	}
	if got := b.do("PATCH", "/ssls/1", `{"status":0}`); got.status != 200 || strings.Contains(got.body, "PRIVATE KEY") {
		t.Errorf("PATCH: %d %s", got.status, got.body)
	}
	if got := b.do("DELETE", "/ssls/1", ""); got.status != 200 {
		t.Errorf("DELETE: %d", got.status)
	}
}

// Without encryption no answer holds a private key either.
func TestSSLInTheClear(t *testing.T) {
	b := start(t, func(c *admin.Config) { c.Keyring = nil })
	cert, key := certificate(t)
	for _, got := range []reply{
		b.do("PUT", "/ssls/1", `{"sni":"a.com","cert":`+cert+`,"key":`+key+`}`), b.do("PATCH", "/ssls/1", `{"status":0}`),
		b.do("POST", "/ssls", `{"sni":"a.com","cert":`+cert+`,"key":`+key+`}`), b.do("GET", "/ssls", ""),
	} {
		if got.status >= 300 || strings.Contains(got.body, "PRIVATE KEY") {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

func TestStreamRoutes(t *testing.T) {
	b := start(t, func(c *admin.Config) { c.Stream = true })
	b.run([]step{
		{"PATCH", "PATCH", "/stream_routes/1", `{}`, 405, msg("not supported `PATCH` method for stream route")},
		{"upstream", "PUT", "/stream_routes/1", `{"upstream_id":1}`, 400, msg("failed to fetch upstream info by upstream id [1], response code: 404")},
		{"service", "PUT", "/stream_routes/1", `{"service_id":1}`, 400, msg("failed to fetch service info by service id [1], response code: 404")},
		{"superior", "PUT", "/stream_routes/1", `{"protocol":{"name":"redis","superior_id":1}}`, 400, msg("failed to fetch stream route info by stream route id [1], response code: 404")},
		{"address", "PUT", "/stream_routes/1", `{"remote_addr":"a"}`, 400, msg(`invalid configuration: property "remote_addr" validation failed: object matches none of the required`)},
		{"new", "PUT", "/stream_routes/1", `{"server_port":9100,"upstream":{"scheme":"tcp","nodes":{"127.0.0.1:1995":1}}}`, 201,
			timed("stream_routes/1", `"id":"1","server_port":9100,"upstream":{"scheme":"tcp","nodes":{"127.0.0.1:1995":1}}`)},
	})
}

// Lua of configurations is read, and never run, by the Admin API.
func TestLua(t *testing.T) {
	b := start(t, nil)
	route := func(field, code string) string {
		text, _ := json.Marshal(code)
		if field == "filter_func" {
			return `{"uri":"/a","plugins":{},"filter_func":` + string(text) + `}`
		}
		return `{"uri":"/a","` + field + `":` + string(text) + `}`
	}
	for _, tt := range []struct{ field, code, want string }{
		{"filter_func", "function(vars) return vars.arg_a == '1' end", ""},
		{"filter_func", "function(vars) return", `failed to load 'filter_func' string: [string \"return function(vars) return\"]:1: `},
		{"filter_func", "function(vars) return true end, 1", ""},
		{"filter_func", "functional()", "'filter_func' should be a function"},
		{"script", "local _M = {} function _M.access(ctx) end return _M", ""},
		{"script", "local _M = {} return", "'script' should be a Lua object"},
		{"script", "local _M = {} ]]", `failed to load 'script' string: [string \"local _M = {} ]]\"]:1: `},
	} {
		got := b.do("PUT", "/routes/1", route(tt.field, tt.code))
		if ok := got.status < 300; ok != (tt.want == "") || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s: %d %s", tt.code, got.status, got.body)
		}
	}
}
