package apis

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Gateway serves the APIs: /api/{tenant}{base path}{path}.
type Gateway struct {
	apis *APIs
	// web serves the platform's web actions.
	web   http.Handler
	proxy http.RoundTripper
	pause time.Duration // how long a client may pause while it sends a body elsewhere
}

// Gateway answers the handler that serves the APIs. Web actions of the platform
// are called through web, which gets requests for /api/v1/web/….
func (a *APIs) Gateway(web http.Handler) *Gateway {
	return &Gateway{apis: a, web: web, proxy: newTransport(a.cfg.Backends), pause: bodyPause}
}

const servedBelow = "/api/"

// ServeHTTP finds the API and its operation, checks what the API asks of its
// clients, and hands the request to the backend.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), servedBelow)
	tenant, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		tenant, path = rest[:i], rest[i:]
	}
	var p *api
	var place *node
	if ok {
		p, place = g.apis.site(tenant).match(path)
	}
	if p == nil || g.apis.cfg.Tenants.Namespace(p.namespace) == nil {
		fail(w, http.StatusNotFound, msgNotFound)
		return
	}
	if p.cors != corsBackend {
		w = &corsWriter{ResponseWriter: w, on: p.cors == corsOn}
	}
	if p.cors == corsOn && r.Method == http.MethodOptions {
		preflight(w, r, place)
		return
	}
	act := place.actions[r.Method]
	if act == nil {
		fail(w, http.StatusNotFound, msgVerbUnknown)
		return
	}
	client, ok := p.client(r)
	if !ok {
		fail(w, http.StatusUnauthorized, msgUnauthorized)
		return
	}
	if !p.limit.admit(client, time.Now()) {
		fail(w, http.StatusTooManyRequests, msgRateExceeded)
		return
	}
	g.forward(w, r, act, path)
}

// fail answers in the gateway's own form.
func fail(w http.ResponseWriter, status int, message string) {
	body, _ := json.Marshal(struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}{status, message})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away needs no answer
}

// preflight answers what a page of another origin may send.
func preflight(w http.ResponseWriter, r *http.Request, place *node) {
	methods := slices.Sorted(maps.Keys(place.actions))
	if !slices.Contains(methods, http.MethodOptions) {
		methods = append(methods, http.MethodOptions)
	}
	headers := r.Header.Get("Access-Control-Request-Headers")
	if headers == "" {
		headers = "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// corsWriter puts the API's CORS policy over what the backend answers.
type corsWriter struct {
	http.ResponseWriter
	on   bool
	sent bool
}

const allowOrigin = "Access-Control-Allow-Origin"

func (w *corsWriter) WriteHeader(status int) {
	if !w.sent {
		w.sent = status >= 200
		h := w.Header()
		switch {
		case !w.on:
			maps.DeleteFunc(h, func(name string, _ []string) bool { return strings.HasPrefix(name, "Access-Control-") })
		case h.Get(allowOrigin) == "":
			h.Set(allowOrigin, "*")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *corsWriter) Write(b []byte) (int, error) {
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (w *corsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what was written so far.
func (w *corsWriter) Flush() {
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // best effort, as with any Flusher
}
