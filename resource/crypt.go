package resource

import (
	"fmt"
	"strings"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonvalue"
	"millrace/plugin"
)

// Encrypt encrypts the secret fields of a decoded resource in place: those that
// its plugins name, or the plugin whose metadata it is, and private keys.
// References to secrets kept elsewhere stay as they are.
func Encrypt(doc any, ring *fieldcrypt.Keyring) {
	encrypt := func(ring *fieldcrypt.Keyring) func(string) string {
		return func(text string) string {
			if isReference(text) || isEncryptedKey(text, ring) {
				return text
			}
			return ring.Encrypt(text)
		}
	}
	eachSecret(doc, encrypt(ring.Fields()), encrypt(ring))
}

// Decrypt undoes Encrypt, in place. What is not encrypted stays as it is.
func Decrypt(doc any, ring *fieldcrypt.Keyring) {
	eachSecret(doc, ring.Fields().Decrypt, ring.Decrypt)
}

// DecryptJSON is Decrypt on the JSON text of a stored resource. With a nil ring
// it answers the text itself.
func DecryptJSON(raw []byte, ring *fieldcrypt.Keyring) ([]byte, error) {
	if ring == nil {
		return raw, nil
	}
	doc, err := jsonvalue.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("decrypting resource: %w", err)
	}
	Decrypt(doc, ring)
	return jsonvalue.Encode(doc)
}

// eachSecret replaces the secret texts of a resource by what field makes of those
// of plugins, and key of private keys.
func eachSecret(doc any, field, key func(string) string) {
	object, _ := doc.(map[string]any)
	plugins, _ := object["plugins"].(map[string]any)
	for name, conf := range plugins {
		t, ok := plugin.Lookup(name)
		if !ok {
			continue
		}
		for _, name := range t.EncryptFields {
			changeField(conf, strings.Split(name, "."), field)
		}
	}
	if t, ok := plugin.Lookup(text(object, "id")); ok { // its metadata
		for _, name := range t.MetadataEncryptFields {
			changeField(doc, strings.Split(name, "."), field)
		}
	}
	if text(object, "cert") != "" { // of an ssl; the key of an upstream is no secret
		changeField(doc, []string{"key"}, key)
		changeItems(object["keys"], key)
	}
	changeField(object["upstream"], []string{"tls", "client_key"}, key)
	changeField(doc, []string{"tls", "client_key"}, key)
}

// isEncryptedKey reports whether a text is a private key that comes encrypted, as
// the Admin API shows it after a write.
func isEncryptedKey(text string, ring *fieldcrypt.Keyring) bool {
	return len(text) > minKeyCipher && !isPEM(text) && isPEM(ring.Decrypt(text))
}

// minKeyCipher is less than the encrypted form of any private key has.
const minKeyCipher = 64

func changeItems(v any, change func(string) string) {
	items, _ := v.([]any)
	for i, item := range items {
		if text, ok := item.(string); ok {
			items[i] = change(text)
		}
	}
}

// changeField follows path through objects, and through the items of arrays, to
// a text or to a map of texts.
func changeField(v any, path []string, change func(string) string) {
	if items, ok := v.([]any); ok {
		for _, item := range items {
			changeField(item, path, change)
		}
		return
	}
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	if len(path) > 1 {
		changeField(object[path[0]], path[1:], change)
		return
	}
	if text, ok := object[path[0]].(string); ok {
		object[path[0]] = change(text)
		return
	}
	texts, _ := object[path[0]].(map[string]any)
	for name, value := range texts {
		if text, ok := value.(string); ok {
			texts[name] = change(text)
		}
	}
}
