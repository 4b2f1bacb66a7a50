// Package operator serves the API by which operators make, change and delete the
// namespaces of the platform, their keys and their limits. OpenWhisk leaves that
// to a tool that writes into its database.
//
// It has a listener and a key of its own; keys of namespaces mean nothing here.
// All of it is JSON; an error is {"error":"…"}. Times are in ms since 1970.
//
//	GET    /v1/namespaces?after=NAME&limit=100
//	PUT    /v1/namespaces/{name}                {"subject","key","limits"}, all optional; answers the key
//	GET    /v1/namespaces/{name}
//	PATCH  /v1/namespaces/{name}                {"subject","blocked","limits"}, those to change
//	DELETE /v1/namespaces/{name}?force=true
//	POST   /v1/namespaces/{name}/block, /unblock
//	GET    /v1/namespaces/{name}/limits
//	PUT    /v1/namespaces/{name}/limits         the overrides, in place of those there are
//	PATCH  /v1/namespaces/{name}/limits         those to change; null unsets one
//	DELETE /v1/namespaces/{name}/limits
//	GET    /v1/namespaces/{name}/keys
//	POST   /v1/namespaces/{name}/keys           {"key","expiresIn"}, both optional; answers the key
//	POST   /v1/namespaces/{name}/keys/rotate    {"grace"}, such as "1h"; answers the key
//	DELETE /v1/namespaces/{name}/keys/{uuid}
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"millrace/whisk"
	"millrace/whisk/request"
	"millrace/whisk/tenant"
)

// MinKeyLength is how long the operator key must be at least, in bytes.
const MinKeyLength = 32

// Config is what New needs. APIHost may be empty.
type Config struct {
	Log        *slog.Logger
	Namespaces *tenant.Registry
	// APIHost is where clients of the namespaces reach the REST API; it is told
	// with new keys.
	APIHost string
	// Key is what requests must carry: Authorization: Bearer KEY.
	Key string
}

// API is an http.Handler. It may be used by several goroutines.
type API struct {
	log        *slog.Logger
	namespaces *tenant.Registry
	apiHost    string
	gate       gate
	mux        *http.ServeMux
}

// New checks the configuration and makes the handler.
func New(c Config) (*API, error) {
	if c.Log == nil || c.Namespaces == nil {
		return nil, errors.New("making the operator API: a part it needs is missing")
	}
	if len(c.Key) < MinKeyLength {
		return nil, errors.New("the operator key must have at least 32 characters")
	}
	a := &API{log: c.Log, namespaces: c.Namespaces, apiHost: c.APIHost, gate: newGate(c.Key), mux: http.NewServeMux()}
	a.routes()
	return a, nil
}

func (a *API) routes() {
	const one = "/v1/namespaces/{name}"
	a.handle("GET /v1/namespaces", a.list)
	a.handle("PUT "+one, a.create)
	a.handle("GET "+one, a.show)
	a.handle("PATCH "+one, a.change)
	a.handle("DELETE "+one, a.remove)
	a.handle("POST "+one+"/block", a.block(true))
	a.handle("POST "+one+"/unblock", a.block(false))
	a.handle("GET "+one+"/limits", a.showLimits)
	a.handle("PUT "+one+"/limits", a.replaceLimits)
	a.handle("PATCH "+one+"/limits", a.patchLimits)
	a.handle("DELETE "+one+"/limits", a.unsetLimits)
	a.handle("GET "+one+"/keys", a.listKeys)
	a.handle("POST "+one+"/keys", a.addKey)
	a.handle("POST "+one+"/keys/rotate", a.rotateKeys)
	a.handle("DELETE "+one+"/keys/{uuid}", a.revokeKey)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.write(w, 0, nil, refusal(http.StatusNotFound, msgNoSuchPath))
	})
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a.gate.admit(r); err != nil {
		if err == errWrongKey {
			w.Header().Set("WWW-Authenticate", `Bearer realm="millrace operator"`)
		} else {
			w.Header().Set("Retry-After", "60")
		}
		a.write(w, 0, nil, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	a.mux.ServeHTTP(w, r)
	request.Discard(w, r) // what is left of a body that was refused
}

// handler answers a request: with a document, or with nothing if that is nil.
type handler func(r *http.Request) (status int, document any, err error)

func (a *API) handle(pattern string, h handler) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		status, document, err := h(r)
		a.write(w, status, document, err)
	})
}

// write sends the answer, or the error in its place.
func (a *API) write(w http.ResponseWriter, status int, document any, err error) {
	if err != nil {
		status, document = a.failure(err)
	}
	if document == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // a client that went away needs no answer
}

type failureDocument struct {
	Error string `json:"error"`
}

// failure makes the answer for an error. What is not meant for clients is logged.
func (a *API) failure(err error) (int, any) {
	var e *whisk.Error
	if errors.As(err, &e) {
		return e.Status, failureDocument{e.Msg}
	}
	if !errors.Is(err, context.Canceled) {
		a.log.Error("answering an operator", "error", err)
	}
	return http.StatusInternalServerError, failureDocument{whisk.MsgInternal}
}

func refusal(status int, text string) error { return &whisk.Error{Status: status, Msg: text} }

// maxBody bounds request bodies, in bytes.
const maxBody = 64 << 10

// body reads a request's body; empty counts as {}.
func body(r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, &whisk.Error{Status: http.StatusBadRequest, Msg: msgBodyEnded, Err: err}
	case len(text) > maxBody:
		return nil, refusal(http.StatusRequestEntityTooLarge, msgBodyTooLarge)
	case len(text) == 0:
		return []byte("{}"), nil
	}
	return text, nil
}

// read decodes a request's body, which may have no member that to has not.
func read(r *http.Request, to any) error {
	text, err := body(r)
	if err != nil {
		return err
	}
	if err := decode(text, to); err != nil {
		return refusal(http.StatusBadRequest, msgMalformed(err))
	}
	return nil
}
