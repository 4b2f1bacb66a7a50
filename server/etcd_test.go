package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"millrace/config"
	"millrace/internal/freeport"
	"millrace/server"
	"millrace/server/servertest"
)

// etcdctl runs the real tool on an etcd.
func (e *etcd) etcdctl(args ...string) string {
	e.t.Helper()
	cmd := exec.Command("etcdctl", append([]string{"--endpoints", e.URL}, args...)...)
	cmd.Env = append(cmd.Environ(), "ETCDCTL_API=3")
	out, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Fatalf("etcdctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// client is a client for what other tools would do.
func (e *etcd) client() *clientv3.Client {
	e.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{e.URL}, DialTimeout: 30 * time.Second})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

// onEtcd is the configuration of a gateway with its Admin API and a prefix of its own.
func onEtcd(prefix string, hosts ...string) func(*config.Config) {
	return func(c *config.Config) {
		c.Roles = []config.Role{config.RoleGateway, config.RoleAdmin}
		c.Gateway.Source.Provider = "etcd"
		c.Gateway.Source.Etcd = config.Etcd{Hosts: hosts, Prefix: prefix, Timeout: 30 * time.Second, Retries: 30, TLS: config.EtcdTLS{Verify: true}}
	}
}

// written are resources as an APISIX writes them, by their keys; u:p and bobk are
// encrypted with its default keyring.
var written = map[string]string{
	"routes/": "init_dir", "upstreams/": "init_dir", "plugins/": "init_dir", "ssls/": "init_dir", "stream_routes/": "init_dir",
	"plugin_metadata/": "init_dir", "services/": "init_dir", "consumers/": "init_dir", "global_rules/": "init_dir", "protos/": "init_dir",
	"plugin_configs/": "init_dir", "consumer_groups/": "init_dir", "secrets/": "init_dir",
	"plugins": `[{"name":"key-auth"},{"name":"syslog","stream":true}]`, "gen_id": "1",
	"data_plane/server_info/0b3cda1c": `{"id":"0b3cda1c","version":"3.18.0"}`,

	"upstreams/1":                 `{"id":"1","type":"roundrobin","nodes":{"UPSTREAM":1},"create_time":1,"update_time":2}`,
	"services/s":                  `{"id":"s","upstream_id":"1","create_time":1,"update_time":2}`,
	"plugin_configs/p":            `{"id":"p","plugins":{"response-rewrite":{"headers":{"set":{"X-Config":"p"}}}},"create_time":1,"update_time":2}`,
	"routes/1":                    `{"id":"1","uri":"/one","service_id":"s","plugin_config_id":"p","priority":0,"status":1,"create_time":1,"update_time":2}`,
	"routes/auth":                 `{"id":"auth","uri":"/auth","service_id":"s","plugins":{"key-auth":{}},"create_time":1,"update_time":2}`,
	"routes/fn":                   `{"id":"fn","uri":"/fn","plugins":{"openwhisk":{"api_host":"http://127.0.0.1:1","namespace":"guest","action":"a","service_token":"3ADkE6U9nhfTup0vRb7T6g=="}},"create_time":1,"update_time":2}`,
	"consumer_groups/g":           `{"id":"g","plugins":{"response-rewrite":{"headers":{"set":{"X-Group":"g"}}}},"create_time":1,"update_time":2}`,
	"consumers/bob":               `{"username":"bob","group_id":"g","plugins":{"key-auth":{"key":"QbETMUqJqqoIwwCFwlbaOA=="}},"create_time":1,"update_time":2}`,
	"consumers/bob/credentials/c": `{"id":"c","plugins":{"key-auth":{"key":"IsW/lRFQLUYzdZ+Bw68oYg=="}},"create_time":1,"update_time":2}`,
	"global_rules/1":              `{"id":"1","plugins":{"echo":{"headers":{"X-Global":"1"},"body":"ok"}},"create_time":1,"update_time":2}`,
	"plugin_metadata/http-logger": `{"id":"http-logger","log_format":{"host":"$host"}}`,
	"secrets/vault/1":             `{"id":"vault/1","uri":"http://127.0.0.1:1","prefix":"kv/apisix","token":"t","create_time":1,"update_time":2}`,
	"protos/1":                    `{"id":"1","content":"syntax = \"proto3\"; message A { string a = 1; }","create_time":1,"update_time":2}`,
}

// What etcdctl writes as APISIX does is in force and read through the Admin API,
// with secrets in the clear.
func TestWrittenByAPISIX(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	tools, up := e.client(), upstreamOf(t, "up")
	for key, value := range written {
		if _, err := tools.Put(t.Context(), "/apisix/"+key, strings.ReplaceAll(value, "UPSTREAM", up)); err != nil {
			t.Fatal(err)
		}
	}
	site := servertest.Start(t, onEtcd("/apisix", e.URL))
	for _, path := range []string{"/one", "/auth"} {
		want := map[string]string{"/one": "200 ok", "/auth": "401 ok"}[path]
		awaitAnswer(t, site, path, want)
	}
	if got := e.etcdctl("del", "/apisix/global_rules/1"); strings.TrimSpace(got) != "1" {
		t.Fatalf("etcdctl del: %s", got)
	}
	awaitAnswer(t, site, "/one", "200 up")
	for key, want := range map[string]string{"bobk": "200 up", "cred1": "200 up", "other": `401 {"message":"Invalid API key in request"}`} {
		if status, text := askAdmin(t, "GET", site.Gateway+"/auth", "", "apikey", key); fmt.Sprint(status, " ", strings.TrimSpace(text)) != want {
			t.Errorf("apikey %s: %d %s, want %s", key, status, text, want)
		}
	}
	for key, secret := range map[string]string{
		"upstreams/1": "", "services/s": "", "plugin_configs/p": "", "routes/1": "", "routes/fn": `"service_token":"u:p"`, "consumer_groups/g": "",
		"consumers/bob": `"key":"bobk"`, "consumers/bob/credentials/c": `"key":"cred1"`, "plugin_metadata/http-logger": "", "secrets/vault/1": "", "protos/1": "",
	} {
		status, text := askAdmin(t, "GET", site.Admin+"/apisix/admin/"+key, "")
		if status != 200 || !strings.Contains(text, `"key":"/apisix/`+key+`"`) || !strings.Contains(text, secret) {
			t.Errorf("%s: %d %s", key, status, text)
		}
	}
	if _, text := askAdmin(t, "GET", site.Admin+"/apisix/admin/routes", ""); !strings.Contains(text, `"total":3`) {
		t.Errorf("a list counts what is no route: %s", text)
	}
}

// What the Admin API writes is in etcd as APISIX would have written it.
func TestWrittenForAPISIX(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	site := servertest.Start(t, onEtcd("/gw/", e.URL))
	stored := func(key string) map[string]any {
		t.Helper()
		_, text, ok := strings.Cut(e.etcdctl("get", "/gw/"+key), "\n")
		var doc map[string]any
		if err := json.Unmarshal([]byte(text), &doc); !ok || err != nil {
			t.Fatalf("%s in etcd: %q %v", key, text, err)
		}
		for _, name := range []string{"create_time", "update_time"} {
			if at, is := doc[name].(float64); is && at > 1.7e9 && at < 1e10 {
				doc[name] = "T"
			}
		}
		return doc
	}
	for _, c := range []struct{ path, body, want string }{
		{"upstreams/1", `{"nodes":{"127.0.0.1:1":1},"tls":{"client_cert_id":"x"}}`, ""},
		{"upstreams/1", `{"nodes":{"127.0.0.1:1":1}}`, `{"id":"1","nodes":{"127.0.0.1:1":1},"create_time":"T","update_time":"T"}`},
		{"routes/fn", `{"uri":"/fn","plugins":{"openwhisk":{"api_host":"http://127.0.0.1:1","namespace":"guest","action":"a","service_token":"u:p"}}}`,
			`{"id":"fn","uri":"/fn","plugins":{"openwhisk":{"api_host":"http://127.0.0.1:1","namespace":"guest","action":"a","service_token":"3ADkE6U9nhfTup0vRb7T6g=="}},"create_time":"T","update_time":"T"}`},
		{"consumers/bob", `{"username":"bob","plugins":{"key-auth":{"key":"bobk"}}}`,
			`{"username":"bob","plugins":{"key-auth":{"key":"QbETMUqJqqoIwwCFwlbaOA=="}},"create_time":"T","update_time":"T"}`},
		{"consumers/bob/credentials/c", `{"plugins":{"key-auth":{"key":"cred1"}}}`,
			`{"id":"c","plugins":{"key-auth":{"key":"IsW/lRFQLUYzdZ+Bw68oYg=="}},"create_time":"T","update_time":"T"}`},
		{"plugin_metadata/http-logger", `{"log_format":{"host":"$host"}}`, `{"id":"http-logger","log_format":{"host":"$host"}}`},
		{"secrets/vault/1", `{"uri":"http://127.0.0.1:1","prefix":"kv/apisix","token":"t"}`,
			`{"id":"vault/1","uri":"http://127.0.0.1:1","prefix":"kv/apisix","token":"t","create_time":"T","update_time":"T"}`},
	} {
		status, text := askAdmin(t, "PUT", site.Admin+"/apisix/admin/"+c.path, c.body)
		if c.want == "" {
			continue // refused; nothing may be there
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, stored(c.path)); status > 201 || diff != "" {
			t.Errorf("PUT %s: %d %s%s", c.path, status, text, diff)
		}
	}
	if status, text := askAdmin(t, "POST", site.Admin+"/apisix/admin/routes", `{"uri":"/posted","plugins":{}}`); status != 201 || !strings.Contains(text, `"key":"/apisix/routes/000000000000000000`) {
		t.Errorf("POST: %d %s", status, text)
	}
	large := fmt.Sprintf(`{"uri":"/large","desc":"x","plugins":{"echo":{"body":%q}}}`, strings.Repeat("x", 1572864-100))
	if status, text := askAdmin(t, "PUT", site.Admin+"/apisix/admin/routes/large", large); status != 503 || text != `{"error_msg":"etcdserver: request is too large"}`+"\n" {
		t.Errorf("a value that etcd does not take: %d %.200s", status, text)
	}
}

// cable is a connection to an etcd that can be cut.
type cable struct {
	net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func layCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: l, to: strings.TrimPrefix(to, "http://")}
	go c.serve()
	t.Cleanup(func() { l.Close(); c.set(true) })
	return c
}

