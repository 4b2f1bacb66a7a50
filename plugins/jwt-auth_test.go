package plugins

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/tidwall/gjson"

	"millrace/plugin"
	"millrace/plugin/plugintest"
)

func TestJWTAuthConfiguration(t *testing.T) {
	checkPriority(t, "jwt-auth", 2510)
	checkConfs(t, "jwt-auth", []confCase{
		{`{}`, ``},
		{`{"header":"a","query":"b","cookie":"c","hide_credentials":true,"key_claim_name":"sub","store_in_ctx":true,"claims_to_verify":["exp","nbf"]}`, ``},
		{`{"key_claim_name":1}`, `property "key_claim_name" validation failed: wrong type: expected string, got number`},
		{`{"claims_to_verify":["iat"]}`, `property "claims_to_verify" validation failed: failed to validate item 1: matches none of the enum values`},
		{`{"claims_to_verify":["exp","exp"]}`, `property "claims_to_verify" validation failed: expected unique items but items 1 and 2 are equal`},
	})
	const noPublicKey = `failed to validate dependent schema for "algorithm": value should match only one schema, but matches none`
	checkConsumers(t, "jwt-auth", []confCase{
		{`{"key":"k","secret":"s"}`, ``},
		{`{"key":"k","algorithm":"HS512","secret":"s","exp":1,"lifetime_grace_period":10}`, ``},
		{`{"secret":"s"}`, `property "key" is required`},
		{`{"key":"","secret":"s"}`, `property "key" validation failed: string too short, expected at least 1, got 0`},
		{`{"key":123,"secret":"s"}`, `property "key" validation failed: wrong type: expected string, got number`},
		{`{"key":"k"}`, `property "secret" is required when using HS based algorithms`},
		{`{"key":"k","algorithm":"HS384"}`, `property "secret" is required when using HS based algorithms`},
		{`{"key":"k","algorithm":"RS256"}`, noPublicKey},
		{`{"key":"k","algorithm":"EdDSA","secret":"s"}`, noPublicKey},
		{`{"key":"k","algorithm":"none","secret":"s"}`, `property "algorithm" validation failed: matches none of the enum values`},
		{`{"key":"k","secret":"c2VjcmV0","base64_secret":true}`, ``},
		{`{"key":"k","secret":"my-secret!","base64_secret":true}`, `base64_secret required but the secret is not in base64 format`},
		{`{"key":"k","secret":"s","exp":0}`, `property "exp" validation failed: expected 0 to be at least 1`},
		{`{"key":"k","secret":"s","lifetime_grace_period":-1}`, `property "lifetime_grace_period" validation failed: expected -1 to be at least 0`},
	})
}

// signer is a consumer that has signed tokens.
type signer struct {
	method jwt.SigningMethod
	secret any    // what signs
	conf   string // of the consumer
}

// signers has one for each algorithm, by its name, which is the key claim too.
var signers = sync.OnceValue(func() map[string]signer {
	all := map[string]signer{}
	for _, m := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		all[m.Alg()] = signer{m, []byte("my-secret-key"), `"secret":"my-secret-key"`}
	}
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	for _, m := range []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512,
		jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512} {
		all[m.Alg()] = signer{m, rsaKey, public(rsaKey.Public())}
	}
	for m, curve := range map[jwt.SigningMethod]elliptic.Curve{
		jwt.SigningMethodES256: elliptic.P256(), jwt.SigningMethodES384: elliptic.P384(), jwt.SigningMethodES512: elliptic.P521()} {
		key, _ := ecdsa.GenerateKey(curve, rand.Reader)
		all[m.Alg()] = signer{m, key, public(key.Public())}
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	all["EdDSA"] = signer{jwt.SigningMethodEdDSA, ed, public(ed.Public())}
	return all
})

func public(key crypto.PublicKey) string {
	der, _ := x509.MarshalPKIXPublicKey(key)
	text, _ := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	return `"public_key":` + string(text)
}

