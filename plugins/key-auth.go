package plugins

import "millrace/plugin"

const (
	keyAuthSchema = `{"type":"object",
	"properties":{
		"header":{"type":"string","default":"apikey"},
		"query":{"type":"string","default":"apikey"},
		"realm":{"default":"key",` + realmSchema + `},
		` + authAttributes + `}}`
	keyAuthConsumerSchema = `{"type":"object",
	"properties":{"key":{"type":"string"}},
	"encrypt_fields":["key"],
	"required":["key"]}`

	keyAuthMissing = "Missing API key in request"
	keyAuthInvalid = "Invalid API key in request"
)

func init() {
	plugin.Register[keyAuth]("key-auth", 2500, keyAuthSchema, plugin.AsAuth[keyAuthConsumer](keyAuthConsumerSchema, "key"))
}

// keyAuth finds the consumer by a key in a header or in the query.
type keyAuth struct {
	Header string `json:"header"`
	Query  string `json:"query"`
	gate
}

// keyAuthConsumer has nothing but the key by which it is found.
type keyAuthConsumer struct{}

var _ plugin.Rewriter = (*keyAuth)(nil)

// Rewrite looks the key up: that of the header, else that of the query.
func (p *keyAuth) Rewrite(c *plugin.Context) error {
	key, fromHeader := c.Request.Header(p.Header), true
	text := string(key)
	if key == nil {
		arg := c.Var("arg_" + p.Query)
		if !arg.Present {
			return p.refuse(c, "apikey", keyAuthMissing)
		}
		text, fromHeader = arg.Text, false
	}
	who := credential(c, "key-auth", text)
	if who == nil {
		return p.refuse(c, "apikey", keyAuthInvalid)
	}
	switch {
	case !p.HideCredentials:
	case fromHeader:
		c.Request.DelHeader(p.Header)
	default:
		hideArg(c, p.Query)
	}
	c.Authenticated(who)
	return nil
}
