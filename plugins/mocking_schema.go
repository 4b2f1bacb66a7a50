package plugins

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// mockNodes bounds the values of one mocked answer: arrays within arrays would
// multiply.
const mockNodes = 10_000

// mockSchema is what mocking reads of a JSON Schema.
type mockSchema struct {
	Type       string                 `json:"type"`
	Properties map[string]*mockSchema `json:"properties"`
	Items      *mockSchema            `json:"items"`
	Example    json.RawMessage        `json:"example"`
}

// generate makes a value that fits: the schema's example, or a random one. budget
// is how many values may still be made.
func (s *mockSchema) generate(budget *int) any {
	if s == nil || *budget <= 0 {
		return nil
	}
	*budget--
	if len(s.Example) > 0 && string(s.Example) != "null" {
		return s.Example
	}
	switch strings.ToLower(s.Type) {
	case "object":
		object := make(map[string]any, len(s.Properties))
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			object[name] = s.Properties[name].generate(budget)
		}
		return object
	case "array":
		list := []any{}
		for range rand.IntN(3) + 1 {
			if s.Items != nil {
				list = append(list, s.Items.generate(budget))
			}
		}
		return list
	case "string":
		b := make([]byte, rand.IntN(10)+1)
		for i := range b {
			b[i] = 'a' + byte(rand.IntN(26))
		}
		return string(b)
	case "number":
		return rand.Float64() * 10000
	case "integer":
		return rand.IntN(10000) + 1
	case "boolean":
		return rand.IntN(2) == 1
	}
	return nil
}

// appendXML writes a value as an element; each item of a list is one.
func appendXML(b *strings.Builder, name string, value any) {
	switch v := value.(type) {
	case json.RawMessage:
		var decoded any
		if json.Unmarshal(v, &decoded) == nil {
			appendXML(b, name, decoded)
		}
		return
	case []any:
		for _, item := range v {
			appendXML(b, name, item)
		}
		return
	}
	b.WriteString("<" + name + ">")
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for _, member := range slices.Sorted(maps.Keys(v)) {
			appendXML(b, member, v[member])
		}
	default:
		_ = xml.EscapeText(b, []byte(plainText(v))) // a Builder takes everything
	}
	b.WriteString("</" + name + ">")
}
