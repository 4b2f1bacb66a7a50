package admin_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"millrace/admin"
	"millrace/plugin"
	"millrace/store"
)

// TestErrors holds every generic error of the specification (§2.1–§2.6) with its
// exact text.
func TestErrors(t *testing.T) {
	b := start(t, nil)
	b.expect(b.do("PUT", "/routes/used", `{"uri":"/u","upstream_id":"u","service_id":"s","plugin_config_id":"p"}`), 400,
		msg("failed to fetch upstream info by upstream id [u], response code: 404"))
	for path, body := range map[string]string{
		"/upstreams/u": `{"nodes":{}}`, "/services/s": `{}`, "/services/s1": `{"upstream_id":"u2"}`, "/upstreams/u2": `{"nodes":[]}`, "/plugin_configs/p": `{"plugins":{}}`, "/routes/1": plain,
	} {
		if path == "/services/s1" {
			b.do("PUT", "/upstreams/u2", `{"nodes":[]}`)
		}
		b.do("PUT", path, body)
	}
	b.expect(b.do("PUT", "/routes/used", `{"uri":"/u","upstream_id":"u","service_id":"s","plugin_config_id":"p"}`), 201,
		`{"key":"/apisix/routes/used","value":{"id":"used","uri":"/u","upstream_id":"u","service_id":"s","plugin_config_id":"p","create_time":"T","update_time":"T"}}`)

	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"unknown resource", "GET", "/routs", "", 404, msg("Unsupported resource type: routs")},
		{"part of a service that is not there", "PUT", "/services/s/graphql_cost_decorations/1", `{}`, 404, msg("Unsupported resource type: graphql_cost_decorations")},
		{"stream routes", "GET", "/stream_routes/1", "", 400, msg("stream mode is disabled, can not add stream routes")},
		{"method of a helper", "PUT", "/schema/route", "", 404, msg("not found")},
		{"POST where ids are chosen", "POST", "/plugin_configs", `{}`, 405, msg("not supported `POST` method for plugin config")},
		{"invalid JSON", "PUT", "/routes/1", `{abc`, 400,
			`{"error_msg":"invalid request body: Expected object key string but found invalid token at character 2","req_body":"{abc"}`},
		{"blank body", "PUT", "/routes/1", ` `, 400,
			`{"error_msg":"invalid request body: Expected value but found T_END at character 2","req_body":" "}`},
		{"invalid JSON for a GET", "GET", "/routes/1", `}`, 400,
			`{"error_msg":"invalid request body: Expected value but found T_OBJ_END at character 1","req_body":"}"}`},
		{"too large", "PUT", "/routes/1", strings.Repeat(" ", 1572865), 400,
			msg("invalid request body: request size 1572865 is greater than the maximum size 1572864 allowed")},
		{"ttl", "PUT", "/routes/1?ttl=a", plain, 400, msg("invalid argument ttl: should be a number")},
		{"empty PUT", "PUT", "/routes/1", ``, 400, msg("missing configurations")},
		{"empty POST", "POST", "/routes", ``, 400, msg("missing configurations")},
		{"false", "PUT", "/routes/1", `false`, 400, msg("missing configurations")},
		{"null", "PUT", "/routes/1", `null`, 400, msg("invalid configuration: wrong type: expected object, got userdata")},
		{"number", "POST", "/routes", `5`, 400, msg("invalid configuration: wrong type: expected object, got number")},
		{"PUT without id", "PUT", "/routes", plain, 400, msg("missing route id")},
		{"PATCH without id", "PATCH", "/routes", plain, 400, msg("missing route id")},
		{"DELETE without id", "DELETE", "/routes", ``, 400, msg("missing route id")},
		{"DELETE without id of another kind", "DELETE", "/plugin_configs", ``, 400, msg("missing plugin config id")},
		{"another id", "PUT", "/routes/1", `{"id":"2",` + plain[1:], 400, msg("wrong route id")},
		{"POST with id in path", "POST", "/routes/1", plain, 400, msg("wrong route id, do not need it")},
		{"POST with id in body", "POST", "/routes", `{"id":1,` + plain[1:], 400, msg("wrong route id, do not need it")},
		{"create_time", "PUT", "/routes/1", `{"create_time":1,` + plain[1:], 400, msg("the property is forbidden:  create_time")},
		{"update_time", "POST", "/routes", `{"update_time":1,` + plain[1:], 400, msg("the property is forbidden:  update_time")},
		{"create_time of upstream", "PUT", "/routes/1", `{"uri":"/a","upstream":{"nodes":{},"create_time":1}}`, 400, msg("the property is forbidden:  upstream.create_time")},
		{"create_time of plugins", "PUT", "/routes/1", `{"uri":"/a","plugins":{"create_time":1}}`, 400, msg("the property is forbidden:  plugins.create_time")},
		{"schema", "PUT", "/routes/1", `{"plugins":{}}`, 400, msg("invalid configuration: allOf 1 failed: value should match only one schema, but matches none")},
		{"id in path", "PUT", "/routes/a%20b", plain, 400, msg(`invalid configuration: property "id" validation failed: object matches none of the required`)},
		{"id too long", "PUT", "/routes/" + strings.Repeat("a", 65), plain, 400, msg(`invalid configuration: property "id" validation failed: object matches none of the required`)},
		{"unknown plugin", "PUT", "/routes/1", `{"uri":"/a","plugins":{"nope":{}}}`, 400, msg("unknown plugin [nope]")},
		{"plugin conf", "PUT", "/routes/1", `{"uri":"/a","plugins":{"tester":5}}`, 400, msg("invalid plugin conf 5 for plugin [tester]")},
		{"plugin schema", "PUT", "/routes/1", `{"uri":"/a","plugins":{"tester":{"count":"1"}}}`, 400,
			msg(`failed to check the configuration of plugin tester err: property "count" validation failed: wrong type: expected integer, got string`)},
		{"missing service", "PUT", "/routes/1", `{"uri":"/a","service_id":"x"}`, 400, msg("failed to fetch service info by service id [x], response code: 404")},
		{"missing plugin config", "PUT", "/routes/1", `{"uri":"/a","plugins":{},"plugin_config_id":"x"}`, 400, msg("failed to fetch plugin config info by plugin config id [x], response code: 404")},

		{"PATCH without body", "PATCH", "/routes/1", ``, 400, msg("missing new configuration")},
		{"PATCH with array", "PATCH", "/routes/1", `[]`, 400, msg("invalid configuration")},
		{"PATCH with null", "PATCH", "/routes/1", `null`, 400, msg("invalid configuration")},
		{"PATCH of nothing", "PATCH", "/routes/none", `{}`, 404, `{"message":"Key not found"}`},
		{"PATCH through text", "PATCH", "/routes/1/uri/a/b", `1`, 400, msg("invalid sub-path: /uri/a/b")},
		{"PATCH result", "PATCH", "/routes/1", `{"uri":null}`, 400, msg("invalid configuration: allOf 1 failed: value should match only one schema, but matches none")},
		{"PATCH of the id", "PATCH", "/routes/1", `{"id":"2"}`, 400, msg("wrong route id")},

		{"used upstream", "DELETE", "/upstreams/u", "", 400, msg("can not delete this upstream, route [used] is still using it now")},
		{"upstream used by service", "DELETE", "/upstreams/u2", "", 400, msg("can not delete this upstream, service [s1] is still using it now")},
		{"used service", "DELETE", "/services/s", "", 400, msg("can not delete this service directly, route [used] is still using it now")},
		{"used plugin config", "DELETE", "/plugin_configs/p", "", 400, msg("can not delete this plugin config, route [used] is still using it now")},
		{"not quite forced", "DELETE", "/upstreams/u?force=1", "", 400, msg("can not delete this upstream, route [used] is still using it now")},
		{"forced", "DELETE", "/upstreams/u?force=true", "", 200, `{"key":"/apisix/upstreams/u","deleted":"1"}`},

		{"page size", "GET", "/routes?page=1&page_size=9", "", 400, "page_size must be between 10 and 500"},
		{"page size too large", "GET", "/routes?page=1&page_size=501", "", 400, "page_size must be between 10 and 500"},
		{"subsystem of list", "GET", "/plugins/list?subsystem=x", "", 400, "invalid subsystem passed"},
		{"subsystem", "GET", "/plugins/tester?subsystem=x", "", 400, msg("unsupported subsystem: x")},
		{"plugin", "GET", "/plugins/nope", "", 404, msg("plugin not found in subsystem http")},
		{"schema of plugin", "GET", "/schema/plugins/nope", "", 404, msg("plugin not found in subsystem http")},
		{"schema of nothing", "GET", "/schema/nope", "", 400, msg("not found schema: nope")},
		{"validate", "POST", "/schema/validate/routes", `{"plugins":{"nope":1}}`, 400, msg("allOf 1 failed: value should match only one schema, but matches none")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.expect(b.do(tt.method, tt.path, tt.body), tt.status, tt.want)
		})
	}
}