func (c *cable) serve() {
	for {
		near, err := c.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.to)
		c.mu.Lock()
		if err != nil || c.cut {
			near.Close()
			c.mu.Unlock()
			continue
		}
		c.conns = append(c.conns, near, far)
		c.mu.Unlock()
		go func() { io.Copy(near, far); near.Close() }()
		go func() { io.Copy(far, near); far.Close() }()
	}
}

// set cuts the cable, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// Two gateways share an etcd; one of its addresses answers nobody. One gateway loses
// its connection, misses changes, a deletion and the compaction of all of that, and
// has everything when it is back.
func TestEtcdOfSeveralGateways(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	tools := e.client()
	wire := layCable(t, e.URL)
	one, two := upstreamOf(t, "one"), upstreamOf(t, "two")
	first := servertest.Start(t, onEtcd("/apisix", "http://"+freeport.Address(t), e.URL))
	second := servertest.Start(t, onEtcd("/apisix", "http://"+wire.Addr().String()))
	put := func(site *servertest.Site, path, body string) {
		t.Helper()
		if status, text := adminPut(t, site, path, body); status > 201 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	put(first, "routes/a", routeOf("/a", one))
	put(second, "routes/b", routeOf("/b", one))
	for _, site := range []*servertest.Site{first, second} {
		awaitAnswer(t, site, "/a", "200 one")
		awaitAnswer(t, site, "/b", "200 one")
	}
	wire.set(true)
	put(first, "routes/a", routeOf("/a", two))
	put(first, "routes/c", routeOf("/c", two))
	if status, _ := askAdmin(t, "DELETE", first.Admin+"/apisix/admin/routes/b", ""); status != 200 {
		t.Fatalf("DELETE: %d", status)
	}
	r, err := tools.Get(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tools.Compact(t.Context(), r.Header.Revision); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a": "200 one", "/b": "200 one"} {
		if got := answerOf(t, second, path); got != want {
			t.Errorf("%s without etcd: %s, want %s", path, got, want)
		}
	}
	wire.set(false)
	awaitAnswer(t, second, "/a", "200 two")
	awaitAnswer(t, second, "/c", "200 two")
	awaitAnswer(t, second, "/b", `404 {"error_msg":"404 Route Not Found"}`)
	put(second, "routes/d", routeOf("/d", one))
	awaitAnswer(t, first, "/d", "200 one")
}

// An etcd behind TLS that knows its clients by certificates and by users, who may
// touch no more than the prefix and whose tokens do not outlive it.
func TestEtcdWithUsersAndTLS(t *testing.T) {
	t.Parallel()
	serverCert, serverKey := writePair(t, "server")
	clientCert, clientKey := writePair(t, "client")
	e := startEtcd(t, "--cert-file", serverCert, "--key-file", serverKey, "--trusted-ca-file", clientCert, "--client-cert-auth", "--bcrypt-cost", "4")
	root := []string{"--cacert", serverCert, "--cert", clientCert, "--key", clientKey}
	as := func(args ...string) { t.Helper(); e.etcdctl(append(root, args...)...) }
	e.awaitHealth(root...)
	as("user", "add", "root:secret")
	as("user", "grant-role", "root", "root")
	as("role", "add", "apisix")
	as("role", "grant-permission", "apisix", "--prefix=true", "readwrite", "/apisix")
	as("user", "add", "gw:pass")
	as("user", "grant-role", "gw", "apisix")
	as("auth", "enable")
	root = append(root, "--user", "root:secret")

	settings := func(c *config.Config) {
		onEtcd("/apisix", e.URL)(c)
		c.Gateway.TLS.TrustedCertificate = serverCert
		s := &c.Gateway.Source.Etcd
		s.User, s.Password = "gw", "pass"
		s.TLS.Cert, s.TLS.Key = clientCert, clientKey
	}
	site := servertest.Start(t, settings)
	one, two := upstreamOf(t, "one"), upstreamOf(t, "two")
	as("put", "/apisix/routes/x", routeTo("/x", one))
	awaitAnswer(t, site, "/x", "200 one")
	e.Stop() // with the tokens that it has given out
	e.Start()
	e.awaitHealth(root...)
	as("put", "/apisix/routes/x", routeTo("/x", two))
	awaitAnswer(t, site, "/x", "200 two")
	status, text := 0, ""
	for end := time.Now().Add(60 * time.Second); status != 201 && time.Now().Before(end); {
		status, text = adminPut(t, site, "routes/y", strings.Replace(routeTo("/y", one), `"id":"x",`, "", 1))
	}
	if got := answerOf(t, site, "/y"); got != "200 one" {
		t.Errorf("a write with a new token: %d %s, and %s", status, text, got)
	}

	const refused = time.Minute // it answers at once
	for what, c := range map[string]struct {
		within time.Duration
		change func(*config.Config)
	}{
		"certificate signed by unknown authority":      {time.Second, func(c *config.Config) { c.Gateway.TLS.TrustedCertificate = clientCert }},
		"authentication failed, invalid user ID":       {refused, func(c *config.Config) { c.Gateway.Source.Etcd.Password = "wrong" }},
		"reading the client certificate (cert, key)":   {refused, func(c *config.Config) { c.Gateway.Source.Etcd.TLS.Key = "none" }},
		"apisix.ssl.ssl_trusted_certificate: reading ": {refused, func(c *config.Config) { c.Gateway.TLS.TrustedCertificate = serverKey }},
	} {
		if err := openFails(t, c.within, settings, c.change); !strings.Contains(err, what) {
			t.Errorf("want %q, got %s", what, err)
		}
	}
}

// awaitHealth waits until the etcd answers.
func (e *etcd) awaitHealth(args ...string) {
	e.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		cmd := exec.Command("etcdctl", append([]string{"--endpoints", e.URL, "get", "/apisix/any"}, args...)...)
		cmd.Env = append(cmd.Environ(), "ETCDCTL_API=3")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			e.t.Fatalf("etcd does not answer: %s", out)
		}
	}
}

