// Package admin serves the Admin API, through which clients of APISIX read and
// change the gateway's resources in the store, and the Control API, which shows
// what is in force.
//
// A request passes allow list, well-known key rule, key and role (access.go),
// then the steps of serve in this file, then the handler of its resource
// (resource.go) or helper (helper.go). Handlers return an answer; one writer
// (answer.go) renders it. Deletions are guarded by an index of who refers to what
// (index.go).
//
// A gateway whose configuration is put as a whole has another handler instead
// (standalone.go). It keeps the document that was put last under
// /apisix/standalone, beside the resources, whose keys are in package resource.
package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/cjson"
	"millrace/internal/fieldcrypt"
	"millrace/internal/jsonvalue"
	"millrace/plugin"
	"millrace/resource"
	"millrace/store"
)

// root is the path that all of the Admin API is under.
const root = "/apisix/admin"

// maxBody is how many bytes a request body may have.
const maxBody = 1572864

// Config says how the Admin API works.
type Config struct {
	Log   *slog.Logger
	Store store.Store
	// Applied, unless nil, is waited for after each write.
	Applied Applied
	// Keys are who may call. Unless KeyRequired, no key is asked for.
	Keys        []Key
	KeyRequired bool
	// AllowAdmin are the addresses and CIDRs that clients may call from; none
	// means any.
	AllowAdmin []string
	// CORS lets web pages of any origin read the answers.
	CORS bool
	// APIVersion is "v3"; anything else gives the answers of APISIX 2.x.
	APIVersion string
	// Version is this program's own, for the Server header.
	Version string
	// Keyring encrypts secret fields; nil stores them as they are sent.
	Keyring *fieldcrypt.Keyring
	// Plugins are those that resources may use, Env is what the gateway of this
	// process lends to them; nil if it has none. ReloadPlugins, unless nil, reads anew
	// which those are.
	Plugins       *plugin.Set
	Env           *plugin.Env
	ReloadPlugins func() error
	// InsecureWellKnownKeys takes a well-known key whatever the Host and Origin
	// of a request.
	InsecureWellKnownKeys bool
	// Stream says that stream routes are served; without it they are refused.
	Stream bool
}

// Applied is told to by whoever serves what is stored.
type Applied interface {
	// WaitApplied returns when everything up to a revision of the store is
	// served, or with an error when ctx is done.
	WaitApplied(ctx context.Context, revision int64) error
}

// applyTimeout is how long an answer waits for a write to be served.
const applyTimeout = 5 * time.Second

type api struct {
	Config
	access    atomic.Pointer[access]
	resources map[string]*collection
	index     *index
	// claimed is held from the check to the write of what only one may have.
	claimed sync.Mutex
	now     func() time.Time
}

// New makes the Admin API. Its paths begin with /apisix/admin, whatever the
// listener it is mounted on. An error names the setting that is wrong.
func New(cfg Config) (http.Handler, error) {
	acc, err := newAccess(cfg)
	if err != nil {
		return nil, err
	}
	return newAPI(cfg, acc), nil
}

func newAPI(cfg Config, acc access) *api {
	a := &api{Config: cfg, resources: map[string]*collection{}, index: newIndex(cfg.Store, cfg.Keyring), now: time.Now}
	a.access.Store(&acc)
	for _, k := range resource.Kinds() {
		a.resources[k.Folder] = newCollection(a, k)
	}
	return a
}

// SetAccess changes who may call, while the API is served: the keys, the addresses and
// CORS of cfg are in force from the next request on.
func (a *api) SetAccess(cfg Config) error {
	acc, err := newAccess(cfg)
	if err == nil {
		a.access.Store(&acc)
	}
	return err
}

// call is one request, as far as the handlers need it.
type call struct {
	ctx    context.Context
	method string
	// id and sub are the path after the resource's name: its next segment, and
	// the rest joined by slashes. owner is the consumer of credentials or the
	// manager of secrets, which stands before the id.
	owner, id, sub string
	args           url.Values
	// body is the decoded body, with json.Number; hasBody is false if it was empty.
	body    any
	hasBody bool
	ttl     time.Duration
	// revision is that of the newest write of the call, 0 for none.
	revision int64
}

// ServeHTTP answers one request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.setHeaders(w.Header())
	answer := a.serve(w, r)
	if answer.handled {
		w.Header()["X-API-VERSION"] = []string{a.version()}
	}
	if err := answer.write(w); err != nil {
		a.Log.Debug("writing answer of the Admin API", "path", r.URL.Path, "error", err)
	}
}

func (a *api) version() string {
	if a.APIVersion == "v3" {
		return "v3"
	}
	return "v2"
}

func (a *api) setHeaders(h http.Header) {
	h["Server"] = []string{"APISIX/3.18.0 millrace/" + a.Version}
	if a.access.Load().cors {
		h["Access-Control-Allow-Origin"] = []string{"*"}
		h["Access-Control-Allow-Credentials"] = []string{"true"}
		h["Access-Control-Expose-Headers"] = []string{"*"}
		h["Access-Control-Max-Age"] = []string{"3600"}
	}
}

// serve is the way of a request to its handler.
func (a *api) serve(w http.ResponseWriter, r *http.Request) answer {
	segments, refused := a.admit(w, r, http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch)
	if refused != nil {
		return *refused
	}
	return a.dispatch(w, r, segments)
}

