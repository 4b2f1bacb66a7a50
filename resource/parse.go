package resource

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"millrace/internal/fieldcrypt"
)

// Parse reads a resource as the store keeps it: it decrypts its secrets and
// writes whole numbers such as 1.0 so that they fit Go's integers. It does not
// check more than the types; Kind.Check does.
func Parse[T any](raw []byte, ring *fieldcrypt.Keyring) (*T, error) {
	doc, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("reading resource: %w", err)
	}
	Decrypt(doc, ring)
	to := new(T)
	if err := remake(doc, to); err != nil {
		return nil, fmt.Errorf("reading resource: %w", err)
	}
	return to, nil
}

// checkTypes makes the check that a document fits the Go type T, whose integers
// end where those of JSON do not.
func checkTypes[T any](doc map[string]any, _ *World) error {
	if err := remake(doc, new(T)); err != nil {
		return Invalid("invalid configuration: " + err.Error())
	}
	return nil
}

// remake turns a decoded document into what to points to.
func remake(doc, to any) error {
	raw, err := encode(wholeNumbers(doc))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

// wholeNumbers copies a decoded value with its whole numbers written without
// fraction and exponent.
func wholeNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = wholeNumbers(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = wholeNumbers(item)
		}
		return out
	case json.Number:
		const exact = 1 << 53
		f, err := v.Float64()
		if err == nil && strings.ContainsAny(string(v), ".eE") && f == math.Floor(f) && math.Abs(f) <= exact {
			return json.Number(fmt.Sprintf("%.0f", f))
		}
	}
	return v
}
