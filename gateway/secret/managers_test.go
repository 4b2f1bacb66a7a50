package secret

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"millrace/internal/sigv4"
)

// resolved is what a reference and its failure in the log are to be.
type resolved struct{ ref, want, log string }

func (r *rig) check(cases []resolved) {
	r.Helper()
	for _, c := range cases {
		r.meet("/k", c.ref)
		r.expect(c.ref, c.want)
		if c.log != "" && !strings.Contains(r.logs.String(), c.log) {
			r.Errorf("%s: want %q in the log:\n%s", c.ref, c.log, r.logs)
		}
	}
	for _, hidden := range []string{"hush", "the-token"} {
		if strings.Contains(r.logs.String(), hidden) {
			r.Errorf("%q is in the log:\n%s", hidden, r.logs)
		}
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVault(t *testing.T) {
	var elsewhere, namespace atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("X-Vault-Namespace") == "team" {
			namespace.Store(true)
		}
		if q.Method != "GET" || q.Header.Get("X-Vault-Token") != "the-token" {
			w.WriteHeader(403)
			io.WriteString(w, `{"errors":["permission denied: hush"]}`)
			return
		}
		switch q.URL.Path {
		case "/v1/kv/apisix/jack":
			io.WriteString(w, `{"request_id":"1","lease_id":"","data":{"auth-key":"k","number":5,"object":{"a":1}}}`)
		case "/v1/kv/apisix/space d":
			io.WriteString(w, `{"data":{"x":"spaced"}}`)
		case "/v1/kv/apisix/odd":
			io.WriteString(w, `hush`)
		case "/v1/kv/apisix/moved":
			http.Redirect(w, q, other.URL, http.StatusTemporaryRedirect)
		case "/v1/kv/apisix/large":
			io.WriteString(w, `{"data":{"x":"`+strings.Repeat("x", maxAnswer)+`"}}`)
		default:
			w.WriteHeader(404)
			io.WriteString(w, `{"errors":[]}`)
		}
	}))
	defer server.Close()
	r := start(t, Settings{Env: func(name string) (string, bool) { return "the-token", name == "VAULT_TOKEN" }})
	r.setObject("vault/1", encoded(t, map[string]string{"uri": server.URL, "prefix": "kv/apisix", "token": "the-token"}))
	r.setObject("vault/env", encoded(t, map[string]string{"uri": server.URL + "/", "prefix": "/kv/apisix/", "token": "$env://VAULT_TOKEN", "namespace": "team"}))
	r.setObject("vault/denied", encoded(t, map[string]string{"uri": server.URL, "prefix": "kv/apisix", "token": "other"}))
	away := httptest.NewServer(nil)
	away.Close()
	r.setObject("vault/away", encoded(t, map[string]string{"uri": away.URL, "prefix": "kv", "token": "t"}))
	r.check([]resolved{
		{"$secret://vault/1/jack/auth-key", "k", ""},
		{"$SECRET://vault/1/jack/auth-key", "k", ""},
		{"$secret://vault/env/jack/auth-key", "k", ""},
		{"$secret://vault/1/jack/number", "5", ""},
		{"$secret://vault/1/jack/object", `{"a":1}`, ""},
		{"$secret://vault/1/space%20d/x", "spaced", ""},
		{"$secret://vault/1/jack/none", "", `it has no key`},
		{"$secret://vault/1/nobody/x", "", "invalid status code 404"},
		{"$secret://vault/1/odd/x", "", "failed to decode result"},
		{"$secret://vault/1/moved/x", "", "invalid status code 307"},
		{"$secret://vault/1/large/x", "", "larger than 1 MiB"},
		{"$secret://vault/1/jack", "", "error key format, key: jack"},
		{"$secret://vault/1/jack/", "", "can't find sub key, key: jack/"},
		{"$secret://vault/1//apisix", "", "can't find main key, key: /apisix"},
		{"$secret://vault/denied/jack/auth-key", "", "invalid status code 403"},
		{"$secret://vault/away/a/b", "", "connection refused"},
	})
	if !namespace.Load() {
		t.Error("the namespace was not sent")
	}
	if elsewhere.Load() {
		t.Error("a redirection was followed, with the token")
	}
}

