package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"millrace/internal/jsonschema"
	"millrace/plugin"
)

// Kind is one kind of resource, such as the routes.
type Kind struct {
	// Folder is its part of the paths of the Admin API and of the store's keys.
	Folder string
	// Name is its name among the schemas, Word the one in messages.
	Name, Word string
	// Schema is its JSON Schema.
	Schema string

	schema *jsonschema.Schema
	checks []check
}

// check is one step of what the schema of a kind cannot say.
type check func(doc map[string]any, w *World) error

// Invalid is an error whose text is made for the client that sent the resource.
type Invalid string

// Error answers the text.
func (e Invalid) Error() string { return string(e) }

func invalidf(format string, args ...any) error { return Invalid(fmt.Sprintf(format, args...)) }

// Refs finds the stored JSON of another resource that one refers to, nil if
// there is none. An error means that it could not be found out.
type Refs func(folder, id string) ([]byte, error)

// World is what a resource is checked against beside its schema.
type World struct {
	// Refs is nil if the resources it refers to are not to be looked for.
	Refs Refs
	// Plugins are those that it may use.
	Plugins *plugin.Set
}

// Kinds answers all kinds of resources.
func Kinds() []*Kind { return []*Kind{routes, services, upstreams, pluginConfigs} }

var (
	routes = newKind(Kind{Folder: "routes", Name: "route", Word: "route", Schema: routeSchema, checks: []check{
		checkInlineUpstream, checkReference("upstream_id", "upstreams", "upstream"), checkReference("service_id", "services", "service"),
		checkReference("plugin_config_id", "plugin_configs", "plugin config"), checkPlugins, checkVars, checkTypes[Route],
	}})
	// The fields of a service are some of a route's, with the same types.
	services = newKind(Kind{Folder: "services", Name: "service", Word: "service", Schema: serviceSchema, checks: []check{
		checkInlineUpstream, checkReference("upstream_id", "upstreams", "upstream"), checkPlugins, checkTypes[Route],
	}})
	upstreams     = newKind(Kind{Folder: "upstreams", Name: "upstream", Word: "upstream", Schema: upstreamSchema, checks: []check{checkUpstream, checkTypes[Upstream]}})
	pluginConfigs = newKind(Kind{Folder: "plugin_configs", Name: "plugin_config", Word: "plugin config", Schema: pluginConfigSchema, checks: []check{checkPlugins}})
)

func newKind(k Kind) *Kind {
	k.schema = jsonschema.MustCompile(k.Schema)
	return &k
}

// Check tells whether a document, decoded by encoding/json with UseNumber, is a
// valid resource of this kind. Faults of the document are of type Invalid.
func (k *Kind) Check(doc any, w World) error {
	if k == routes {
		if err := checkAlternatives(doc); err != nil {
			return err
		}
	}
	if err := k.CheckSchema(doc); err != nil {
		return Invalid("invalid configuration: " + err.Error())
	}
	object, _ := doc.(map[string]any)
	for _, check := range k.checks {
		if err := check(object, &w); err != nil {
			return err
		}
	}
	return nil
}

// CheckSchema checks a document against the schema alone; the error is the
// validator's message.
func (k *Kind) CheckSchema(doc any) error {
	if err := k.schema.Validate(doc); err != nil {
		return Invalid(err.Error())
	}
	return nil
}

// SetDefaults fills in what a valid document leaves to the schema's defaults, in
// place. Defaults of plugins are not among them.
func (k *Kind) SetDefaults(doc map[string]any) { k.schema.SetDefaults(doc) }

// CheckRoute tells whether raw is the JSON of a valid route, without looking for
// what it refers to.
func CheckRoute(raw []byte) error { return checkRaw(routes, raw) }

// CheckUpstream is CheckRoute for an upstream.
func CheckUpstream(raw []byte) error { return checkRaw(upstreams, raw) }

// CheckService is CheckRoute for a service.
func CheckService(raw []byte) error { return checkRaw(services, raw) }

func checkRaw(k *Kind, raw []byte) error {
	doc, err := decode(raw)
	if err != nil {
		return fmt.Errorf("reading %s: %w", k.Word, err)
	}
	return k.Check(doc, World{})
}

func decode(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("text after the value")
	}
	return v, nil
}
