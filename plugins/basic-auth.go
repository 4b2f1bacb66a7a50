package plugins

import (
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"unicode"

	"millrace/plugin"
)

const (
	basicAuthSchema = `{"type":"object","title":"work with route or service object",
	"properties":{
		"realm":{"default":"basic",` + realmSchema + `},
		` + authAttributes + `}}`
	basicAuthConsumerSchema = `{"type":"object","title":"work with consumer object",
	"properties":{"username":{"type":"string"},"password":{"type":"string"}},
	"encrypt_fields":["password"],
	"required":["username","password"]}`

	basicAuthMissing = "Missing authorization in request"
	basicAuthInvalid = "Invalid authorization in request"
)

func init() {
	plugin.Register[basicAuth]("basic-auth", 2520, basicAuthSchema, plugin.AsAuth[basicAuthConsumer](basicAuthConsumerSchema, "username"))
}

// basicAuth finds the consumer by the name and password of Basic credentials.
type basicAuth struct{ gate }

// basicAuthConsumer is what a consumer found by its name must prove.
type basicAuthConsumer struct {
	Password string `json:"password"`
}

var _ plugin.Rewriter = (*basicAuth)(nil)

// Rewrite checks the credentials of the header Authorization.
func (p *basicAuth) Rewrite(c *plugin.Context) error {
	header := c.Request.Header("Authorization")
	if header == nil {
		return p.refuse(c, "Basic", basicAuthMissing)
	}
	user, password, ok := basicCredentials(string(header))
	if !ok {
		return p.refuse(c, "Basic", basicAuthInvalid)
	}
	who := credential(c, "basic-auth", user)
	if who == nil {
		return p.refuse(c, "Basic", invalidUser)
	}
	conf, ok := who.Conf.(*basicAuthConsumer)
	if !ok || subtle.ConstantTimeCompare([]byte(conf.Password), []byte(password)) != 1 {
		return p.refuse(c, "Basic", invalidUser)
	}
	if p.HideCredentials {
		c.Request.DelHeader("Authorization")
	}
	c.Authenticated(who)
	return nil
}

// basicCredentials takes a header Authorization apart as APISIX does: white space
// in name and password is left out, and so is what follows a second colon.
func basicCredentials(header string) (user, password string, ok bool) {
	scheme, encoded, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(encoded), "="))
	if err != nil {
		return "", "", false
	}
	parts := strings.SplitN(string(text), ":", 3)
	if len(parts) < 2 {
		return "", "", false
	}
	return withoutSpace(parts[0]), withoutSpace(parts[1]), true
}

func withoutSpace(s string) string {
	if !strings.ContainsFunc(s, unicode.IsSpace) {
		return s
	}
	return strings.Join(strings.Fields(s), "")
}
