package resource

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"millrace/internal/jsonschema"
	"millrace/internal/jsonvalue"
	"millrace/plugin"
)

// checkStreamPlugins checks the plugins of a stream route.
func checkStreamPlugins(doc map[string]any, w *World) error {
	return eachPlugin(doc, func(name string, conf any) error {
		raw, err := pluginConf(name, conf)
		if err != nil {
			return err
		}
		t, ok := w.Plugins.LookupStream(name)
		switch {
		case !ok && w.passUnknown:
			return nil
		case !ok:
			return invalidf("unknown plugin [%s]", name)
		}
		if err := t.CheckIn(raw, w.Env); err != nil {
			return invalidf("failed to check the configuration of stream plugin [%s]: %s", name, err)
		}
		return checkFilter(conf)
	})
}

// checkStreamAddresses checks what the schema's patterns let pass.
func checkStreamAddresses(doc map[string]any, _ *World) error {
	for _, name := range []string{"remote_addr", "server_addr"} {
		addr := text(doc, name)
		if addr == "" || isReference(addr) {
			continue
		}
		_, one := netip.ParseAddr(addr)
		if _, many := netip.ParsePrefix(addr); one != nil && many != nil {
			return invalidf("invalid %s: %s", name, addr)
		}
	}
	return nil
}

// protocolSchemas are those of the conf of each protocol that has one.
var protocolSchemas = map[string]func() *jsonschema.Schema{
	"redis": jsonschema.Deferred(`{"type":"object","properties":{"faults":{"type":"array","minItems":1,"items":{"type":"object",
		"properties":{
			"commands":{"type":"array","minItems":1,"items":{"type":"string"}},
			"key":{"type":"string","minLength":1},
			"delay":{"type":"number","description":"additional delay in seconds"}},
		"required":["commands","delay"]}}}}`),
}

// checkProtocol checks what a stream route says of the protocol that is spoken.
func checkProtocol(doc map[string]any, w *World) error {
	protocol, ok := doc["protocol"].(map[string]any)
	if !ok {
		return nil
	}
	name := text(protocol, "name")
	if !w.Plugins.HasProtocol(name) {
		if w.passUnknown {
			return nil
		}
		return invalidf("unknown protocol [%s]", name)
	}
	schema, conf := protocolSchemas[name], protocol["conf"]
	if schema == nil || conf == nil {
		return nil
	}
	if err := schema().Validate(conf); err != nil {
		return Invalid(err.Error())
	}
	return nil
}

// lookupMetadata finds the plugin that metadata of a name is for: one of requests,
// else one of streams.
func lookupMetadata(name string, w *World) (*plugin.Type, bool) {
	if t, ok := w.Plugins.Lookup(name); ok {
		return t, true
	}
	return w.Plugins.LookupStream(name)
}

// pluginConf is the configuration of a plugin as JSON; an empty array counts as an
// empty object.
func pluginConf(name string, conf any) (json.RawMessage, error) {
	raw, err := jsonvalue.Encode(conf)
	if err != nil {
		return nil, fmt.Errorf("encoding configuration of plugin %s: %w", name, err)
	}
	switch list := conf.(type) {
	case map[string]any:
		return raw, nil
	case []any:
		if len(list) == 0 {
			return json.RawMessage("{}"), nil
		}
		return raw, nil
	}
	return nil, invalidf("invalid plugin conf %s for plugin [%s]", raw, name)
}
