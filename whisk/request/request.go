// Package request reads HTTP requests to the functions API, for the REST API and
// for web actions: their transaction id, the key they carry, their body within
// limits of size and time; and it says what of a failure its sender may see.
package request

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"

	"millrace/whisk"
)

// MaxURI bounds the path and query of a request, in bytes.
const MaxURI = 8 << 10

// maxTransactionID bounds the ids that clients may choose, in bytes.
const maxTransactionID = 256

// TransactionID takes a client's own id (the header X-Request-ID), or makes one.
func TransactionID(given string) string {
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

// Key answers the key (uuid:secret) of a request with Basic authentication, empty
// if it cannot be read; given is false for a request without such authentication.
func Key(r *http.Request) (key string, given bool) {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	if err != nil {
		return "", true
	}
	return string(b), true
}

// Failure answers what the sender of a request may see of an error. What is not
// meant for clients is logged, and they learn only that it happened.
func Failure(log *slog.Logger, tid string, err error) *whisk.Error {
	var e *whisk.Error
	if !errors.As(err, &e) {
		e = &whisk.Error{Status: http.StatusInternalServerError, Msg: whisk.MsgInternal, Err: err}
	}
	if e.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		log.Error("answering a request", "status", e.Status, "transaction", tid, "error", err)
	}
	return e
}
