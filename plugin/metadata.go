package plugin

import (
	"encoding/json"

	"millrace/internal/jsonvalue"
)

// Metadata is what the instances of each plugin have in common, by the plugin's
// name: the M of AsMetadata. It never changes; a change of some plugin's metadata
// makes another.
type Metadata map[string]any

// AsMetadata gives a plugin metadata: a *M receives what the Admin API keeps for
// it, checked by schema and with its defaults. If *M is a Checker, its Check is
// called once a change and may make ready what is derived from the rest.
func AsMetadata[M any](schema string) Option {
	return func(t *Type) {
		t.MetadataSchema = schema
		t.newMetadata = func() any { return new(M) }
	}
}

// MetadataOf answers the metadata that a request is served with, the schema's
// defaults if none is kept. M is what the plugin was registered with.
func MetadataOf[M any](c *Context, name string) *M {
	if m, ok := c.Metadata[name].(*M); ok {
		return m
	}
	lookup := Lookup
	if c.Stream != nil {
		lookup = LookupStream
	}
	if t, ok := lookup(name); ok && t.presetMetadata != nil {
		if m, ok := t.presetMetadata().(*M); ok {
			return m
		}
	}
	return new(M)
}

// LoadMetadata checks the metadata of a plugin and decodes it, defaults filled in.
// It answers nil for a plugin without AsMetadata.
func (t *Type) LoadMetadata(conf json.RawMessage) (any, error) {
	if t.newMetadata == nil {
		return nil, nil
	}
	value, err := jsonvalue.Decode(conf)
	if err != nil {
		return nil, err
	}
	schema := t.metadataSchema()
	if err := schema.Validate(value); err != nil {
		return nil, err
	}
	schema.SetDefaults(value)
	m := t.newMetadata()
	if err := jsonvalue.Into(value, m); err != nil {
		return nil, err
	}
	if check, ok := m.(Checker); ok {
		if err := check.Check(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// preset makes what holds for the plugin while no metadata is kept. A schema that
// demands something leaves the zero value.
func (t *Type) preset() any {
	m, err := t.LoadMetadata(json.RawMessage("{}"))
	if err != nil {
		return t.newMetadata()
	}
	return m
}