func (s signer) sign(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(s.method, claims).SignedString(s.secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signing is the consumers that signers stand for.
func signing(t testing.TB) *crowd {
	people := newCrowd(t)
	for name, s := range signers() {
		people.add("jwt-auth", `{"key":"`+name+`","algorithm":"`+name+`",`+s.conf+`}`, plugin.Consumer{Username: name})
	}
	return people
}

func TestJWTAuthAlgorithms(t *testing.T) {
	people := signing(t)
	chain := plugintest.Compile(t, plugintest.Env(t), `{"jwt-auth":{}}`)
	if len(signers()) != 13 {
		t.Fatalf("%d algorithms", len(signers()))
	}
	for name, s := range signers() {
		good := s.sign(t, jwt.MapClaims{"key": name, "exp": time.Now().Add(time.Hour).Unix()})
		checkAuth(t, runWith(chain, people, request("GET /", "Authorization: "+good)), 0, "", "", name)
		// The signature of another token of the same consumer.
		head, _, _ := strings.Cut(good, ".")
		other := s.sign(t, jwt.MapClaims{"key": name, "admin": true})
		forged := head + "." + strings.Split(other, ".")[1] + "." + strings.Split(good, ".")[2]
		checkAuth(t, runWith(chain, people, request("GET /", "Authorization: "+forged)), 401, jwtUnverified, `Bearer realm="jwt"`, "")
		for other := range signers() {
			if other != name {
				confused := s.sign(t, jwt.MapClaims{"key": other})
				checkAuth(t, runWith(chain, people, request("GET /", "Authorization: "+confused)), 401, jwtUnverified, `Bearer realm="jwt"`, "")
			}
		}
	}
}

// A public key is no secret: it must not serve as one.
func TestJWTAuthAlgorithmConfusion(t *testing.T) {
	people := signing(t)
	chain := plugintest.Compile(t, plugintest.Env(t), `{"jwt-auth":{}}`)
	for _, name := range []string{"RS256", "ES256", "EdDSA", "HS256"} {
		pub := gjson.Get("{"+signers()[name].conf+"}", "public_key").String()
		tokens := []string{}
		for _, alg := range []string{"none", "None", "nOnE", "", "HS256", "HS999"} {
			head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `","typ":"JWT"}`))
			body := base64.RawURLEncoding.EncodeToString([]byte(`{"key":"` + name + `"}`))
			tokens = append(tokens, head+"."+body+".", head+"."+body+"."+head)
		}
		tokens = append(tokens, signer{jwt.SigningMethodHS256, []byte(pub), ""}.sign(t, jwt.MapClaims{"key": name}))
		none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"key": name}).SignedString(jwt.UnsafeAllowNoneSignatureType)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range append(tokens, none) {
			checkAuth(t, runWith(chain, people, request("GET /", "Authorization: Bearer "+token)), 401, jwtUnverified, `Bearer realm="jwt"`, "")
		}
	}
}

