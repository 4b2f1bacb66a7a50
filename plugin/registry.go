package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"millrace/internal/expr"
	"millrace/internal/jsonschema"
	"millrace/internal/jsonvalue"
)

// metaSchema is what every plugin configuration may hold as _meta, and
// metaComment marks the schemas it was put into, as APISIX marks them.
const (
	metaSchema = `{"type":"object","additionalProperties":false,"properties":{
		"disable":{"type":"boolean"},
		"error_response":{"oneOf":[{"type":"string"},{"type":"object"}]},
		"priority":{"type":"integer","description":"priority of plugins by customized order"},
		"filter":{"type":"array","description":"filter determines whether the plugin needs to be executed at runtime"},
		"pre_function":{"type":"string","description":"function to be executed in each phase before execution of plugins. The pre_function will have access to two arguments: ` + "`conf` and `ctx`" + `."}}}`
	metaComment = "this is a mark for our injected plugin schema"
)

// Type is one plugin as registered. Schemas are JSON Schema texts; Schema has
// the _meta property and its mark put in. An empty one means there is none.
type Type struct {
	Name           string
	Priority       int
	Version        string // 0.1 unless the plugin says otherwise
	Schema         string
	ConsumerSchema string
	// ConsumerKey is the attribute of ConsumerSchema that consumers are found by.
	ConsumerKey    string
	MetadataSchema string
	// EncryptFields are the attributes kept encrypted at rest: the
	// "encrypt_fields" of Schema and of ConsumerSchema; MetadataEncryptFields are
	// those of MetadataSchema.
	EncryptFields, MetadataEncryptFields []string

	stream         bool // of RegisterStream
	new            func() any
	newConsumer    func() any
	newMetadata    func() any
	presetMetadata func() any // a *M of AsMetadata[M]: what holds while none is kept
	// The schemas, compiled when they are first asked for.
	schema, consumerSchema, metadataSchema func() *jsonschema.Schema
	properties                             []string // the attributes that Schema names
}

// Option is a part of a plugin that few plugins have.
type Option func(*Type)

// WithVersion sets a version other than 0.1.
func WithVersion(version string) Option { return func(t *Type) { t.Version = version } }

// registry is filled by the init functions of plugin packages and only read
// afterwards.
var registry = map[string]*Type{}

// Register enters a plugin: *T receives its configuration and implements its
// phases. It is for init functions, and panics on a name that is taken, a schema
// that is not JSON and a type without a phase. Schemas are compiled when they are
// first used, which panics on one that does not compile.
func Register[T any](name string, priority int, schema string, opts ...Option) {
	t := &Type{Name: name, Priority: priority, Version: "0.1", Schema: schema, new: func() any { return new(T) }}
	for _, o := range opts {
		o(t)
	}
	if err := t.prepare(); err != nil {
		panic(fmt.Sprintf("plugin %s: %v", name, err))
	}
	registry[name] = t
}

// Lookup finds a plugin by name.
func Lookup(name string) (*Type, bool) {
	t, ok := registry[name]
	return t, ok
}

// Names answers the names of all plugins by descending priority.
func Names() []string { return namesOf(registry) }

// prepare checks the type and compiles its schemas.
func (t *Type) prepare() error {
	taken, phases := registry, hasPhase
	if t.stream {
		taken, phases = streamRegistry, hasStreamPhase
	}
	if taken[t.Name] != nil {
		return errors.New("registered twice")
	}
	if !phases(t.new()) {
		return fmt.Errorf("%T implements no phase", t.new())
	}
	if _, err := strconv.ParseFloat(t.Version, 64); err != nil {
		return fmt.Errorf("the version %q is no number, as which clients get it", t.Version)
	}
	for _, schema := range []string{t.ConsumerSchema, t.MetadataSchema} {
		if schema != "" && !gjson.Valid(schema) {
			return errors.New("a schema is not JSON")
		}
	}
	t.consumerSchema, t.metadataSchema = jsonschema.Deferred(t.ConsumerSchema), jsonschema.Deferred(t.MetadataSchema)
	t.EncryptFields, t.MetadataEncryptFields = encryptFields(t.Schema, t.ConsumerSchema), encryptFields(t.MetadataSchema)
	for name := range gjson.Get(t.Schema, "properties").Map() {
		t.properties = append(t.properties, name)
	}
	if t.newMetadata != nil {
		t.presetMetadata = sync.OnceValue(t.preset)
	}
	return t.completeSchema()
}

