// Package web serves web actions: functions that anybody may call with a plain
// HTTP request, at /api/v1/web/{namespace}/{package|default}/{action}[.ext][/rest].
//
// A request's parts become the arguments of a blocking call in the name of the
// action's owner, whom it is charged to, and the result of the call becomes the
// HTTP answer, in the way that the extension says.
package web

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/invoke"
	"millrace/whisk/request"
)

// Identities knows who may call.
type Identities interface {
	// Authenticate finds who has a key (uuid:secret). The error is a *whisk.Error
	// 401.
	Authenticate(key string) (*whisk.Identity, error)
	// Namespace answers the identity that a namespace itself calls with, or nil.
	Namespace(name string) *whisk.Identity
}

// Actions finds actions.
type Actions interface {
	// Resolve finds the action that caller means by n and may call. Errors are
	// *whisk.Error: 403, 404, 409 or 422.
	Resolve(caller *whisk.Identity, n whisk.FullName) (*whisk.Resolved, error)
}

// Invoker runs calls.
type Invoker interface {
	// Admit counts a call of id and answers nil or the *whisk.Error 429 that
	// says which limit of its namespace is reached.
	Admit(id *whisk.Identity) error
	// Invoke runs a blocking call. It answers the record once the call has ended,
	// or nil if that takes longer than the caller waits.
	Invoke(ctx context.Context, call *invoke.Call) (*whisk.Activation, error)
}

// Config is what New needs. All fields must be set, except for the last two.
type Config struct {
	Log        *slog.Logger
	Identities Identities
	Actions    Actions
	Invoker    Invoker
	// Limits are those of namespaces that have none of their own.
	Limits *whisk.SystemLimits
	// Meter bounds what clients have in memory at once; nil: nothing does.
	Meter *request.Meter
	// Sandbox has browsers give what actions answer an origin of its own.
	Sandbox bool
}

// Handler serves web actions. It may be used by several goroutines.
type Handler struct {
	Config
	wait  time.Duration // for the end of a call
	pause time.Duration // how long a client may pause while it sends a body
}

// New makes the handler.
func New(c Config) *Handler {
	return &Handler{Config: c, wait: c.Limits.BlockingWait, pause: request.Pause}
}

// exchange is one request on its way to its answer.
type exchange struct {
	*http.Request
	w      http.ResponseWriter
	tid    string
	owner  *whisk.Identity // of the action
	caller *whisk.Identity // nil: nobody in particular
	target *whisk.Resolved
	traits traits
	// activationID is empty until there is a call.
	activationID string
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Request: r, w: w, tid: request.TransactionID(r.Header.Get("X-Request-Id"))}
	res, err := h.serve(x)
	if err != nil {
		res = failure(x.tid, request.Failure(h.Log, x.tid, err))
	}
	if h.Sandbox {
		sandbox(&res)
	}
	x.send(&res)
	if err != nil && res.status != http.StatusRequestTimeout { // who was too slow has been waited for
		request.Discard(w, r)
	}
}

// serve is the walk of a request. The order of its checks can be told by clients.
func (h *Handler) serve(x *exchange) (response, error) {
	if len(x.RequestURI) > request.MaxURI {
		return response{}, &whisk.Error{Status: http.StatusRequestURITooLong, Msg: whisk.MsgURITooLong}
	}
	if !verbs[x.Method] {
		res := failure(x.tid, &whisk.Error{Status: http.StatusMethodNotAllowed, Msg: msgMethod})
		res.header = http.Header{"Allow": allowedMethods}
		return res, nil
	}
	to, ok := parseAddress(x.URL.EscapedPath())
	if !ok && x.Method == http.MethodOptions {
		return response{status: http.StatusOK}, nil // as everywhere where there is no web action
	}
	if !ok {
		return response{}, whisk.NotFound()
	}
	if err := h.find(x, &to); err != nil {
		return response{}, err
	}
	if err := h.admit(x); err != nil {
		return response{}, err
	}
	if x.Method == http.MethodOptions && !x.traits.customOptions {
		return response{status: http.StatusOK}, nil
	}
	if !h.authorize(x) {
		return response{}, &whisk.Error{Status: http.StatusUnauthorized, Msg: msgUnauthorized}
	}
	args, err := h.arguments(x, &to)
	if err != nil {
		return response{}, err
	}
	return h.call(x, args, to.extension)
}

var verbs = map[string]bool{
	http.MethodGet: true, http.MethodPost: true, http.MethodPut: true, http.MethodDelete: true,
	http.MethodPatch: true, http.MethodHead: true, http.MethodOptions: true,
}

