// Package console is the dashboard's web server. Today it is one page that says
// what this process is: its roles and addresses, the kinds of action it can run
// and how they are isolated. It shows no entity and no record of any namespace,
// so it asks for no key.
package console

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
)

// Status is what the page shows; as JSON it is the answer of GET /status.
type Status struct {
	Version   string    `json:"version"`
	Addresses []Address `json:"addresses"`
	Kinds     []Kind    `json:"kinds"`
	Isolation []Layer   `json:"isolation"`
	// Credentials is the line about keys that everybody knows, if any is in force.
	Credentials string `json:"credentials,omitempty"`
}

// Address is where a role listens.
type Address struct {
	Role string `json:"role"`
	What string `json:"what"`
	URL  string `json:"url"`
}

// Kind is a kind of action and the program that runs it here.
type Kind struct {
	Name string `json:"name"`
	Runs string `json:"runs"`
}

// Layer is one means of isolation; Reason says why it is not active.
type Layer struct {
	Name   string `json:"name"`
	Active bool   `json:"active"`
	Reason string `json:"reason,omitempty"`
}

//go:embed console.html
var pageText string

var page = template.Must(template.New("console").Parse(pageText))

// New makes the console's handler; status is asked for at every request.
func New(log *slog.Logger, status func() Status) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var text bytes.Buffer
		if err := page.Execute(&text, status()); err != nil {
			log.Error("rendering the console's page", "error", err)
			http.Error(w, "the page cannot be shown; the log says why", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Write(text.Bytes())
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(status()); err != nil {
			log.Debug("writing the console's status", "error", err)
		}
	})
	return mux
}
