package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"millrace/internal/textkeys"
)

// prefix begins the keys, as in APISIX's etcd.
const prefix = "/apisix/"

// collections are the lists of a file; the id of an entry becomes part of its key.
var collections = []string{
	"routes", "services", "upstreams", "consumers", "consumer_groups", "ssls", "global_rules", "plugin_configs",
	"plugin_metadata", "stream_routes", "protos", "secrets",
}

// pluginsKey is of the list of plugins, which is one value.
const pluginsKey = prefix + "plugins"

// hasEnd tells whether the last line that is not empty is #END.
func hasEnd(text []byte) bool {
	text = bytes.TrimSpace(text)
	return string(bytes.TrimSpace(text[bytes.LastIndexByte(text, '\n')+1:])) == "#END"
}

// parse answers the values of a file (YAML, of which JSON is a part) by key.
func parse(text []byte, log *slog.Logger) (map[string]string, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name, v := range doc {
		switch {
		case prefix+name == pluginsKey:
			if v == nil {
				continue
			}
			if err := put(out, pluginsKey, v); err != nil {
				return nil, err
			}
		case slices.Contains(collections, name):
			if err := parseList(out, name, v); err != nil {
				return nil, err
			}
		case strings.HasSuffix(name, "_conf_version"):
		default:
			log.Warn("passing over a key of the configuration that nobody knows", "key", name)
		}
	}
	return out, nil
}

func parseList(out map[string]string, name string, v any) error {
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s: want a list", name)
	}
	for i, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: entry %d is no mapping", name, i+1)
		}
		id := idOf(name, object)
		if id == "" {
			id = fmt.Sprintf("arr_%d", i+1)
			object["id"] = id
		}
		key := prefix + name + "/" + id
		if _, twice := out[key]; twice {
			return fmt.Errorf("found duplicate id %s in %s", id, name)
		}
		if err := put(out, key, object); err != nil {
			return fmt.Errorf("%s: entry %d: %w", name, i+1, err)
		}
	}
	return nil
}

// idOf is what an entry is found by; empty if it does not say.
func idOf(name string, object map[string]any) string {
	id, ok := object["id"]
	if username, named := object["username"]; name == "consumers" && named && !ok {
		id, ok = username, true
	}
	if !ok || id == nil {
		return ""
	}
	return fmt.Sprint(id)
}

func put(out map[string]string, key string, v any) error {
	text, err := json.Marshal(textkeys.Of(v))
	if err != nil {
		return err
	}
	out[key] = string(text)
	return nil
}
