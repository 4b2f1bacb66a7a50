package resource

import (
	"bytes"
	"encoding/json"
	"fmt"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonvalue"
)

// Resolver answers what a reference ($secret://… or $env://…) stands for; ok is
// false if it leads nowhere.
type Resolver func(reference string) (value string, ok bool)

// ParseResolved is Parse for the value of a store key, in which the references to
// secrets kept elsewhere are replaced: those in configurations and metadata of
// plugins, in certificates and keys, and in the TLS settings of upstreams. One that
// leads nowhere stays.
func ParseResolved[T any](key string, raw []byte, ring *fieldcrypt.Keyring, resolve Resolver) (*T, error) {
	if to := new(T); isPlain(key, raw) && json.Unmarshal(raw, to) == nil {
		return to, nil
	}
	doc, err := jsonvalue.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("reading resource: %w", err)
	}
	Decrypt(doc, ring)
	eachReferring(key, doc, func(text string) string {
		if isReference(text) {
			if value, ok := resolve(text); ok {
				return value
			}
		}
		return text
	})
	to := new(T)
	if err := jsonvalue.Into(doc, to); err != nil {
		return nil, fmt.Errorf("reading resource: %w", err)
	}
	return to, nil
}

// SecretReferences answers the references that ParseResolved would replace, except
// those that are encrypted themselves.
func SecretReferences(key string, raw []byte) []string {
	if bytes.IndexByte(raw, '$') < 0 {
		return nil
	}
	doc, err := jsonvalue.Decode(raw)
	if err != nil {
		return nil
	}
	var found []string
	eachReferring(key, doc, func(text string) string {
		if isReference(text) {
			found = append(found, text)
		}
		return text
	})
	return found
}

// HasReference tells whether a text in a JSON value is a reference.
func HasReference(raw []byte) bool {
	if bytes.IndexByte(raw, '$') < 0 {
		return false
	}
	v, err := jsonvalue.Decode(raw)
	found := false
	changeAll(v, func(text string) string {
		found = found || isReference(text)
		return text
	})
	return err == nil && found
}

// eachReferring replaces the texts of a decoded resource that may be references by
// what change makes of them.
func eachReferring(key string, doc any, change func(string) string) {
	object, _ := doc.(map[string]any)
	folder, _, _ := SplitKey(key)
	switch folder {
	case "plugin_metadata":
		for name, v := range object {
			if name != "id" {
				object[name] = changeAll(v, change)
			}
		}
	case "ssls":
		changeFields(object, change, "cert", "key", "certs", "keys")
		client, _ := object["client"].(map[string]any)
		changeFields(client, change, "ca")
	default:
		changeFields(object, change, "plugins", "tls")
		upstream, _ := object["upstream"].(map[string]any)
		changeFields(upstream, change, "tls")
	}
}

func changeFields(object map[string]any, change func(string) string, names ...string) {
	for _, name := range names {
		if v, ok := object[name]; ok {
			object[name] = changeAll(v, change)
		}
	}
}

// changeAll replaces every text in a decoded value, and answers the value.
func changeAll(v any, change func(string) string) any {
	switch v := v.(type) {
	case string:
		return change(v)
	case map[string]any:
		for name, member := range v {
			v[name] = changeAll(member, change)
		}
	case []any:
		for i, item := range v {
			v[i] = changeAll(item, change)
		}
	}
	return v
}