// signedBy tells whether a request has the signature that the credentials make
// over what has arrived.
func signedBy(q *http.Request, body []byte, c sigv4.Credentials, region string) bool {
	at, err := time.Parse("20060102T150405Z", q.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute || q.Header.Get("X-Amz-Security-Token") != c.SessionToken {
		return false
	}
	again := &http.Request{Method: q.Method, URL: q.URL, Host: q.Host, Header: http.Header{}}
	for _, name := range []string{"Content-Type", "X-Amz-Target"} {
		again.Header.Set(name, q.Header.Get(name))
	}
	sigv4.Sign(again, body, c, sigv4.Scope{Region: region, Service: "secretsmanager", Time: at})
	return again.Header.Get("Authorization") == q.Header.Get("Authorization")
}

func TestAWS(t *testing.T) {
	who := sigv4.Credentials{AccessKeyID: "AKID", SecretAccessKey: "hush"}
	temporary := sigv4.Credentials{AccessKeyID: "AKID", SecretAccessKey: "hush", SessionToken: "the-token"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		fail := func(name string) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"__type":"com.amazonaws.secretsmanager#%s","Message":"about hush"}`, name)
		}
		if q.Method != "POST" || q.URL.Path != "/" || q.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || q.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
			fail("UnknownOperationException")
			return
		}
		if !signedBy(q, body, who, "us-east-1") && !signedBy(q, body, temporary, "eu-central-1") {
			fail("InvalidSignatureException")
			return
		}
		var asked struct{ SecretId, VersionStage string }
		if json.Unmarshal(body, &asked) != nil || asked.VersionStage != "AWSCURRENT" {
			fail("ValidationException")
			return
		}
		switch asked.SecretId {
		case "apisix-key":
			io.WriteString(w, `{"Name":"apisix-key","SecretString":"{\"jack\":\"value\",\"port\":80}"}`)
		case "prod/db":
			io.WriteString(w, `{"SecretString":"{\"password\":\"p\"}"}`)
		case "apisix-mysql":
			io.WriteString(w, `{"SecretString":"secret"}`)
		case "binary":
			io.WriteString(w, `{"SecretBinary":"c2VjcmV0"}`)
		case "odd":
			io.WriteString(w, `hush`)
		case "down":
			w.WriteHeader(503)
		default:
			fail("ResourceNotFoundException")
		}
	}))
	defer server.Close()
	r := start(t, Settings{Env: func(name string) (string, bool) {
		v, ok := map[string]string{"ID": "AKID", "KEY": "hush", "TOKEN": "the-token"}[name]
		return v, ok
	}})
	r.setObject("aws/1", encoded(t, map[string]string{"access_key_id": "AKID", "secret_access_key": "hush", "endpoint_url": server.URL}))
	r.setObject("aws/env", encoded(t, map[string]string{
		"access_key_id": "$env://ID", "secret_access_key": "$ENV://KEY", "session_token": "$env://TOKEN", "region": "eu-central-1", "endpoint_url": server.URL,
	}))
	r.setObject("aws/denied", encoded(t, map[string]string{"access_key_id": "AKID", "secret_access_key": "no", "endpoint_url": server.URL}))
	r.check([]resolved{
		{"$secret://aws/1/apisix-key/jack", "value", ""},
		{"$secret://aws/1/apisix-key/port", "80", ""},
		{"$secret://aws/1/apisix-key/none", "", "it has no key"},
		{"$secret://aws/env/apisix-key/jack", "value", ""},
		{"$secret://aws/1/apisix-mysql", "secret", ""},
		{"$secret://aws/1/apisix-mysql/jack", "", "failed to decode result"},
		{"$secret://aws/1/prod/db/password", "p", ""},
		{"$secret://aws/1/prod/db", `{"password":"p"}`, ""},
		{"$secret://aws/1/binary", "secret", ""},
		{"$secret://aws/1/odd", "", "failed to decode result"},
		{"$secret://aws/1/nobody/jack", "", "ResourceNotFoundException"},
		{"$secret://aws/1/down/jack", "", "invalid status code 503"},
		{"$secret://aws/1//apisix", "", "can't find main key, key: /apisix"},
		{"$secret://aws/denied/apisix-key/jack", "", "InvalidSignatureException"},
	})
}

// google is a server that is Google's token endpoint and Secret Manager at once.
type google struct {
	key     *rsa.PrivateKey
	tokens  atomic.Int64
	expires atomic.Int64
	refuse  atomic.Bool // the token that was given out last
}

func (g *google) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/token" {
		g.token(w, q)
		return
	}
	if q.Header.Get("Authorization") != fmt.Sprint("Bearer the-token", g.tokens.Load()) || g.refuse.Load() {
		w.WriteHeader(401)
		return
	}
	name, _ := strings.CutPrefix(q.URL.EscapedPath(), "/v1/projects/apisix/secrets/")
	name, ok := strings.CutSuffix(name, "/versions/latest:access")
	payload := map[string]string{"jack": `{"key":"value"}`, "mysql": "secret", "sp%20ace": "spaced"}
	text, known := payload[name]
	switch {
	case !ok || !known && name != "odd":
		w.WriteHeader(404)
		io.WriteString(w, `{"error":{"status":"NOT_FOUND"}}`)
	case name == "odd":
		io.WriteString(w, `{"name":"hush"}`)
	default:
		json.NewEncoder(w).Encode(map[string]any{"name": name, "payload": map[string]string{"data": base64.StdEncoding.EncodeToString([]byte(text))}})
	}
}

func (g *google) token(w http.ResponseWriter, q *http.Request) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(q.PostFormValue("assertion"), claims, func(*jwt.Token) (any, error) { return &g.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("email@apisix.iam.gserviceaccount.com"), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	audience, _ := claims["aud"].(string)
	if q.Method != "POST" || q.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || err != nil ||
		!strings.HasSuffix(audience, q.Host+"/token") || claims["scope"] != "https://www.googleapis.com/auth/cloud-platform" {
		w.WriteHeader(400)
		return
	}
	g.refuse.Store(false)
	fmt.Fprintf(w, `{"access_token":"the-token%d","token_type":"Bearer","expires_in":%d}`, g.tokens.Add(1), g.expires.Load())
}

func newGoogle(t *testing.T) (g *google, private string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	g = &google{key: key}
	g.expires.Store(3600)
	return g, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestGCP(t *testing.T) {
	g, private := newGoogle(t)
	server := httptest.NewServer(g)
	defer server.Close()
	account := map[string]any{
		"client_email": "email@apisix.iam.gserviceaccount.com", "private_key": private, "project_id": "apisix",
		"token_uri": server.URL + "/token", "entries_uri": server.URL + "/v1",
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, encoded(t, account), 0o600); err != nil {
		t.Fatal(err)
	}
	incomplete := filepath.Join(t.TempDir(), "incomplete.json")
	if err := os.WriteFile(incomplete, []byte(`{"private_key":"hush"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, Settings{Env: func(name string) (string, bool) { return private, name == "PRIVATE" }})
	r.setObject("gcp/1", encoded(t, map[string]any{"auth_config": account}))
	r.setObject("gcp/file", encoded(t, map[string]any{"auth_file": file}))
	r.setObject("gcp/none", encoded(t, map[string]any{"auth_file": file + ".none"}))
	r.setObject("gcp/incomplete", encoded(t, map[string]any{"auth_file": incomplete}))
	for id, private := range map[string]string{"gcp/env": "$env://PRIVATE", "gcp/bad": "hush"} {
		account["private_key"] = private
		r.setObject(id, encoded(t, map[string]any{"auth_config": account}))
	}
	r.check([]resolved{
		{"$secret://gcp/1/jack/key", "value", ""},
		{"$secret://gcp/1/mysql", "secret", ""},
		{"$secret://gcp/1/sp ace", "spaced", ""},
		{"$secret://gcp/1/jack/none", "", "it has no key"},
		{"$secret://gcp/1/mysql/key", "", "failed to decode result"},
		{"$secret://gcp/1/nobody/key", "", "invalid status code 404"},
		{"$secret://gcp/1/odd", "", "invalid payload"},
		{"$secret://gcp/1//key", "", "can't find main key, key: /key"},
	})
	if n := g.tokens.Load(); n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
	r.check([]resolved{
		{"$secret://gcp/file/jack/key", "value", ""},
		{"$secret://gcp/none/jack/key", "", "failed to read configuration, file: " + file + ".none"},
		{"$secret://gcp/incomplete/jack/key", "", "config parse failure, file: " + incomplete},
		{"$secret://gcp/env/jack/key", "value", ""},
		{"$secret://gcp/bad/jack/key", "", "private_key is no RSA key in PEM"},
	})
}

// A token is used until a minute before its end, or until it is refused.
func TestTokensOfGCP(t *testing.T) {
	g, private := newGoogle(t)
	g.expires.Store(60)
	server := httptest.NewServer(g)
	defer server.Close()
	r := start(t, Settings{NegativeTTL: time.Millisecond})
	r.setObject("gcp/1", encoded(t, map[string]any{"auth_config": map[string]any{
		"client_email": "email@apisix.iam.gserviceaccount.com", "private_key": private, "project_id": "apisix",
		"token_uri": server.URL + "/token", "entries_uri": server.URL + "/v1",
	}}))
	r.check([]resolved{{"$secret://gcp/1/mysql", "secret", ""}, {"$secret://gcp/1/jack/key", "value", ""}})
	if n := g.tokens.Load(); n != 2 {
		t.Errorf("%d tokens were asked for, although they end at once", n)
	}
	g.expires.Store(3600)
	r.check([]resolved{{"$secret://gcp/1/jack", `{"key":"value"}`, ""}})
	g.refuse.Store(true)
	r.refer("/k", []string{"$secret://gcp/1/sp ace"})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if got, _ := r.resolve("/k", "$secret://gcp/1/sp ace"); got == "spaced" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a refused token is kept: %s", r.logs)
		}
	}
}

// Certificates are verified unless the object says otherwise.
func TestVerification(t *testing.T) {
	g, private := newGoogle(t)
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	for _, c := range []struct {
		verify any
		roots  bool
		want   string
	}{{nil, false, ""}, {true, false, ""}, {false, false, "secret"}, {true, true, "secret"}} {
		s := Settings{}
		if c.roots {
			s.Roots = x509.NewCertPool()
			s.Roots.AddCert(server.Certificate())
		}
		r := start(t, s)
		conf := map[string]any{"auth_config": map[string]any{
			"client_email": "email@apisix.iam.gserviceaccount.com", "private_key": private, "project_id": "apisix",
			"token_uri": server.URL + "/token", "entries_uri": server.URL + "/v1",
		}}
		if c.verify != nil {
			conf["ssl_verify"] = c.verify
		}
		r.setObject("gcp/1", encoded(t, conf))
		r.check([]resolved{{"$secret://gcp/1/mysql", c.want, ""}})
	}
}
