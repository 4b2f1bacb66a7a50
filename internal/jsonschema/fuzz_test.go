package jsonschema

import (
	"encoding/json"
	"testing"
)

// Any schema that compiles judges any value.
func FuzzValidate(f *testing.F) {
	f.Add(`{"type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":1}},"additionalProperties":false}`, `{"a":0}`)
	f.Add(`{"oneOf":[{"type":"string","pattern":"^a"},{"type":"array","uniqueItems":true,"items":{"enum":[1,"x",null]}}],"default":[]}`, `["x","x"]`)
	f.Add(`{"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"]},"dependencies":{"c":{"not":{"anyOf":[{}]}}}}`, `{"a":1,"c":{}}`)
	f.Fuzz(func(t *testing.T, schema, text string) {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			return
		}
		s, err := Compile(schema)
		if err != nil {
			return
		}
		_ = s.Validate(value)
		s.SetDefaults(value)
	})
}
