package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway/secret"
)

// vault speaks as much of HashiCorp Vault's HTTP API as is asked of it.
type vault struct {
	mu      sync.Mutex
	secrets map[string]map[string]string // by path
	asked   int
	hang    chan struct{} // unless nil, answers wait until it is closed
	conf    string        // of the resource secrets/vault/<id>
}

func newVault(t testing.TB) *vault {
	v := &vault{secrets: map[string]map[string]string{}}
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	v.conf = `{"uri":"` + s.URL + `","prefix":"kv/apisix","token":"root"}`
	return v
}

func (v *vault) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	v.mu.Lock()
	v.asked++
	data, ok := v.secrets[strings.TrimPrefix(q.URL.Path, "/v1/kv/apisix/")]
	text, _ := json.Marshal(map[string]any{"data": data})
	hang := v.hang
	v.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if !ok || q.Header.Get("X-Vault-Token") != "root" {
		w.WriteHeader(404)
		return
	}
	w.Write(text)
}

func (v *vault) put(path string, values ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	data := map[string]string{}
	for i := 0; i < len(values); i += 2 {
		data[values[i]] = values[i+1]
	}
	v.secrets[path] = data
}

func (v *vault) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

// soon lets values be asked for again at once.
func soon(c *Config) {
	c.Secrets = secret.Settings{TTL: 20 * time.Millisecond, NegativeTTL: 20 * time.Millisecond}
}

// header waits for an answer to have a header with this value.
func (r *rig) header(target, name, want string, headers ...string) {
	r.Helper()
	var rep *reply
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if rep = r.get(target, headers...); rep.header.Get(name) == want {
			return
		}
	}
	r.Fatalf("%s: %s %s: %q, want %q\n%s", target, rep.line, name, rep.header.Get(name), want, r.logs)
}

// Wherever plugins are configured, references stand for what the manager has, and
// follow it.
func TestSecretsOfPlugins(t *testing.T) {
	v := newVault(t)
	v.put("a", "x", "first")
	r := start(t, soon)
	up := ok(t, "up")
	upstream := `"upstream":{"nodes":{"` + up.addr + `":1}}`
	says := func(name string) string {
		return `"plugins":{"test-change":{"answer":{"` + name + `":"$secret://vault/1/a/x"}}}`
	}
	r.put("secrets/vault/1", v.conf)
	r.put("services/s", `{`+says("X-Service")+`,`+upstream+`}`)
	r.put("plugin_configs/p", `{`+says("X-Config")+`}`)
	r.put("consumer_groups/g", `{`+says("X-Group")+`}`)
	r.put("consumers/jack", `{"username":"jack","group_id":"g","plugins":{"test-auth":{"key":"$secret://vault/1/a/x"}}}`)
	r.put("consumers/jill", `{"username":"jill","plugins":{"test-auth":{"key":"jill"},"test-change":{"answer":{"X-Consumer":"$SECRET://vault/1/a/x"}}}}`)
	r.put("consumers/jill/credentials/c", `{"plugins":{"test-auth":{"key":"$secret://vault/1/a/x"}}}`)
	r.put("routes/route", `{"uri":"/route",`+says("X-Route")+`,`+upstream+`}`)
	r.put("routes/service", `{"uri":"/service","service_id":"s"}`)
	r.put("routes/config", `{"uri":"/config","plugin_config_id":"p",`+upstream+`}`)
	r.put("routes/auth", `{"uri":"/auth","plugins":{"test-auth":{}},`+upstream+`}`)
	r.put("routes/metadata", `{"uri":"/metadata","plugins":{"test-meta":{}},`+upstream+`}`)
	r.put("plugin_metadata/test-meta", `{"word":"$secret://vault/1/a/x"}`)
	for _, value := range []string{"first", "second"} {
		v.put("a", "x", value)
		r.header("/route", "X-Route", value)
		r.header("/service", "X-Service", value)
		r.header("/config", "X-Config", value)
		r.header("/metadata", "X-Word", value)
		r.header("/auth", "X-Consumer", value, "Key: jill")
		r.header("/auth", "X-Consumer", value, "Key: "+value) // the credential is as new as the key
	}
	if rep := r.get("/auth", "Key: first"); rep.status != 401 {
		t.Errorf("the key before: %s", rep.line)
	}
	r.delete("consumers/jill/credentials/c")
	r.header("/auth", "X-Group", "second", "Key: second")
	r.put("global_rules/1", `{`+says("X-Rule")+`}`)
	r.header("/metadata", "X-Rule", "second")
	v.put("a", "x", "third")
	r.header("/metadata", "X-Rule", "third")

	e, err := r.store.Get(t.Context(), "/apisix/routes/route")
	if err != nil || !strings.Contains(string(e.Value), `"$secret://vault/1/a/x"`) {
		t.Errorf("the store has %s, %v", e.Value, err)
	}
	if strings.Contains(r.logs.String(), "second") {
		t.Errorf("a secret is in the log: %s", r.logs)
	}
}

