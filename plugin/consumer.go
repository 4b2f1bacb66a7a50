package plugin

import (
	"encoding/json"
	"fmt"

	"millrace/internal/jsonvalue"
)

// Credential is how a consumer proves to one authentication plugin who it is.
// It is not changed once made, and its address stands for it.
type Credential struct {
	Consumer Consumer
	// Key is what it is looked up by, Conf the consumer's configuration of the
	// plugin: a *C of AsAuth[C]. Both are empty in what Named answers.
	Key  string
	Conf any
}

// Consumers finds who may call. The gateway implements it on the snapshot that a
// request uses.
type Consumers interface {
	// Credential finds who has a key of an authentication plugin, or answers nil.
	Credential(plugin, key string) *Credential
	// Named finds a consumer by its username, or answers nil.
	Named(username string) *Credential
}

// AsAuth makes a plugin one that finds out who calls: a C receives what a
// consumer's or credential's configuration of it says, once schema has checked it,
// and the attribute key of that is what it is looked up by. Attributes named in the
// schema's encrypt_fields are kept encrypted.
func AsAuth[C any](schema, key string) Option {
	return func(t *Type) {
		t.ConsumerSchema, t.ConsumerKey = schema, key
		t.newConsumer = func() any { return new(C) }
	}
}

// IsAuth tells whether consumers may have a configuration of the plugin by which
// they are found.
func (t *Type) IsAuth() bool { return t.newConsumer != nil }

// LoadConsumer checks a consumer's configuration and decodes it, defaults filled
// in. The error's text is the validator's message alone.
func (t *Type) LoadConsumer(conf json.RawMessage) (*Credential, error) {
	if !t.IsAuth() {
		return nil, fmt.Errorf("plugin %s finds no consumers", t.Name)
	}
	value, err := jsonvalue.Decode(conf)
	if err != nil {
		return nil, err
	}
	schema := t.consumerSchema()
	if err := schema.Validate(value); err != nil {
		return nil, err
	}
	schema.SetDefaults(value)
	c := &Credential{Conf: t.newConsumer()}
	if err := jsonvalue.Into(value, c.Conf); err != nil {
		return nil, err
	}
	if check, ok := c.Conf.(Checker); ok {
		if err := check.Check(); err != nil {
			return nil, err
		}
	}
	if object, ok := value.(map[string]any); ok {
		c.Key, _ = object[t.ConsumerKey].(string)
	}
	return c, nil
}

// Authenticated notes who calls: the consumer's plugins join the request's, and the
// upstream is told by headers.
func (c *Context) Authenticated(who *Credential) {
	c.Consumer = who.Consumer
	r := c.Request
	r.SetHeader("X-Consumer-Username", who.Consumer.Username)
	setOrDelete(r, "X-Credential-Identifier", who.Consumer.CredentialID)
	setOrDelete(r, "X-Consumer-Custom-ID", who.Consumer.CustomID)
}

func setOrDelete(r Request, name, value string) {
	if value == "" {
		r.DelHeader(name)
		return
	}
	r.SetHeader(name, value)
}