// find sets the owner and the action. Whatever the reason why there is no such
// web action, the error is the same.
func (h *Handler) find(x *exchange, to *address) error {
	owner := h.Identities.Namespace(to.name.Namespace)
	if owner == nil {
		return whisk.NotFound()
	}
	target, err := h.Actions.Resolve(owner, to.name)
	if err != nil {
		if e := (*whisk.Error)(nil); errors.As(err, &e) {
			return whisk.NotFound()
		}
		return err
	}
	t := traitsOf(target.Action.Annotations)
	if !t.exported {
		return whisk.NotFound()
	}
	x.owner, x.target, x.traits = owner, target, t
	return nil
}

// admit checks what the owner may do, and the announced size of the body.
func (h *Handler) admit(x *exchange) error {
	if err := x.owner.CheckKind(x.target.Action.Exec.Kind); err != nil {
		return err
	}
	if err := h.Invoker.Admit(x.owner); err != nil {
		return err
	}
	if limit := h.payloadLimit(x); x.ContentLength > limit {
		return tooLarge(x.ContentLength, limit)
	}
	return nil
}

func (h *Handler) payloadLimit(x *exchange) int64 {
	return x.owner.SystemLimits(h.Limits).Payload
}

func tooLarge(size, limit int64) error {
	return &whisk.Error{Status: http.StatusRequestEntityTooLarge, Msg: whisk.MsgTooLarge("Request", size, limit)}
}

// authorize sets the caller, nobody if the credentials are wrong, and tells
// whether the action may be called with what the request brings.
func (h *Handler) authorize(x *exchange) bool {
	if key, given := request.Key(x.Request); given {
		if id, err := h.Identities.Authenticate(key); err == nil {
			x.caller = id
		}
	}
	switch {
	case x.Method == http.MethodOptions:
		return true // browsers send preflights without credentials
	case x.traits.auth == authKey:
		return x.caller != nil
	case x.traits.auth == authSecret:
		given := x.Header["X-Require-Whisk-Auth"]
		return len(given) > 0 && subtle.ConstantTimeCompare([]byte(given[0]), []byte(x.traits.secret)) == 1
	}
	return x.traits.auth == authNone
}

// call runs the action and makes the answer of its result.
func (h *Handler) call(x *exchange, args []byte, ext extension) (response, error) {
	x.activationID = invoke.NewID()
	rec, err := h.Invoker.Invoke(x.Context(), &invoke.Call{
		ID: x.activationID, TransactionID: x.tid, Caller: x.owner,
		Action: x.target.Action, Inherited: x.target.Inherited, Binding: x.target.Binding,
		Payload: args, Blocking: true, Wait: h.wait,
	})
	if err != nil {
		x.activationID = ""
		return response{}, err
	}
	if rec == nil {
		return failure(x.tid, &whisk.Error{Status: http.StatusAccepted, Msg: msgNotReady}), nil
	}
	result := gjson.Parse(text(rec.Response.Result))
	switch rec.Response.Status {
	case whisk.Success:
	case whisk.ApplicationError:
		if result = result.Get("error"); !result.Exists() {
			return response{}, &whisk.Error{Status: http.StatusNotFound, Msg: msgNoProperty}
		}
	default:
		return response{}, bad(msgFailed)
	}
	res, err := ext.transcode(result)
	if err == nil && !acceptable(x.Header["Accept"], &res) {
		err = &whisk.Error{Status: http.StatusNotAcceptable, Msg: msgNotAcceptable(res.contentType)}
	}
	return res, err
}

func bad(msg string) error { return &whisk.Error{Status: http.StatusBadRequest, Msg: msg} }

// traits are what the annotations of an action say about its life as a web
// action.
type traits struct {
	exported, raw, customOptions bool
	auth                         authMode
	secret                       string
}

// authMode is what a request must bring.
type authMode int

const (
	authNone   authMode = iota
	authKey             // the key of any namespace
	authSecret          // the action's own secret
	authNever           // nothing opens it
)

func traitsOf(annotations whisk.KeyValues) traits {
	var t traits
	for i := range annotations {
		value := strings.TrimSpace(text(annotations[i].Value))
		switch annotations[i].Key {
		case "web-export":
			t.exported = value == "true"
		case "raw-http":
			t.raw = value == "true"
		case "web-custom-options":
			t.customOptions = value == "true"
		case "require-whisk-auth":
			t.auth, t.secret = authOf(value)
		}
	}
	return t
}

// authOf reads the annotation require-whisk-auth.
func authOf(value string) (authMode, string) {
	switch v := gjson.Parse(value); v.Type {
	case gjson.True:
		return authKey, ""
	case gjson.False:
		return authNone, ""
	case gjson.String:
		return authSecret, v.Str
	case gjson.Number:
		return authSecret, v.Raw
	}
	return authNever, ""
}
