package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"millrace/whisk"
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

// answer is what a handler answers: JSON.
type answer struct {
	status       int // 0 is 200
	body         []byte
	activationID string
}

// maxTransactionID bounds the ids that clients may choose, in bytes.
const maxTransactionID = 256

// transactionID takes a client's own id, or makes one.
func transactionID(given string) string {
	if given != "" && len(given) <= maxTransactionID && !strings.HasPrefix(given, "sid_") {
		return given
	}
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var id [32]byte
	var random uint64
	for i := range id {
		if i%10 == 0 { // 62^10 < 2^64
			random = rand.Uint64()
		}
		id[i] = alphabet[random%uint64(len(alphabet))]
		random /= uint64(len(alphabet))
	}
	return string(id[:])
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
	h.Set("Content-Type", "application/json")
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

// discardTime is how long the rest of an unwanted body may take.
const discardTime = 5 * time.Second

// discardBody reads what is left of a refused request's body before the answer,
// which is still buffered, goes out: many clients read only when they have sent
// all, and net/http would close the connection on them.
func (x *exchange) discardBody(r *http.Request) {
	// Who expects 100 Continue sends nothing before there is an answer.
	if r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return
	}
	if err := http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(discardTime)); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, maxBody) // the answer is made either way
}

// failure makes the answer for an error. What is not meant for clients is
// logged, and they learn only that it happened.
func (a *API) failure(tid string, err error) answer {
	var e *whisk.Error
	if !errors.As(err, &e) {
		e = &whisk.Error{Status: http.StatusInternalServerError, Msg: whisk.MsgInternal, Err: err}
	}
	if e.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		a.Log.Error("answering a request", "status", e.Status, "transaction", tid, "error", err)
	}
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

// bodyReader reads a body whose sender must not pause for too long.
type bodyReader struct {
	from  io.Reader
	conn  *http.ResponseController
	pause time.Duration
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if err := b.conn.SetReadDeadline(time.Now().Add(b.pause)); err != nil {
		return 0, err
	}
	return b.from.Read(p)
}

// readBody reads a body of at most limit bytes. tooLarge makes the error for a
// larger one, whose size is known only as far as it was announced or read.
func (a *API) readBody(x *exchange, r *http.Request, limit int64, tooLarge func(size int64) error) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(r.ContentLength)
	}
	from := bodyReader{from: io.LimitReader(r.Body, limit+1), conn: http.NewResponseController(x.ResponseWriter), pause: a.bodyPause}
	// A client gets memory for what it has sent, not for what it announces.
	const ahead = 64 << 10
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0)+bytes.MinRead, ahead)))
	_, err := b.ReadFrom(&from)
	if err == nil {
		err = from.conn.SetReadDeadline(time.Time{}) // whether the client is still there is noticed by reading
	}
	switch n := int64(b.Len()); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &whisk.Error{Status: http.StatusRequestTimeout, Msg: whisk.MsgBodyTooSlow, Err: err}
	case err != nil:
		return nil, &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgMalformed("the body ended early"), Err: err}
	case n > limit:
		return nil, tooLarge(n)
	}
	return b.Bytes(), nil
}

// maxBody bounds PUT bodies; what is in them has limits of its own.
const maxBody = 50 << 20

// putBody reads the body of a PUT.
func (a *API) putBody(x *exchange, r *http.Request) ([]byte, error) {
	if err := checkJSONBody(r); err != nil {
		return nil, err
	}
	body, err := a.readBody(x, r, maxBody, func(int64) error {
		return &whisk.Error{Status: http.StatusRequestEntityTooLarge, Msg: whisk.MsgTransportLimit}
	})
	if err == nil && len(body) == 0 {
		err = &whisk.Error{Status: http.StatusBadRequest, Msg: whisk.MsgBodyMissing}
	}
	return body, err
}
