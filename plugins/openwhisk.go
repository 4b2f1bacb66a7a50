package plugins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"millrace/internal/calmlog"
	"millrace/plugin"
	"millrace/plugins/internal/hostclient"
)

const openwhiskSchema = `{"type":"object",
	"properties":{
		"api_host":{"type":"string"},
		"ssl_verify":{"type":"boolean","default":true},
		"service_token":{"type":"string"},
		"namespace":{"type":"string","maxLength":256,"pattern":"\\A([\\w]|[\\w][\\w@ .-]*[\\w@.-]+)\\z"},
		"package":{"type":"string","maxLength":256,"pattern":"\\A([\\w]|[\\w][\\w@ .-]*[\\w@.-]+)\\z"},
		"action":{"type":"string","maxLength":256,"pattern":"\\A([\\w]|[\\w][\\w@ .-]*[\\w@.-]+)\\z"},
		"result":{"type":"boolean","default":true},
		"timeout":{"type":"integer","minimum":1,"maximum":60000,"default":3000,"description":"timeout in milliseconds"},
		"keepalive":{"type":"boolean","default":true},
		"keepalive_timeout":{"type":"integer","minimum":1000,"default":60000,"description":"keepalive timeout in milliseconds"},
		"keepalive_pool":{"type":"integer","minimum":1,"default":5},
		"max_req_body_size":{"type":"integer","minimum":1,"default":67108864,"description":"maximum request body size in bytes"}
	},
	"encrypt_fields":["service_token"],
	"required":["api_host","service_token","namespace","action"]}`

const (
	// openwhiskSlack is how long an answer may come after the wait that
	// OpenWhisk was asked for: its 202 for a call that still runs comes then.
	openwhiskSlack = 500 * time.Millisecond
	// openwhiskMaxAnswer bounds the answer's body in bytes.
	openwhiskMaxAnswer = 64 << 20
)

func init() { plugin.Register[openwhisk]("openwhisk", -1901, openwhiskSchema) }

// Invoker is the OpenWhisk of this process. The plugin calls it instead of
// itself over HTTP, when it finds one among the services of plugin.Env.
type Invoker interface {
	// Invoke does what the REST API of this process does with a blocking
	// invocation: authentication, limits, call, record. It waits for up to
	// call.Wait and answers the status and the body that the REST API would
	// send, or status 0 if ctx ended first. The caller only reads the body.
	//
	// local is false, and nothing has happened, if call.APIHost is no address
	// of this process; that answer is kept for good.
	Invoke(ctx context.Context, call *InvokeCall) (status int, body []byte, local bool)
}

// InvokeCall is one blocking invocation of an action.
type InvokeCall struct {
	APIHost string // scheme://host[:port] as configured
	Token   string // uuid:key
	// Package is empty for the default package.
	Namespace, Package, Action string
	Result                     bool          // answer the result alone, not the activation
	Wait                       time.Duration // then answer 202
	// Body is the client's, not checked to be JSON. It must not be changed, nor
	// kept after Invoke returned.
	Body []byte
}

// TrustStore is a service of the process that says which certificate
// authorities are trusted where the configuration names some.
type TrustStore interface {
	// RootCAs answers nil to trust those of the system.
	RootCAs() *x509.CertPool
}

// openwhisk answers a request with the result of an OpenWhisk action.
type openwhisk struct {
	APIHost            string `json:"api_host"`
	SSLVerify          bool   `json:"ssl_verify"`
	ServiceToken       string `json:"service_token"`
	Namespace          string `json:"namespace"`
	Package            string `json:"package"`
	Action             string `json:"action"`
	Result             bool   `json:"result"`
	TimeoutMS          int    `json:"timeout"`
	Keepalive          bool   `json:"keepalive"`
	KeepaliveTimeoutMS int    `json:"keepalive_timeout"`
	KeepalivePool      int    `json:"keepalive_pool"`
	MaxReqBodySize     int64  `json:"max_req_body_size"`

	log     *slog.Logger
	unusual error // why no request can be sent at all
	head    []byte
	client  *hostclient.Client

	// invoker is nil if it cannot be the one to call; remote is set once it has
	// said that it is not.
	invoker Invoker
	remote  atomic.Bool
}

var (
	_ plugin.Initer   = (*openwhisk)(nil)
	_ plugin.Accesser = (*openwhisk)(nil)
	_ plugin.Closer   = (*openwhisk)(nil)
)

var errUnanswered = errors.New("the call ended without an answer")

// Init makes the request's head and the connection pool. What cannot be called
// is no error here: APISIX accepts it and answers each request with 503.
func (p *openwhisk) Init(env *plugin.Env) error {
	p.log = calmlog.New(env.Log.With("plugin", "openwhisk", "api_host", p.APIHost, "action", p.path()), "")
	host, err := parseAPIHost(p.APIHost)
	if err == nil && strings.ContainsFunc(host.prefix+p.path(), unfitForTarget) {
		err = fmt.Errorf("%q cannot be sent as a path", host.prefix+p.path())
	}
	if err != nil {
		p.unusual = err
		return nil
	}
	p.head = p.makeHead(host)
	p.client = hostclient.New(p.clientConfig(host, env))
	if host.prefix == "" {
		p.invoker, _ = plugin.Service[Invoker](env)
	}
	return nil
}

