package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Validate checks a value as encoding/json decodes it with UseNumber. The error's
// text is the one that clients of APISIX know for the first rule that fails.
func (s *Schema) Validate(v any) error {
	if s.verdict != nil {
		if *s.verdict {
			return nil
		}
		return errors.New("expect false always fails")
	}
	if isReference(v) && slices.Contains(s.types, "string") {
		return nil
	}
	for _, check := range []func(*Schema, any) error{
		(*Schema).checkType, (*Schema).checkObject, (*Schema).checkArray, (*Schema).checkString,
		(*Schema).checkNumber, (*Schema).checkValues, (*Schema).checkAllOf, (*Schema).checkAnyOf,
		(*Schema).checkOneOf, (*Schema).checkConditions,
	} {
		if err := check(s, v); err != nil {
			return err
		}
	}
	return nil
}

// isReference reports whether v stands for a secret or an environment variable,
// whose value is not known here.
func isReference(v any) bool {
	text, ok := v.(string)
	return ok && (hasPrefixFold(text, "$secret://") || hasPrefixFold(text, "$env://"))
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func (s *Schema) checkType(v any) error {
	if s.types == nil {
		return nil
	}
	for _, t := range s.types {
		if hasType(v, t) {
			return nil
		}
	}
	if len(s.types) == 1 {
		return fmt.Errorf("wrong type: expected %s, got %s", s.types[0], luaType(v))
	}
	return fmt.Errorf("wrong type: expected one of %s, got %s", strings.Join(s.types, ", "), luaType(v))
}

// hasType reports whether v is of a JSON Schema type. An empty array is an
// object too, since the original cannot tell it from one.
func hasType(v any, t string) bool {
	switch t {
	case "null":
		return v == nil
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "string":
		_, ok := v.(string)
		return ok
	case "number":
		_, ok := number(v)
		return ok
	case "integer":
		n, ok := number(v)
		return ok && n == math.Floor(n) && !math.IsInf(n, 0)
	case "array":
		_, ok := v.([]any)
		return ok
	case "object":
		list, isList := v.([]any)
		_, isMap := v.(map[string]any)
		return isMap || isList && len(list) == 0
	}
	return false
}

// luaType names v as the original's language does; null is a pointer there.
func luaType(v any) string {
	switch v.(type) {
	case nil:
		return "userdata"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any, map[string]any:
		return "table"
	}
	return "number"
}

// number answers the value of a JSON number in any of its decoded forms.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case json.Number:
		f, err := n.Float64()
		return f, err == nil || errors.Is(err, strconv.ErrRange)
	case float64:
		return n, true
	case int:
		return float64(n), true
	}
	return 0, false
}

// text writes a number as the original does: up to 14 significant digits.
func text(n float64) string {
	return fmt.Sprintf("%.14g", n)
}

func (s *Schema) checkObject(v any) error {
	if !s.describesProperties || !hasType(v, "object") {
		return nil
	}
	object, _ := v.(map[string]any) // nil for an empty array
	if err := s.checkProperties(object); err != nil {
		return err
	}
	for _, d := range s.dependent {
		if err := d.check(object); err != nil {
			return err
		}
	}
	if err := s.checkOtherProperties(object); err != nil {
		return err
	}
	if s.minProps != nil && len(object) < *s.minProps {
		return fmt.Errorf("expect object to have at least %d properties", *s.minProps)
	}
	if s.maxProps != nil && len(object) > *s.maxProps {
		return fmt.Errorf("expect object to have at most %d properties", *s.maxProps)
	}
	return nil
}

func (s *Schema) checkProperties(object map[string]any) error {
	for _, p := range s.properties {
		value, ok := object[p.name]
		if !ok {
			if slices.Contains(s.required, p.name) {
				return fmt.Errorf(`property "%s" is required`, p.name)
			}
			continue
		}
		if err := p.schema.Validate(value); err != nil {
			return fmt.Errorf(`property "%s" validation failed: %w`, p.name, err)
		}
	}
	for _, name := range s.required {
		if _, ok := object[name]; !ok {
			return fmt.Errorf(`property "%s" is required`, name)
		}
	}
	return nil
}