// What cannot be resolved stays as it is, until it can be.
func TestUnresolvedSecrets(t *testing.T) {
	v := newVault(t)
	v.put("a", "x", "value")
	r := start(t, func(c *Config) {
		c.Secrets.Env = func(name string) (string, bool) { return `{"k":"of the environment"}`, name == "JSON" }
	})
	up := ok(t, "up")
	for id, ref := range map[string]string{"1": "$secret://vault/1/a/x", "2": "$env://NONE", "3": "$ENV://JSON/k", "4": "x$env://JSON", "5": "$secret://vault/1"} {
		r.put("routes/"+id, fmt.Sprintf(`{"uri":"/%s","plugins":{"test-change":{"answer":{"X-Is":%q}}},"upstream":{"nodes":{%q:1}}}`, id, ref, up.addr))
	}
	expect := func(want map[string]string) {
		t.Helper()
		for id, value := range want {
			if got := r.get("/" + id).header.Get("X-Is"); got != value {
				t.Errorf("/%s: %q, want %q", id, got, value)
			}
		}
	}
	expect(map[string]string{"1": "$secret://vault/1/a/x", "2": "$env://NONE", "3": "of the environment", "4": "x$env://JSON", "5": "$secret://vault/1"})
	for _, want := range []string{"no secret conf, secret_uri: $secret://vault/1/a/x", "no environment variable NONE", "error format: no secret conf id"} {
		if !strings.Contains(r.logs.String(), want) {
			t.Errorf("want %q in the log:\n%s", want, r.logs)
		}
	}
	r.put("secrets/vault/1", v.conf)
	expect(map[string]string{"1": "value", "3": "of the environment"})
	r.delete("secrets/vault/1")
	expect(map[string]string{"1": "$secret://vault/1/a/x"})
	r.put("secrets/vault/1", v.conf)
	expect(map[string]string{"1": "value"})
	r.put("routes/1", `{"uri":"/1","plugins":{"test-change":{"answer":{"X-Is":"plain"}}},"upstream":{"nodes":{"`+up.addr+`":1}}}`)
	expect(map[string]string{"1": "plain"})
}

