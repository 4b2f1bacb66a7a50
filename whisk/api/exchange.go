package api

import (
	"iter"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"millrace/whisk"
	"millrace/whisk/request"
)

// exchange is one request and its answer: the ResponseWriter that handlers get,
// with what is known of the request so far.
type exchange struct {
	http.ResponseWriter
	tid    string // transaction id, also the code of error bodies
	caller *whisk.Identity

	reads   bool // nothing is changed
	refused bool // an error was answered
	// done gives back the memory that the body is measured to take; may be nil.
	done  func()
	taken int64 // memory that the answer is measured to take

	// What the path names, checked. namespace is concrete, never "_".
	namespace, pkg, name string
}

// answer is what a handler answers: JSON, or text.
type answer struct {
	status       int // 0 is 200
	body         []byte
	text         bool
	more         iter.Seq2[[]byte, error] // what follows body, in pieces; may be nil
	activationID string
}

// letGo says that the body is no longer needed, or is part of a call: the calls of
// a namespace are bounded themselves.
func (x *exchange) letGo() {
	if x.done != nil {
		x.done()
	}
}

// measure takes memory for the answer, until that is sent. The error is a
// *whisk.Error.
func (x *exchange) measure(m *request.Meter, n int64) error {
	if n <= request.Small || x.caller == nil {
		return nil
	}
	if err := m.Take(x.caller.Namespace, n); err != nil {
		return err
	}
	x.taken += n
	return nil
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
	if err == nil && x.reads { // what was done has its answer
		err = x.measure(a.Meter, int64(len(out.body)))
	}
	if err != nil {
		out = a.failure(x.tid, err)
	}
	if x.taken > 0 {
		defer func() { a.Meter.Give(x.caller.Namespace, x.taken); x.taken = 0 }()
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
	if out.more == nil {
		h.Set("Content-Length", strconv.Itoa(len(out.body)))
	}
	if out.activationID != "" {
		h.Set("X-Openwhisk-Activation-Id", out.activationID)
	}
	if out.status != 0 {
		x.WriteHeader(out.status)
	}
	x.refused = err != nil
	if len(out.body) <= request.Small {
		_, _ = x.Write(out.body) // a client that went away needs no answer
		return
	}
	x.send(&out)
}

// answerPause is how long a client may take to read a piece of a large answer.
const answerPause = 30 * time.Second

// send sends a large body, and gives up a client that does not read it.
func (x *exchange) send(out *answer) {
	conn := http.NewResponseController(x.ResponseWriter)
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }() // the connection may serve others
	piece := func(b []byte) bool {
		for part := range slices.Chunk(b, request.Small) {
			_ = conn.SetWriteDeadline(time.Now().Add(answerPause)) // without one it takes as long as it takes
			if _, err := x.Write(part); err != nil {
				return false
			}
		}
		return true
	}
	if !piece(out.body) || out.more == nil {
		return
	}
	for b, err := range out.more {
		if err != nil || !piece(b) {
			panic(http.ErrAbortHandler) // the client must not take what it has for all
		}
	}
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
	x.done = a.Meter.Metered(r, x.caller.Namespace)
	return request.Body(x.ResponseWriter, r, limit, a.bodyPause, tooLarge)
}

// putBody reads the body of a PUT, and whether it may take the place of what is there.
func (a *API) putBody(x *exchange, r *http.Request) (body []byte, overwrite bool, err error) {
	if overwrite, err = queryBool(r.URL.Query(), "overwrite", false); err != nil {
		return nil, false, err
	}
	if r.ContentLength == 0 && r.Header.Get("Content-Type") == "" {
		return nil, false, &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgBodyMissing}
	}
	if err := checkJSONBody(r); err != nil {
		return nil, false, err
	}
	body, err = a.readBody(x, r, request.MaxBody, func(int64) error {
		return &whisk.Error{Status: http.StatusRequestEntityTooLarge, Msg: whisk.MsgTransportLimit}
	})
	if err == nil && len(body) == 0 {
		err = &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgBodyMissing}
	}
	return body, overwrite, err
}
