package plugin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/expr"
)

// The phases of a connection that is passed on as it is (TCP, TLS, UDP). Stream
// plugins have a registry of their own: the same name may stand for another
// configuration there than for requests.
type (
	// Prereader runs when the route of a connection has been found and before its
	// upstream is called. Any error ends the connection without an answer; what was
	// given to Context.Exit is its status in logs and metrics.
	Prereader interface{ Preread(c *Context) error }
	// StreamLogger runs when a connection has ended.
	StreamLogger interface{ LogStream(c *Context) }
)

// The phases of streams in configurations.
const (
	PhasePreread   Phase = "preread"
	PhaseStreamLog Phase = "log"
)

// Stream is what a Context holds of a connection that is passed on as it is. There
// its Request is empty and its Response has a status only.
type Stream struct {
	// Protocol is TCP or UDP, also beneath TLS.
	Protocol string
	// ServerName is the one that a TLS client has asked for.
	ServerName string
	// Listener is the address that the client came to, as in its configuration.
	Listener string
	// Client answers the first bytes without taking them away.
	Client Peeker
	// Bytes are counted on both sides.
	Bytes StreamBytes
}

// StreamBytes are what came from the client and went to it, and the same of the
// node.
type StreamBytes struct{ FromClient, ToClient, FromNode, ToNode int64 }

// Peeker looks ahead into what a client sends.
type Peeker interface {
	// Peek answers the first n bytes; it waits for them. It fails if the client
	// ends before, takes too long, or n is more than may be looked ahead.
	Peek(n int) ([]byte, error)
}

var streamRegistry = map[string]*Type{}

// RegisterStream is Register for a plugin of streams, which is a Prereader, a
// StreamLogger or both.
func RegisterStream[T any](name string, priority int, schema string, opts ...Option) {
	t := &Type{Name: name, Priority: priority, Version: "0.1", Schema: schema, stream: true, new: func() any { return new(T) }}
	for _, o := range opts {
		o(t)
	}
	if err := t.prepare(); err != nil {
		panic(fmt.Sprintf("stream plugin %s: %v", name, err))
	}
	streamRegistry[name] = t
}

// LookupStream finds a plugin of streams by name.
func LookupStream(name string) (*Type, bool) {
	t, ok := streamRegistry[name]
	return t, ok
}

// StreamNames answers the names of all plugins of streams by descending priority.
func StreamNames() []string { return namesOf(streamRegistry) }

func namesOf(registry map[string]*Type) []string {
	names := make([]string, 0, len(registry))
	for name := range registry {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(registry[b].Priority, registry[a].Priority), cmp.Compare(a, b))
	})
	return names
}

func hasStreamPhase(p any) bool {
	switch p.(type) {
	case Prereader, StreamLogger:
		return true
	}
	return false
}

// RecompileStream is Recompile for plugins of streams.
func RecompileStream(confs map[string]json.RawMessage, env *Env, old *Chain) (*Chain, error) {
	return recompile(confs, env, old, env.Plugins.HasStream, LookupStream)
}

// Preread runs the preread phase up to the first plugin that refuses the
// connection (ErrExit, ErrDrop) or goes wrong.
func (ch *Chain) Preread(c *Context) error {
	return run(ch.preread, c, PhasePreread, Prereader.Preread)
}

// LogStream runs the log phase of a connection.
func (ch *Chain) LogStream(c *Context) {
	for i := range ch.streamLog {
		if s := &ch.streamLog[i]; s.in.joins(c, PhaseStreamLog) {
			s.plugin.LogStream(c)
		}
	}
}

// streamVar is Var for a connection that is passed on as it is: nginx's variables
// of streams, those that name what was matched, and those of plugins.
func (c *Context) streamVar(name string) expr.Value {
	if get := streamVariables[name]; get != nil {
		return get(c)
	}
	if sharedVariables[name] {
		return variables[name](c)
	}
	if rest, ok := strings.CutPrefix(name, "ssl_"); ok {
		return c.tlsVar(rest)
	}
	return present(c.extra[name])
}

// sharedVariables are those of requests that connections have too.
var sharedVariables = map[string]bool{
	"hostname": true, "pid": true, "remote_addr": true, "remote_port": true, "binary_remote_addr": true, "realip_remote_addr": true,
	"server_addr": true, "server_port": true, "status": true,
	"time_local": true, "time_iso8601": true, "msec": true, "upstream_addr": true, "upstream_connect_time": true,
	"upstream_unresolved_host": true, "balancer_ip": true, "balancer_port": true,
	"route_id": true, "route_name": true, "service_id": true, "service_name": true,
}

var streamVariables = map[string]func(c *Context) expr.Value{
	"protocol":                func(c *Context) expr.Value { return expr.Text(c.Stream.Protocol) },
	"ssl_server_name":         func(c *Context) expr.Value { return present(c.Stream.ServerName) },
	"ssl_preread_server_name": func(c *Context) expr.Value { return present(c.Stream.ServerName) },
	"bytes_received":          func(c *Context) expr.Value { return number(c.Stream.Bytes.FromClient) },
	"bytes_sent":              func(c *Context) expr.Value { return number(c.Stream.Bytes.ToClient) },
	"upstream_bytes_received": func(c *Context) expr.Value { return nodeNumber(c, c.Stream.Bytes.FromNode) },
	"upstream_bytes_sent":     func(c *Context) expr.Value { return nodeNumber(c, c.Stream.Bytes.ToNode) },
	"session_time":            func(c *Context) expr.Value { return seconds(time.Since(c.Started)) },
	"upstream_session_time": func(c *Context) expr.Value {
		return c.attemptTimes(func(a *Attempt) time.Duration { return a.ResponseTime })
	},
}

func nodeNumber(c *Context, n int64) expr.Value {
	if c.Upstream.Addr == "" {
		return expr.Value{}
	}
	return expr.Text(strconv.FormatInt(n, 10))
}

// CallMetrics is a service that counts the calls of protocols which are spoken on
// connections. c has the variables of the call, of which it is made alone.
type CallMetrics interface {
	CountCall(c *Context, protocol, command string, took time.Duration)
}

// StreamStatus is a service of what passes connections on: how many are open.
type StreamStatus interface {
	// EachListener calls fn for each listener.
	EachListener(fn func(addr string, active int64))
}
