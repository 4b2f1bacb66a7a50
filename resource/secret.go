package resource

import (
	"strings"

	"millrace/internal/jsonschema"
)

// secretSchemas are the schemas of the managers of secrets, which the init
// functions of their files enter. They let other properties pass, as the
// original's do.
var secretSchemas = map[string]func() *jsonschema.Schema{}

func registerSecret(manager, schema string) {
	secretSchemas[manager] = jsonschema.Deferred(schema)
}

// checkSecret checks a secret against the schema of its manager, the first part
// of its id.
func checkSecret(doc map[string]any, _ *World) error {
	manager, _, _ := strings.Cut(text(doc, "id"), "/")
	schema, ok := secretSchemas[manager]
	if !ok {
		return Invalid("invalid secret manager: " + manager)
	}
	if err := schema().Validate(doc); err != nil {
		return invalidf("invalid configuration: %s", err)
	}
	return nil
}
