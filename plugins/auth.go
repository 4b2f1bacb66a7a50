package plugins

import (
	"net/url"
	"strings"

	"millrace/plugin"
)

// message is the body that most plugins refuse a request with.
type message struct {
	Message string `json:"message"`
}

// authAttributes are the members of a schema that all authentication plugins
// have, beside realm.
const authAttributes = `"hide_credentials":{"type":"boolean","default":false},
		"anonymous_consumer":{"type":"string","minLength":1}`

// realmSchema is the rest of the schema of an attribute realm, after its default:
// what can stand between quotation marks in WWW-Authenticate.
const realmSchema = `"type":"string","minLength":1,"maxLength":128,"pattern":"^[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E]+$"`

const invalidUser = "Invalid user authorization"

// gate is what authentication plugins do with who they found, or did not find.
type gate struct {
	Realm             string `json:"realm"`
	AnonymousConsumer string `json:"anonymous_consumer"`
	HideCredentials   bool   `json:"hide_credentials"`
}

// refuse lets the anonymous consumer in, if there is one; else it answers 401.
func (g *gate) refuse(c *plugin.Context, scheme, why string) error {
	if g.AnonymousConsumer != "" {
		if c.Consumers != nil {
			if who := c.Consumers.Named(g.AnonymousConsumer); who != nil {
				c.Authenticated(who)
				return nil
			}
		}
		why = invalidUser
	}
	c.Response.SetHeader("WWW-Authenticate", scheme+` realm="`+g.Realm+`"`)
	return c.Exit(401, message{why})
}

// credential finds who has a key of an authentication plugin, or answers nil.
func credential(c *plugin.Context, plugin, key string) *plugin.Credential {
	if c.Consumers == nil {
		return nil
	}
	return c.Consumers.Credential(plugin, key)
}

// hideArg keeps a query argument from the plugins that follow and from the upstream.
func hideArg(c *plugin.Context, name string) {
	c.Request.SetQuery(withoutArg(c.Request.Query(), name))
	if path, query, ok := strings.Cut(c.UpstreamTarget, "?"); ok {
		c.UpstreamTarget = joinQuery(path, withoutArg(query, name))
	}
}

// withoutArg is a query without the arguments of a name; the others stay as they
// are.
func withoutArg(query, name string) string {
	var left []string
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(key); key == name || err == nil && decoded == name {
			continue
		}
		left = append(left, pair)
	}
	return strings.Join(left, "&")
}