func TestJWTAuthRefusals(t *testing.T) {
	people := signing(t).
		add("jwt-auth", `{"key":"grace","secret":"my-secret-key","lifetime_grace_period":60}`, plugin.Consumer{Username: "grace"}).
		add("jwt-auth", `{"key":"b64","secret":"bXktc2VjcmV0LWtleQ==","base64_secret":true}`, plugin.Consumer{Username: "b64"}).
		add("jwt-auth", `{"key":"bad","algorithm":"RS256","public_key":"no PEM"}`, plugin.Consumer{Username: "bad"})
	hs := signers()["HS256"]
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	cases := []struct {
		name, conf string
		token      string
		text, user string
	}{
		{"no claims about time", `{}`, hs.sign(t, jwt.MapClaims{"key": "HS256"}), "", "HS256"},
		{"no token", `{}`, "", "Missing JWT token in request", ""},
		{"no JWT", `{}`, "invalid-string", "JWT token invalid", ""},
		{"two parts", `{}`, "a.b", jwtInvalid, ""},
		{"four parts", `{}`, hs.sign(t, jwt.MapClaims{"key": "HS256"}) + ".x", jwtInvalid, ""},
		{"no JSON", `{}`, "aGVhZA.Ym9keQ.c2ln", jwtInvalid, ""},
		{"another scheme", `{}`, "Basic " + hs.sign(t, jwt.MapClaims{"key": "HS256"}), jwtInvalid, ""},
		{"too long", `{}`, strings.Repeat("a", 20_000) + "." + strings.Repeat("a", 100) + ".a", jwtInvalid, ""},
		{"no key", `{}`, hs.sign(t, jwt.MapClaims{"sub": "HS256"}), "missing user key in JWT token", ""},
		{"key is no text", `{}`, hs.sign(t, jwt.MapClaims{"key": 1}), jwtNoKey, ""},
		{"unknown key", `{}`, hs.sign(t, jwt.MapClaims{"key": "nobody"}), "Invalid user key in JWT token", ""},
		{"another claim", `{"key_claim_name":"iss"}`, hs.sign(t, jwt.MapClaims{"iss": "HS256", "key": "HS512"}), "", "HS256"},
		{"wrong secret", `{}`, signer{jwt.SigningMethodHS256, []byte("other"), ""}.sign(t, jwt.MapClaims{"key": "HS256"}), "failed to verify jwt", ""},
		{"expired", `{}`, hs.sign(t, jwt.MapClaims{"key": "HS256", "exp": at(-time.Second)}), jwtUnverified, ""},
		{"not yet", `{}`, hs.sign(t, jwt.MapClaims{"key": "HS256", "nbf": at(time.Hour)}), jwtUnverified, ""},
		{"begun", `{}`, hs.sign(t, jwt.MapClaims{"key": "HS256", "nbf": at(-time.Hour)}), "", "HS256"},
		{"exp is no number", `{}`, hs.sign(t, jwt.MapClaims{"key": "HS256", "exp": "tomorrow"}), jwtUnverified, ""},
		{"exp is demanded", `{"claims_to_verify":["exp"]}`, hs.sign(t, jwt.MapClaims{"key": "HS256"}), jwtUnverified, ""},
		{"nbf is demanded", `{"claims_to_verify":["nbf"]}`, hs.sign(t, jwt.MapClaims{"key": "HS256", "exp": at(time.Hour)}), jwtUnverified, ""},
		{"both are demanded", `{"claims_to_verify":["exp","nbf"]}`, hs.sign(t, jwt.MapClaims{"key": "HS256", "exp": at(time.Hour), "nbf": at(-time.Hour)}), "", "HS256"},
		{"nbf holds though only exp is demanded", `{"claims_to_verify":["exp"]}`, hs.sign(t, jwt.MapClaims{"key": "HS256", "exp": at(time.Hour), "nbf": at(time.Hour)}), jwtUnverified, ""},
		{"expired within grace", `{}`, hs.sign(t, jwt.MapClaims{"key": "grace", "exp": at(-10 * time.Second)}), "", "grace"},
		{"not yet, within grace", `{}`, hs.sign(t, jwt.MapClaims{"key": "grace", "nbf": at(10 * time.Second)}), "", "grace"},
		{"expired beyond grace", `{}`, hs.sign(t, jwt.MapClaims{"key": "grace", "exp": at(-2 * time.Minute)}), jwtUnverified, ""},
		{"secret in Base64", `{}`, hs.sign(t, jwt.MapClaims{"key": "b64"}), "", "b64"},
		{"a public key that is none", `{}`, signers()["RS256"].sign(t, jwt.MapClaims{"key": "bad"}), jwtUnverified, ""},
		{"anonymous", `{"anonymous_consumer":"grace"}`, "x", "", "grace"},
		{"anonymous missing", `{"anonymous_consumer":"nobody"}`, "", "Invalid user authorization", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			chain := plugintest.Compile(t, plugintest.Env(t), `{"jwt-auth":`+tc.conf+`}`)
			r := request("GET /")
			if tc.token != "" {
				r.Header.Set("Authorization", tc.token)
			}
			status := 401
			if tc.user != "" {
				status = 0
			}
			checkAuth(t, runWith(chain, people, r), status, tc.text, `Bearer realm="jwt"`, tc.user)
		})
	}
}

