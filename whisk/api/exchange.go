package api

import (
	"mime"
	"net/http"
	"strconv"

	"millrace/whisk"
	"millrace/whisk/request"
)

// exchange is one request and its answer: the ResponseWriter that handlers get,
// with what is known of the request so far.
type exchange struct {
	http.ResponseWriter
	tid    string // transaction id, also the code of error bodies
	caller *whisk.Identity

	refused bool // an error was answered

	// What the path names, checked. namespace is concrete, never "_".
	namespace, pkg, name string
}

// answer is what a handler answers: JSON, or text.
type answer struct {
	status       int // 0 is 200
	body         []byte
	text         bool
	activationID string
}

// versioned sets the headers of every answer under /api/v1.
func (x *exchange) versioned() {
	h := x.Header()
	h.Set("X-Request-Id", x.tid)
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent")
	h.Set("Access-Control-Allow-Methods", "GET, DELETE, POST, PUT, HEAD")
}

// resolve reads and checks the names in the path.
func (x *exchange) resolve(r *http.Request) error {
	x.namespace, x.pkg, x.name = r.PathValue("ns"), r.PathValue("pkg"), r.PathValue("name")
	if x.name == "" {
		x.name = r.PathValue("id")
	}
	if x.namespace == "_" {
		x.namespace = x.caller.Namespace
	}
	return checkPath(x.namespace, x.pkg, x.name)
}

// checkPath checks the names that are given.
func checkPath(namespace, pkg, name string) error {
	if namespace != "" {
		if err := whisk.CheckNamespace(namespace); err != nil {
			return err
		}
	}
	for _, s := range [...]string{pkg, name} {
		if s == "" {
			continue
		}
		if err := whisk.CheckName(s); err != nil {
			return err
		}
	}
	return nil
}

// write sends the answer, or the error in its place.
func (a *API) write(x *exchange, out answer, err error) {
	if err != nil {
		out = a.failure(x.tid, err)
	}
	h := x.Header()
	if out.status == http.StatusNoContent {
		x.WriteHeader(out.status)
		return
	}
	h.Set("Content-Type", "application/json")
	if out.text {
		h.Set("Content-Type", "text/plain; charset=UTF-8")
	}
	h.Set("Content-Length", strconv.Itoa(len(out.body)))
	if out.activationID != "" {
		h.Set("X-Openwhisk-Activation-Id", out.activationID)
	}
	if out.status != 0 {
		x.WriteHeader(out.status)
	}
	_, _ = x.Write(out.body) // a client that went away needs no answer
	x.refused = err != nil
}

// failure makes the answer for an error.
func (a *API) failure(tid string, err error) answer {
	e := request.Failure(a.Log, tid, err)
	b := append(make([]byte, 0, 64+len(e.Msg)+len(tid)), `{"code":`...)
	b = whisk.AppendString(b, tid)
	b = append(b, `,"error":`...)
	b = whisk.AppendString(b, e.Msg)
	return answer{status: e.Status, body: append(b, '}')}
}

// checkJSONBody answers nil or the 415 for a body that is labelled as something
// else than JSON.
func checkJSONBody(r *http.Request) error {
	given := r.Header.Get("Content-Type")
	if given == "" {
		given = "application/octet-stream"
	}
	if t, _, err := mime.ParseMediaType(given); err == nil && t == "application/json" {
		return nil
	}
	return &whisk.Error{Status: http.StatusUnsupportedMediaType, Msg: whisk.MsgContentType(given)}
}

// readBody reads a body of at most limit bytes; see request.Body.
func (a *API) readBody(x *exchange, r *http.Request, limit int64, tooLarge func(size int64) error) ([]byte, error) {
	return request.Body(x.ResponseWriter, r, limit, a.bodyPause, tooLarge)
}

// putBody reads the body of a PUT.
func (a *API) putBody(x *exchange, r *http.Request) ([]byte, error) {
	if err := checkJSONBody(r); err != nil {
		return nil, err
	}
	body, err := a.readBody(x, r, request.MaxBody, func(int64) error {
		return &whisk.Error{Status: http.StatusRequestEntityTooLarge, Msg: whisk.MsgTransportLimit}
	})
	if err == nil && len(body) == 0 {
		err = &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgBodyMissing}
	}
	return body, err
}
