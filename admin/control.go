package admin

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

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
	// Plugins are those that may be used. ReloadPlugins, unless nil, reads anew which.
	Plugins       *plugin.Set
	ReloadPlugins func() error
	// Version is this program's own, for the Server header.
	Version string
	// Health, unless nil, tells how nodes do.
	Health Health
	// Discovery, unless nil, tells which nodes services have.
	Discovery Discovery
	// ServerInfo, unless nil, answers /v1/server_info: the plugin server-info.
	ServerInfo http.Handler
}

// Health tells how the nodes of upstreams do.
type Health interface {
	// Checkers answers the health checks that are running, in the order of their
	// names, each of which is the store key of a route, service, upstream or stream
	// route.
	Checkers() []resource.Checker
}

// Discovery tells which nodes services have.
type Discovery interface {
	// Dump answers what a type of discovery (dns, consul …) knows, as a value for
	// encoding/json; ok is false if that type is not configured.
	Dump(kind string) (dump any, ok bool)
}

// control is the Control API: resources as they are in force, with defaults
// filled in and secrets in the clear.
type control struct {
	ControlConfig
	// plugins and metadata are the schemas of the plugins and of their metadata.
	plugins, metadata map[string]*jsonschema.Schema
}

// NewControl makes the Control API, whose paths begin with /v1. It asks for no
// key, so its listener must be one that only trusted clients reach.
func NewControl(cfg ControlConfig) (http.Handler, error) {
	c := &control{cfg, map[string]*jsonschema.Schema{}, map[string]*jsonschema.Schema{}}
	for _, name := range plugin.Names() {
		t, _ := plugin.Lookup(name)
		if err := errors.Join(compileInto(c.plugins, name, t.Schema), compileInto(c.metadata, name, t.MetadataSchema)); err != nil {
			return nil, fmt.Errorf("compiling schemas of plugin %s: %w", name, err)
		}
	}
	return c, nil
}

// compileInto compiles a schema, if there is one.
func compileInto(schemas map[string]*jsonschema.Schema, name, text string) (err error) {
	if text != "" {
		schemas[name], err = jsonschema.Compile(text)
	}
	return err
}

// ServeHTTP answers one request.
func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Server"] = []string{"millrace/" + c.Version}
	if c.ServerInfo != nil && r.Method == http.MethodGet && r.URL.Path == "/v1/server_info" && !isRebound(r) {
		c.ServerInfo.ServeHTTP(w, r)
		return
	}
	if err := c.serve(r).write(w); err != nil {
		c.Log.Debug("writing answer of the Control API", "path", r.URL.Path, "error", err)
	}
}

func (c *control) serve(r *http.Request) answer {
	if isRebound(r) {
		return page(http.StatusForbidden)
	}
	segments := split(r.URL.Path)
	if len(segments) < 2 || segments[0] != "v1" {
		return page(http.StatusNotFound)
	}
	h := c.handler(r.Method+" "+segments[1], len(segments))
	if h == nil {
		return page(http.StatusNotFound)
	}
	return h(r, segments[2:])
}

// handler finds what serves a path of some segments by its first word, nil if
// nothing does. What it finds gets the segments after that.
func (c *control) handler(what string, segments int) func(r *http.Request, rest []string) answer {
	type handler = func(*http.Request, []string) answer
	exact := func(n int, h handler) handler {
		if segments != n {
			return nil
		}
		return h
	}
	switch what {
	case "GET schema":
		return exact(2, func(*http.Request, []string) answer { return c.schemas() })
	case "GET healthcheck":
		return c.healthcheck
	case "POST gc":
		return exact(2, collectGarbage)
	case "PUT plugins":
		return exact(3, c.reloadPlugins)
	case "GET plugin":
		return exact(4, c.example)
	case "GET discovery":
		return exact(4, c.discovered)
	}
	for _, folder := range []string{"routes", "services", "upstreams", "plugin_metadata"} {
		k := resource.KindOf(folder)
		plural := folder
		if folder == "plugin_metadata" {
			plural = "plugin_metadatas"
		}
		switch what {
		case "GET " + plural:
			return exact(2, func(r *http.Request, _ []string) answer { return c.list(r, k) })
		case "GET " + k.Name:
			return exact(3, func(r *http.Request, rest []string) answer { return c.one(r, k, rest[0]) })
		}
	}
	return nil
}

// isRebound reports whether a client on this machine calls us by a name that is
// not its own loopback: a web page whose host name was made to lead here.
func isRebound(r *http.Request) bool {
	return fromLoopback(r) && !isLoopback(r.Host)
}

func (c *control) schemas() answer {
	return answer{status: http.StatusOK, body: map[string]any{
		"main": kindSchemas(), "plugins": allPlugins("http", c.Plugins), "stream_plugins": allPlugins("stream", c.Plugins),
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
	var items []any
	for _, e := range entries {
		if i := c.inForce(k, e); i != nil {
			items = append(items, i)
		}
	}
	return listed(items)
}

// listed is the answer with a list; an empty one of APISIX is an object here.
func listed[T any](items []T) answer {
	if len(items) == 0 {
		return answer{status: http.StatusOK, body: struct{}{}}
	}
	return answer{status: http.StatusOK, body: items}
}

func (c *control) one(r *http.Request, k *resource.Kind, id string) answer {
	e, err := c.Store.Get(r.Context(), resource.Prefix+k.Folder+"/"+id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return c.failed(err)
	}
	i := c.inForce(k, e)
	if i == nil {
		return *fail(http.StatusNotFound, notFound(strings.ReplaceAll(k.Name, "_", " "), id))
	}
	return answer{status: http.StatusOK, body: i}
}

func (c *control) failed(err error) answer {
	c.Log.Error("serving the Control API", "error", err)
	return *storeFailed(err)
}

// inForce makes the form of a stored resource that is in force; nil if it is not
// valid and therefore not in force.
func (c *control) inForce(k *resource.Kind, e store.Entry) any {
	doc := object(e.Value)
	if doc == nil {
		return nil
	}
	resource.Decrypt(doc, c.Keyring)
	if k.Check(doc, resource.World{Plugins: c.Plugins, Keyring: c.Keyring}) != nil {
		return nil
	}
	if k.Folder == "plugin_metadata" {
		if schema := c.metadata[resource.TextOf(doc["id"])]; schema != nil {
			schema.SetDefaults(doc)
		}
		return doc
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
	i := item{e.Key, doc, e.CreateRevision, e.ModRevision, e.ModRevision, false}
	if upstream != nil {
		upstream["resource_key"], upstream["resource_id"], upstream["resource_version"] = e.Key, doc["id"], e.ModRevision
		i.HasDomain = listNodes(upstream)
	}
	return i
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
