package web

import (
	"io"
	"net/http"
	"strconv"

	"millrace/whisk"
)

// response is what a client gets.
type response struct {
	status      int
	contentType string // empty: none
	header      http.Header
	body        string
	headerBytes int // of names and values that an action gave
}

// failure makes the answer for an error.
func failure(tid string, e *whisk.Error) response {
	b := append(make([]byte, 0, 64+len(e.Msg)+len(tid)), "{\n  \"code\": "...)
	b = whisk.AppendString(b, tid)
	b = append(b, ",\n  \"error\": "...)
	b = whisk.AppendString(b, e.Msg)
	b = append(b, "\n}"...)
	return response{status: e.Status, contentType: typeJSON, body: text(b)}
}

// Values of headers that most answers have. They are shared, so nobody may
// change them.
var (
	anyOrigin      = []string{"*"}
	allowedMethods = []string{"OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"}
	allowedHeaders = []string{"Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"}
)

// send writes the answer. What the action says about CORS stands in place of what
// is said otherwise.
func (x *exchange) send(res *response) {
	h := x.w.Header()
	for name, values := range res.header {
		h[name] = values
	}
	h["X-Request-Id"] = []string{x.tid}
	if x.activationID != "" {
		h["X-Openwhisk-Activation-Id"] = []string{x.activationID}
	}
	if !x.traits.customOptions {
		x.allowOrigins(h)
	}
	if !mayHaveBody(res.status) {
		x.w.WriteHeader(res.status)
		return
	}
	if res.body != "" && res.contentType != "" {
		h["Content-Type"] = []string{res.contentType}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(res.body))}
	x.w.WriteHeader(res.status)
	_, _ = io.WriteString(x.w, res.body) // a client that went away needs no answer
}

// allowOrigins adds the CORS headers that web actions have by default.
func (x *exchange) allowOrigins(h http.Header) {
	setDefault(h, "Access-Control-Allow-Origin", anyOrigin)
	setDefault(h, "Access-Control-Allow-Methods", allowedMethods)
	if asked := x.Request.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
		setDefault(h, "Access-Control-Allow-Headers", asked[:1])
		return
	}
	setDefault(h, "Access-Control-Allow-Headers", allowedHeaders)
}

func setDefault(h http.Header, name string, values []string) {
	if _, ok := h[name]; !ok {
		h[name] = values
	}
}

// mayHaveBody tells whether HTTP lets an answer with this status have a body.
func mayHaveBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusResetContent && status != http.StatusNotModified
}