func (d *dependency) check(object map[string]any) error {
	if _, ok := object[d.name]; !ok {
		return nil
	}
	for _, name := range d.names {
		if _, ok := object[name]; !ok {
			return fmt.Errorf(`property "%s" is required when "%s" is set`, name, d.name)
		}
	}
	if d.schema == nil {
		return nil
	}
	if err := d.schema.Validate(object); err != nil {
		return fmt.Errorf(`failed to validate dependent schema for "%s": %w`, d.name, err)
	}
	return nil
}

// checkOtherProperties checks what patternProperties and additionalProperties
// say, in the order of the names so that the answer is always the same.
func (s *Schema) checkOtherProperties(object map[string]any) error {
	if s.patterns == nil && s.additional == nil {
		return nil
	}
	for _, name := range sortedNames(object) {
		matched, err := s.checkPatterns(name, object[name])
		if err != nil {
			return err
		}
		if matched || s.additional == nil || s.hasProperty(name) {
			continue
		}
		if s.additional.verdict != nil && !*s.additional.verdict {
			return fmt.Errorf("additional properties forbidden, found %s", name)
		}
		if err := s.additional.Validate(object[name]); err != nil {
			return fmt.Errorf("failed to validate additional property %s: %w", name, err)
		}
	}
	return nil
}

func (s *Schema) checkPatterns(name string, value any) (matched bool, err error) {
	for _, p := range s.patterns {
		if !p.matcher.MatchString(name) {
			continue
		}
		matched = true
		if err := p.schema.Validate(value); err != nil {
			return true, fmt.Errorf(`failed to validate %s (matching "%s"): %w`, name, p.text, err)
		}
	}
	return matched, nil
}

func (s *Schema) hasProperty(name string) bool {
	return slices.ContainsFunc(s.properties, func(p property) bool { return p.name == name })
}

func sortedNames(object map[string]any) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (s *Schema) checkArray(v any) error {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	if s.minItems != nil && len(list) < *s.minItems {
		return fmt.Errorf("expect array to have at least %d items", *s.minItems)
	}
	if s.maxItems != nil && len(list) > *s.maxItems {
		return fmt.Errorf("expect array to have at most %d items", *s.maxItems)
	}
	for i, item := range list {
		schema := s.items
		if i < len(s.tuple) {
			schema = s.tuple[i]
		}
		if schema == nil {
			continue
		}
		if err := schema.Validate(item); err != nil {
			return fmt.Errorf("failed to validate item %d: %w", i+1, err)
		}
	}
	if s.uniqueItems {
		return checkUnique(list)
	}
	return nil
}

// checkUnique finds equal items by a canonical text of each, so that long lists
// stay cheap.
func checkUnique(list []any) error {
	seen := make(map[string]int, len(list))
	for i, item := range list {
		key := canonical(item)
		if first, ok := seen[key]; ok {
			return fmt.Errorf("expected unique items but items %d and %d are equal", first+1, i+1)
		}
		seen[key] = i
	}
	return nil
}

// canonical writes v so that equal values have equal texts.
func canonical(v any) string {
	b, _ := json.Marshal(canonicalNumbers(v)) // decoded JSON always encodes
	return string(b)
}

func canonicalNumbers(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = canonicalNumbers(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = canonicalNumbers(value)
		}
		return out
	case json.Number:
		if n, _ := number(v); !math.IsInf(n, 0) {
			return n
		}
	}
	return v
}

func (s *Schema) checkString(v any) error {
	value, ok := v.(string)
	if !ok {
		return nil
	}
	if s.minLength != nil || s.maxLength != nil {
		length := utf8.RuneCountInString(value)
		if s.minLength != nil && length < *s.minLength {
			return fmt.Errorf("string too short, expected at least %d, got %d", *s.minLength, length)
		}
		if s.maxLength != nil && length > *s.maxLength {
			return fmt.Errorf("string too long, expected at most %d, got %d", *s.maxLength, length)
		}
	}
	if s.pattern != nil && !s.pattern.MatchString(value) {
		return fmt.Errorf(`failed to match pattern "%s" with "%s"`, s.patternText, value)
	}
	return s.checkFormat(value)
}

