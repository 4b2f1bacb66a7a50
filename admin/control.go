package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonschema"
	"millrace/plugin"
	"millrace/resource"
	"millrace/store"
)

// ControlConfig says what the Control API shows.
type ControlConfig struct {
	Log     *slog.Logger
	Store   store.Store
	Keyring *fieldcrypt.Keyring
	// Plugins are those that may be used.
	Plugins *plugin.Set
	// Version is this program's own, for the Server header.
	Version string
}

// control is the Control API: resources as they are in force, with defaults
// filled in and secrets in the clear.
type control struct {
	ControlConfig
	plugins map[string]*jsonschema.Schema
}

// NewControl makes the Control API, whose paths begin with /v1. It asks for no
// key, so its listener must be one that only trusted clients reach.
func NewControl(cfg ControlConfig) (http.Handler, error) {
	c := &control{cfg, map[string]*jsonschema.Schema{}}
	for _, name := range cfg.Plugins.Names() {
		t, _ := plugin.Lookup(name)
		schema, err := jsonschema.Compile(t.Schema)
		if err != nil {
			return nil, fmt.Errorf("compiling schema of plugin %s: %w", name, err)
		}
		c.plugins[name] = schema
	}
	return c, nil
}

// ServeHTTP answers one request.
func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Server"] = []string{"millrace/" + c.Version}
	if err := c.serve(r).write(w); err != nil {
		c.Log.Debug("writing answer of the Control API", "path", r.URL.Path, "error", err)
	}
}

func (c *control) serve(r *http.Request) answer {
	if isRebound(r) {
		return page(http.StatusForbidden)
	}
	segments := split(r.URL.Path)
	if r.Method != http.MethodGet || len(segments) < 2 || len(segments) > 3 || segments[0] != "v1" {
		return page(http.StatusNotFound)
	}
	if segments[1] == "schema" && len(segments) == 2 {
		return c.schemas()
	}
	for _, k := range resource.Kinds() {
		switch {
		case segments[1] == k.Folder && len(segments) == 2:
			return c.list(r, k)
		case segments[1] == k.Name && len(segments) == 3:
			return c.one(r, k, segments[2])
		}
	}
	return page(http.StatusNotFound)
}

// isRebound reports whether a client on this machine calls us by a name that is
// not its own loopback: a web page whose host name was made to lead here.
func isRebound(r *http.Request) bool {
	return fromLoopback(r) && !isLoopback(r.Host)
}

func (c *control) schemas() answer {
	kinds := map[string]json.RawMessage{}
	for _, k := range resource.Kinds() {
		kinds[k.Name] = json.RawMessage(k.Schema)
	}
	return answer{status: http.StatusOK, body: map[string]any{
		"main": kinds, "plugins": allPlugins("http", c.Plugins), "stream_plugins": allPlugins("stream", c.Plugins),
	}}
}

// item is a resource in the answers of the Control API.
type item struct {
	Key                   string         `json:"key"`
	Value                 map[string]any `json:"value"`
	CreatedIndex          int64          `json:"createdIndex"`
	ModifiedIndex         int64          `json:"modifiedIndex"`
	OriginalModifiedIndex int64          `json:"orig_modifiedIndex"`
	HasDomain             bool           `json:"has_domain"`
}

func (c *control) list(r *http.Request, k *resource.Kind) answer {
	entries, _, err := c.Store.List(r.Context(), resource.Prefix+k.Folder+"/")
	if err != nil {
		return c.failed(err)
	}
	var items []item
	for _, e := range entries {
		if i, ok := c.item(k, e); ok {
			items = append(items, i)
		}
	}
	if items == nil {
		return answer{status: http.StatusOK, body: struct{}{}} // an empty list of APISIX is an object here
	}
	return answer{status: http.StatusOK, body: items}
}

func (c *control) one(r *http.Request, k *resource.Kind, id string) answer {
	e, err := c.Store.Get(r.Context(), resource.Prefix+k.Folder+"/"+id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return c.failed(err)
	}
	i, ok := c.item(k, e)
	if !ok {
		return *fail(http.StatusNotFound, fmt.Sprintf("%s[%s] not found", k.Name, id))
	}
	return answer{status: http.StatusOK, body: i}
}

func (c *control) failed(err error) answer {
	c.Log.Error("serving the Control API", "error", err)
	return *fail(http.StatusServiceUnavailable, msgStore)
}

// item makes the form of a stored resource that is in force; ok is false if it is
// not valid and therefore not in force.
func (c *control) item(k *resource.Kind, e store.Entry) (i item, ok bool) {
	doc := object(e.Value)
	if doc == nil {
		return item{}, false
	}
	resource.Decrypt(doc, c.Keyring)
	if k.Check(doc, resource.World{}) != nil {
		return item{}, false
	}
	k.SetDefaults(doc)
	plugins, _ := doc["plugins"].(map[string]any)
	for name, conf := range plugins {
		c.setPluginDefaults(name, conf)
	}
	upstream, _ := doc["upstream"].(map[string]any)
	if k.Name == "upstream" {
		upstream = doc
	}
	i = item{e.Key, doc, e.CreateRevision, e.ModRevision, e.ModRevision, false}
	if upstream != nil {
		upstream["resource_key"], upstream["resource_id"], upstream["resource_version"] = e.Key, doc["id"], e.ModRevision
		i.HasDomain = listNodes(upstream)
	}
	return i, true
}

func (c *control) setPluginDefaults(name string, conf any) {
	object, ok := conf.(map[string]any)
	if !ok || c.plugins[name] == nil {
		return
	}
	c.plugins[name].SetDefaults(object)
	if object["_meta"] == nil {
		object["_meta"] = map[string]any{}
	}
}

// listNodes turns the nodes of a checked upstream into an array and reports
// whether one is named by a domain.
func listNodes(upstream map[string]any) (hasDomain bool) {
	if weights, ok := upstream["nodes"].(map[string]any); ok {
		upstream["nodes"] = nodeList(weights)
	}
	list, _ := upstream["nodes"].([]any)
	return slices.ContainsFunc(list, func(n any) bool {
		node, _ := n.(map[string]any)
		host, _ := node["host"].(string)
		_, err := netip.ParseAddr(trimBrackets(host))
		return err != nil
	})
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// nodeList makes the array form of nodes, in the order of their addresses.
func nodeList(weights map[string]any) []any {
	list := []any{}
	for addr, weight := range weights {
		host, port, err := resource.SplitAddr(addr)
		if err != nil {
			continue // the check has refused it
		}
		node := map[string]any{"host": host, "weight": weight}
		if port != 0 {
			node["port"] = port
		}
		list = append(list, node)
	}
	slices.SortFunc(list, func(a, b any) int {
		x, y := a.(map[string]any), b.(map[string]any)
		return cmp.Or(cmp.Compare(fmt.Sprint(x["host"]), fmt.Sprint(y["host"])), cmp.Compare(fmt.Sprint(x["port"]), fmt.Sprint(y["port"])))
	})
	return list
}
