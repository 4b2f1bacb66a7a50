package jsonschema

import (
	"millrace/internal/jsonvalue"
)

// SetDefaults fills in the properties that v lacks and the schema has defaults
// for, in place and at every level, those of schemas that apply by allOf, if, or
// as the first matching branch of anyOf or oneOf included. Each default is a
// fresh value. v is as Validate takes it and should be valid.
func (s *Schema) SetDefaults(v any) {
	switch v := v.(type) {
	case map[string]any:
		s.setPropertyDefaults(v)
	case []any:
		for i, item := range v {
			if i < len(s.tuple) {
				s.tuple[i].SetDefaults(item)
			} else if s.items != nil {
				s.items.SetDefaults(item)
			}
		}
	}
	for _, branch := range s.allOf {
		branch.SetDefaults(v)
	}
	for _, branches := range [][]*Schema{s.anyOf, s.oneOf} {
		for _, branch := range branches {
			if branch.Validate(v) == nil {
				branch.SetDefaults(v)
				break
			}
		}
	}
	if s.ifs == nil {
		return
	}
	branch := s.thens
	if s.ifs.Validate(v) != nil {
		branch = s.elses
	}
	if branch != nil {
		branch.SetDefaults(v)
	}
}

func (s *Schema) setPropertyDefaults(object map[string]any) {
	for _, p := range s.properties {
		value, ok := object[p.name]
		if !ok && p.schema.defaultValue == nil {
			continue
		}
		if !ok {
			value, _ = jsonvalue.Decode(p.schema.defaultValue) // was read once already
			object[p.name] = value
		}
		p.schema.SetDefaults(value)
	}
	for name, value := range object {
		if s.hasProperty(name) {
			continue
		}
		matched := false
		for _, p := range s.patterns {
			if p.matcher.MatchString(name) {
				p.schema.SetDefaults(value)
				matched = true
			}
		}
		if !matched && s.additional != nil {
			s.additional.SetDefaults(value)
		}
	}
}
