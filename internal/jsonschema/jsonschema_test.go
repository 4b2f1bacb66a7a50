package jsonschema

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"millrace/internal/jsonvalue"
)

func TestValidate(t *testing.T) {
	const longTypes = `{"type":["string","number"]}`
	tests := []struct{ name, schema, value, want string }{
		{"nesting", `{"properties":{"x":{"properties":{"y":{"type":"string"}}}}}`, `{"x":{"y":1}}`,
			`property "x" validation failed: property "y" validation failed: wrong type: expected string, got number`},
		{"required", `{"required":["x"]}`, `{}`, `property "x" is required`},
		{"required in the order of the properties", `{"required":["b","a"],"properties":{"a":{},"b":{}}}`, `{}`, `property "a" is required`},
		{"null is present", `{"required":["x"],"properties":{"x":{"type":"string"}}}`, `{"x":null}`,
			`property "x" validation failed: wrong type: expected string, got userdata`},
		{"type number", `{"type":"string"}`, `1`, `wrong type: expected string, got number`},
		{"type boolean", `{"type":"string"}`, `true`, `wrong type: expected string, got boolean`},
		{"type string", `{"type":"integer"}`, `"1"`, `wrong type: expected integer, got string`},
		{"type table", `{"type":"integer"}`, `{}`, `wrong type: expected integer, got table`},
		{"type fraction", `{"type":"integer"}`, `1.5`, `wrong type: expected integer, got number`},
		{"type whole fraction", `{"type":"integer"}`, `1.0`, ``},
		{"types", longTypes, `{}`, `wrong type: expected one of string, number, got table`},
		{"types met", longTypes, `1`, ``},
		{"empty array is an object", `{"type":"object"}`, `[]`, ``},
		{"empty array lacks properties", `{"type":"object","required":["x"]}`, `[]`, `property "x" is required`},
		{"array is no object", `{"type":"object"}`, `[1]`, `wrong type: expected object, got table`},
		{"object is no array", `{"type":"array"}`, `{}`, `wrong type: expected array, got table`},
		{"enum", `{"enum":["a",1,null]}`, `"b"`, `matches none of the enum values`},
		{"enum number", `{"enum":["a",1]}`, `1.0`, ``},
		{"enum kinds", `{"enum":["1"]}`, `1`, `matches none of the enum values`},
		{"enum object", `{"enum":[{"a":[1]}]}`, `{"a":[1.0]}`, ``},
		{"const", `{"const":1}`, `2`, `failed to check const value`},
		{"pattern", `{"pattern":"\\A([\\w]|[\\w][\\w@ .-]*[\\w@.-]+)\\z"}`, `" b"`,
			`failed to match pattern "\\A([\\w]|[\\w][\\w@ .-]*[\\w@.-]+)\\z" with " b"`},
		{"pattern met", `{"pattern":"\\A([\\w]|[\\w][\\w@ .-]*[\\w@.-]+)\\z"}`, `"a b"`, ``},
		{"pattern end", `{"pattern":"\\Aa\\z"}`, `"a\n"`, `failed to match pattern "\\Aa\\z" with "a` + "\n\""},
		{"pattern look-behind", `{"pattern":"(?<!x)b"}`, `"xb"`, `failed to match pattern "(?<!x)b" with "xb"`},
		{"pattern look-behind met", `{"pattern":"(?<!x)b"}`, `"ab"`, ``},
		{"pattern possessive", `{"pattern":"^(?>a+)b$"}`, `"aab"`, ``},
		{"minLength", `{"minLength":64}`, `"a"`, `string too short, expected at least 64, got 1`},
		{"maxLength", `{"maxLength":1}`, `"äö"`, `string too long, expected at most 1, got 2`},
		{"minimum", `{"minimum":1}`, `0`, `expected 0 to be at least 1`},
		{"maximum", `{"maximum":60000}`, `70000`, `expected 70000 to be at most 60000`},
		{"exclusiveMinimum", `{"exclusiveMinimum":0}`, `0`, `expected 0 to be greater than 0`},
		{"exclusiveMaximum", `{"exclusiveMaximum":5}`, `5`, `expected 5 to be smaller than 5`},
		{"multipleOf", `{"multipleOf":2}`, `5`, `expected 5 to be a multiple of 2`},
		{"fraction", `{"minimum":0.25}`, `0.1`, `expected 0.1 to be at least 0.25`},
		{"large number", `{"maximum":1}`, `100000000000000`, `expected 1e+14 to be at most 1`},
		{"out of range", `{"maximum":1}`, `1e999`, `expected +Inf to be at most 1`},
		{"minItems", `{"minItems":1}`, `[]`, `expect array to have at least 1 items`},
		{"maxItems", `{"maxItems":2}`, `[1,2,3]`, `expect array to have at most 2 items`},
		{"uniqueItems", `{"uniqueItems":true}`, `["a","a"]`, `expected unique items but items 1 and 2 are equal`},
		{"uniqueItems later", `{"uniqueItems":true}`, `["1",1,{"a":1,"b":2},{"b":2.0,"a":1}]`, `expected unique items but items 3 and 4 are equal`},
		{"items", `{"items":{"type":"string"}}`, `["a",1]`, `failed to validate item 2: wrong type: expected string, got number`},
		{"tuple", `{"items":[{"type":"string"}]}`, `[1]`, `failed to validate item 1: wrong type: expected string, got number`},
		{"patternProperties", `{"patternProperties":{".*":{"type":"string"}}}`, `{"KEY":1}`,
			`failed to validate KEY (matching ".*"): wrong type: expected string, got number`},
		{"additionalProperties", `{"properties":{"a":{}},"additionalProperties":{"type":"string"}}`, `{"a":1,"KEY":1}`,
			`failed to validate additional property KEY: wrong type: expected string, got number`},
		{"additionalProperties false", `{"properties":{"a":{}},"additionalProperties":false}`, `{"KEY":1}`, `additional properties forbidden, found KEY`},
		{"minProperties", `{"minProperties":1}`, `{}`, `expect object to have at least 1 properties`},
		{"maxProperties", `{"maxProperties":1}`, `{"a":1,"b":2}`, `expect object to have at most 1 properties`},
		{"anyOf", `{"anyOf":[{"type":"string"},{"type":"boolean"}]}`, `1`, `object matches none of the required`},
		{"anyOf of lists", `{"anyOf":[{"required":["a"]},{"required":["b","c"]}]}`, `{}`, `object matches none of the required: ["a"] or ["b","c"]`},
		{"oneOf none", `{"oneOf":[{"type":"string"}]}`, `1`, `value should match only one schema, but matches none`},
		{"oneOf both", `{"oneOf":[{"type":"number"},{"type":"integer"}]}`, `1`, `value should match only one schema, but matches both schemas 1 and 2`},
		{"allOf", `{"allOf":[{"type":"integer"},{"type":"string"}]}`, `1`, `allOf 2 failed: wrong type: expected string, got number`},
		{"not", `{"not":{"type":"integer"}}`, `1`, `value wasn't supposed to match schema`},
		{"then", `{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{"a":1}`, `then clause did not match`},
		{"else", `{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}`, `{}`, `else clause did not match`},
		{"dependency list", `{"dependencies":{"a":["b"]}}`, `{"a":1}`, `property "b" is required when "a" is set`},
		{"dependency schema", `{"dependencies":{"client_cert":{"required":["client_key"]}}}`, `{"client_cert":1}`,
			`failed to validate dependent schema for "client_cert": property "client_key" is required`},
		{"dependency absent", `{"dependencies":{"a":["b"]}}`, `{}`, ``},
		{"ipv4", `{"format":"ipv4"}`, `"x"`, `expect valid ipv4 format but got: x`},
		{"ipv6", `{"format":"ipv6"}`, `"1.2.3.4"`, `expect valid ipv6 format but got: 1.2.3.4`},
		{"ipv6 met", `{"format":"ipv6"}`, `"::1"`, ``},
		{"secret", `{"type":"string","minLength":100}`, `"$secret://vault/1/a/b"`, ``},
		{"environment", `{"type":"string","pattern":"^a$"}`, `"$ENV://A"`, ``},
		{"secret for a number", `{"type":"number"}`, `"$secret://vault/1/a/b"`, `wrong type: expected number, got string`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Compile(tt.schema)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := s.Validate(parse(t, tt.value)); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSetDefaults(t *testing.T) {
	const schema = `{
		"properties":{
			"a":{"type":"integer","default":3000},
			"b":{"type":"boolean","default":true},
			"c":{"type":"object","default":{},"properties":{"d":{"default":"x"}}},
			"e":{"type":"object","properties":{"f":{"default":1}}},
			"g":{"type":"array","items":{"properties":{"h":{"default":[1]}}}}},
		"additionalProperties":{"properties":{"i":{"default":0}}},
		"allOf":[{"properties":{"j":{"default":1}}}],
		"oneOf":[{"required":["zz"],"properties":{"k":{"default":1}}},{"properties":{"l":{"default":2}}}],
		"if":{"required":["zz"]},"then":{"properties":{"m":{"default":1}}},"else":{"properties":{"n":{"default":null}}}}`
	v := parse(t, `{"b":false,"g":[{},{"h":2}],"other":{}}`)
	MustCompile(schema).SetDefaults(v)
	want := parse(t, `{"a":3000,"b":false,"c":{"d":"x"},"g":[{"h":[1]},{"h":2}],"other":{"i":0},"j":1,"l":2,"n":null}`)
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

// TestSetDefaultsFresh makes sure that a default changed by one user is not seen
// by the next.
func TestSetDefaultsFresh(t *testing.T) {
	s := MustCompile(`{"properties":{"a":{"default":{}}}}`)
	first, second := map[string]any{}, map[string]any{}
	s.SetDefaults(first)
	first["a"].(map[string]any)["changed"] = true
	s.SetDefaults(second)
	if diff := cmp.Diff(map[string]any{"a": map[string]any{}}, second); diff != "" {
		t.Error(diff)
	}
}

func TestCompileErrors(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"text"}`:                            `unknown type "text"`,
		`{"$ref":"#/a"}`:                             `$ref`,
		`{"properties":{"a":{"pattern":"("}}}`:       `property a: pcre2_compile() failed: missing closing parenthesis in "("`,
		`{"enum":1}`:                                 `enum is not an array`,
		`{"properties":[]}`:                          `want an object`,
		`{"anyOf":[{"minimum":"1"}]}`:                `reading schema`,
		`{"dependencies":{"a":{"type":"nonsense"}}}`: `dependency a: unknown type`,
	} {
		if _, err := Compile(schema); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%s): got %v, want %s", schema, err, want)
		}
	}
}

func parse(t *testing.T, text string) any {
	t.Helper()
	v, err := jsonvalue.Decode(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
