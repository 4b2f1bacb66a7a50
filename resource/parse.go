package resource

import (
	"encoding/json"
	"fmt"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonvalue"
)

// Parse reads a resource as the store keeps it: it decrypts its secrets and
// writes whole numbers such as 1.0 so that they fit Go's integers. It does not
// check more than the types; Kind.Check does.
func Parse[T any](raw []byte, ring *fieldcrypt.Keyring) (*T, error) {
	doc, err := jsonvalue.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("reading resource: %w", err)
	}
	Decrypt(doc, ring)
	to := new(T)
	if err := jsonvalue.Into(doc, to); err != nil {
		return nil, fmt.Errorf("reading resource: %w", err)
	}
	return to, nil
}

// checkTypes makes the check that a document fits the Go type T, whose integers
// end where those of JSON do not.
func checkTypes[T any](doc map[string]any, w *World) error {
	if w.stored != nil && json.Unmarshal(w.stored, new(T)) == nil {
		return nil // and nothing needs to be written for it to be read again
	}
	if err := jsonvalue.Into(doc, new(T)); err != nil {
		return Invalid("invalid configuration: " + err.Error())
	}
	return nil
}
