package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/gateway/upstream/resolver/resolvertest"
	"millrace/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts registries that run until the test ends.
func open(t *testing.T, conf Config) *Registries {
	t.Helper()
	r, err := New(conf, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; http.DefaultClient.CloseIdleConnections() })
	return r
}

func service(t *testing.T, r *Registries, kind, name, args string) Service {
	t.Helper()
	s, err := r.Service(kind, name, json.RawMessage(args))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// text is a list in one line: host:port=weight, with @priority if it has one.
func text(nodes []resource.Node) string {
	var words []string
	for _, n := range nodes {
		w := fmt.Sprintf("%s:%d=%d", n.Host, n.Port, n.Weight)
		if n.Priority != 0 {
			w += fmt.Sprintf("@%d", n.Priority)
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func nodes(t *testing.T, s Service) string {
	t.Helper()
	l, err := s.Nodes(t.Context())
	if err != nil {
		return "error: " + err.Error()
	}
	return text(l.Nodes)
}

// dumped are the services in the dump of a registry.
func dumped(t *testing.T, r *Registries, kind string) map[string][]resource.Node {
	t.Helper()
	dump, ok := r.Dump(kind)
	if !ok {
		t.Fatalf("%s has no dump", kind)
	}
	return dump.(map[string]any)["services"].(map[string][]resource.Node)
}

func eventually(t *testing.T, want string, get func() string) {
	t.Helper()
	got := get()
	for deadline := time.Now().Add(30 * time.Second); got != want; got = get() {
		if time.Now().After(deadline) {
			t.Fatalf("%q, want %q", got, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// recorded answers each path, with its query, with what a server answered once.
type recorded map[string]string

func (r recorded) start(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, ok := r[q.Method+" "+q.RequestURI]
		if !ok {
			http.NotFound(w, q)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestConsul(t *testing.T) {
	url := recorded{
		"GET /v1/health/service/web?passing=true": `[{"Node":{"Node":"n1","Address":"10.0.0.9"},"Service":{"ID":"w1","Service":"web","Address":"10.0.0.1","Port":8000,"Weights":{"Passing":1,"Warning":1}}},
			{"Node":{"Address":"10.0.0.9"},"Service":{"ID":"w2","Service":"web","Address":"","Port":8001}}]`,
		"GET /v1/health/service/other?passing=true":  `[{"Service":{"Address":"10.0.0.7","Port":7}}]`,
		"GET /v1/catalog/services":                   `{"consul":[],"web":["v1"],"other":[],"hidden":[]}`,
		"GET /v1/health/service/consul?passing=true": `[{"Service":{"Address":"10.0.0.8","Port":8300}}]`,
		"GET /v1/health/service/none?passing=true":   `[]`,
		"GET /v1/health/service/hidden?passing=true": `[{"Service":{"Address":"10.0.0.1","Port":1}}]`,
	}.start(t)
	r := open(t, Config{Consul: &Consul{Servers: []string{url}, SkipServices: []string{"hidden"}, FetchInterval: 5 * time.Millisecond}})
	for name, want := range map[string]string{"web": "10.0.0.1:8000=1 10.0.0.9:8001=1", "none": "", "hidden": "", "consul": ""} {
		s := service(t, r, "consul", name, "")
		if got := nodes(t, s); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	dump, ok := r.Dump("consul")
	raw, err := json.Marshal(dump)
	const want = `{"services":{"consul":[],"hidden":[],"none":[],"other":[{"host":"10.0.0.7","port":7,"weight":1,"priority":0}],"web":[{"host":"10.0.0.1","port":8000,"weight":1,"priority":0},{"host":"10.0.0.9","port":8001,"weight":1,"priority":0}]}}`
	if !ok || err != nil || string(raw) != want {
		t.Errorf("dump %s, %v", raw, err)
	}
}

func TestConsulFallback(t *testing.T) {
	url := recorded{"GET /v1/health/service/none?passing=true": `[]`}.start(t)
	r := open(t, Config{Consul: &Consul{Servers: []string{url}, DefaultService: &resource.Node{Host: "10.9.9.9", Port: 80, Weight: 1}}})
	if got := nodes(t, service(t, r, "consul", "none", "")); got != "10.9.9.9:80=1" {
		t.Errorf("the default service: %s", got)
	}
}

func TestConsulKV(t *testing.T) {
	// The values are {"weight": 4}, "", {"weight":0} and no JSON.
	url := recorded{"GET /v1/kv/upstreams?recurse=true": `[
		{"Key":"upstreams/webpages/","Value":null},
		{"Key":"upstreams/webpages/172.19.5.12:8000","Value":"eyJ3ZWlnaHQiOiA0fQ==","Flags":0},
		{"Key":"upstreams/webpages/172.19.5.13:8000","Value":null},
		{"Key":"upstreams/webpages/172.19.5.14:8000","Value":"eyJ3ZWlnaHQiOjB9"},
		{"Key":"upstreams/webpages/172.19.5.15:8000","Value":"eA=="},
		{"Key":"upstreams/other/172.19.5.16:8000","Value":null}]`}.start(t)
	r := open(t, Config{ConsulKV: &ConsulKV{Servers: []string{url}, Weight: 2}})
	const want = "172.19.5.12:8000=4 172.19.5.13:8000=2 172.19.5.14:8000=0"
	for _, name := range []string{url + "/v1/kv/upstreams/webpages/", url + "/v1/kv/upstreams/webpages"} {
		if got := nodes(t, service(t, r, "consul_kv", name, "")); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := nodes(t, service(t, r, "consul_kv", url+"/v1/kv/upstreams/none/", "")); got != "" {
		t.Errorf("an unknown service: %s", got)
	}
	if got := dumped(t, r, "consul_kv")[url+"/v1/kv/upstreams/other/"]; text(got) != "172.19.5.16:8000=2" {
		t.Errorf("the dump has %s for what nobody asks for", text(got))
	}
}

func TestEureka(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Store(q)
		w.Write([]byte(`{"applications":{"versions__delta":"1","application":[{"name":"APISIX-EUREKA","instance":[
			{"ipAddr":"10.0.0.1","status":"UP","overriddenstatus":"UNKNOWN","port":{"$":8761,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"metadata":{"weight":"7"}},
			{"ipAddr":"10.0.0.2","status":"UP","overriddenStatus":"OUT_OF_SERVICE","port":{"$":8761,"@enabled":"true"}},
			{"ipAddr":"10.0.0.3","status":"UP","port":{"$":"80","@enabled":true},"securePort":{"$":"8443","@enabled":true},"metadata":{"@class":"x"}}]},
			{"name":"ONE","instance":{"ipAddr":"10.0.0.4","status":"UP","port":{"$":1,"@enabled":"true"}}}]}}`))
	}))
	defer s.Close()
	base := strings.Replace(s.URL, "http://", "http://user:secret@", 1)
	r := open(t, Config{Eureka: &Eureka{Host: []string{base}}})
	if got := nodes(t, service(t, r, "eureka", "APISIX-EUREKA", "")); got != "10.0.0.1:8761=7 10.0.0.3:8443=100" {
		t.Errorf("nodes %s", got)
	}
	if got := nodes(t, service(t, r, "eureka", "one", "")); got != "10.0.0.4:1=100" {
		t.Errorf("a single instance: %s", got)
	}
	if got := dumped(t, r, "eureka")["ONE"]; text(got) != "10.0.0.4:1=100" {
		t.Errorf("dumped %s", text(got))
	}
	q := asked.Load()
	if user, password, _ := q.BasicAuth(); q.RequestURI != "/eureka/apps" || user != "user" || password != "secret" || q.Header.Get("Accept") != "application/json" {
		t.Errorf("asked %s as %s:%s", q.RequestURI, user, password)
	}
}

func TestNacos(t *testing.T) {
	var logins atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/nacos/v1/auth/login" && q.Method == "POST" && q.FormValue("username") == "nacos" && q.FormValue("password") == "pw" {
			logins.Add(1)
			w.Write([]byte(`{"accessToken":"t0k","tokenTtl":18000,"globalAdmin":true}`))
			return
		}
		if q.URL.Path != "/nacos/v1/ns/instance/list" || q.FormValue("accessToken") != "t0k" || q.FormValue("healthyOnly") != "true" || q.FormValue("signature") == "" {
			http.Error(w, "unknown user!", http.StatusForbidden)
			return
		}
		switch q.FormValue("serviceName") + " " + q.FormValue("namespaceId") + " " + q.FormValue("groupName") {
		case "APISIX-NACOS  ":
			w.Write([]byte(`{"name":"DEFAULT_GROUP@@APISIX-NACOS","hosts":[{"ip":"10.0.0.1","port":18001,"weight":1.0,"healthy":true,"enabled":true},
				{"ip":"10.0.0.2","port":18002,"weight":3.0,"enabled":false},{"ip":"10.0.0.3","port":18003}]}`))
		case "APISIX-NACOS ns grp":
			w.Write([]byte(`{"hosts":[{"ip":"10.0.0.4","port":1,"weight":0.5},{"ip":"10.0.0.5","port":1,"weight":2}]}`))
		default:
			w.Write([]byte(`{"hosts":[]}`))
		}
	}))
	defer s.Close()
	base := strings.Replace(s.URL, "http://", "http://nacos:pw@", 1)
	r := open(t, Config{Nacos: &Nacos{Host: []string{base}, AccessKey: "ak", SecretKey: "sk", FetchInterval: 5 * time.Millisecond}})
	for args, want := range map[string]string{
		"": "10.0.0.1:18001=1 10.0.0.3:18003=100",
		`{"namespace_id":"ns","group_name":"grp"}`:  "10.0.0.4:1=50 10.0.0.5:1=200",
		`{"namespace_id":"ns","group_name":"none"}`: "",
	} {
		if got := nodes(t, service(t, r, "nacos", "APISIX-NACOS", args)); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// A registry that fails, and comes back with something else.
func TestLastGoodIsKept(t *testing.T) {
	var answer atomic.Value
	answer.Store("")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if body := answer.Load().(string); body != "" {
			w.Write([]byte(body))
			return
		}
		w.WriteHeader(500)
	}))
	defer s.Close()
	p := newConsulPoller(t, s.URL)
	sub := mustService(t, p, "web")
	p.poll(t.Context())
	if _, err := sub.Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("a registry that never answered: %v", err)
	}
	answer.Store(`[{"Service":{"Address":"10.0.0.1","Port":1}}]`)
	p.poll(t.Context())
	first, err := sub.Nodes(t.Context())
	if err != nil || text(first.Nodes) != "10.0.0.1:1=1" {
		t.Fatal(first, err)
	}
	for _, body := range []string{"", "{", `[{"Service":{"Address":"10.0.0.1","Port":1}}]`} {
		answer.Store(body)
		p.poll(t.Context())
		if l, err := sub.Nodes(t.Context()); l != first || err != nil {
			t.Errorf("%q: another list: %v", body, err)
		}
	}
	answer.Store(`[{"Service":{"Address":"10.0.0.2","Port":1}}]`)
	p.poll(t.Context())
	if got := nodes(t, sub); got != "10.0.0.2:1=1" {
		t.Errorf("after a change %s", got)
	}
	sub.Close()
	if len(p.all()) != 0 {
		t.Error("a service that nobody wants is asked for")
	}
}

func newConsulPoller(t *testing.T, url string) *consul {
	t.Helper()
	r, err := newConsul(&Consul{Servers: []string{url}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r.(*consul)
}

func mustService(t *testing.T, r registry, name string) Service {
	t.Helper()
	s, err := r.service(name, Args{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDNS(t *testing.T) {
	server := resolvertest.Start(t,
		"sd.test. 60 IN A 10.0.0.2", "sd.test. 60 IN A 10.0.0.1",
		"six.test. 60 IN AAAA 2001:db8::1",
		"_http._tcp.srv.test. 60 IN SRV 10 60 1980 a.test.", "_http._tcp.srv.test. 60 IN SRV 10 0 1981 b.test.",
		"_http._tcp.srv.test. 60 IN SRV 20 1 0 b.test.", "_http._tcp.srv.test. 60 IN SRV 20 1 1 gone.test.",
		"split.test. 60 IN SRV 0 100 1980 a.test.", "split.test. 60 IN SRV 0 100 1980 b.test.",
		"a.test. 60 IN A 10.0.1.1", "b.test. 60 IN A 10.0.1.2", "b.test. 60 IN A 10.0.1.3")
	r := open(t, Config{DNS: &DNS{Servers: []string{server.Addr}}})
	for name, want := range map[string]string{
		"sd.test": "10.0.0.1:0=1 10.0.0.2:0=1", "sd.test:1980": "10.0.0.1:1980=1 10.0.0.2:1980=1", "six.test:1": "2001:db8::1:1=1",
		"_http._tcp.srv.test": "10.0.1.1:1980=6000@-10 10.0.1.2:0=50@-20 10.0.1.2:1981=50@-10 10.0.1.3:0=50@-20 10.0.1.3:1981=50@-10",
		"split.test":          "10.0.1.1:1980=100 10.0.1.2:1980=50 10.0.1.3:1980=50",
		"split.test:80":       "10.0.1.1:80=100 10.0.1.2:80=50 10.0.1.3:80=50",
	} {
		if got := nodes(t, service(t, r, "dns", name, "")); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, unknown := range []string{"none.test", "localhost"} { // the hosts file is not for services
		if got := nodes(t, service(t, r, "dns", unknown, "")); !strings.HasPrefix(got, "error") {
			t.Errorf("%s: %s", unknown, got)
		}
	}
	if _, err := r.Service("dns", "a.test:x", nil); err == nil {
		t.Error("a bad port was accepted")
	}
	s := service(t, r, "dns", "sd.test", "").(*dnsService)
	first, _ := s.Nodes(t.Context())
	server.Fail(true)
	s.until.Store(0)
	if l, err := s.Nodes(t.Context()); l != first || err != nil {
		t.Errorf("the name server fails: %v", err)
	}
	server.Fail(false)
	server.Set(t, "sd.test. 60 IN A 10.0.0.9")
	s.until.Store(0)
	if got := nodes(t, s); got != "10.0.0.9:0=1" {
		t.Errorf("after a change: %s", got)
	}
}

func TestDNSOrder(t *testing.T) {
	server := resolvertest.Start(t, "x.test. 60 IN A 10.0.0.1", "x.test. 60 IN AAAA 2001:db8::1")
	r := open(t, Config{DNS: &DNS{Servers: []string{server.Addr}, Order: []string{"last", "AAAA", "A"}}})
	s := service(t, r, "dns", "x.test", "").(*dnsService)
	if got := nodes(t, s); got != "2001:db8::1:0=1" {
		t.Errorf("%s", got)
	}
	server.Set(t, "x.test. 60 IN A 10.0.0.1")
	s.until.Store(0)
	if got := nodes(t, s); got != "10.0.0.1:0=1" || s.last != "A" {
		t.Errorf("%s, last %s", got, s.last)
	}
}

// kubeAPI is the part of an API server that is used: a list, and a watch that
// sends what the test says.
type kubeAPI struct {
	list   map[string]string // by continue token
	events chan string
	query  chan url.Values
}

func (k *kubeAPI) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Authorization") != "Bearer tok" {
		w.WriteHeader(401)
		return
	}
	if q.URL.Path != "/api/v1/endpoints" && q.URL.Path != "/apis/discovery.k8s.io/v1/endpointslices" {
		http.NotFound(w, q)
		return
	}
	if q.FormValue("watch") == "" {
		w.Write([]byte(k.list[q.FormValue("continue")]))
		return
	}
	select {
	case k.query <- q.URL.Query():
	default:
	}
	w.(http.Flusher).Flush()
	for {
		select {
		case e := <-k.events:
			if e == "" {
				return
			}
			fmt.Fprintln(w, e)
			w.(http.Flusher).Flush()
		case <-q.Context().Done():
			return
		}
	}
}

func startKube(t *testing.T, list map[string]string) (*kubeAPI, string, string) {
	k := &kubeAPI{list: list, events: make(chan string), query: make(chan url.Values, 1)}
	s := httptest.NewServer(k)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("tok\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return k, s.URL, file
}

func TestKubernetes(t *testing.T) {
	k, base, file := startKube(t, map[string]string{
		"": `{"metadata":{"resourceVersion":"100","continue":"more"},"items":[{"metadata":{"name":"web","namespace":"default","resourceVersion":"90"},
			"subsets":[{"addresses":[{"ip":"10.1.0.2"},{"ip":"10.1.0.1"}],"notReadyAddresses":[{"ip":"10.1.0.3"}],"ports":[{"name":"http","port":8080},{"name":"admin","port":9000}]}]}]}`,
		"more": `{"metadata":{"resourceVersion":"100"},"items":[{"metadata":{"name":"plain","namespace":"default"},"subsets":[{"addresses":[{"ip":"10.1.0.5"}],"ports":[{"port":80}]}]},
			{"metadata":{"name":"web","namespace":"kube-system"},"subsets":[{"addresses":[{"ip":"10.1.0.9"}],"ports":[{"port":80}]}]}]}`,
	})
	r := open(t, Config{Kubernetes: []Kubernetes{{Server: base, TokenFile: file, NotMatch: []*regexp.Regexp{regexp.MustCompile("^kube-")}}}})
	web := service(t, r, "kubernetes", "default/web:http", "")
	plain := service(t, r, "kubernetes", "default/plain:80", "")
	for s, want := range map[Service]string{
		web: "10.1.0.1:8080=50 10.1.0.2:8080=50", plain: "10.1.0.5:80=50",
		service(t, r, "kubernetes", "default/web:9000", ""):   "10.1.0.1:9000=50 10.1.0.2:9000=50",
		service(t, r, "kubernetes", "kube-system/web:80", ""): "",
		service(t, r, "kubernetes", "default/none:80", ""):    "",
	} {
		if got := nodes(t, s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := text(dumped(t, r, "kubernetes")["default/web:admin"]); got != "10.1.0.1:9000=50 10.1.0.2:9000=50" {
		t.Errorf("dumped %s", got)
	}
	if q := <-k.query; q.Get("resourceVersion") != "100" {
		t.Errorf("watched from %v", q)
	}
	k.events <- `{"type":"MODIFIED","object":{"metadata":{"name":"web","namespace":"default","resourceVersion":"101"},"subsets":[{"addresses":[{"ip":"10.1.0.7"}],"ports":[{"name":"http","port":8081}]}]}}`
	eventually(t, "10.1.0.7:8081=50", func() string { return nodes(t, web) })
	k.events <- `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"105"}}}`
	k.events <- `{"type":"DELETED","object":{"metadata":{"name":"plain","namespace":"default","resourceVersion":"106"}}}`
	eventually(t, "", func() string { return nodes(t, plain) })
	k.events <- "" // the watch ends and begins again where it was
	if q := <-k.query; q.Get("resourceVersion") != "106" {
		t.Errorf("watched again from %v", q)
	}
	k.events <- `{"type":"ERROR","object":{"kind":"Status","code":410}}`
	eventually(t, "10.1.0.5:80=50", func() string { return nodes(t, plain) })
}

func TestKubernetesSlicesOfSeveralClusters(t *testing.T) {
	_, base, _ := startKube(t, map[string]string{"": `{"metadata":{"resourceVersion":"1"},"items":[
		{"metadata":{"name":"web-a","namespace":"default","labels":{"kubernetes.io/service-name":"web"}},"ports":[{"name":"http","port":80}],
			"endpoints":[{"addresses":["10.1.0.1"],"conditions":{"ready":true}},{"addresses":["10.1.0.2"],"conditions":{"ready":false}}]},
		{"metadata":{"name":"web-b","namespace":"default","labels":{"kubernetes.io/service-name":"web"}},"ports":[{"name":"http","port":80}],
			"endpoints":[{"addresses":["10.1.0.3"]}]}]}`})
	r := open(t, Config{Kubernetes: []Kubernetes{{ID: "east", Server: base, Token: "tok", EndpointSlices: true, DefaultWeight: 1}, {ID: "west", Server: base, Token: "wrong"}}})
	if got := nodes(t, service(t, r, "kubernetes", "east/default/web:http", "")); got != "10.1.0.1:80=1 10.1.0.3:80=1" {
		t.Errorf("nodes %s", got)
	}
	if got := nodes(t, service(t, r, "kubernetes", "west/default/web:http", "")); !strings.Contains(got, "status 401") {
		t.Errorf("a cluster that refuses the token: %s", got)
	}
	if _, err := r.Service("kubernetes", "north/default/web:http", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown cluster: %v", err)
	}
}

func TestUnknown(t *testing.T) {
	var none *Registries
	if _, err := none.Service("dns", "x", nil); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, ok := none.Dump("dns"); ok {
		t.Error("there is a dump of nothing")
	}
	for _, conf := range []Config{{Consul: &Consul{}}, {Eureka: &Eureka{Host: []string{"http://user:secret@%zz"}}}, {Kubernetes: []Kubernetes{{Server: "x"}}}} {
		if _, err := New(conf, slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", conf, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add("10.0.0.1:80", `{"weight":1}`)
	f.Add("[::1]:80", `{"application":{"name":"A","instance":{"port":{"$":"x","@enabled":true}}}}`)
	f.Fuzz(func(t *testing.T, addr, body string) {
		r := &consulKV{conf: ConsulKV{Weight: 1}}
		if n, ok := r.node(addr, []byte(body)); ok && (n.Port < 1 || n.Port > 65535 || n.Weight < 0) {
			t.Errorf("%q %q: %+v", addr, body, n)
		}
		var apps eurekaApps
		if json.Unmarshal([]byte(`{"applications":`+body+`}`), &apps) == nil {
			for _, app := range apps.Applications.Application {
				(&eureka{}).nodes(app.Instance)
			}
		}
		var object kubeObject
		if json.Unmarshal([]byte(body), &object) == nil {
			(&cluster{}).ports(&object)
		}
	})
}

// What a registry answers is read up to a length, and more is an error of its own.
func TestBounded(t *testing.T) {
	for text, want := range map[string]error{`[12345]`: nil, `[123456]`: errTooLong, `[1` + strings.Repeat(" ", 100): errTooLong, `[1`: io.ErrUnexpectedEOF} {
		var to []int
		if err := json.NewDecoder(&bounded{from: strings.NewReader(text), left: 7}).Decode(&to); !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", text, err, want)
		}
	}
}
