package admin

import (
	"encoding/json"
	"net/http"

	"millrace/plugin"
	"millrace/resource"
)

// helper finds the handler of the paths that serve no resource, nil if there is
// none. segments begin with plugins, schema or configs.
func (a *api) helper(method string, segments []string) func(*call) answer {
	second := ""
	if len(segments) > 1 {
		second = segments[1]
	}
	switch {
	case segments[0] == "configs":
		if method == http.MethodPost && second == "validate" && len(segments) == 2 {
			return a.validateConfigs
		}
		return nil
	case method == http.MethodPost && segments[0] == "schema" && second == "validate" && len(segments) == 3:
		return validateSchema
	case segments[0] == "plugins" && second == "reload":
		return a.putReload
	case method != http.MethodGet:
		return nil
	case segments[0] == "schema" && second == "plugins" && len(segments) > 2:
		return a.handled(func(c *call) answer { return a.pluginSchema(segments[2], c) })
	case segments[0] == "schema":
		return a.handled(kindSchema)
	case second == "list":
		return a.listPlugins
	default:
		return a.handled(func(c *call) answer { return a.pluginSchema(c.id, c) })
	}
}

// listPlugins answers the names of the plugins.
func (a *api) listPlugins(c *call) answer {
	switch c.args.Get("subsystem") {
	case "", "http":
		return answer{status: http.StatusOK, body: a.Plugins.Names()}
	case "stream":
		return answer{status: http.StatusOK, body: a.Plugins.StreamNames()}
	}
	return answer{status: http.StatusBadRequest, body: msgInvalidSubsystem}
}

// putReload is reloadPlugins of the Admin API.
func (a *api) putReload(c *call) answer {
	if c.method != http.MethodPut {
		return *fail(http.StatusMethodNotAllowed, usePUT(c.method))
	}
	return reloaded(a.ReloadPlugins)
}

// pluginSchema answers a schema of the plugin with a name, or with ?all=true and
// no name everything about all plugins.
func (a *api) pluginSchema(name string, c *call) answer {
	subsystem := c.args.Get("subsystem")
	if subsystem == "" {
		subsystem = "http"
	}
	if subsystem != "http" && subsystem != "stream" {
		return *fail(http.StatusBadRequest, msgUnsupportedSystem+subsystem)
	}
	if name == "" {
		if c.args.Get("all") != "true" {
			return *fail(http.StatusBadRequest, msgPluginName)
		}
		return answer{status: http.StatusOK, body: allPlugins(subsystem, a.Plugins)}
	}
	lookup := a.Plugins.Lookup
	if subsystem == "stream" {
		lookup = a.Plugins.LookupStream
	}
	t, ok := lookup(name)
	if !ok {
		return *fail(http.StatusNotFound, msgPluginNotFound+subsystem)
	}
	schema := t.Schema
	switch c.args.Get("schema_type") {
	case "consumer":
		schema = t.ConsumerSchema
	case "metadata":
		schema = t.MetadataSchema
	}
	if schema == "" {
		return *fail(http.StatusBadRequest, msgSchemaNotFound+c.args.Get("schema_type"))
	}
	return answer{status: http.StatusOK, body: json.RawMessage(schema)}
}

// pluginFacts is what lists of plugins say of each.
type pluginFacts struct {
	Version        json.Number     `json:"version"`
	Priority       int             `json:"priority"`
	Type           string          `json:"type,omitempty"`
	Schema         json.RawMessage `json:"schema"`
	ConsumerSchema json.RawMessage `json:"consumer_schema,omitempty"`
	MetadataSchema json.RawMessage `json:"metadata_schema,omitempty"`
}

func allPlugins(subsystem string, known *plugin.Set) map[string]pluginFacts {
	all := map[string]pluginFacts{}
	names, lookup := known.Names, plugin.Lookup
	if subsystem == "stream" {
		names, lookup = known.StreamNames, plugin.LookupStream
	}
	for _, name := range names() {
		t, _ := lookup(name)
		facts := pluginFacts{
			Version: json.Number(t.Version), Priority: t.Priority, Schema: json.RawMessage(t.Schema),
			ConsumerSchema: json.RawMessage(t.ConsumerSchema), MetadataSchema: json.RawMessage(t.MetadataSchema),
		}
		if t.IsAuth() {
			facts.Type = "auth"
		}
		all[name] = facts
	}
	return all
}

// kindSchemas are the schemas of the kinds that have one, by their singular names,
// and that of the list of plugins.
func kindSchemas() map[string]json.RawMessage {
	all := map[string]json.RawMessage{"plugins": json.RawMessage(resource.PluginListSchema)}
	for _, k := range resource.Kinds() {
		if !k.OwnSchemas {
			all[k.Name] = json.RawMessage(k.Schema)
		}
	}
	return all
}

// kindSchema answers the schema of a kind of resource by its singular name.
func kindSchema(c *call) answer {
	if schema, ok := kindSchemas()[c.id]; ok {
		return answer{status: http.StatusOK, body: schema}
	}
	return *fail(http.StatusBadRequest, msgSchemaNotFound+c.id)
}

// validateSchema checks a body against the schema of a kind by its plural name.
func validateSchema(c *call) answer {
	k := resource.KindOf(c.sub)
	if k == nil {
		return *fail(http.StatusNotFound, msgUnsupportedResource+c.sub)
	}
	if !c.hasBody {
		return *fail(http.StatusBadRequest, "wrong type: expected object, got nil")
	}
	if err := k.CheckSchema(c.body); err != nil {
		return *fail(http.StatusBadRequest, err.Error())
	}
	return answer{status: http.StatusOK}
}
