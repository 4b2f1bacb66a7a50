// Package jsonschema checks decoded JSON against JSON Schemas and words what is
// wrong as APISIX's validator does (spec: api7/jsonschema), which its clients
// match on.
//
// It is a validator of its own because those texts follow from rules that
// general libraries do not have: checking stops at the first failing rule in a
// fixed order, an empty array counts as an object, references to secrets pass
// every string schema, and the texts of anyOf and if depend on the schema.
package jsonschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"millrace/internal/jsonvalue"
	"millrace/internal/pcre"
)

// Schema is a compiled JSON Schema. It may be used by several goroutines at once.
type Schema struct {
	// verdict is set for the schemas true and false, which have nothing else.
	verdict *bool

	types      []string
	properties []property // in the order of the schema's text
	required   []string
	patterns   []patternProperty
	additional *Schema
	dependent  []dependency
	minProps   *int
	maxProps   *int

	items       *Schema
	tuple       []*Schema
	minItems    *int
	maxItems    *int
	uniqueItems bool

	minLength, maxLength *int
	pattern              *pcre.Pattern
	patternText          string
	format               string

	minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf *float64

	enum     []any
	constant *any

	allOf, anyOf, oneOf []*Schema
	// anyOfText lists the branches of anyOf if each of them is a required list.
	anyOfText           string
	not                 *Schema
	ifs, thens, elses   *Schema
	defaultValue        json.RawMessage
	onlyRequired        bool
	describesProperties bool
}

type property struct {
	name   string
	schema *Schema
}

type patternProperty struct {
	text    string
	matcher *pcre.Pattern
	schema  *Schema
}

// dependency says what must hold when the property name is there: other
// properties, or a schema for the whole object.
type dependency struct {
	name   string
	names  []string
	schema *Schema
}

// keywords is the JSON form of the keywords this package knows. All others are
// annotations and ignored, except $ref, which Compile refuses.
type keywords struct {
	Ref              string            `json:"$ref"`
	Type             json.RawMessage   `json:"type"`
	Properties       members           `json:"properties"`
	Required         []string          `json:"required"`
	PatternProps     members           `json:"patternProperties"`
	Additional       json.RawMessage   `json:"additionalProperties"`
	Dependencies     members           `json:"dependencies"`
	MinProperties    *int              `json:"minProperties"`
	MaxProperties    *int              `json:"maxProperties"`
	Items            json.RawMessage   `json:"items"`
	MinItems         *int              `json:"minItems"`
	MaxItems         *int              `json:"maxItems"`
	UniqueItems      bool              `json:"uniqueItems"`
	MinLength        *int              `json:"minLength"`
	MaxLength        *int              `json:"maxLength"`
	Pattern          *string           `json:"pattern"`
	Format           string            `json:"format"`
	Minimum          *float64          `json:"minimum"`
	Maximum          *float64          `json:"maximum"`
	ExclusiveMinimum *float64          `json:"exclusiveMinimum"`
	ExclusiveMaximum *float64          `json:"exclusiveMaximum"`
	MultipleOf       *float64          `json:"multipleOf"`
	Enum             json.RawMessage   `json:"enum"`
	Const            json.RawMessage   `json:"const"`
	AllOf            []json.RawMessage `json:"allOf"`
	AnyOf            []json.RawMessage `json:"anyOf"`
	OneOf            []json.RawMessage `json:"oneOf"`
	Not              json.RawMessage   `json:"not"`
	If               json.RawMessage   `json:"if"`
	Then             json.RawMessage   `json:"then"`
	Else             json.RawMessage   `json:"else"`
	Default          json.RawMessage   `json:"default"`
}

// members are the members of a JSON object in the order of its text.
type members []member

type member struct {
	name  string
	value json.RawMessage
}

// UnmarshalJSON takes an object.
func (m *members) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("want an object, got %.40s", data)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		*m = append(*m, member{name.(string), value})
	}
	return nil
}

var typeNames = []string{"null", "boolean", "integer", "number", "string", "array", "object"}

// Compile reads a JSON Schema.
func Compile(schema string) (*Schema, error) {
	return compile(json.RawMessage(schema))
}

// MustCompile is Compile for schemas that are part of the program: it panics on
// an error.
func MustCompile(schema string) *Schema {
	s, err := Compile(schema)
	if err != nil {
		panic(err)
	}
	return s
}

// Deferred is MustCompile put off until the schema is first asked for. Most
// processes that the program is started as use few of its schemas or none, the
// instances of actions above all.
func Deferred(schema string) func() *Schema {
	return sync.OnceValue(func() *Schema { return MustCompile(schema) })
}