// openFails answers why a server does not start. An etcd that does not answer is
// given up after within.
func openFails(t *testing.T, within time.Duration, changes ...func(*config.Config)) string {
	t.Helper()
	cfg := config.Default()
	cfg.Ephemeral = true
	for _, change := range changes {
		change(cfg)
	}
	cfg.Gateway.Source.Etcd.Retries, cfg.Gateway.Source.Etcd.Timeout = 0, within
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := server.Open(ctx, cfg, server.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Version: "test"})
	if err == nil {
		t.Fatal("the server has opened")
	}
	return err.Error()
}

// What etcd held last is served when it is away at the start; what others change then
// is in force once it is back.
func TestWithoutEtcd(t *testing.T) {
	t.Parallel()
	e, up := startEtcd(t), upstreamOf(t, "up")
	dir := t.TempDir()
	settings := func(c *config.Config) {
		onEtcd("/apisix", e.URL)(c)
		c.Ephemeral, c.Data = false, dir
		c.Gateway.Source.Etcd.StartupWait = 200 * time.Millisecond
		c.Gateway.Status.Enabled = true
	}
	t.Run("with etcd", func(t *testing.T) {
		site := servertest.Start(t, settings)
		if status, text := adminPut(t, site, "routes/kept", routeOf("/kept", up)); status != 201 {
			t.Fatalf("%d %s", status, text)
		}
		kept := func() bool {
			text, _ := os.ReadFile(filepath.Join(dir, "etcd.reserve"))
			return bytes.Contains(text, []byte(`"/kept"`))
		}
		for end := time.Now().Add(60 * time.Second); !kept(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("what etcd holds is not kept")
			}
		}
	})
	e.Stop()
	t.Run("without", func(t *testing.T) {
		site := servertest.Start(t, settings)
		awaitAnswer(t, site, "/kept", "200 up")
		if status, text := adminPut(t, site, "routes/x", routeOf("/x", up)); status != 503 || text != `{"error_msg":"has no healthy etcd endpoint available"}`+"\n" {
			t.Errorf("a write: %d %s", status, text)
		}
		if status, text := askAdmin(t, "GET", site.Status+"/status/ready", ""); status != 200 || text != `{"status":"ok"}` {
			t.Errorf("the status API: %d %s", status, text)
		}
		if status, text := askAdmin(t, "GET", site.Control+"/v1/route/kept", ""); status != 200 || !strings.Contains(text, `"/kept"`) {
			t.Errorf("the Control API: %d %s", status, text)
		}
		if _, text := askAdmin(t, "GET", site.Metrics+"/apisix/prometheus/metrics", ""); !strings.Contains(text, "\napisix_etcd_reachable 0\n") {
			t.Errorf("the metrics: %s", text)
		}
		e.Start()
		tools := e.client()
		if _, err := tools.Put(t.Context(), "/apisix/routes/new", routeTo("/new", up)); err != nil {
			t.Fatal(err)
		}
		if _, err := tools.Delete(t.Context(), "/apisix/routes/kept"); err != nil {
			t.Fatal(err)
		}
		awaitAnswer(t, site, "/new", "200 up")
		awaitAnswer(t, site, "/kept", `404 {"error_msg":"404 Route Not Found"}`)
		if status, text := adminPut(t, site, "routes/x", routeOf("/x", up)); status != 201 {
			t.Errorf("a write when etcd is back: %d %s", status, text)
		}
	})
}

