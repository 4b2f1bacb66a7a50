package plugin

import "encoding/json"

// UpstreamCompiler is a service of the gateway (see Service) for plugins that send
// requests elsewhere than the route says.
type UpstreamCompiler interface {
	// CompileUpstream makes an upstream ready that stands in the configuration
	// of a plugin: JSON of the fields of an upstream resource. An error means that
	// the configuration cannot be served.
	CompileUpstream(conf json.RawMessage) (UpstreamHandle, error)
	// SharedUpstream answers the upstream resource with an id. Which one that is
	// is found out request by request, with the rest of the configuration: it may
	// be changed, and one that does not exist makes its requests fail with 502, unless
	// the plugin has asked before.
	SharedUpstream(id string) UpstreamHandle
}

// UpstreamHandle is an upstream made ready by an UpstreamCompiler.
type UpstreamHandle interface {
	// Exists tells whether it is there now: a shared one may have been deleted.
	Exists() bool
	// Close lets go of it; a plugin calls it in its own Close.
	Close()
}

// SetUpstream makes the request go to u instead of to the route's upstream; nil
// is the route's. It is for the phases up to BeforeProxy.
func (c *Context) SetUpstream(u UpstreamHandle) { c.upstream = u }

// ChosenUpstream answers what SetUpstream was given, nil if nothing.
func (c *Context) ChosenUpstream() UpstreamHandle { return c.upstream }