// checkFormat knows the two formats that the schemas use; others are annotations.
func (s *Schema) checkFormat(value string) error {
	if s.format != "ipv4" && s.format != "ipv6" {
		return nil
	}
	addr, err := netip.ParseAddr(value)
	if err == nil && addr.Zone() == "" && addr.Is4() == (s.format == "ipv4") {
		return nil
	}
	return fmt.Errorf("expect valid %s format but got: %s", s.format, value)
}

func (s *Schema) checkNumber(v any) error {
	n, ok := number(v)
	if !ok {
		return nil
	}
	switch {
	case s.minimum != nil && n < *s.minimum:
		return fmt.Errorf("expected %s to be at least %s", text(n), text(*s.minimum))
	case s.exclusiveMinimum != nil && n <= *s.exclusiveMinimum:
		return fmt.Errorf("expected %s to be greater than %s", text(n), text(*s.exclusiveMinimum))
	case s.maximum != nil && n > *s.maximum:
		return fmt.Errorf("expected %s to be at most %s", text(n), text(*s.maximum))
	case s.exclusiveMaximum != nil && n >= *s.exclusiveMaximum:
		return fmt.Errorf("expected %s to be smaller than %s", text(n), text(*s.exclusiveMaximum))
	case s.multipleOf != nil && !isMultiple(n, *s.multipleOf):
		return fmt.Errorf("expected %s to be a multiple of %s", text(n), text(*s.multipleOf))
	}
	return nil
}

func isMultiple(n, of float64) bool {
	quotient := n / of
	return quotient == math.Floor(quotient)
}

func (s *Schema) checkValues(v any) error {
	if s.enum != nil && !slices.ContainsFunc(s.enum, func(e any) bool { return equal(e, v) }) {
		return errors.New("matches none of the enum values")
	}
	if s.constant != nil && !equal(*s.constant, v) {
		return errors.New("failed to check const value")
	}
	return nil
}

func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch a.(type) {
	case []any, map[string]any:
		return canonical(a) == canonical(b)
	}
	switch b.(type) {
	case []any, map[string]any:
		return false
	}
	return a == b
}

func (s *Schema) checkAllOf(v any) error {
	for i, branch := range s.allOf {
		if err := branch.Validate(v); err != nil {
			return fmt.Errorf("allOf %d failed: %w", i+1, err)
		}
	}
	return nil
}

func (s *Schema) checkAnyOf(v any) error {
	if s.anyOf == nil || slices.ContainsFunc(s.anyOf, func(b *Schema) bool { return b.Validate(v) == nil }) {
		return nil
	}
	return errors.New("object matches none of the required" + s.anyOfText)
}

func (s *Schema) checkOneOf(v any) error {
	if s.oneOf == nil {
		return nil
	}
	matched := 0
	for i, branch := range s.oneOf {
		if branch.Validate(v) != nil {
			continue
		}
		if matched != 0 {
			return fmt.Errorf("value should match only one schema, but matches both schemas %d and %d", matched, i+1)
		}
		matched = i + 1
	}
	if matched == 0 {
		return errors.New("value should match only one schema, but matches none")
	}
	return nil
}

func (s *Schema) checkConditions(v any) error {
	if s.not != nil && s.not.Validate(v) == nil {
		return errors.New("value wasn't supposed to match schema")
	}
	if s.ifs == nil {
		return nil
	}
	if s.ifs.Validate(v) == nil {
		if s.thens != nil && s.thens.Validate(v) != nil {
			return errors.New("then clause did not match")
		}
	} else if s.elses != nil && s.elses.Validate(v) != nil {
		return errors.New("else clause did not match")
	}
	return nil
}
