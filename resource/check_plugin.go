package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/internal/jsonvalue"
	"millrace/plugin"
)

func checkPlugins(doc map[string]any, w *World) error {
	return eachPlugin(doc, func(name string, conf any) error {
		return checkPlugin(name, conf, w, func(t *plugin.Type, raw json.RawMessage) error { return t.CheckIn(raw, w.Env) })
	})
}

// checkConsumerPlugins checks the plugins of a consumer or a credential, where
// authentication plugins have configurations of their own.
func checkConsumerPlugins(doc map[string]any, w *World) error {
	err := eachPlugin(doc, func(name string, conf any) error {
		return checkPlugin(name, conf, w, func(t *plugin.Type, raw json.RawMessage) error {
			if !t.IsAuth() {
				return t.CheckIn(raw, w.Env)
			}
			_, err := t.LoadConsumer(raw)
			return err
		})
	})
	var invalid Invalid
	if errors.As(err, &invalid) {
		return Invalid("invalid plugins configuration: " + string(invalid))
	}
	return err
}

func checkUsername(doc map[string]any, w *World) error {
	if w.PathID != "" && w.PathID != text(doc, "username") {
		return Invalid("wrong username")
	}
	return nil
}

// checkOnlyAuth refuses plugins that prove nothing.
func checkOnlyAuth(doc map[string]any, w *World) error {
	return eachPlugin(doc, func(name string, _ any) error {
		if t, ok := w.Plugins.Lookup(name); ok && !t.IsAuth() {
			return Invalid("only supports auth type plugins in consumer credential")
		}
		return nil
	})
}

// eachPlugin calls do for the plugins of a resource, in the order of their names,
// up to the first error.
func eachPlugin(doc map[string]any, do func(name string, conf any) error) error {
	plugins, _ := doc["plugins"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		if err := do(name, plugins[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkPlugin(name string, conf any, w *World, check func(*plugin.Type, json.RawMessage) error) error {
	raw, err := pluginConf(name, conf)
	if err != nil {
		return err
	}
	t, ok := w.Plugins.Lookup(name)
	switch {
	case !ok && w.passUnknown:
		return nil
	case !ok:
		return invalidf("unknown plugin [%s]", name)
	}
	if err := check(t, raw); err != nil {
		return invalidf("failed to check the configuration of plugin %s err: %s", name, err)
	}
	return checkFilter(conf)
}

// checkFilter checks the expression that a plugin's configuration may have.
func checkFilter(conf any) error {
	object, _ := conf.(map[string]any)
	meta, _ := object["_meta"].(map[string]any)
	return checkExpression(meta["filter"])
}

// checkCredentialClaims refuses what another consumer is found by already.
func checkCredentialClaims(doc map[string]any, w *World) error {
	if w.Holders == nil {
		return nil
	}
	return eachPlugin(doc, func(name string, conf any) error {
		claim, ok := credentialClaim(name, conf)
		if !ok {
			return nil
		}
		keys, err := w.Holders(claim)
		if err != nil {
			return fmt.Errorf("looking for consumers with the same key: %w", err)
		}
		own := consumerOf(w.Key)
		for _, key := range keys {
			if consumerOf(key) != own {
				return invalidf("duplicate key of plugin %s found with %s", name, wordHolder(key))
			}
		}
		return nil
	})
}

// credentialClaim is what a consumer is found by with one of its plugins.
func credentialClaim(name string, conf any) (c Claim, ok bool) {
	t, known := plugin.Lookup(name)
	if !known || !t.IsAuth() || t.ConsumerKey == "" {
		return Claim{}, false
	}
	object, _ := conf.(map[string]any)
	value := text(object, t.ConsumerKey)
	return Claim{credentialClaims, name, value}, value != "" && !isReference(value)
}

// consumerOf is the name of the consumer whose store key, or that of whose
// credential, is given.
func consumerOf(key string) string {
	_, id, _ := SplitKey(key)
	username, _, _ := strings.Cut(id, "/")
	return username
}

func wordHolder(key string) string {
	_, id, _ := SplitKey(key)
	if username, own, ok := SplitCredentialID(id); ok {
		return fmt.Sprintf("credential: %s of consumer: %s", own, username)
	}
	return "consumer: " + id
}

// checkGlobalClaims refuses plugins that another global rule has.
func checkGlobalClaims(doc map[string]any, w *World) error {
	if w.Holders == nil {
		return nil
	}
	return eachPlugin(doc, func(name string, _ any) error {
		keys, err := w.Holders(Claim{globalClaims, name, ""})
		if err != nil {
			return fmt.Errorf("looking for global rules with the same plugin: %w", err)
		}
		for _, key := range keys {
			if key != w.Key {
				_, id, _ := SplitKey(key)
				return invalidf("plugin '%s' already exists in global rule with id '%s'", name, id)
			}
		}
		return nil
	})
}

// checkMetadata checks what the plugin that is named by the id says of its
// metadata.
func checkMetadata(doc map[string]any, w *World) error {
	name := text(doc, "id")
	t, ok := lookupMetadata(name, w)
	if !ok {
		return Invalid("invalid plugin name")
	}
	raw, err := jsonvalue.Encode(without(doc, "id"))
	if err != nil {
		return fmt.Errorf("encoding metadata of plugin %s: %w", name, err)
	}
	if _, err := t.LoadMetadata(raw); err != nil {
		return invalidf("invalid configuration: %s", err)
	}
	return nil
}

// without copies an object, save for some of its members.
func without(doc map[string]any, names ...string) map[string]any {
	out := maps.Clone(doc)
	for _, name := range names {
		delete(out, name)
	}
	return out
}