// completeSchema puts _meta into the schema.
func (t *Type) completeSchema() (err error) {
	if !gjson.Valid(t.Schema) {
		return errors.New("the schema is not JSON")
	}
	if t.Schema, err = sjson.SetRaw(t.Schema, "properties._meta", metaSchema); err != nil {
		return err
	}
	if t.Schema, err = sjson.Set(t.Schema, "$comment", metaComment); err != nil {
		return err
	}
	t.schema = jsonschema.Deferred(t.Schema)
	return nil
}

func encryptFields(schemas ...string) []string {
	var fields []string
	for _, schema := range schemas {
		for _, field := range gjson.Get(schema, "encrypt_fields").Array() {
			fields = append(fields, field.String())
		}
	}
	return fields
}

func hasPhase(p any) bool {
	switch p.(type) {
	case Rewriter, Accesser, BeforeProxier, HeaderFilter, BodyFilter, BodyStreamer, BodyWatcher, Logger:
		return true
	}
	return false
}

// Check tells whether conf is a valid configuration. The error's text is the
// validator's message alone.
func (t *Type) Check(conf json.RawMessage) error {
	_, _, err := t.load(conf)
	return err
}

// CheckIn is Check for a process of which env is known, or nil.
func (t *Type) CheckIn(conf json.RawMessage, env *Env) error {
	p, _, err := t.load(conf)
	if err != nil {
		return err
	}
	if c, ok := p.(EnvChecker); ok && env != nil {
		return c.CheckIn(env)
	}
	return nil
}

// meta is the _meta of a configuration.
type meta struct {
	Disable       bool            `json:"disable"`
	ErrorResponse json.RawMessage `json:"error_response"`
	Priority      *int            `json:"priority"`
	Filter        json.RawMessage `json:"filter"`
	PreFunction   *string         `json:"pre_function"`

	filter *expr.Expr
	before PreFunction
}

// load checks conf and makes an instance of it that is not yet initialised.
func (t *Type) load(conf json.RawMessage) (any, meta, error) {
	value, err := jsonvalue.Decode(conf)
	if err != nil {
		return nil, meta{}, err
	}
	if err := t.schema().Validate(value); err != nil {
		return nil, meta{}, err
	}
	t.schema().SetDefaults(value)
	t.dropMisspelt(value)
	object, _ := value.(map[string]any)
	var m meta
	p := t.new()
	if err := errors.Join(jsonvalue.Into(object["_meta"], &m), jsonvalue.Into(value, p)); err != nil {
		return nil, meta{}, err
	}
	if m.filter, err = expr.Compile(m.Filter); err != nil {
		return nil, meta{}, fmt.Errorf("failed to validate the 'vars' expression: %w", err)
	}
	if source := m.PreFunction; source != nil {
		if m.before, err = compilePreFunction(*source, conf); err != nil {
			return nil, meta{}, fmt.Errorf("failed to load _meta.pre_function in plugin: %w", err)
		}
	}
	if c, ok := p.(Checker); ok {
		if err := c.Check(); err != nil {
			return nil, meta{}, err
		}
	}
	return p, m, nil
}

// dropMisspelt removes keys that differ from an attribute only in case.
// encoding/json would take them for it, past the schema's checks.
func (t *Type) dropMisspelt(value any) {
	object, _ := value.(map[string]any)
	for key := range object {
		if slices.Contains(t.properties, key) {
			continue
		}
		if slices.ContainsFunc(t.properties, func(p string) bool { return strings.EqualFold(p, key) }) {
			delete(object, key)
		}
	}
}
