package plugin

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"time"

	"millrace/internal/expr"
)

// Context is one request on its way through the gateway. The front ends
// (HTTP/1.1, HTTP/2, HTTP/3) fill it; plugins see only it. It is used again for
// other requests: nothing of it may be kept after the Log phase.
type Context struct {
	Request  Request
	Response Response
	Conn     Conn
	// Stream is nil unless a connection is passed on as it is, not its requests.
	Stream *Stream

	// Matched is what the request was matched to.
	Matched Matched
	// Consumer is set by authentication plugins, who find it among Consumers.
	Consumer  Consumer
	Consumers Consumers
	// Metadata is that of all plugins; see MetadataOf.
	Metadata Metadata

	// Upstream overrides, set by plugins; empty means as the route says.
	UpstreamTarget string // raw request target: path and query
	UpstreamHost   string
	UpstreamMethod string
	upstream       UpstreamHandle

	// exited and its answer are set by Exit.
	exited     bool
	exitStatus int
	exitBody   any

	// Started is when the request's head had been read, Sizes what came and went.
	Started time.Time
	Sizes   Sizes
	// Upstream is what is known of the call to the upstream.
	Upstream Upstream

	// Limits outlast the request.
	Limits Limits

	requestID string
	values    map[any]any
	extra     map[string]string // variables that plugins have set
	bodyVars  *bodyVars         // what variables have found in the body
	lookup    expr.Lookup       // Var, made once
}

// Sizes are bytes on the client's side: of the request, of the answer, of its body.
// Whole tells that the client was sent all of it.
type Sizes struct {
	Request, Sent, SentBody int64
	Whole                   bool
}

// Upstream is the call to the upstream as loggers see it. Addr is host:port and
// Status the status of each attempt, separated by ", "; they are empty if no node
// was called. The rest is of the last attempt, Earlier of those before it.
type Upstream struct {
	Addr, Status           string
	IP                     string
	Port                   int
	Scheme, UnresolvedHost string
	Attempt
	Earlier []Attempt
	// Sent answers what the node was sent; nil without a call.
	Sent UpstreamRequest
	// Headers calls fn for each header of the upstream's answer; nil without one.
	// Trailers is the same for its trailers, of which there are none before the body's
	// last part.
	Headers, Trailers func(fn func(name, value []byte) bool)
}

// Attempt is one call to a node: how long it took to be connected, to the head of the
// answer and to its end, 0 if it did not come so far; the bytes that went to the node
// and came from it, and those of the answer's body.
type Attempt struct {
	ConnectTime, HeaderTime, ResponseTime time.Duration
	BytesSent, BytesReceived, BodyBytes   int64
}

// UpstreamRequest is the request as a node was sent it.
type UpstreamRequest interface {
	UpstreamHost() string
	UpstreamTarget() string // path and query
}

// RequestID is 32 random hex digits that name the request.
func (c *Context) RequestID() string {
	if c.requestID == "" {
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
		c.requestID = hex.EncodeToString(b[:])
	}
	return c.requestID
}

// Matched names the route that a request was matched to, and its parts.
type Matched struct {
	RouteID, RouteName     string
	ServiceID, ServiceName string
	// URI and Host are the patterns of the route, empty if it has several.
	URI, Host string
	// Ext is what the trailing * of the path pattern stood for.
	Ext string
	// Document is the route as the Admin API keeps it, if one of its plugins reads
	// it (RouteReader); else nil.
	Document []byte
	// Params are the path parameters (:name), nil if the pattern has none.
	Params map[string]string
}

// Consumer is who an authentication plugin found the caller to be.
type Consumer struct {
	Username, GroupID, CredentialID, CustomID string
	Labels                                    map[string]string
}

// Conn describes the client's connection.
type Conn struct {
	// RemoteAddr is the client's IP, RemotePort its port; ServerAddr and
	// ServerPort are the listener's side.
	RemoteAddr, ServerAddr string
	RemotePort, ServerPort int
	Scheme                 string // http or https
	Proto                  string // HTTP/1.1, HTTP/2.0 …
	// TLS is what the handshake has settled, nil without TLS. What it says of the
	// client's certificate is checked where an ssl object demands one.
	TLS *tls.ConnectionState
	// Client tells more; nil where there is nobody to ask.
	Client Client
}

// ErrBodyTooLarge is returned by Request.Body when the body is over its limit.
var ErrBodyTooLarge = errors.New("request body too large")

// ErrBodyPassed is returned by Request.Body when the body has begun to go to a node as
// it came: then nobody else can read it.
var ErrBodyPassed = errors.New("the request body has been passed on without being kept")

// Request is the client's request. Byte slices it answers are valid until the
// request ends and must not be changed.
type Request interface {
	Method() string
	// Target is the raw request target (path and query as received), Path the
	// decoded and normalised path, Query the raw query without "?".
	Target() string
	Path() string
	Query() string
	// SetQuery replaces the query, and with it the target's: the plugins that
	// follow and the upstream see the new one.
	SetQuery(query string)
	// SetPath replaces the decoded path, and with it the target's.
	SetPath(path string)
	// Host is the Host header as sent, with its port.
	Host() string
	// Header answers the first value of a header, names compared without case,
	// or nil. Headers calls fn for each in order until it answers false.
	Header(name string) []byte
	Headers(fn func(name, value []byte) bool)
	SetHeader(name, value string)
	AddHeader(name, value string)
	DelHeader(name string)
	// Body reads the whole body (once; later calls answer it again), at most
	// limit bytes: more gives ErrBodyTooLarge. A negative limit is none. Once a node is
	// called, a long body that nobody has read gives ErrBodyPassed.
	Body(limit int64) ([]byte, error)
	SetBody(body []byte)
	// Context ends when the client has gone or the request is over.
	Context() context.Context
}

// Response is the answer as the header and body filters and loggers see it.
type Response interface {
	Status() int
	SetStatus(status int)
	// Header answers the first value of a header, names compared without case,
	// or nil. Setting "" is allowed and sends an empty value.
	Header(name string) []byte
	Headers(fn func(name, value []byte) bool)
	SetHeader(name, value string)
	AddHeader(name, value string)
	DelHeader(name string)
}

// Exit ends the request with an answer of the gateway's own, by these rules:
//
//	body nil             an empty body below 300, else the error page of status
//	body []byte, string  the bytes as they are
//	body anything else   its JSON and a line feed
//
// Headers are set on c.Response before. Return its result from the phase.
func (c *Context) Exit(status int, body any) error {
	c.exited, c.exitStatus, c.exitBody = true, status, body
	return ErrExit
}

// Exited answers what Exit was given; ok is false if it was not called.
func (c *Context) Exited() (status int, body any, ok bool) {
	return c.exitStatus, c.exitBody, c.exited
}

// Value and SetValue keep what a plugin wants to find again in a later phase.
// The key is of a type private to the plugin.
func (c *Context) Value(key any) any { return c.values[key] }

// SetValue keeps a value under key until the request ends.
func (c *Context) SetValue(key, value any) {
	if c.values == nil {
		c.values = make(map[any]any)
	}
	c.values[key] = value
}

// Reset makes the context ready for another request.
func (c *Context) Reset() {
	values, extra := c.values, c.extra
	clear(values)
	clear(extra)
	*c = Context{values: values, extra: extra, lookup: c.lookup, Limits: c.Limits}
}

// Lookup is Var as a function.
func (c *Context) Lookup() expr.Lookup {
	if c.lookup == nil {
		c.lookup = c.Var
	}
	return c.lookup
}
