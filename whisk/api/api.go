// Package api serves OpenWhisk's REST API. The gateway's openwhisk plugin enters
// through InvokeLocal, which passes the same checks as a request over HTTP.
//
// A request is authenticated, its path checked and its caller authorized, in
// that order; handlers answer documents or a *whisk.Error, and one writer makes
// of them the bytes that OpenWhisk's clients know.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"strings"
	"time"

	"millrace/activation"
	"millrace/whisk"
	"millrace/whisk/catalog"
	"millrace/whisk/invoke"
	"millrace/whisk/request"
)

// Invoker runs calls.
type Invoker interface {
	// Admit counts a call of id and answers nil or the *whisk.Error 429 that
	// says which limit of its namespace is reached.
	Admit(id *whisk.Identity) error
	// AdmitAlso is Admit for a call that will be accepted in one step with so
	// many others, admitted before.
	AdmitAlso(id *whisk.Identity, others int) error
	// AdmitFire counts a trigger that id fires, as Admit counts calls.
	AdmitFire(id *whisk.Identity) error
	// Invoke runs a call, or queues it unless it is blocking. It answers the
	// record once the call has ended, or nil if that takes longer than the
	// caller waits; it does not use the payload after that. Errors are
	// *whisk.Error, or failures of our own.
	Invoke(ctx context.Context, call *invoke.Call) (*whisk.Activation, error)
	// AcceptAll queues calls that were admitted, and puts records with them, in
	// one durable write. The error is a *whisk.Error.
	AcceptAll(ctx context.Context, calls []*invoke.Call, records ...*whisk.Activation) error
}

// Identities knows who may call.
type Identities interface {
	// Authenticate finds who has a key (uuid:secret). The error is a *whisk.Error
	// 401.
	Authenticate(key string) (*whisk.Identity, error)
	// Namespace answers the identity that a namespace itself calls with, or nil.
	Namespace(name string) *whisk.Identity
}

// Config is what New needs. All fields must be set, except where they say
// otherwise.
type Config struct {
	Log         *slog.Logger
	Catalog     *catalog.Catalog
	Activations activation.Log
	Invoker     Invoker
	Manifest    *whisk.Manifest
	Limits      whisk.SystemLimits
	Identities  Identities
	// Queue knows the accepted calls that wait and the dead letters. nil: there
	// are none.
	Queue Queue
	// Web serves web actions, below /api/v1/web/; nil: there are none.
	Web http.Handler
	// Meter bounds what clients have in memory at once; nil: nothing does.
	Meter *request.Meter
	// WellKnown: a key that everybody knows is in force (see WellKnown), so
	// requests whose Host or Origin is not loopback are refused.
	WellKnown bool
	// Build is shown by GET /api/v1 and is a time, 2026-01-02T03:04:05Z; Buildno
	// a short text. They may be empty.
	Build, Buildno string
	// RecordWait is how long a request for the record of a call that still runs
	// waits for its end, so that a client that polls until there is a record
	// finds a finished one. 0: 2 s.
	RecordWait time.Duration
}

// API is an http.Handler. It may be used by several goroutines.
type API struct {
	Config
	mux   *http.ServeMux
	about staticDocuments
	// bodyPause is how long a client may pause while it sends a body.
	bodyPause time.Duration
	// heartbeat is how often a stream of logs says that it is alive.
	heartbeat time.Duration
	followers followers
	loads     *gate // of records and lists, each of which may be as large as any
	codes     *gate // of the large code of actions
}

// New checks the configuration and makes the handler.
func New(c Config) (*API, error) {
	if c.Log == nil || c.Catalog == nil || c.Activations == nil || c.Invoker == nil || c.Manifest == nil || c.Identities == nil {
		return nil, errors.New("making the REST API: a part it needs is missing")
	}
	if c.RecordWait <= 0 {
		c.RecordWait = 2 * time.Second
	}
	turns := max(2, runtime.GOMAXPROCS(0))
	a := &API{Config: c, mux: http.NewServeMux(), bodyPause: request.Pause, heartbeat: 15 * time.Second}
	a.loads, a.codes = newGate(turns, 4*turns), newGate(turns, 2*turns)
	a.about = a.staticDocuments(time.Now())
	a.routes()
	return a, nil
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, tid: request.TransactionID(r.Header.Get("X-Request-Id")), reads: r.Method == http.MethodGet}
	a.serve(x, r)
	x.letGo()
	if x.refused {
		request.Discard(w, r)
	}
}

