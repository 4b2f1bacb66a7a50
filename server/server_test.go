package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/config"
	"millrace/server/servertest"
	"millrace/whisk/runtime/process"
)

func TestMain(m *testing.M) {
	process.Main()
	os.Exit(m.Run())
}

// site is a started system with shortcuts for requests to it.
type site struct {
	*servertest.Site
	t *testing.T
}

func start(t *testing.T, change ...func(*config.Config)) *site {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed here, and these tests run actions")
	}
	return &site{servertest.Start(t, change...), t}
}

// answer is what a client gets.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// send makes a request with the credentials of both APIs.
func (s *site) send(method, url, body string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-API-KEY", servertest.AdminKey)
	req.Header.Set("Content-Type", "application/json")
	uuid, secret, _ := strings.Cut(servertest.GuestKey, ":")
	req.SetBasicAuth(uuid, secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (s *site) must(a answer) answer {
	s.t.Helper()
	if a.Status >= 300 {
		s.t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	return a
}

func (s *site) action(name, code string) {
	s.t.Helper()
	text, err := json.Marshal(code)
	if err != nil {
		s.t.Fatal(err)
	}
	s.must(s.send("PUT", s.Functions+"/api/v1/namespaces/_/actions/"+url.PathEscape(name)+"?overwrite=true",
		fmt.Sprintf(`{"exec":{"kind":"nodejs:default","code":%s}}`, text)))
}

// openwhiskRoute puts a route whose openwhisk plugin has these attributes.
func (s *site) openwhiskRoute(id, uri string, attributes map[string]any) {
	s.t.Helper()
	conf, err := json.Marshal(map[string]any{"uri": uri, "plugins": map[string]any{"openwhisk": attributes}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.must(s.send("PUT", s.Admin+"/apisix/admin/routes/"+id, string(conf)))
}

// relay is another address of the REST API, so that a plugin that calls it goes
// over HTTP.
func relay(t *testing.T, target string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(target, "http://"))
			if err != nil {
				client.Close()
				continue
			}
			go func() { io.Copy(server, client); server.(*net.TCPConn).CloseWrite() }()
			go func() { io.Copy(client, server); client.Close() }()
		}
	}()
	return "http://" + l.Addr().String()
}

// What a client sees does not depend on the way that a call takes
// (spec/gateway.md §8.3, spec/openwhisk.md §3).
func TestFusedCallIsLikeTheCallOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, code := range map[string]string{
		"echo":      `function main(p) { return p }`,
		"status":    `function main() { return {statusCode: 407} }`,
		"headers":   `function main() { return {headers: {test: "header", n: 1, list: ["a", "b"]}, body: "text"} }`,
		"body":      `function main() { return {body: {test: "body"}} }`,
		"redirect":  `function main() { return {statusCode: 302, headers: {location: "/there"}, body: ""} }`,
		"array":     `function main() { return [1, 2] }`,
		"badstatus": `function main() { return {statusCode: "200"} }`,
		"apperror":  `function main() { return {error: "boom"} }`,
		"throws":    `function main() { throw new Error("boom") }`,
		"rejects":   `function main() { return Promise.reject({code: 1}) }`,
		"exits":     `function main() { process.exit(3) }`,
		"number":    `function main() { return 5 }`,
		"syntax":    `function main() {`,
		"slow":      `function main() { return new Promise(done => setTimeout(() => done({late: true}), 2000)) }`,
	} {
		s.action(name, code)
	}
	other := relay(t, s.Functions)
	type attributes = map[string]any
	for i, c := range []struct {
		name, method, body string
		attributes         attributes
	}{
		{"no body", "GET", "", attributes{"action": "echo"}},
		{"a body", "POST", `{"name":"world"}`, attributes{"action": "echo"}},
		{"a body with another method", "DELETE", `{"name":"world"}`, attributes{"action": "echo"}},
		{"a form", "POST", `test=test`, attributes{"action": "echo"}},
		{"an array", "POST", `[1]`, attributes{"action": "echo"}},
		{"a body that would write our fields", "POST", `{"a":1},"api_key":{"b":2}`, attributes{"action": "echo"}},
		{"the whole record", "GET", "", attributes{"action": "echo", "result": false}},
		{"status", "GET", "", attributes{"action": "status"}},
		{"headers", "GET", "", attributes{"action": "headers"}},
		{"body", "GET", "", attributes{"action": "body"}},
		{"redirect", "GET", "", attributes{"action": "redirect"}},
		{"array result", "GET", "", attributes{"action": "array"}},
		{"status as text", "GET", "", attributes{"action": "badstatus"}},
		{"application error", "GET", "", attributes{"action": "apperror"}},
		{"exception", "GET", "", attributes{"action": "throws"}},
		{"rejection", "GET", "", attributes{"action": "rejects"}},
		{"exit", "GET", "", attributes{"action": "exits"}},
		{"not a dictionary", "GET", "", attributes{"action": "number"}},
		{"syntax error", "GET", "", attributes{"action": "syntax"}},
		{"longer than the wait", "GET", "", attributes{"action": "slow", "timeout": 300}},
		{"no such action", "GET", "", attributes{"action": "none"}},
		{"no such package", "GET", "", attributes{"action": "echo", "package": "none"}},
		{"another's namespace", "GET", "", attributes{"action": "echo", "namespace": "whisk.system"}},
		{"the own namespace by its short name", "GET", "", attributes{"action": "echo", "namespace": "_"}},
		{"wrong key", "GET", "", attributes{"action": "echo", "service_token": "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:wrong"}},
		{"no key at all", "GET", "", attributes{"action": "echo", "service_token": "nonsense"}},
		{"a name with a space", "GET", "", attributes{"action": "a b"}},
		{"a body over the limit", "POST", `{"long":"` + strings.Repeat("x", 1<<20) + `"}`, attributes{"action": "echo"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got [2]answer
			for n, host := range []string{s.Functions, other} {
				conf := attributes{"api_host": host, "service_token": servertest.GuestKey, "namespace": "guest", "timeout": 60000}
				for k, v := range c.attributes {
					conf[k] = v
				}
				uri := fmt.Sprintf("/case%d-%d", i, n)
				s.openwhiskRoute(uri[1:], uri, conf)
				got[n] = comparable(s.send(c.method, s.Gateway+uri, c.body))
			}
			if diff := cmp.Diff(got[1], got[0]); diff != "" {
				t.Errorf("-over HTTP +fused:\n%s", diff)
			}
		})
	}
}

// comparable blanks what differs from call to call: ids, times and durations.
func comparable(a answer) answer {
	a.Header.Del("Date")
	var doc map[string]any
	if json.Unmarshal([]byte(a.Body), &doc) != nil {
		return a
	}
	for _, key := range []string{"activationId", "code", "start", "end", "duration"} {
		if _, ok := doc[key]; ok {
			doc[key] = "…"
		}
	}
	if list, ok := doc["annotations"].([]any); ok {
		kept := []any{}
		for _, a := range list {
			if key := a.(map[string]any)["key"]; key != "waitTime" && key != "initTime" {
				kept = append(kept, a)
			}
		}
		doc["annotations"] = kept
	}
	if text, err := json.Marshal(doc); err == nil {
		a.Body = string(text)
		a.Header.Del("Content-Length")
	}
	return a
}

// An action is on this machine, but not among those for whom the keys that
// everybody knows, or no key, are enough.
func TestActionsCannotCallTheAdminAPI(t *testing.T) {
	t.Parallel()
	s := start(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give actions users of their own, by which they are told apart")
	}
	s.action("fetch", `async function main(p) {
		const r = await fetch(p.url, {method: p.method, headers: {"X-API-KEY": p.key}, body: p.body})
		return {status: r.status, text: await r.text()}
	}`)
	for _, url := range []string{s.Admin + "/apisix/admin/routes/1", s.Gateway + "/apisix/admin/routes/1", s.Control + "/v1/routes"} {
		method, body := "PUT", `"{\"uri\":\"/own\",\"upstream\":{\"nodes\":{}}}"`
		if strings.HasPrefix(url, s.Control) {
			method, body = "GET", "null"
		}
		got := s.send("POST", s.Functions+"/api/v1/namespaces/_/actions/fetch?blocking=true&result=true",
			fmt.Sprintf(`{"url":%q,"method":%q,"key":%q,"body":%s}`, url, method, servertest.AdminKey, body))
		if !strings.Contains(got.Body, `"status":403`) {
			t.Errorf("%s by an action: %s", url, got.Body)
		}
	}
	if got := s.send("GET", s.Admin+"/apisix/admin/routes/1", ""); got.Status != http.StatusNotFound {
		t.Errorf("the route of an action exists: %s", got.Body)
	}
}

func TestConsoleSaysWhatRuns(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.must(s.send("GET", s.Console+"/status", ""))
	for _, want := range []string{`"nodejs:20"`, `"seccomp"`, s.Gateway, s.Admin, s.Functions} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("the console's status lacks %s:\n%s", want, got.Body)
		}
	}
}

func TestOnlyTheRolesAskedForRun(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config.Config) { c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin} })
	if s.Functions != "" || s.Console != "" {
		t.Errorf("roles that were not asked for run: %+v", s.Site)
	}
	s.must(s.send("PUT", s.Admin+"/apisix/admin/routes/1", `{"uri":"/x","plugins":{},"upstream":{"nodes":{}}}`))
	if got := s.send("GET", s.Gateway+"/x", ""); got.Status != http.StatusServiceUnavailable {
		t.Errorf("a route without nodes: status %d", got.Status)
	}
}