func compile(raw json.RawMessage) (*Schema, error) {
	var verdict bool
	if json.Unmarshal(raw, &verdict) == nil {
		return &Schema{verdict: &verdict}, nil
	}
	var k keywords
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, fmt.Errorf("reading schema: %w", err)
	}
	if k.Ref != "" {
		return nil, fmt.Errorf("schema uses $ref %q, which is not supported", k.Ref)
	}
	s := &Schema{
		required: k.Required, minProps: k.MinProperties, maxProps: k.MaxProperties,
		minItems: k.MinItems, maxItems: k.MaxItems, uniqueItems: k.UniqueItems,
		minLength: k.MinLength, maxLength: k.MaxLength, format: k.Format,
		minimum: k.Minimum, maximum: k.Maximum, multipleOf: k.MultipleOf,
		exclusiveMinimum: k.ExclusiveMinimum, exclusiveMaximum: k.ExclusiveMaximum,
		defaultValue: k.Default,
	}
	for _, step := range []func(*keywords) error{
		s.compileType, s.compileProperties, s.compileItems, s.compileValues, s.compileCombinations,
	} {
		if err := step(&k); err != nil {
			return nil, err
		}
	}
	s.onlyRequired = isRequiredList(raw, &k)
	return s, nil
}

// isRequiredList reports whether a schema says nothing but what is required.
func isRequiredList(raw json.RawMessage, k *keywords) bool {
	var all members
	return len(k.Required) > 0 && all.UnmarshalJSON(raw) == nil && len(all) == 1
}

func (s *Schema) compileType(k *keywords) error {
	if k.Type == nil {
		return nil
	}
	var one string
	if json.Unmarshal(k.Type, &one) == nil {
		s.types = []string{one}
	} else if err := json.Unmarshal(k.Type, &s.types); err != nil {
		return fmt.Errorf("reading type: %w", err)
	}
	for _, t := range s.types {
		if !slices.Contains(typeNames, t) {
			return fmt.Errorf("unknown type %q", t)
		}
	}
	return nil
}

func (s *Schema) compileProperties(k *keywords) error {
	for _, m := range k.Properties {
		sub, err := compile(m.value)
		if err != nil {
			return fmt.Errorf("property %s: %w", m.name, err)
		}
		s.properties = append(s.properties, property{m.name, sub})
	}
	for _, m := range k.PatternProps {
		sub, err := compile(m.value)
		if err != nil {
			return fmt.Errorf("pattern property %s: %w", m.name, err)
		}
		match, err := pcre.Compile(m.name)
		if err != nil {
			return err
		}
		s.patterns = append(s.patterns, patternProperty{m.name, match, sub})
	}
	for _, m := range k.Dependencies {
		d := dependency{name: m.name}
		if json.Unmarshal(m.value, &d.names) != nil {
			sub, err := compile(m.value)
			if err != nil {
				return fmt.Errorf("dependency %s: %w", m.name, err)
			}
			d.schema = sub
		}
		s.dependent = append(s.dependent, d)
	}
	s.describesProperties = s.properties != nil || s.required != nil || s.patterns != nil ||
		k.Additional != nil || s.dependent != nil || s.minProps != nil || s.maxProps != nil
	return compileInto(&s.additional, k.Additional)
}

func (s *Schema) compileItems(k *keywords) error {
	var tuple []json.RawMessage
	if k.Items == nil || json.Unmarshal(k.Items, &tuple) != nil {
		return compileInto(&s.items, k.Items)
	}
	var err error
	s.tuple, err = compileAll(tuple)
	return err
}

func (s *Schema) compileValues(k *keywords) (err error) {
	if k.Pattern != nil {
		s.patternText = strings.ReplaceAll(*k.Pattern, `\`, `\\`)
		if s.pattern, err = pcre.Compile(*k.Pattern); err != nil {
			return err
		}
	}
	if k.Enum != nil {
		v, err := jsonvalue.Decode(k.Enum)
		if err != nil {
			return fmt.Errorf("reading enum: %w", err)
		}
		var ok bool
		if s.enum, ok = v.([]any); !ok {
			return fmt.Errorf("enum is not an array")
		}
	}
	if k.Const != nil {
		v, err := jsonvalue.Decode(k.Const)
		if err != nil {
			return fmt.Errorf("reading const: %w", err)
		}
		s.constant = &v
	}
	return nil
}

func (s *Schema) compileCombinations(k *keywords) (err error) {
	if s.allOf, err = compileAll(k.AllOf); err != nil {
		return err
	}
	if s.anyOf, err = compileAll(k.AnyOf); err != nil {
		return err
	}
	if s.oneOf, err = compileAll(k.OneOf); err != nil {
		return err
	}
	s.anyOfText = requiredLists(s.anyOf)
	for _, c := range []struct {
		to  **Schema
		raw json.RawMessage
	}{{&s.not, k.Not}, {&s.ifs, k.If}, {&s.thens, k.Then}, {&s.elses, k.Else}} {
		if err := compileInto(c.to, c.raw); err != nil {
			return err
		}
	}
	return nil
}

// requiredLists words the branches of an anyOf that are required lists, or
// answers "" if there is any other branch.
func requiredLists(branches []*Schema) string {
	var lists []string
	for _, b := range branches {
		if !b.onlyRequired {
			return ""
		}
		quoted, _ := json.Marshal(b.required) // strings always encode
		lists = append(lists, string(quoted))
	}
	if lists == nil {
		return ""
	}
	return ": " + strings.Join(lists, " or ")
}

func compileInto(to **Schema, raw json.RawMessage) (err error) {
	if raw != nil {
		*to, err = compile(raw)
	}
	return err
}

func compileAll(raws []json.RawMessage) ([]*Schema, error) {
	var all []*Schema
	for _, raw := range raws {
		s, err := compile(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