// TestChunkedBodyTooLarge sends a body whose size is not announced.
func TestChunkedBodyTooLarge(t *testing.T) {
	b := start(t, nil)
	body := io.MultiReader(strings.NewReader(strings.Repeat(" ", 1572864)), strings.NewReader(plain))
	r, err := http.NewRequest(http.MethodPut, b.url+"/apisix/admin/routes/1", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-KEY", adminKey)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	b.expect(reply{resp.StatusCode, string(text), resp.Header}, 400,
		msg("invalid request body: request size 1572865 is greater than the maximum size 1572864 allowed"))
}

func TestHelpers(t *testing.T) {
	b := start(t, nil)
	b.expect(b.do("GET", "/plugins/list", ""), 200, `["key-auth","traffic-split","grpc-transcode","tester"]`)
	b.expect(b.do("GET", "/plugins/list?subsystem=stream", ""), 200, `["traffic-split","streamer"]`)
	b.expect(b.do("GET", "/plugins/tester?schema_type=metadata", ""), 200, `{"type":"object","properties":{"size":{"type":"integer"}}}`)
	b.expect(b.do("POST", "/schema/validate/routes", `{"uri":"/a","plugins":{"nope":1}}`), 200, "")
	if one, two := b.do("GET", "/plugins/tester", ""), b.do("GET", "/schema/plugins/tester", ""); one.body != two.body ||
		!strings.Contains(one.body, `"$comment":"this is a mark for our injected plugin schema"`) || !strings.Contains(one.body, `"encrypt_fields":["token"]`) {
		t.Errorf("schemas of the plugin: %s and %s", one.body, two.body)
	}
	if got := b.do("GET", "/schema/route", ""); got.status != 200 || !strings.Contains(got.body, `"service_id"`) {
		t.Errorf("schema of routes: %d %s", got.status, got.body)
	}
	if got := b.do("GET", "/plugins?all=true", ""); got.status != 200 || !strings.Contains(got.body, `"tester":{"version":0.1,"priority":1,"schema":{`) {
		t.Errorf("all plugins: %d %s", got.status, got.body)
	}
}

