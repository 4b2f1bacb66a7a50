package resource

import (
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
func checkTypes[T any](doc map[string]any, _ *World) error {
	if err := jsonvalue.Into(doc, new(T)); err != nil {
		return Invalid("invalid configuration: " + err.Error())
	}
	return nil
}
