package resource

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonvalue"
)

// Reference is one resource's mention of another.
type Reference struct {
	Folder, ID string
	// ByPlugin is true if a plugin's configuration mentions it.
	ByPlugin bool
}

// fieldReferences are the fields that mention a resource, with its folder.
var fieldReferences = []struct{ path, folder string }{
	{"upstream_id", "upstreams"}, {"service_id", "services"}, {"plugin_config_id", "plugin_configs"},
	{"group_id", "consumer_groups"}, {"protocol.superior_id", "stream_routes"},
}

// References answers what a stored resource mentions, each once.
func References(raw []byte) []Reference {
	var all []Reference
	add := func(r Reference) {
		if r.ID != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	for _, f := range fieldReferences {
		add(Reference{f.folder, gjson.GetBytes(raw, f.path).String(), false})
	}
	plugins := gjson.GetBytes(raw, "plugins")
	for _, list := range plugins.Get("traffic-split.rules.#.weighted_upstreams.#.upstream_id").Array() {
		for _, id := range list.Array() {
			add(Reference{"upstreams", id.String(), true})
		}
	}
	add(Reference{"protos", plugins.Get("grpc-transcode.proto_id").String(), true})
	return all
}

// Claim is something that only one resource may have. It is comparable.
type Claim struct {
	what, plugin, value string
}

const (
	credentialClaims = "credential" // of a consumer: what it is found by
	globalClaims     = "plugin"     // of a global rule
)

// Claims answers what a stored resource claims; ring decrypts its secrets.
func Claims(key string, raw []byte, ring *fieldcrypt.Keyring) []Claim {
	folder, _, _ := SplitKey(key)
	if folder != "global_rules" && folder != "consumers" && folder != "credentials" {
		return nil
	}
	doc, err := jsonvalue.Decode(raw)
	if err != nil {
		return nil // nobody serves it
	}
	Decrypt(doc, ring)
	object, _ := doc.(map[string]any)
	plugins, _ := object["plugins"].(map[string]any)
	var claims []Claim
	for name, conf := range plugins {
		if folder == "global_rules" {
			claims = append(claims, Claim{globalClaims, name, ""})
		} else if c, ok := credentialClaim(name, conf); ok {
			claims = append(claims, c)
		}
	}
	slices.SortFunc(claims, func(a, b Claim) int { return strings.Compare(a.plugin, b.plugin) })
	return claims
}
