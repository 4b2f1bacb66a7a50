package plugin

import (
	"fmt"
	"slices"
)

// PublicAPI is an endpoint of a plugin that no route shows until the plugin
// public-api puts it on one.
type PublicAPI struct {
	// Plugin is whose it is: it exists while the configuration lists that plugin.
	Plugin string
	URI    string
	// Methods are those it answers.
	Methods []string
	// Serve answers the request, with c.Exit. env is that of the public-api
	// instance that asks.
	Serve func(env *Env, c *Context) error
}

// publicAPIs is filled by the init functions of plugin packages and only read
// afterwards.
var publicAPIs []*PublicAPI

// RegisterPublicAPI enters an endpoint. It is for init functions, and panics when
// there is one already for a method and URI.
func RegisterPublicAPI(api PublicAPI) {
	for _, other := range publicAPIs {
		if other.URI == api.URI && slices.ContainsFunc(api.Methods, func(m string) bool { return slices.Contains(other.Methods, m) }) {
			panic(fmt.Sprintf("plugin %s: the endpoint %s is that of %s", api.Plugin, api.URI, other.Plugin))
		}
	}
	publicAPIs = append(publicAPIs, &api)
}

// FindPublicAPI finds the endpoint for a method and URI, nil if there is none
// among the plugins that may be used.
func FindPublicAPI(env *Env, method, uri string) *PublicAPI {
	for _, api := range publicAPIs {
		if api.URI == uri && slices.Contains(api.Methods, method) && env.Plugins.Has(api.Plugin) {
			return api
		}
	}
	return nil
}