// Many routes with one reference cost one fetch, and requests none.
func TestFetchesOfSecrets(t *testing.T) {
	v := newVault(t)
	v.put("a", "x", "value")
	r := start(t, nil)
	up := ok(t, "up")
	r.put("secrets/vault/1", v.conf)
	for id := range 50 {
		r.put(fmt.Sprint("routes/", id), fmt.Sprintf(`{"uri":"/%d","plugins":{"test-change":{"answer":{"X-Is":"$secret://vault/1/a/x","X-None":"$secret://vault/1/a/none"}}},"upstream":{"nodes":{%q:1}}}`, id, up.addr))
		if got := r.get(fmt.Sprint("/", id)).header.Get("X-Is"); got != "value" {
			t.Fatalf("route %d: %q", id, got)
		}
	}
	if n := v.count(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// A manager that does not answer holds up neither requests nor, more than once,
// the configuration.
func TestSilentManager(t *testing.T) {
	v := newVault(t)
	v.put("a", "x", "value")
	r := start(t, func(c *Config) { soon(c); c.Secrets.Timeout = 50 * time.Millisecond })
	up := ok(t, "up")
	route := func(id, ref string) {
		r.put("routes/"+id, fmt.Sprintf(`{"uri":"/%s","plugins":{"test-change":{"answer":{"X-Is":%q}}},"upstream":{"nodes":{%q:1}}}`, id, ref, up.addr))
	}
	r.put("secrets/vault/1", v.conf)
	route("1", "$secret://vault/1/a/x")
	r.header("/1", "X-Is", "value")
	hang := make(chan struct{})
	v.mu.Lock()
	v.hang = hang
	v.mu.Unlock()
	eventually(t, "the manager does not answer", func() bool { return strings.Contains(r.logs.String(), "failed to fetch secret value") })
	route("2", "$secret://vault/1/b/x")
	route("3", "plain")
	for id, want := range map[string]string{"1": "value", "2": "$secret://vault/1/b/x", "3": "plain"} {
		if got := r.get("/" + id).header.Get("X-Is"); got != want {
			t.Errorf("/%s: %q, want %q", id, got, want)
		}
	}
	v.put("b", "x", "late")
	v.mu.Lock()
	v.hang = nil
	v.mu.Unlock()
	close(hang)
	r.header("/2", "X-Is", "late")
}

// Certificates and keys may be kept elsewhere, each on its own; they change
// together.
func TestSecretsOfTLS(t *testing.T) {
	v, ca, clients := newVault(t), newAuthority(t, "ca"), newAuthority(t, "clients")
	var env sync.Map
	env.Store("CA", clients.pem)
	r := start(t, func(c *Config) {
		soon(c)
		c.Secrets.Env = func(name string) (string, bool) {
			value, ok := env.Load(name)
			text, _ := value.(string)
			return text, ok
		}
	})
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, q.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	up.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	up.StartTLS()
	defer up.Close()
	nodes := `"scheme":"https","nodes":{"` + up.Listener.Addr().String() + `":1},"tls":`
	own := `{"client_cert":"$secret://vault/1/up/cert","client_key":"$secret://vault/1/up/key"}`
	change := func(name string) {
		cert, key := ca.pair(name)
		v.put("up", "cert", cert, "key", key)
		cert, key = ca.pair("test.com", name)
		v.put("test.com", "crt", cert, "key", key)
	}
	change("one")
	r.put("secrets/vault/1", v.conf)
	r.put("upstreams/1", `{`+nodes+own+`}`)
	r.put("ssls/c", `{"type":"client","cert":"$secret://vault/1/up/cert","key":"$secret://vault/1/up/key"}`)
	r.put("ssls/s", `{"sni":"test.com","cert":"$secret://vault/1/test.com/crt","key":"$secret://vault/1/test.com/key","client":{"ca":"$env://CA"}}`)
	r.put("routes/1", `{"uri":"/1","upstream_id":"1"}`)
	r.put("routes/2", `{"uri":"/2","upstream":{`+nodes+own+`}}`)
	r.put("routes/3", `{"uri":"/3","upstream":{`+nodes+`{"client_cert_id":"c"}}}`)
	addr, roots := serveTLS(t, r.g), x509.NewCertPool()
	roots.AddCert(ca.cert)
	cert, key := clients.pair("someone")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		change(name)
		for _, path := range []string{"/1", "/2", "/3"} {
			eventually(t, path+" is called as "+name, func() bool { return strings.Contains(r.get(path).body, name) })
		}
		eventually(t, "the certificate is that of "+name, func() bool {
			conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "test.com", RootCAs: roots, Certificates: []tls.Certificate{pair}})
			if err != nil {
				t.Fatal(err) // the certificate is never without its key
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].VerifyHostname(name) == nil
		})
	}
	got, err := ask(addr, "test.com", "/1", &tls.Config{ServerName: "test.com", RootCAs: roots, Certificates: []tls.Certificate{pair}})
	if err != nil || !strings.HasPrefix(got, "200") {
		t.Errorf("with a certificate of the authority: %q, %v", got, err)
	}
	if got, _ := ask(addr, "test.com", "/1", &tls.Config{ServerName: "test.com", RootCAs: roots}); !strings.HasPrefix(got, "400") {
		t.Errorf("without: %q", got)
	}
}
