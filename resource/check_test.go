package resource

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"millrace/internal/jsonvalue"
	"millrace/plugin"
)

func init() {
	plugin.Register[tester]("tester", 1, `{"type":"object",
		"properties":{"count":{"type":"integer","minimum":1},"token":{"type":"string"},"list":{"type":"array"},"headers":{"type":"object"}},
		"encrypt_fields":["token","list.deep.secret","headers"]}`,
		plugin.AsMetadata[struct{}](`{"type":"object","encrypt_fields":["deep.master"]}`))
}

// tester is a plugin with a small schema.
type tester struct {
	Count int `json:"count"`
}

func (*tester) Access(*plugin.Context) error { return nil }

const actionNeeded = `invalid configuration: object matches none of the required: ["plugins","uri"] or ["upstream","uri"] or ["upstream_id","uri"] or ["service_id","uri"] or ["plugins","uris"] or ["upstream","uris"] or ["upstream_id","uris"] or ["service_id","uris"] or ["script","uri"] or ["script","uris"]`

func TestCheckRoute(t *testing.T) {
	tests := []struct{ name, route, want string }{
		{"plain", `{"uri":"/hello","upstream":{"type":"roundrobin","nodes":{"127.0.0.1:1980":1}}}`, ``},
		{"empty nodes", `{"uri":"/hello","plugins":{},"upstream":{"type":"roundrobin","nodes":{}}}`, ``},
		{"nodes as empty array", `{"uri":"/hello","upstream":{"nodes":[]}}`, ``},
		{"node without port", `{"uri":"/hello","upstream":{"nodes":{"localhost":0}}}`, ``},
		{"unknown upstream type", `{"uri":"/hello","upstream":{"type":"nope","nodes":[]}}`, ``},
		{"plugins as empty array", `{"uri":"/hello","plugins":[]}`, ``},
		{"everything", `{"uris":["/a","/b*"],"name":"n","desc":"d","labels":{"a":"b"},"hosts":["*.foo.com","*","[::1]:80"],
			"remote_addrs":["10.0.0.0/8","::1","1.2.3.4","fe80::/10"],"methods":["GET","PURGE"],"priority":-5,"vars":[["arg_a","==","1"]],
			"filter_func":"function(vars) return true end","plugins":{"tester":{"count":1.0}},"upstream_id":1,"service_id":"s","plugin_config_id":2,
			"timeout":{"connect":0.5,"send":1,"read":1},"enable_websocket":true,"status":0,"id":7,"create_time":1,"update_time":2}`, ``},
		{"no action", `{"uri":"/hello"}`, actionNeeded},
		{"only a plugin config", `{"uri":"/hello","plugin_config_id":"1"}`, actionNeeded},
		{"no uri", `{"plugins":{}}`, `invalid configuration: allOf 1 failed: value should match only one schema, but matches none`},
		{"uri and uris", `{"uri":"/a","uris":["/b"],"plugins":{}}`, `invalid configuration: allOf 1 failed: value should match only one schema, but matches both schemas 1 and 2`},
		{"host and hosts", `{"uri":"/a","host":"a","hosts":["b"],"plugins":{}}`, `only one of host or hosts is allowed`},
		{"remote_addr and remote_addrs", `{"uri":"/a","remote_addr":"1.1.1.1","remote_addrs":["1.1.1.1"],"plugins":{}}`, `only one of remote_addr or remote_addrs is allowed`},
		{"unknown field", `{"uri":"/a","plugins":{},"invalid":1}`, `invalid configuration: additional properties forbidden, found invalid`},
		{"empty uri", `{"uri":"","plugins":{}}`, `invalid configuration: property "uri" validation failed: string too short, expected at least 1, got 0`},
		{"uri of another type", `{"uri":1,"plugins":{}}`, `invalid configuration: property "uri" validation failed: wrong type: expected string, got number`},
		{"method", `{"uri":"/a","plugins":{},"methods":["GET","FOO"]}`, `invalid configuration: property "methods" validation failed: failed to validate item 2: matches none of the enum values`},
		{"method twice", `{"uri":"/a","plugins":{},"methods":["GET","GET"]}`, `invalid configuration: property "methods" validation failed: expected unique items but items 1 and 2 are equal`},
		{"id", `{"id":"a b","uri":"/a","plugins":{}}`, `invalid configuration: property "id" validation failed: object matches none of the required`},
		{"id zero", `{"id":0,"uri":"/a","plugins":{}}`, `invalid configuration: property "id" validation failed: object matches none of the required`},
		{"host", `{"uri":"/a","plugins":{},"host":"a b"}`, `invalid configuration: property "host" validation failed: failed to match pattern "^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$" with "a b"`},
		{"remote_addr", `{"uri":"/a","plugins":{},"remote_addr":"1.1.1.300"}`, `invalid configuration: property "remote_addr" validation failed: object matches none of the required`},
		{"status", `{"uri":"/a","plugins":{},"status":2}`, `invalid configuration: property "status" validation failed: matches none of the enum values`},
		{"label", `{"uri":"/a","plugins":{},"labels":{"a":"b c"}}`, `invalid configuration: property "labels" validation failed: failed to validate a (matching ".*"): failed to match pattern "^\\S+$" with "b c"`},
		{"filter_func", `{"uri":"/a","plugins":{},"filter_func":"return true end"}`, `invalid configuration: property "filter_func" validation failed: failed to match pattern "^function" with "return true end"`},
		{"script and plugins", `{"uri":"/a","plugins":{},"script":"local _M = {} return _M"}`, `invalid configuration: value wasn't supposed to match schema`},
		{"timeout", `{"uri":"/a","plugins":{},"timeout":{"connect":0,"send":1,"read":1}}`, `invalid configuration: property "timeout" validation failed: property "connect" validation failed: expected 0 to be greater than 0`},
		{"timeout incomplete", `{"uri":"/a","plugins":{},"timeout":{"connect":1}}`, `invalid configuration: property "timeout" validation failed: property "send" is required`},
		{"array", `[1]`, `invalid configuration: wrong type: expected object, got table`},
		{"integer too large", `{"uri":"/a","plugins":{},"priority":1e30}`, `invalid configuration: json: cannot unmarshal number 1e30 into Go struct field Route.priority of type int`},

		{"unknown plugin", `{"uri":"/a","plugins":{"nope":{}}}`, `unknown plugin [nope]`},
		{"plugin conf", `{"uri":"/a","plugins":{"tester":5}}`, `invalid plugin conf 5 for plugin [tester]`},
		{"plugin conf of unknown plugin", `{"uri":"/a","plugins":{"nope":"<a/b>"}}`, `invalid plugin conf "<a/b>" for plugin [nope]`},
		{"plugin conf as empty array", `{"uri":"/a","plugins":{"tester":[]}}`, ``},
		{"plugin schema", `{"uri":"/a","plugins":{"tester":{"count":0}}}`, `failed to check the configuration of plugin tester err: property "count" validation failed: expected 0 to be at least 1`},

		{"vars unwrapped", `{"uri":"/a","plugins":{},"vars":["arg_a","==","1"]}`, `failed to validate the 'vars' expression: rule should be wrapped inside brackets`},
		{"vars operator", `{"uri":"/a","plugins":{},"vars":[["arg_a","=","1"]]}`, `failed to validate the 'vars' expression: invalid operator '='`},
		{"vars short", `{"uri":"/a","plugins":{},"vars":["OR",["arg_a","==","1"]]}`, `failed to validate the 'vars' expression: rule too short`},
		{"vars expression", `{"uri":"/a","plugins":{},"vars":[["arg_a"]]}`, `failed to validate the 'vars' expression: invalid expression`},
		{"vars not", `{"uri":"/a","plugins":{},"vars":[["arg_a","not","in",["1"]]]}`, `failed to validate the 'vars' expression: bad 'not' expression`},
		{"vars address", `{"uri":"/a","plugins":{},"vars":[["remote_addr","ipmatch",["10.0.0.0/8","x"]]]}`, `failed to validate the 'vars' expression: invalid ip address: x`},
		{"vars nested", `{"uri":"/a","plugins":{},"vars":["OR",["!AND",["a","==","1"],["b","1"]],["c","!","in",["1"]],["d","==",null]]}`, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expectError(t, checkRaw("routes", []byte(tt.route)), tt.want) })
	}
}