func TestJWTAuthPlaces(t *testing.T) {
	people := signing(t)
	token := signers()["HS256"].sign(t, jwt.MapClaims{"key": "HS256"})
	cases := []struct {
		name, conf, line string
		headers          []string
		user             string
	}{
		{"Bearer", `{}`, "GET /", []string{"Authorization: Bearer " + token}, "HS256"},
		{"bearer", `{}`, "GET /", []string{"Authorization: bearer " + token}, "HS256"},
		{"query", `{}`, "GET /?jwt=" + token, nil, "HS256"},
		{"cookie", `{}`, "GET /", []string{"Cookie: a=b; jwt=" + token}, "HS256"},
		{"the header comes first", `{}`, "GET /?jwt=" + token, []string{"Authorization: wrong"}, ""},
		{"the query before the cookie", `{}`, "GET /?jwt=wrong", []string{"Cookie: jwt=" + token}, ""},
		{"other header", `{"header":"X-Token"}`, "GET /", []string{"X-Token: " + token}, "HS256"},
		{"other query", `{"query":"t"}`, "GET /?t=" + token, nil, "HS256"},
		{"other cookie", `{"cookie":"t"}`, "GET /", []string{"Cookie: t=" + token}, "HS256"},
	}
	for _, tc := range cases {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"jwt-auth":`+tc.conf+`}`)
		if got := string(runWith(chain, people, request(tc.line, tc.headers...)).Sent.Header("X-Consumer-Username")); got != tc.user {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}

func TestJWTAuthHidesCredentials(t *testing.T) {
	people := signing(t)
	token := signers()["HS256"].sign(t, jwt.MapClaims{"key": "HS256"})
	chain := plugintest.Compile(t, plugintest.Env(t), `{"jwt-auth":{"hide_credentials":true}}`)
	if sent := runWith(chain, people, request("GET /", "Authorization: "+token)).Sent; sent.Header("Authorization") != nil {
		t.Error("the header was not removed")
	}
	if got := upstreamTarget(chain, people, request("GET /a?x=1&jwt="+token+"&y")); got != "/a?x=1&y" {
		t.Errorf("sent as %s", got)
	}
	for cookies, want := range map[string]string{"jwt=" + token: "", "a=b; jwt=" + token + "; c=d": "a=b; c=d"} {
		if got := string(runWith(chain, people, request("GET /", "Cookie: "+cookies)).Sent.Header("Cookie")); got != want {
			t.Errorf("cookies sent %q, want %q", got, want)
		}
	}
}

func TestJWTAuthStoresClaims(t *testing.T) {
	token := signers()["HS256"].sign(t, jwt.MapClaims{"key": "HS256", "role": "admin"})
	const lua = `return function(conf, ctx) ngx.header.role = ctx.jwt_auth_payload and ctx.jwt_auth_payload.role end`
	for conf, want := range map[string]string{`{"store_in_ctx":true}`: "admin", `{}`: ""} {
		chain := plugintest.Compile(t, plugintest.Env(t), `{"jwt-auth":`+conf+`,"serverless-post-function":{"phase":"rewrite","functions":["`+lua+`"]}}`)
		c := plugintest.NewContext(request("GET /", "Authorization: "+token))
		c.Consumers = signing(t)
		plugintest.RunContext(chain, c)
		if got := gjson.Get(c.Var("jwt_auth_payload").Text, "role").String(); got != want {
			t.Errorf("%s: %q", conf, got)
		}
		if got := string(c.Response.Header("role")); got != want {
			t.Errorf("%s: in Lua %q", conf, got)
		}
	}
}

// Nothing but what the secret has signed gets in.
func FuzzJWT(f *testing.F) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"key": "HS256"}).SignedString([]byte("my-secret-key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a.b.c")
	f.Add(strings.Replace(token, ".", "..", 1))
	f.Add("eyJhbGciOiJub25lIn0.eyJrZXkiOiJIUzI1NiJ9.")
	typ, _ := plugin.Lookup("jwt-auth")
	who, err := typ.LoadConsumer(json.RawMessage(`{"key":"HS256","secret":"another secret"}`))
	if err != nil {
		f.Fatal(err)
	}
	people := newCrowd(f)
	people.by["jwt-auth\x00HS256"] = who
	p := &jwtAuth{KeyClaimName: "key"}
	f.Fuzz(func(t *testing.T, token string) {
		c := plugintest.NewContext(request("GET /"))
		c.Consumers = people
		if _, _, why := p.verify(c, token); why == "" {
			t.Errorf("%q got in", token)
		}
	})
}