// admit answers the segments of a request's path below the root, or what it is
// answered with if it is not to reach a handler: those take some methods.
func (a *api) admit(w http.ResponseWriter, r *http.Request, methods ...string) ([]string, *answer) {
	notFound := page(http.StatusNotFound)
	if refused := a.access.Load().checkClient(r); refused != nil {
		return nil, refused
	}
	path, ok := strings.CutPrefix(r.URL.Path, root)
	if !ok || path != "" && path[0] != '/' {
		return nil, &notFound
	}
	segments := split(path)
	switch {
	case r.Method == http.MethodOptions:
		w.Header()["Access-Control-Allow-Methods"] = []string{"POST, GET, PUT, OPTIONS, DELETE, PATCH"}
		w.Header()["Access-Control-Allow-Headers"] = []string{"*"}
		return nil, &answer{status: http.StatusOK}
	case r.Method == http.MethodHead && len(segments) == 0:
		return nil, &answer{status: http.StatusOK}
	case len(segments) == 0 || !slices.Contains(methods, r.Method):
		return nil, &notFound
	}
	return segments, a.access.Load().checkKey(r)
}

// split answers the segments of a path, without empty ones.
func split(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

// dispatch finds the handler, reads what it needs and calls it.
func (a *api) dispatch(w http.ResponseWriter, r *http.Request, segments []string) answer {
	c := &call{ctx: r.Context(), method: r.Method, args: r.URL.Query()}
	name := c.address(segments)
	handler, refused := a.handler(r.Method, name, segments)
	if refused != nil {
		return *refused
	}
	if refused := readBody(w, r, c); refused != nil {
		return *refused
	}
	if refused := readTTL(c); refused != nil {
		return *refused
	}
	return handler(c)
}

// address notes what a path leads to and answers the name of its resources.
func (c *call) address(segments []string) (name string) {
	name, rest := segments[0], segments[1:]
	switch {
	case name == "consumers" && len(rest) > 1 && rest[1] == "credentials":
		name, c.owner, rest = "credentials", rest[0], rest[2:]
	case name == "services" && len(rest) > 1 && rest[1] == "graphql_cost_decorations":
		name, rest = rest[1], nil // not the service itself, whatever the method
	case name == "secrets" && len(rest) > 0:
		c.owner, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		c.id, c.sub = rest[0], strings.Join(rest[1:], "/")
	}
	return name
}

// handler finds what serves a path; the second result is the answer if nothing does.
func (a *api) handler(method, name string, segments []string) (func(*call) answer, *answer) {
	switch {
	case name == "schema" || name == "plugins" || name == "configs":
		if h := a.helper(method, segments); h != nil {
			return h, nil
		}
		return nil, fail(http.StatusNotFound, msgNotFound)
	case name == "stream_routes" && !a.Stream:
		return nil, fail(http.StatusBadRequest, msgStreamDisabled)
	case a.resources[name] != nil && segments[0] != "credentials": // these are below their consumers
		if h := a.resources[name].handler(method); h != nil {
			return a.handled(h), nil
		}
		return nil, fail(http.StatusNotFound, msgNotFound)
	default:
		return nil, fail(http.StatusNotFound, msgUnsupportedResource+name)
	}
}

// handled marks the answers of a resource handler, and has them wait until what
// was written is served.
func (a *api) handled(h func(*call) answer) func(*call) answer {
	return func(c *call) answer {
		answer := h(c)
		answer.handled = true
		if c.revision > 0 {
			a.applied(c.ctx, c.revision)
		}
		return answer
	}
}

// readBody reads and decodes the body, if there is one.
func readBody(w http.ResponseWriter, r *http.Request, c *call) (refused *answer) {
	raw, refused := readLimited(w, r, maxBody)
	if refused != nil || len(raw) == 0 {
		return refused
	}
	c.hasBody = true
	c.body, refused = decodeBody(raw)
	return refused
}

// readLimited reads a body of at most some bytes.
func readLimited(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *answer) {
	if r.ContentLength > most {
		drain(r.Body)
		return nil, fail(http.StatusBadRequest, tooLarge(r.ContentLength, most))
	}
	raw, err := readAll(http.MaxBytesReader(w, r.Body, most), r.ContentLength)
	if err == nil {
		return raw, nil
	}
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		drain(r.Body)
		return nil, fail(http.StatusBadRequest, tooLarge(most+1, most))
	}
	return nil, fail(http.StatusBadRequest, msgInvalidBody+"the body could not be read")
}

// drain reads what is still to come of a body that is too large, within reason: who is
// busy sending would see a broken connection instead of the answer.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, maxDrained) }

// maxDrained bounds that, in bytes.
const maxDrained = 16 << 20

func decodeBody(raw []byte) (any, *answer) {
	normal, err := cjson.Normalize(raw)
	var v any
	if err == nil {
		v, err = jsonvalue.Decode(normal)
	}
	if err != nil {
		return nil, &answer{status: http.StatusBadRequest, body: map[string]string{"error_msg": msgInvalidBody + err.Error(), "req_body": string(raw)}}
	}
	return v, nil
}

// readTTL reads ?ttl=, in seconds.
func readTTL(c *call) *answer {
	if !c.args.Has("ttl") {
		return nil
	}
	seconds, err := strconv.ParseFloat(c.args.Get("ttl"), 64)
	if err != nil || math.IsNaN(seconds) || seconds <= 0 {
		return fail(http.StatusBadRequest, msgBadTTL)
	}
	const most = math.MaxInt64 / 2
	c.ttl = time.Duration(min(seconds*float64(time.Second), most))
	return nil
}

// applied waits until a write is served. The write is done already, so one that
// is not served in time is only logged.
func (a *api) applied(ctx context.Context, revision int64) {
	if a.Applied == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := a.Applied.WaitApplied(ctx, revision); err != nil {
		a.Log.Warn("a change is stored but was not served in time", "revision", revision, "error", err)
	}
}

// parseAllowed reads an address or CIDR.
func parseAllowed(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}
