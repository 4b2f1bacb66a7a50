package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"millrace/store"
)

// answer is what a request is answered with. The body is JSON, save for nil
// (nothing below 300, else an error page), string and rawBody (as they are).
type answer struct {
	status int
	body   any
	// handled is true for the answers of resource handlers, which carry the
	// version of the API.
	handled bool
}

// rawBody is a body that is sent as it is.
type rawBody struct {
	contentType string
	bytes       []byte
}

// storeFailed answers that the store could not be read or written, in the words of
// APISIX's etcd client where it has some.
func storeFailed(err error) *answer {
	text := msgStore
	switch {
	case errors.Is(err, store.ErrUnavailable):
		text = msgNoEtcd
	case errors.Is(err, store.ErrTooLarge):
		text = msgTooLarge
	}
	return fail(http.StatusServiceUnavailable, text)
}

// fail makes the answer of an error.
func fail(status int, msg string) *answer {
	return &answer{status: status, body: map[string]string{"error_msg": msg}}
}

func keyNotFound() answer {
	return answer{status: http.StatusNotFound, body: map[string]string{"message": msgKeyNotFound}}
}

// page makes the answer with an error page.
func page(status int) answer { return answer{status: status} }

func (a answer) write(w http.ResponseWriter) error {
	contentType, body, err := a.render()
	if err != nil {
		return err
	}
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(a.status)
	_, err = w.Write(body)
	return err
}

func (a answer) render() (contentType string, body []byte, err error) {
	switch b := a.body.(type) {
	case nil:
		if a.status < 300 {
			return "", nil, nil
		}
		title := fmt.Sprintf("%d %s", a.status, reason(a.status))
		return "text/html; charset=utf-8", []byte("<!DOCTYPE html>\n<title>" + title + "</title>\n<h1>" + title + "</h1>\n"), nil
	case rawBody:
		return b.contentType, b.bytes, nil
	case string:
		return "text/plain; charset=utf-8", []byte(b), nil
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err = enc.Encode(a.body)
	return "application/json", text.Bytes(), err
}

// reason is a status with the words that nginx's pages have for it.
func reason(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "Authorization Required"
	case http.StatusMethodNotAllowed:
		return "Not Allowed"
	case http.StatusServiceUnavailable:
		return "Service Temporarily Unavailable"
	}
	return http.StatusText(status)
}

// readAll reads a body whose announced size is a hint only.
func readAll(r io.Reader, size int64) ([]byte, error) {
	var b bytes.Buffer
	if size > 0 {
		b.Grow(int(size) + bytes.MinRead)
	}
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}