func TestCheckUpstream(t *testing.T) {
	pem := func(kind string) string {
		text, _ := json.Marshal("-----BEGIN " + kind + "-----\n" + strings.Repeat("A", 200) + "\n-----END " + kind + "-----\n")
		return string(text)
	}
	long := `"` + strings.Repeat("x", 200) + `"`
	tests := []struct{ name, upstream, want string }{
		{"discovery", `{"service_name":"a","discovery_type":"dns"}`, ``},
		{"no nodes", `{"type":"roundrobin"}`, `invalid configuration: value should match only one schema, but matches none`},
		{"nodes and discovery", `{"nodes":[],"service_name":"a","discovery_type":"dns"}`, `invalid configuration: value should match only one schema, but matches both schemas 1 and 2`},
		{"weight", `{"nodes":{"a:1":-1}}`, `invalid configuration: property "nodes" validation failed: object matches none of the required`},
		{"array port", `{"nodes":[{"host":"a","port":70000,"weight":1}]}`, `invalid configuration: property "nodes" validation failed: object matches none of the required`},
		{"port 0", `{"nodes":{"a:0":1}}`, `invalid port 0`},
		{"port 70000", `{"nodes":{"a:70000":1}}`, `invalid port 70000`},
		{"IPv6", `{"nodes":[{"host":"::1","weight":1}]}`, `invalid configuration: IPv6 address must be enclosed with '[' and ']'`},
		{"IPv6 in brackets", `{"nodes":[{"host":"[::1]","weight":1}]}`, ``},
		{"weights of zero", `{"nodes":[{"host":"a","weight":0,"metadata":{"x":1}}]}`, ``},
		{"chash without key", `{"type":"chash","nodes":[]}`, `missing key`},
		{"chash by consumer", `{"type":"chash","hash_on":"consumer","nodes":[]}`, ``},
		{"chash key", `{"type":"chash","key":"foo","nodes":[]}`, `invalid configuration: failed to match pattern "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$" with "foo"`},
		{"chash header key", `{"type":"chash","hash_on":"header","key":"a b","nodes":[]}`, `invalid configuration: failed to match pattern "^[a-zA-Z0-9-_]+$" with "a b"`},
		{"chash combination", `{"type":"chash","hash_on":"vars_combinations","key":"$a b","nodes":[]}`, ``},
		{"rewrite", `{"pass_host":"rewrite","nodes":[]}`, "`upstream_host` can't be empty when `pass_host` is `rewrite`"},
		{"rewrite with host", `{"pass_host":"rewrite","upstream_host":"a.com","nodes":[]}`, ``},
		{"passive checks", `{"nodes":[],"checks":{"passive":{}}}`, `invalid configuration: property "checks" validation failed: object matches none of the required: ["active"] or ["active","passive"]`},
		{"checks", `{"nodes":[],"checks":{"active":{"http_path":"/s","healthy":{"interval":0}}}}`, `invalid configuration: property "checks" validation failed: property "active" validation failed: property "healthy" validation failed: property "interval" validation failed: expected 0 to be at least 1`},
		{"statuses", `{"nodes":[],"checks":{"active":{"unhealthy":{"http_statuses":[100]}}}}`, `invalid configuration: property "checks" validation failed: property "active" validation failed: property "unhealthy" validation failed: property "http_statuses" validation failed: failed to validate item 1: expected 100 to be at least 200`},
		{"cert without key", `{"nodes":[],"tls":{"client_cert":` + long + `}}`, `invalid configuration: property "tls" validation failed: failed to validate dependent schema for "client_cert": property "client_key" is required`},
		{"cert", `{"nodes":[],"tls":{"client_cert":` + long + `,"client_key":` + long + `}}`, `failed to parse cert: PEM_read_bio_X509_AUX() failed`},
		{"key", `{"nodes":[],"tls":{"client_cert":` + pem("CERTIFICATE") + `,"client_key":` + long + `}}`, `failed to parse key: PEM_read_bio_PrivateKey() failed`},
		{"keepalive", `{"nodes":[],"keepalive_pool":{"size":0}}`, `invalid configuration: property "keepalive_pool" validation failed: property "size" validation failed: expected 0 to be at least 1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectError(t, checkRaw("upstreams", []byte(tt.upstream)), tt.want)
			if tt.want != "" && !strings.HasPrefix(tt.want, "invalid configuration: ") {
				expectError(t, checkRaw("routes", []byte(`{"uri":"/a","upstream":`+tt.upstream+`}`)), tt.want)
			}
		})
	}
}

func TestExistence(t *testing.T) {
	stored := map[string]string{"upstreams/1": `{}`, "ssls/c": `{"type":"client"}`, "ssls/s": `{"type":"server"}`}
	down := errors.New("store is down")
	refs := func(folder, id string) ([]byte, error) {
		if id == "down" {
			return nil, down
		}
		if v, ok := stored[folder+"/"+id]; ok {
			return []byte(v), nil
		}
		return nil, nil
	}
	tests := []struct{ name, route, want string }{
		{"found", `{"uri":"/a","upstream_id":1}`, ``},
		{"upstream", `{"uri":"/a","upstream_id":2}`, `failed to fetch upstream info by upstream id [2], response code: 404`},
		{"service", `{"uri":"/a","service_id":"x"}`, `failed to fetch service info by service id [x], response code: 404`},
		{"plugin config", `{"uri":"/a","plugins":{},"plugin_config_id":"x"}`, `failed to fetch plugin config info by plugin config id [x], response code: 404`},
		{"ssl", `{"uri":"/a","upstream":{"nodes":[],"tls":{"client_cert_id":"x"}}}`, `failed to fetch ssl info by ssl id [x], response code: 404`},
		{"ssl of a server", `{"uri":"/a","upstream":{"nodes":[],"tls":{"client_cert_id":"s"}}}`, `failed to fetch ssl info by ssl id [s], wrong ssl type`},
		{"ssl of a client", `{"uri":"/a","upstream":{"nodes":[],"tls":{"client_cert_id":"c"}}}`, ``},
		{"store is down", `{"uri":"/a","upstream_id":"down"}`, `fetching upstream down: store is down`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := jsonvalue.Decode([]byte(tt.route))
			if err != nil {
				t.Fatal(err)
			}
			err = KindOf("routes").Check(doc, World{Refs: refs})
			expectError(t, err, tt.want)
			var invalid Invalid
			if err != nil && errors.As(err, &invalid) == errors.Is(err, down) {
				t.Errorf("%v is of the wrong kind", err)
			}
		})
	}
}

func TestOtherKinds(t *testing.T) {
	tests := []struct {
		folder, doc, want string
	}{
		{"services", `{}`, ``},
		{"services", `{"hosts":[]}`, `invalid configuration: property "hosts" validation failed: expect array to have at least 1 items`},
		{"services", `{"uri":"/a"}`, `invalid configuration: additional properties forbidden, found uri`},
		{"services", `{"upstream":{"type":"chash","nodes":{}}}`, `missing key`},
		{"plugin_configs", `{"id":"1"}`, `invalid configuration: property "plugins" is required`},
		{"plugin_configs", `{"id":"1","plugins":{"nope":{}}}`, `unknown plugin [nope]`},
	}
	for _, tt := range tests {
		expectError(t, checkRaw(tt.folder, []byte(tt.doc)), tt.want)
	}
	expectError(t, checkRaw("services", []byte(`{}}`)), "not valid JSON: text after the value")
}

// checkRaw checks the JSON of a resource, without what it refers to.
func checkRaw(folder string, raw []byte) error {
	doc, err := jsonvalue.Decode(raw)
	if err != nil {
		return err
	}
	return KindOf(folder).Check(doc, World{})
}

func expectError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzCheckRoute makes sure that what passes the checks can be read by the gateway.
func FuzzCheckRoute(f *testing.F) {
	for _, seed := range []string{
		`{"uri":"/a","plugins":{"tester":{"count":1.0}},"vars":[["a","!","in",["1"]]]}`,
		`{"uris":["/a"],"upstream":{"nodes":{"[::1]:80":1e0},"tls":{"verify":true},"checks":{"active":{}}},"id":7,"labels":{"a":"b"}}`,
		`{"uri":"$env://A","plugins":[],"upstream":{"nodes":[{"host":"a","port":1,"weight":0}],"timeout":{"connect":1,"send":1,"read":1}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkRaw("routes", raw) != nil {
			return
		}
		if _, err := Parse[Route](raw, nil); err != nil {
			t.Errorf("%s passes the checks, but: %v", raw, err)
		}
	})
}
