// Package plugin says what a gateway plugin is: its phases, the Context it works
// on, the registry it enters itself in, and the Chain it is compiled into.
//
// A plugin is a struct that receives its configuration as JSON and implements
// one or more of the phase interfaces here:
//
//	func init() { plugin.Register[echo]("echo", 412, echoSchema) }
//
//	type echo struct {
//		Body string `json:"body"`
//	}
//
//	var _ plugin.Accesser = (*echo)(nil)
//
//	func (p *echo) Access(c *plugin.Context) error { return c.Exit(200, p.Body) }
//
// # What runs when
//
// A request meets, phase by phase, first the plugins of the global rules (which are
// instances of their own, and run even if no route matched), then the chain of its
// route. That chain is merged: a plugin's configuration on the route replaces that of
// its plugin config, which replaces that of its service. Instances belong to the object
// whose configuration they have, so the routes of one service share its plugins'
// instances and what they count; an instance outlives all changes but of its own
// configuration.
//
// When the rewrite phase has found a consumer (Context.Authenticated), the plugins of
// its consumer group and its own replace those of the route. What they add runs its
// rewrite then; authentication plugins among them are data and never run.
//
// The engine does _meta for all plugins: disable, priority, filter, error_response and
// pre_function.
//
// # What a plugin finds
//
//	c.Request, c.Response, c.Conn, c.Matched      the request, its answer, its route
//	c.Var("name"), CompileTemplate                variables and templates
//	c.Consumers, c.Authenticated, AsAuth          who calls
//	AsMetadata, MetadataOf                        what instances have in common
//	Service[UpstreamCompiler](env), c.SetUpstream another upstream than the route's
//	Service[GatewayStatus](env)                   connections and requests
//	RegisterPublicAPI, FindPublicAPI              endpoints for public-api to show
//	snippet.CompileFunction(source, conf, env)    Lua of configurations
//	c.Started, c.Sizes, c.Upstream                for loggers and log formats
package plugin

import (
	"errors"
	"log/slog"
)

// The phases, in the order in which a request meets them. Within a phase the
// plugins run by descending priority. One instance serves many requests at
// once, so state that changes needs its own locking.
//
// A phase that answers the request returns c.Exit(…); nil goes on; any other
// error is logged and answered with 500.
type (
	// Rewriter runs first: authentication and changes to the request.
	Rewriter interface{ Rewrite(c *Context) error }
	// Accesser runs after all rewrites: limits, and plugins that answer.
	Accesser interface{ Access(c *Context) error }
	// BeforeProxier runs when a node has been picked (Context.Upstream says which), just
	// before it is called; if the call is tried again with another, it runs again.
	BeforeProxier interface{ BeforeProxy(c *Context) error }
	// HeaderFilter sees the answer's status and headers and may change them,
	// for answers of the gateway itself too.
	HeaderFilter interface{ FilterHeader(c *Context) }
	// BodyFilter sees the whole answer body and returns what is to be sent. It
	// must not write into the body, which may belong to a record. The client gets
	// the answer only when all of it is there: see BodyStreamer and BodyChooser.
	BodyFilter interface {
		FilterBody(c *Context, body []byte) []byte
	}
	// BodyStreamer filters the body in parts, as they come; last comes once, with
	// the last part or with an empty one. It returns what is to be sent now, which
	// may be nothing, and must neither write into part nor keep it.
	BodyStreamer interface {
		StreamBody(c *Context, part []byte, last bool) []byte
	}
	// BodyWatcher sees the parts of the body that the client is sent and changes
	// nothing. It must not keep part.
	BodyWatcher interface{ WatchBody(c *Context, part []byte) }
	// Logger runs when the answer has been sent.
	Logger interface{ Log(c *Context) }
)

// BodyChooser is implemented by a BodyFilter, BodyStreamer or BodyWatcher that is
// not for every answer. It is asked after the header filters; an answer whose body
// nobody wants passes as it comes, with its Content-Length.
type BodyChooser interface{ WantsBody(c *Context) bool }

// Initer is implemented by plugins that prepare something when their
// configuration is compiled; an error makes the configuration invalid.
type Initer interface{ Init(env *Env) error }

// Checker is implemented by plugins whose configuration has rules that a JSON
// Schema cannot say. The error's text is shown to the client of the Admin API.
type Checker interface{ Check() error }

// EnvChecker is implemented by plugins whose configuration must fit what the process
// has in force. The error's text is shown to the client of the Admin API.
type EnvChecker interface{ CheckIn(env *Env) error }

// RouteReader is implemented by plugins some of whose instances read Matched.Document.
type RouteReader interface{ ReadsRoute() bool }

// Closer is implemented by plugins that hold something; Close is called when no
// request uses the instance any more.
type Closer interface{ Close() }

// Env is what the process lends to plugin instances.
type Env struct {
	Log *slog.Logger
	// Plugins are those that may be used.
	Plugins *Set
	// Services are things the process offers to the plugins that know them,
	// found by the interface they implement: see Service.
	Services []any
}

// Service finds the first service of env that implements T, an interface which
// the plugin declares; ok is false if the process offers none.
func Service[T any](env *Env) (service T, ok bool) {
	for _, s := range env.Services {
		if t, is := s.(T); is {
			return t, true
		}
	}
	return service, false
}

// GatewayStatus is a service of the gateway: what it is doing.
type GatewayStatus interface{ Connections() Connections }

// Connections counts clients' connections and requests. Accepted and Requests are
// since the start; Reading, Writing and Waiting add up to Active.
type Connections struct{ Active, Accepted, Requests, Reading, Writing, Waiting int64 }

// ErrExit is what Context.Exit returns: the answer is made, skip what follows.
var ErrExit = errors.New("plugin: request answered")

// ErrDrop is returned by a phase to close the connection without any answer.
var ErrDrop = errors.New("plugin: connection dropped")