// routeOf is routeTo as the Admin API takes it.
func routeOf(uri, upstream string) string {
	return strings.Replace(routeTo(uri, upstream), `"id":"x",`, "", 1)
}

// An etcd that is not there stops the start, with what to do; one that comes while
// the start tries again does not.
func TestEtcdAwayAtStart(t *testing.T) {
	t.Parallel()
	address := "http://" + freeport.Address(t)
	want := "connecting to etcd at " + address + ": start it, or correct the address or the credentials"
	if err := openFails(t, time.Second, onEtcd("/apisix", address)); !strings.Contains(err, want) {
		t.Errorf("got %s, want %s", err, want)
	}
	e := startEtcd(t)
	e.Stop()
	started := make(chan struct{})
	time.AfterFunc(time.Second, func() {
		defer close(started)
		e.Start()
	})
	defer func() { <-started }()
	site := servertest.Start(t, onEtcd("/apisix", e.URL))
	awaitAnswer(t, site, "/", `404 {"error_msg":"404 Route Not Found"}`)
}

// The plugin server-info, asked for by name, tells the etcd of each process for a while;
// t/plugin/server-info.t.
func TestServerInfoInEtcd(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	site := servertest.Start(t, onEtcd("/apisix", e.URL), func(c *config.Config) {
		c.Gateway.Plugins, c.Gateway.ID = []string{"server-info"}, "gateway-1"
	})
	tools := e.client()
	var kept *clientv3.GetResponse
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if kept, err = tools.Get(t.Context(), "/apisix/data_plane/server_info/gateway-1"); err != nil {
			t.Fatal(err)
		}
		if len(kept.Kvs) == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing in the etcd")
		}
	}
	if status, text := fetch(t, "GET", site.Control+"/v1/server_info", ""); status != 200 || strings.TrimSpace(text) != string(kept.Kvs[0].Value) {
		t.Errorf("%d %s, in the etcd %s", status, text, kept.Kvs[0].Value)
	}
	var info struct {
		Etcd string `json:"etcd_version"`
	}
	if err := json.Unmarshal(kept.Kvs[0].Value, &info); err != nil || !strings.HasPrefix(info.Etcd, "3.") {
		t.Errorf("%s: %v", kept.Kvs[0].Value, err)
	}
	if lease, err := tools.TimeToLive(t.Context(), clientv3.LeaseID(kept.Kvs[0].Lease)); err != nil || lease.GrantedTTL != 60 {
		t.Errorf("lease %+v, %v", lease, err)
	}
}
