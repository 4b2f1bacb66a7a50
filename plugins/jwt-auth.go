package plugins

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"millrace/plugin"
	"millrace/plugin/snippet"
)

const (
	jwtAuthSchema = `{"type":"object",
	"properties":{
		"header":{"type":"string","default":"authorization"},
		"query":{"type":"string","default":"jwt"},
		"cookie":{"type":"string","default":"jwt"},
		"key_claim_name":{"type":"string","default":"key","minLength":1},
		"store_in_ctx":{"type":"boolean","default":false},
		"claims_to_verify":{"type":"array","items":{"type":"string","enum":["exp","nbf"]},"uniqueItems":true},
		"realm":{"default":"jwt",` + realmSchema + `},
		` + authAttributes + `}}`
	jwtAuthConsumerSchema = `{"type":"object",
	"properties":{
		"key":{"type":"string","minLength":1},
		"secret":{"type":"string","minLength":1},
		"algorithm":{"type":"string","default":"HS256",
			"enum":["HS256","HS384","HS512","RS256","RS384","RS512","ES256","ES384","ES512","PS256","PS384","PS512","EdDSA"]},
		"exp":{"type":"integer","minimum":1,"default":86400},
		"base64_secret":{"type":"boolean","default":false},
		"lifetime_grace_period":{"type":"integer","minimum":0,"default":0}
	},
	"dependencies":{"algorithm":{"oneOf":[
		{"properties":{"algorithm":{"enum":["HS256","HS384","HS512"],"default":"HS256"}}},
		{"properties":{"public_key":{"type":"string"},
			"algorithm":{"enum":["RS256","RS384","RS512","ES256","ES384","ES512","PS256","PS384","PS512","EdDSA"]}},
			"required":["public_key"]}]}},
	"encrypt_fields":["secret"],
	"required":["key"]}`

	jwtMissing    = "Missing JWT token in request"
	jwtInvalid    = "JWT token invalid"
	jwtNoKey      = "missing user key in JWT token"
	jwtUnknownKey = "Invalid user key in JWT token"
	jwtUnverified = "failed to verify jwt"

	// jwtLongest bounds a token. Headers cannot be longer, but a query may be.
	jwtLongest = 16 << 10
	// jwtPayload is the variable that store_in_ctx keeps the claims in.
	jwtPayload = "jwt_auth_payload"
)

var (
	errJWTSecret       = errors.New(`property "secret" is required when using HS based algorithms`)
	errJWTBase64Secret = errors.New("base64_secret required but the secret is not in base64 format")
)

func init() {
	plugin.Register[jwtAuth]("jwt-auth", 2510, jwtAuthSchema, plugin.AsAuth[jwtConsumer](jwtAuthConsumerSchema, "key"))
}

// jwtAuth finds the consumer by a claim of a JSON Web Token, which the consumer's
// key must have signed.
type jwtAuth struct {
	Header         string   `json:"header"`
	Query          string   `json:"query"`
	Cookie         string   `json:"cookie"`
	KeyClaimName   string   `json:"key_claim_name"`
	StoreInCtx     bool     `json:"store_in_ctx"`
	ClaimsToVerify []string `json:"claims_to_verify"`
	gate
}

// jwtConsumer is how the tokens of one consumer are signed. The algorithm is the
// consumer's: what a token says of itself is only compared with it.
type jwtConsumer struct {
	Secret              string `json:"secret"`
	PublicKey           string `json:"public_key"`
	Algorithm           string `json:"algorithm"`
	Base64Secret        bool   `json:"base64_secret"`
	LifetimeGracePeriod int64  `json:"lifetime_grace_period"`

	// key is nil if the public key is none that fits: no token is then right.
	key any
}

var (
	_ plugin.Checker  = (*jwtConsumer)(nil)
	_ plugin.Rewriter = (*jwtAuth)(nil)
)

// Check makes the key ready.
func (c *jwtConsumer) Check() error {
	if !strings.HasPrefix(c.Algorithm, "HS") {
		c.key = publicKey(c.Algorithm, []byte(c.PublicKey))
		return nil
	}
	if c.Secret == "" {
		return errJWTSecret
	}
	secret := []byte(c.Secret)
	if c.Base64Secret {
		var err error
		if secret, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(c.Secret, "=")); err != nil {
			return errJWTBase64Secret
		}
	}
	c.key = secret
	return nil
}