// failing is a store that cannot be read.
type failing struct {
	store.Store
	err error
}

func (f failing) Get(context.Context, string) (store.Entry, error) {
	return store.Entry{}, f.err
}

func TestStoreUnavailable(t *testing.T) {
	b := start(t, func(c *admin.Config) { c.Store = failing{c.Store, store.ErrUnavailable} })
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch} {
		b.expect(b.do(method, "/routes/1", plain), 503, msg("has no healthy etcd endpoint available"))
	}
	b.expect(b.do(http.MethodPut, "/routes/1", `{"uri":"/a","upstream_id":1}`), 503, msg("has no healthy etcd endpoint available"))
}

func TestPluginThatIsNotListed(t *testing.T) {
	b := start(t, func(c *admin.Config) { c.Plugins = plugin.NewSet([]string{"other"}) })
	got := b.do("PUT", "/routes/1", `{"uri":"/a","plugins":{"tester":{}}}`)
	b.expect(got, 400, msg("unknown plugin [tester]"))
	b.expect(b.do("GET", "/plugins/list", ""), 200, `[]`)
	b.expect(b.do("GET", "/plugins/tester", ""), 404, msg("plugin not found in subsystem http"))
}

func TestValidateConfigs(t *testing.T) {
	b := start(t, nil)
	post := func(body string) reply { return b.do("POST", "/configs/validate", body) }
	b.expect(post(`{"routes":[{"id":1,"uri":"/a","upstream_id":"u"}],"upstreams":[{"id":"u","nodes":{}}],"other":5}`), 200, `{}`)
	b.expect(post(`{"routes":[{"id":"1","uri":"/a","plugins":{}},{"id":1,"uri":"/a","plugins":{}},{"uri":"/a","plugins":{"nope":{}}}],"services":[5]}`), 400,
		`{"error_msg":"Configuration validation failed","errors":[
			{"resource_type":"routes","resource_id":"1","index":1,"error":"found duplicate id 1 in routes"},
			{"resource_type":"routes","resource_id":"","index":2,"error":"unknown plugin [nope]"},
			{"resource_type":"services","resource_id":"","index":0,"error":"invalid configuration: wrong type: expected object, got number"}]}`)
	b.expect(post(`[]`), 400, msg("missing configurations"))
	b.expect(b.do("GET", "/configs/validate", ""), 404, msg("not found"))
	b.expect(b.do("GET", "/routes", ""), 200, `{"total":0,"list":[]}`)
}
