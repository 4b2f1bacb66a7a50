package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"millrace/admin"
	"millrace/store"
)

func value(t *testing.T, r reply) map[string]any {
	t.Helper()
	var body struct{ Value map[string]any }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || r.status >= 300 {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return body.Value
}

func TestPatch(t *testing.T) {
	const base = `{"uri":"/a","desc":"d","labels":{"a":"1","b":"2"},"methods":["GET"],"upstream":{"type":"roundrobin","nodes":{"a:1":1,"b:2":1}}}`
	tests := []struct{ name, sub, body, want string }{
		{"merge", "", `{"labels":{"b":null,"c":"3"},"desc":null,"methods":["PUT"],"upstream":{"nodes":{"a:1":5}}}`,
			`{"uri":"/a","labels":{"a":"1","c":"3"},"methods":["PUT"],"upstream":{"type":"roundrobin","nodes":{"a:1":5,"b:2":1}}}`},
		{"merge new object", "", `{"plugins":{"tester":{"count":1,"token":null}}}`, base[:len(base)-1] + `,"plugins":{"tester":{"count":1}}}`},
		{"array for object", "", `{"upstream":{"nodes":[]}}`, strings.Replace(base, `{"a:1":1,"b:2":1}`, `[]`, 1)},
		{"same id", "", `{"id":"1"}`, base},
		{"replace object", "/upstream/nodes", `{"c:3":1}`, strings.Replace(base, `{"a:1":1,"b:2":1}`, `{"c:3":1}`, 1)},
		{"replace text", "/desc", `"new"`, strings.Replace(base, `"d"`, `"new"`, 1)},
		{"delete", "/upstream/nodes/a:1", `null`, strings.Replace(base, `"a:1":1,`, ``, 1)},
		{"make what is between", "/plugins/tester", `{"count":2}`, base[:len(base)-1] + `,"plugins":{"tester":{"count":2}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, nil)
			b.do("PUT", "/routes/1", base)
			got := b.do("PATCH", "/routes/1"+tt.sub, tt.body)
			b.expect(got, 200, `{"key":"/apisix/routes/1","value":`+tt.want[:len(tt.want)-1]+`,"id":"1","create_time":"T","update_time":"T"}}`)
		})
	}
}

func TestPatchTimes(t *testing.T) {
	b := start(t, nil)
	b.do("PUT", "/routes/1", plain)
	got := value(t, b.do("PATCH", "/routes/1", `{"create_time":5,"update_time":6}`))
	if got["create_time"] != 5.0 || got["update_time"] != 6.0 {
		t.Errorf("given times: %v", got)
	}
	if got := value(t, b.do("PATCH", "/routes/1/desc", `"x"`)); got["create_time"] != 5.0 || got["update_time"].(float64) < 1e9 {
		t.Errorf("times after a sub-path: %v", got)
	}
	if got := value(t, b.do("PUT", "/routes/1", plain)); got["create_time"] != 5.0 || got["update_time"].(float64) < 1e9 {
		t.Errorf("times after a PUT: %v", got)
	}
}

// TestValuesAsSent makes sure that what is stored is what was sent.
func TestValuesAsSent(t *testing.T) {
	b := start(t, nil)
	const sent = `"priority":1e1,"timeout":{"connect":0.10,"send":12345678901234567890.5,"read":1},"desc":"<a/b> é 😀","plugins":[],"labels":{}`
	got := b.do("PUT", "/routes", `{"uri":"/a","id":7,`+sent+`}`)
	for _, want := range []string{`"key":"/apisix/routes/7"`, `"id":7,`, `"priority":1e1`, `"connect":0.10`, `"send":12345678901234567890.5`, `"desc":"<a/b> é 😀"`, `"plugins":[]`, `"labels":{}`} {
		for _, r := range []reply{got, b.do("GET", "/routes/7", ""), b.do("GET", "/routes", "")} {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s is not in %s", want, r.body)
			}
		}
	}
	// Of a key given twice the last one counts, for the checks and for the gateway.
	if got := b.do("PUT", "/routes/8", `{"uri":"/a","plugins":{"nope":{}},"plugins":{}}`); got.status != 201 || strings.Contains(got.body, "nope") {
		t.Errorf("a key given twice: %d %s", got.status, got.body)
	}
}

func TestEncryption(t *testing.T) {
	b := start(t, nil)
	const cipher, clear = `"token":"dpwomMlEsHH2L7wSUi6YiQ=="`, `"token":"a"`
	contains := func(what, body, want string) {
		t.Helper()
		if !strings.Contains(body, want) {
			t.Errorf("%s: %s is not in %s", what, want, body)
		}
	}
	contains("PUT", b.do("PUT", "/routes/1", `{"uri":"/a","plugins":{"tester":{"token":"a"}}}`).body, cipher)
	contains("GET", b.do("GET", "/routes/1", "").body, clear)
	contains("list", b.do("GET", "/routes", "").body, clear)
	contains("PATCH", b.do("PATCH", "/routes/1", `{"desc":"x"}`).body, cipher)
	contains("GET after PATCH", b.do("GET", "/routes/1", "").body, clear)
	contains("POST", b.do("POST", "/routes", `{"uri":"/a","plugins":{"tester":{"token":"$env://A"}}}`).body, `"token":"$env://A"`)
	e, err := b.store.Get(context.Background(), "/apisix/routes/1")
	if err != nil {
		t.Fatal(err)
	}
	contains("store", string(e.Value), cipher)
}

func TestList(t *testing.T) {
	b := start(t, nil)
	b.do("PUT", "/upstreams/5", `{"nodes":{}}`)
	for i := range 12 {
		id := fmt.Sprint(20 - i) // the order of the keys is not that of creation
		b.do("PUT", "/routes/"+id, `{"uri":"/r`+id+`","name":"route-`+id+`","plugins":{}}`)
	}
	b.do("PUT", "/routes/x", `{"uris":["/other","/more"],"name":"x","labels":{"env":"prod"},"upstream_id":5}`)
	b.put("/apisix/routes/broken", `{"uri":`)
	b.put("/apisix/routes/", "init_dir")
	if got := b.do("GET", "/routes", ""); got.status != 200 || strings.Contains(got.body, "broken") {
		t.Errorf("a list with what cannot be read: %d %s", got.status, got.body)
	}
	if _, err := b.store.Delete(context.Background(), "/apisix/routes/broken", store.Any); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args  string
		total int
		ids   []string
	}{
		{"name=route-1[0-2]", 3, []string{"10", "11", "12"}},
		{"name=(?<!route)-1", 0, nil},
		{"name=(", 0, nil},
		{"uri=more", 1, []string{"x"}},
		{"uri=^/r2", 1, []string{"20"}},
		{"label=env", 1, []string{"x"}},
		{"label=prod", 0, nil},
		{"label=env&uri=r2", 0, nil},
		{"filter=upstream_id%3D5", 1, []string{"x"}},
		{"filter=upstream_id%3D5%26service_id%3D1", 0, nil},
		{"filter=id%3D1&name=route-9", 1, []string{"9"}},
		{"page=1&page_size=10", 13, []string{"20", "19", "18", "17", "16", "15", "14", "13", "12", "11"}},
		{"page=0&page_size=10&name=route-20", 1, []string{"20"}},
		{"page=2&page_size=10", 13, []string{"10", "9", "x"}},
		{"page=9&name=x", 1, []string{"x"}},
	}
	for _, tt := range tests {
		var got struct {
			Total int
			List  []struct{ Value struct{ ID string } }
		}
		reply := b.do("GET", "/routes?"+tt.args, "")
		if err := json.Unmarshal([]byte(reply.body), &got); err != nil {
			t.Fatalf("%s: %s: %v", tt.args, reply.body, err)
		}
		var ids []string
		for _, item := range got.List {
			ids = append(ids, item.Value.ID)
		}
		if diff := cmp.Diff(tt.ids, ids); diff != "" || got.Total != tt.total {
			t.Errorf("%s: total %d, want %d; %s", tt.args, got.Total, tt.total, diff)
		}
	}
	b.expect(b.do("GET", "/routes?page=3&page_size=10", ""), 200, `{"total":13,"list":{}}`)
	b.expect(b.do("GET", "/routes?page=1e300&page_size=10", ""), 200, `{"total":13,"list":{}}`)
}

func TestVersion2(t *testing.T) {
	b := start(t, func(c *admin.Config) { c.APIVersion = "default" })
	n := func(action string) string {
		return `{"action":"` + action + `","node":{"key":"/apisix/routes/1","value":` + routeBody("1") + `}}`
	}
	first := b.do("PUT", "/routes/1", plain)
	b.expect(first, 201, n("set"))
	if got := first.header.Get("X-API-VERSION"); got != "v2" {
		t.Errorf("version %q", got)
	}
	b.expect(b.do("PUT", "/routes/1", plain), 200, n("set"))
	b.expect(b.do("PATCH", "/routes/1", `{}`), 200, n("compareAndSwap"))
	b.expect(b.do("GET", "/routes/1", ""), 200, n("get"))
	b.expect(b.do("GET", "/routes?name=none", ""), 200, `{"action":"get","node":{"key":"/apisix/routes","dir":true,"nodes":[{"key":"/apisix/routes/1","value":`+
		routeBody("1")+`,"createdIndex":1,"modifiedIndex":3}]}}`)
	b.expect(b.do("DELETE", "/routes/1", ""), 200, `{"action":"delete","key":"/apisix/routes/1","deleted":"1","node":{}}`)
	if got := b.do("POST", "/routes", plain); got.status != 201 || !strings.Contains(got.body, `"action":"create"`) {
		t.Errorf("POST: %d %s", got.status, got.body)
	}
}

// The lists of v2 are as the store has them: with credentials, in cipher.
func TestVersion2Lists(t *testing.T) {
	b := start(t, func(c *admin.Config) { c.APIVersion = "default" })
	b.do("PUT", "/consumers", `{"username":"jack"}`)
	b.do("PUT", "/consumers/jack/credentials/c1", `{"plugins":{"key-auth":{"key":"cred1"}}}`)
	const credential = `{"key":"/apisix/consumers/jack/credentials/c1","createdIndex":2,"modifiedIndex":2,
		"value":{"id":"c1","plugins":{"key-auth":{"key":"IsW/lRFQLUYzdZ+Bw68oYg=="}},"create_time":"T","update_time":"T"}}`
	b.expect(b.do("GET", "/consumers", ""), 200, `{"action":"get","node":{"key":"/apisix/consumers","dir":true,"nodes":[
		{"key":"/apisix/consumers/jack","createdIndex":1,"modifiedIndex":1,"value":{"username":"jack","create_time":"T","update_time":"T"}},`+credential+`]}}`)
	b.do("PUT", "/ssls/1", `{"sni":"a.com","cert":"$env://A","key":"$env://B"}`)
	b.expect(b.do("GET", "/ssls", ""), 200, `{"action":"get","node":{"key":"/apisix/ssls","dir":true,"nodes":[
		{"key":"/apisix/ssls/1","createdIndex":3,"modifiedIndex":3,"value":{"id":"1","sni":"a.com","cert":"$env://A","create_time":"T","update_time":"T"}}]}}`)
}

// TestConcurrentClaims has many consumers ask for one key: one of them gets it.
func TestConcurrentClaims(t *testing.T) {
	b := start(t, nil)
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			switch r := b.do("PUT", "/consumers", fmt.Sprintf(`{"username":"u%d","plugins":{"key-auth":{"key":"k"}}}`, i)); {
			case r.status == 201:
				won.Add(1)
			case r.status != 400 || !strings.Contains(r.body, "duplicate key of plugin key-auth found with consumer: u"):
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d consumers have the key", won.Load())
	}
}

func TestTTL(t *testing.T) {
	b := start(t, nil)
	b.expect(b.do("PUT", "/routes/1?ttl=0.05", plain), 201, `{"key":"/apisix/routes/1","value":`+routeBody("1")+`}`)
	deadline := time.Now().Add(30 * time.Second)
	for b.do("GET", "/routes/1", "").status != 404 {
		if time.Now().After(deadline) {
			t.Fatal("the route outlives its ttl")
		}
	}
}

// gateway notes the revisions that the Admin API waits for.
type gateway struct {
	mu        sync.Mutex
	revisions []int64
}

func (g *gateway) WaitApplied(_ context.Context, revision int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revisions = append(g.revisions, revision)
	return nil
}

func TestAnswersWaitForTheGateway(t *testing.T) {
	g := &gateway{}
	b := start(t, func(c *admin.Config) { c.Applied = g })
	b.do("PUT", "/routes/1", plain)
	b.do("PATCH", "/routes/1", `{"desc":"x"}`)
	b.do("DELETE", "/routes/1", "")
	b.do("POST", "/routes", plain) // takes revision 4 for the id
	b.do("GET", "/routes", "")
	if diff := cmp.Diff([]int64{1, 2, 3, 5}, g.revisions); diff != "" {
		t.Error(diff)
	}
}

// TestConcurrentWrites counts with PATCHes that either happen whole or say that
// they lost, while PUTs of another route always succeed.
func TestConcurrentWrites(t *testing.T) {
	b := start(t, nil)
	b.do("PUT", "/routes/1", `{"uri":"/a","plugins":{},"labels":{}}`)
	const writers, each = 4, 15
	won := make([]int, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				switch r := b.do("PATCH", "/routes/1", fmt.Sprintf(`{"labels":{"w%d-%d":"1"}}`, w, i)); {
				case r.status == 200:
					won[w]++
				case r.status != 503 || !strings.Contains(r.body, `"value changed before overwritten"`):
					t.Errorf("PATCH: %d %s", r.status, r.body)
				}
				if r := b.do("PUT", "/routes/2", plain); r.status >= 300 {
					t.Errorf("PUT: %d %s", r.status, r.body)
				}
				if r := b.do("DELETE", "/routes/2", ""); r.status != 200 && r.status != 404 {
					t.Errorf("DELETE: %d %s", r.status, r.body)
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range won {
		total += n
	}
	labels, _ := value(t, b.do("GET", "/routes/1", ""))["labels"].(map[string]any)
	if len(labels) != total || total == 0 {
		t.Errorf("%d labels after %d PATCHes that succeeded", len(labels), total)
	}
}
