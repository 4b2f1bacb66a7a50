package resource

import (
	"fmt"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonschema"
	"millrace/plugin"
)

// Kind is one kind of resource, such as the routes.
type Kind struct {
	// Folder is its part of the paths of the Admin API and of the store's keys.
	Folder string
	// Name is its name among the schemas, Word the one in messages.
	Name, Word string
	// Schema is its JSON Schema. With OwnSchemas it is only what all of them have in
	// common: each resource has a schema by its id.
	Schema     string
	OwnSchemas bool
	// IDField is the property that is the id, id unless set.
	IDField string
	// Untimed resources have no create_time and update_time.
	Untimed bool

	schema func() *jsonschema.Schema
	before func(doc any) error // what is checked before the schema
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

// Holders answers the store keys of the resources that hold a claim, in order.
type Holders func(c Claim) ([]string, error)

// World is what a resource is checked against beside its schema.
type World struct {
	// Refs is nil if the resources it refers to are not to be looked for.
	Refs Refs
	// Holders is nil if what only one resource may have is not to be looked for.
	Holders Holders
	// Key is the store key that the resource is to have, for Holders.
	Key string
	// PathID is the id that the client gave beside the resource, if any.
	PathID string
	// Plugins are those that it may use.
	Plugins *plugin.Set
	// Env is what the gateway of this process lends to them; nil if it has none.
	Env *plugin.Env
	// passUnknown passes over plugins that may not be used, as the gateway does.
	passUnknown bool
	// stored is the value that the document was read from; nil if it was not stored.
	stored []byte
	// Keyring decrypts what comes encrypted; nil if nothing is.
	Keyring *fieldcrypt.Keyring
}

// Kinds answers all kinds of resources that the store keeps.
func Kinds() []*Kind { return kinds }

var kinds = []*Kind{
	newKind(Kind{Folder: "routes", Name: "route", Word: "route", Schema: routeSchema, before: checkAlternatives, checks: []check{
		checkInlineUpstream, checkReference("upstream_id", "upstreams", "upstream"), checkReference("service_id", "services", "service"),
		checkReference("plugin_config_id", "plugin_configs", "plugin config"), checkPlugins, checkVars, checkFilterFunc, checkScript, checkTypes[Route],
	}}),
	newKind(Kind{Folder: "services", Name: "service", Word: "service", Schema: serviceSchema, checks: []check{
		checkInlineUpstream, checkReference("upstream_id", "upstreams", "upstream"), checkPlugins, checkScript, checkTypes[Service],
	}}),
	newKind(Kind{Folder: "upstreams", Name: "upstream", Word: "upstream", Schema: upstreamSchema, checks: []check{checkUpstream, checkTypes[Upstream]}}),
	newKind(Kind{Folder: "consumers", Name: "consumer", Word: "consumer", Schema: consumerSchema, IDField: "username", checks: []check{
		checkUsername, checkConsumerPlugins, checkCredentialClaims, checkReference("group_id", "consumer_groups", "consumer group"), checkTypes[Consumer],
	}}),
	newKind(Kind{Folder: "credentials", Name: "credential", Word: "credential", Schema: credentialSchema, checks: []check{
		checkConsumerPlugins, checkOnlyAuth, checkCredentialClaims, checkTypes[Credential],
	}}),
	newKind(Kind{Folder: "consumer_groups", Name: "consumer_group", Word: "consumer group", Schema: groupSchema, checks: []check{checkPlugins, checkTypes[ConsumerGroup]}}),
	newKind(Kind{Folder: "ssls", Name: "ssl", Word: "ssl", Schema: sslSchema, checks: []check{checkSSL, checkTypes[SSL]}}),
	newKind(Kind{Folder: "global_rules", Name: "global_rule", Word: "global rule", Schema: globalRuleSchema, checks: []check{checkPlugins, checkGlobalClaims, checkTypes[GlobalRule]}}),
	newKind(Kind{Folder: "plugin_configs", Name: "plugin_config", Word: "plugin config", Schema: groupSchema, checks: []check{checkPlugins, checkTypes[PluginConfig]}}),
	newKind(Kind{Folder: "plugin_metadata", Name: "plugin_metadata", Word: "plugin_metadata", Schema: `{"type":"object"}`, OwnSchemas: true, Untimed: true, checks: []check{checkMetadata}}),
	newKind(Kind{Folder: "stream_routes", Name: "stream_route", Word: "stream route", Schema: streamRouteSchema, checks: []check{
		checkInlineUpstream, checkReference("upstream_id", "upstreams", "upstream"), checkReference("service_id", "services", "service"),
		checkSuperior, checkStreamPlugins, checkStreamAddresses, checkProtocol, checkTypes[StreamRoute],
	}}),
	newKind(Kind{Folder: "protos", Name: "proto", Word: "proto", Schema: protoSchema, checks: []check{checkProto}}),
	newKind(Kind{Folder: "secrets", Name: "secret", Word: "secret", Schema: `{"type":"object"}`, OwnSchemas: true, checks: []check{checkSecret}}),
}

var kindsByFolder = func() map[string]*Kind {
	all := map[string]*Kind{}
	for _, k := range kinds {
		all[k.Folder] = k
	}
	return all
}()

// KindOf finds a kind by its folder; nil if there is none.
func KindOf(folder string) *Kind { return kindsByFolder[folder] }

// PluginListSchema is the schema of the list of plugins in use, which is no kind
// of resource.
const PluginListSchema = pluginListSchema

func newKind(k Kind) *Kind {
	k.schema = jsonschema.Deferred(k.Schema)
	if k.IDField == "" {
		k.IDField = "id"
	}
	return &k
}

// Check tells whether a document, decoded by encoding/json with UseNumber, is a
// valid resource of this kind. Faults of the document are of type Invalid.
func (k *Kind) Check(doc any, w World) error {
	if k.before != nil {
		if err := k.before(doc); err != nil {
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
	if err := k.schema().Validate(doc); err != nil {
		return Invalid(err.Error())
	}
	return nil
}

// SetDefaults fills in what a valid document leaves to the schema's defaults, in
// place. Defaults of plugins are not among them.
func (k *Kind) SetDefaults(doc map[string]any) { k.schema().SetDefaults(doc) }