func (a *API) serve(x *exchange, r *http.Request) {
	if a.WellKnown && !fromLoopback(r) {
		a.write(x, answer{}, &whisk.Error{Status: http.StatusForbidden, Msg: msgWellKnownKey})
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/api/v1")
	if !ok || rest != "" && rest[0] != '/' {
		a.serveOutside(x, r)
		return
	}
	if a.Web != nil && strings.HasPrefix(rest, "/web/") {
		a.Web.ServeHTTP(x.ResponseWriter, r)
		return
	}
	x.versioned()
	switch {
	case len(r.RequestURI) > request.MaxURI:
		a.write(x, answer{}, &whisk.Error{Status: http.StatusRequestURITooLong, Msg: whisk.MsgURITooLong})
	case r.Method == http.MethodOptions:
		x.WriteHeader(http.StatusOK)
	case (rest == "" || rest == "/") && r.Method == http.MethodGet:
		a.write(x, answer{body: a.about.version}, nil)
	case rest == "/api-docs":
		a.serveDocs(x, r)
	case rest == "/docs" || rest == "/docs/" || r.URL.Path == docsPath:
		a.serveDocsPage(x, r)
	default:
		a.serveAuthenticated(x, r)
	}
}

func (a *API) serveAuthenticated(x *exchange, r *http.Request) {
	caller, err := a.authenticate(r)
	if err != nil {
		x.Header().Set("WWW-Authenticate", `Basic realm="OpenWhisk secure realm",charset=UTF-8`)
		a.write(x, answer{}, err)
		return
	}
	x.caller = caller
	// The mux would redirect a path that is not clean, and answers HEAD like GET.
	escaped := r.URL.EscapedPath()
	if r.Method == http.MethodHead || path.Clean(escaped) != strings.TrimSuffix(escaped, "/") {
		a.write(x, answer{}, errNoSuchPath())
		return
	}
	a.mux.ServeHTTP(x, r)
}

// routes fills the mux for authenticated requests. Its last pattern takes what
// no other does, wrong methods too: deployed OpenWhisk answers those with 404.
func (a *API) routes() {
	const ns = "/api/v1/namespaces/{ns}"
	a.both("GET", "/api/v1/namespaces", a.listNamespaces)
	a.both("GET", ns+"/limits", a.showLimits)

	a.both("GET", ns+"/actions", a.listActions)
	a.handle("GET "+ns+"/actions/{pkg}/{$}", a.listActions)
	for _, p := range []string{ns + "/actions/{name}", ns + "/actions/{pkg}/{name}"} {
		a.handle("GET "+p, a.showAction)
		a.handle("PUT "+p, a.putAction)
		a.handle("DELETE "+p, a.deleteAction)
		a.handle("POST "+p, a.invokeAction)
	}

	a.both("GET", ns+"/packages", a.listPackages)
	a.handle("GET "+ns+"/packages/{name}", a.showPackage)
	a.handle("PUT "+ns+"/packages/{name}", a.putPackage)
	a.handle("DELETE "+ns+"/packages/{name}", a.deletePackage)

	a.both("GET", ns+"/triggers", a.listTriggers)
	a.handle("GET "+ns+"/triggers/{name}", a.showTrigger)
	a.handle("PUT "+ns+"/triggers/{name}", a.putTrigger)
	a.handle("DELETE "+ns+"/triggers/{name}", a.deleteTrigger)
	a.handle("POST "+ns+"/triggers/{name}", a.fireTrigger)

	a.both("GET", ns+"/rules", a.listRules)
	a.handle("GET "+ns+"/rules/{name}", a.showRule)
	a.handle("PUT "+ns+"/rules/{name}", a.putRule)
	a.handle("DELETE "+ns+"/rules/{name}", a.deleteRule)
	a.handle("POST "+ns+"/rules/{name}", a.setRuleState)

	a.both("GET", ns+"/activations", a.listActivations)
	a.handle("GET "+ns+"/activations/{id}", a.showActivation)
	a.mux.HandleFunc("GET "+ns+"/activations/{id}/logs", a.serveLogs)
	a.handle("GET "+ns+"/activations/{id}/result", a.showResult)

	a.both("GET", ns+"/deadletters", a.listLetters)
	a.handle("GET "+ns+"/deadletters/{id}", a.showLetter)
	a.handle("POST "+ns+"/deadletters/{id}", a.redriveLetter)
	a.handle("DELETE "+ns+"/deadletters/{id}", a.deleteLetter)

	a.handle("/", func(*exchange, *http.Request) (answer, error) { return answer{}, errNoSuchPath() })
}

// handler answers an authenticated request.
type handler func(x *exchange, r *http.Request) (answer, error)

func (a *API) handle(pattern string, h handler) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		if err := x.resolve(r); err != nil {
			a.write(x, answer{}, err)
			return
		}
		out, err := h(x, r)
		a.write(x, out, err)
	})
}

// both registers a collection with and without a slash at its end.
func (a *API) both(method, p string, h handler) {
	a.handle(method+" "+p, h)
	a.handle(method+" "+p+"/{$}", h)
}

func errNoSuchPath() error {
	return &whisk.Error{Status: http.StatusNotFound, Msg: whisk.MsgNoSuchPath}
}
