package server

import (
	"net/http"
	"time"
)

const (
	// firstBytes is how long a client may take until a body begins to arrive that
	// nobody has begun to read.
	firstBytes = 60 * time.Second
	// leftover is how long it may take to send what is left of a body once the
	// request has its answer, which net/http holds back that long.
	leftover = 5 * time.Second
)

// unhurried keeps clients from holding a connection for ever by a body that they
// announce and do not send.
//
// A connection is not used again after a chunked body: net/http lets such a
// request have a Content-Length too and does not say so. Whoever in front of us
// takes that for the length of the body must not have its rest taken for another
// request (RFC 9112, 6.1).
func unhurried(h http.Handler, leftover time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			h.ServeHTTP(w, r)
			return
		}
		if r.ContentLength < 0 {
			w.Header().Set("Connection", "close")
		}
		conn := http.NewResponseController(w)
		// A connection that takes no deadline has gone, which reading it tells.
		_ = conn.SetReadDeadline(time.Now().Add(firstBytes))
		h.ServeHTTP(w, r)
		_ = conn.SetReadDeadline(time.Now().Add(leftover))
	})
}