// Close closes the idle connections.
func (p *openwhisk) Close() {
	if p.client != nil {
		p.client.Close()
	}
}

// Access calls the action with the client's body and answers with its result.
func (p *openwhisk) Access(c *plugin.Context) error {
	body, err := c.Request.Body(p.MaxReqBodySize)
	if errors.Is(err, plugin.ErrBodyTooLarge) {
		return c.Exit(413, nil)
	}
	if err != nil {
		return c.Exit(400, nil)
	}
	ctx := c.Request.Context()
	status, answer, err := p.call(ctx, body)
	if err == nil {
		err = checkResult(status, answer)
	}
	if err == nil {
		return answerAs(c, status, answer)
	}
	if ctx.Err() != nil {
		return plugin.ErrDrop
	}
	p.log.Error("calling the action", "route", c.Matched.RouteID, "err", err)
	return c.Exit(503, nil)
}

// call gets OpenWhisk's answer, from this process or over HTTP.
func (p *openwhisk) call(ctx context.Context, body []byte) (status int, answer []byte, err error) {
	if p.unusual != nil {
		return 0, nil, p.unusual
	}
	wait := time.Duration(p.TimeoutMS) * time.Millisecond
	if p.invoker != nil && !p.remote.Load() {
		status, answer, local := p.invoker.Invoke(ctx, &InvokeCall{
			APIHost: p.APIHost, Token: p.ServiceToken,
			Namespace: p.Namespace, Package: p.Package, Action: p.Action,
			Result: p.Result, Wait: wait, Body: body,
		})
		if local && status == 0 {
			return 0, nil, errUnanswered
		}
		if local {
			return status, answer, nil
		}
		p.remote.Store(true)
	}
	return p.client.Do(ctx, p.head, body, wait+openwhiskSlack)
}

// path is that of the action's REST resource.
func (p *openwhisk) path() string {
	action := p.Action
	if p.Package != "" {
		action = p.Package + "/" + action
	}
	return "/api/v1/namespaces/" + p.Namespace + "/actions/" + action
}

// makeHead makes all of the request's head but Content-Length.
func (p *openwhisk) makeHead(host apiHost) []byte {
	return fmt.Appendf(nil, "POST %s%s?blocking=true&result=%t&timeout=%d HTTP/1.1\r\n"+
		"Host: %s\r\n"+
		"User-Agent: millrace\r\n"+
		"Authorization: Basic %s\r\n"+
		"Content-Type: application/json\r\n",
		host.prefix, p.path(), p.Result, p.TimeoutMS, host.header,
		base64.StdEncoding.EncodeToString([]byte(p.ServiceToken)))
}

func (p *openwhisk) clientConfig(host apiHost, env *plugin.Env) hostclient.Config {
	cfg := hostclient.Config{
		Addr:        net.JoinHostPort(host.name, host.port),
		IdleTimeout: time.Duration(p.KeepaliveTimeoutMS) * time.Millisecond,
		MaxBody:     openwhiskMaxAnswer,
	}
	if p.Keepalive {
		cfg.MaxIdle = p.KeepalivePool
	}
	if host.secure {
		cfg.TLS = &tls.Config{
			ServerName:         host.name,
			InsecureSkipVerify: !p.SSLVerify,
			NextProtos:         []string{"http/1.1"},
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		}
		if trust, ok := plugin.Service[TrustStore](env); ok {
			cfg.TLS.RootCAs = trust.RootCAs()
		}
	}
	return cfg
}

// apiHost is an api_host taken apart.
type apiHost struct {
	secure     bool
	name, port string
	header     string // for Host: the port only if it is not the scheme's own
	prefix     string // what stands before /api/v1
}

// parseAPIHost takes apart scheme://host[:port][/prefix]. The prefix stays as it
// is, so a trailing slash doubles the one of /api.
func parseAPIHost(text string) (h apiHost, err error) {
	rest, plain := strings.CutPrefix(text, "http://")
	if !plain {
		if rest, h.secure = strings.CutPrefix(text, "https://"); !h.secure {
			return h, fmt.Errorf("api_host %q does not begin with http:// or https://", text)
		}
	}
	authority := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, h.prefix = rest[:i], rest[i:]
	}
	h.name, h.port = authority, "80"
	if h.secure {
		h.port = "443"
	}
	h.header = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		own := h.port
		h.name, h.port = authority[:i], authority[i+1:]
		if h.port == own {
			h.header = h.name
		}
	}
	if strings.HasPrefix(h.name, "[") && strings.HasSuffix(h.name, "]") {
		h.name = h.name[1 : len(h.name)-1]
	} else if strings.Contains(h.name, ":") {
		h.name = ""
	}
	if _, err := strconv.ParseUint(h.port, 10, 16); err != nil || h.name == "" || strings.ContainsFunc(h.name, unfitForHost) {
		return h, fmt.Errorf("api_host %q has no valid host and port", text)
	}
	return h, nil
}

func unfitForHost(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`@/\?#[]`, r) }

func unfitForTarget(r rune) bool { return r <= ' ' || r == 0x7f || r == '?' || r == '#' }