// publicKey reads a key or a certificate in PEM, nil if it is none for algorithm.
func publicKey(algorithm string, pem []byte) any {
	switch algorithm[:2] {
	case "RS", "PS":
		if key, err := jwt.ParseRSAPublicKeyFromPEM(pem); err == nil {
			return key
		}
	case "ES":
		if key, err := jwt.ParseECPublicKeyFromPEM(pem); err == nil {
			return key
		}
	case "Ed":
		if key, err := jwt.ParseEdPublicKeyFromPEM(pem); err == nil {
			return key
		}
	}
	return nil
}

// Rewrite looks for a token in the header, the query and a cookie, in this order.
func (p *jwtAuth) Rewrite(c *plugin.Context) error {
	token := p.token(c)
	if token == "" {
		return p.refuse(c, "Bearer", jwtMissing)
	}
	who, claims, why := p.verify(c, token)
	if why != "" {
		return p.refuse(c, "Bearer", why)
	}
	if p.StoreInCtx {
		text, err := json.Marshal(claims)
		if err != nil {
			return err
		}
		c.SetVar(jwtPayload, string(text))
		snippet.Share(c, jwtPayload, string(text))
	}
	c.Authenticated(who)
	return nil
}

// token takes the token out of the request, "" if there is none.
func (p *jwtAuth) token(c *plugin.Context) string {
	if value := string(c.Request.Header(p.Header)); value != "" {
		if p.HideCredentials {
			c.Request.DelHeader(p.Header)
		}
		if rest, ok := strings.CutPrefix(value, "Bearer "); ok {
			return rest
		}
		return strings.TrimPrefix(value, "bearer ")
	}
	if arg := c.Var("arg_" + p.Query); arg.Text != "" {
		if p.HideCredentials {
			hideArg(c, p.Query)
		}
		return arg.Text
	}
	cookie := c.Var("cookie_" + p.Cookie)
	if cookie.Text != "" && p.HideCredentials {
		hideCookie(c, p.Cookie)
	}
	return cookie.Text
}

// hideCookie keeps a cookie from the upstream.
func hideCookie(c *plugin.Context, name string) {
	var left []string
	for part := range strings.SplitSeq(c.Var("http_cookie").Text, ";") {
		part = strings.TrimSpace(part)
		if key, _, _ := strings.Cut(part, "="); key != name && part != "" {
			left = append(left, part)
		}
	}
	if left == nil {
		c.Request.DelHeader("Cookie")
		return
	}
	c.Request.SetHeader("Cookie", strings.Join(left, "; "))
}

// verify finds whose token it is and checks it; why is empty if all is well.
func (p *jwtAuth) verify(c *plugin.Context, token string) (who *plugin.Credential, claims jwt.MapClaims, why string) {
	if len(token) > jwtLongest {
		return nil, nil, jwtInvalid
	}
	claims = jwt.MapClaims{}
	parsed, parts, err := jwt.NewParser(jwt.WithoutClaimsValidation()).ParseUnverified(token, claims)
	if errors.Is(err, jwt.ErrTokenMalformed) || len(parts) != 3 {
		return nil, nil, jwtInvalid
	}
	key, ok := claims[p.KeyClaimName].(string)
	if !ok {
		return nil, nil, jwtNoKey
	}
	if who = credential(c, "jwt-auth", key); who == nil {
		return nil, nil, jwtUnknownKey
	}
	conf, ok := who.Conf.(*jwtConsumer)
	if err != nil || !ok || !conf.signed(parsed, parts) || !p.current(claims, conf.LifetimeGracePeriod) {
		return nil, nil, jwtUnverified
	}
	return who, claims, ""
}

// signed tells whether the consumer's key has signed a token, by the consumer's
// algorithm.
func (c *jwtConsumer) signed(token *jwt.Token, parts []string) bool {
	if c.key == nil || token.Method.Alg() != c.Algorithm {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[2], "="))
	if err != nil {
		return false
	}
	return token.Method.Verify(parts[0]+"."+parts[1], signature, c.key) == nil
}

// current checks exp and nbf: what is there must hold, and what ClaimsToVerify
// names must be there.
func (p *jwtAuth) current(claims jwt.MapClaims, graceSeconds int64) bool {
	now, grace := time.Now(), time.Duration(graceSeconds)*time.Second
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil && slices.Contains(p.ClaimsToVerify, "exp") || expires != nil && !now.Before(expires.Add(grace)) {
		return false
	}
	begins, err := claims.GetNotBefore()
	if err != nil || begins == nil && slices.Contains(p.ClaimsToVerify, "nbf") || begins != nil && now.Add(grace).Before(begins.Time) {
		return false
	}
	return true
}
