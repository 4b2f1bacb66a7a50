package admin

import (
	"log/slog"
	"net/http"
)

// StatusConfig says what the status API tells.
type StatusConfig struct {
	Log *slog.Logger
	// Ready tells whether the configuration is loaded.
	Ready func() bool
	// Version is this program's own, for the Server header.
	Version string
}

// The answers of the status API, which are text there. One process stands for
// the only worker.
const (
	statusOK       = `{"status":"ok"}`
	statusNotReady = `{"status":"error","error":"worker id: 0 has not received configuration"}`
)

// NewStatus makes the status API: /status, which is fine while the process runs,
// and /status/ready, which is fine once it can serve.
func NewStatus(cfg StatusConfig) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Server"] = []string{"millrace/" + cfg.Version}
		answer := page(http.StatusNotFound)
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
		case r.URL.Path == "/status", r.URL.Path == "/status/ready" && cfg.Ready():
			answer.status, answer.body = http.StatusOK, statusOK
		case r.URL.Path == "/status/ready":
			answer.status, answer.body = http.StatusServiceUnavailable, statusNotReady
		}
		if err := answer.write(w); err != nil {
			cfg.Log.Debug("writing answer of the status API", "path", r.URL.Path, "error", err)
		}
	})
}
