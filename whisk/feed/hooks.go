package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"millrace/whisk"
	"millrace/whisk/request"
)

// ServeHTTP answers POST /api/v1/hooks/{address}, which fires the trigger if it is
// signed, and GET by the owner of the trigger, who learns the secret.
func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	tid := request.TransactionID(r.Header.Get("X-Request-Id"))
	rw.Header().Set("X-Request-ID", tid)
	status, answer, err := w.serve(rw, r)
	if err != nil {
		e := request.Failure(w.feeds.cfg.Log, tid, err)
		request.Discard(rw, r)
		if e.Status == http.StatusUnauthorized && r.Method == http.MethodGet {
			rw.Header().Set("WWW-Authenticate", `Basic realm="OpenWhisk secure realm",charset=UTF-8`)
		}
		status, answer = e.Status, map[string]string{"error": e.Msg, "code": tid}
	}
	if answer == nil {
		rw.WriteHeader(status)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		w.feeds.cfg.Log.Error("encoding an answer", "error", err)
		status = http.StatusInternalServerError
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_, _ = rw.Write(body) // the client may be gone
}

func (w *webhook) serve(rw http.ResponseWriter, r *http.Request) (status int, answer map[string]string, err error) {
	s := w.at(addressOf(r.URL.Path))
	if s == nil {
		return 0, nil, whisk.NotFound()
	}
	switch r.Method {
	case http.MethodPost:
		return w.receive(rw, r, s)
	case http.MethodGet:
		return w.show(r, s)
	}
	rw.Header().Set("Allow", "GET, POST")
	return 0, nil, &whisk.Error{Status: http.StatusMethodNotAllowed, Msg: msgMethod}
}

// receive fires the trigger with what a request brings.
func (w *webhook) receive(rw http.ResponseWriter, r *http.Request, s *Subscription) (int, map[string]string, error) {
	if !s.Active {
		return 0, nil, whisk.NotFound()
	}
	limit := w.feeds.cfg.MaxPayload
	defer w.feeds.cfg.Meter.Metered(r, s.Namespace)()
	body, err := request.Body(rw, r, limit, request.Pause, func(size int64) error {
		return &whisk.Error{Status: http.StatusRequestEntityTooLarge, Msg: whisk.MsgTooLarge("Request", size, limit)}
	})
	if err != nil {
		return 0, nil, err
	}
	h, err := readHook(s)
	if err != nil {
		return 0, nil, err
	}
	now := time.Now()
	secrets, err := w.secrets(s, h, now)
	if err != nil {
		return 0, nil, err
	}
	if !h.verify(r.Header, body, secrets, now) {
		return 0, nil, &whisk.Error{Status: http.StatusUnauthorized, Msg: msgSignature}
	}
	payload := event(body)
	if full := withHeaders(payload, r.Header); int64(len(full)) <= limit {
		payload = full
	}
	id, _, err := w.feeds.Fire(r.Context(), s, payload)
	switch {
	case err != nil:
		return 0, nil, err
	case id == "":
		return http.StatusNoContent, nil, nil
	}
	return http.StatusAccepted, map[string]string{"activationId": id}, nil
}

// show answers the owner.
func (w *webhook) show(r *http.Request, s *Subscription) (int, map[string]string, error) {
	key, _ := request.Key(r)
	caller, err := w.feeds.cfg.Keys.Authenticate(key)
	if err != nil {
		return 0, nil, err
	}
	if caller.Namespace != s.Namespace || !w.feeds.hasTrigger(s) {
		return 0, nil, whisk.NotFound()
	}
	h, err := readHook(s)
	if err != nil {
		return 0, nil, err
	}
	secrets, err := w.secrets(s, h, time.Now())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]string{"trigger": "/" + s.Namespace + "/" + s.Trigger, "url": w.url(h), "secret": secrets[0]}, nil
}

// event makes of a body what the trigger is fired with: a JSON object as it is,
// anything else as {"payload":body}.
func event(body []byte) []byte {
	if len(body) == 0 {
		return []byte("{}")
	}
	if whisk.CheckJSON(body) == nil {
		if whisk.IsObject(body) {
			return bytes.TrimSpace(body)
		}
		if b := wrapped(body); whisk.CheckJSON(b) == nil { // else it nests too deeply now
			return b
		}
	}
	if utf8.Valid(body) {
		return wrapped(whisk.AppendString(nil, string(body)))
	}
	b := wrapped(whisk.AppendString(nil, base64.StdEncoding.EncodeToString(body)))
	return append(b[:len(b)-1], `,"encoding":"base64"}`...)
}

// headersKey is the member that OpenWhisk gives to a trigger's actions.
const headersKey = "__ow_headers"

// withHeaders adds headers to an object that does not bring some, without those
// that only prove who sent the request.
func withHeaders(object []byte, header http.Header) []byte {
	if gjson.GetBytes(object, headersKey).Exists() {
		return object
	}
	shown := map[string]string{}
	for name, values := range header {
		switch name {
		case "Authorization", "Proxy-Authorization", "Cookie", headerSignature, headerGitHub, "X-Hub-Signature":
		default:
			shown[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return object // texts always encode
	}
	inner := bytes.TrimSpace(object[1 : len(object)-1])
	b := append([]byte(`{"`+headersKey+`":`), text...)
	if len(inner) > 0 {
		b = append(append(b, ','), inner...)
	}
	return append(b, '}')
}

var _ http.Handler = (*webhook)(nil)
