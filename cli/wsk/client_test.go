package wsk

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// A host without a scheme stands for HTTPS, as in the original; a server that
// speaks HTTP is then reached with the scheme that the error names.
func TestHostWithoutSchemeOfAPlainServer(t *testing.T) {
	server := httptest.NewServer(nil)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	props := filepath.Join(t.TempDir(), "props")
	a := &app{
		Env:   Env{Lookup: func(name string) (string, bool) { return props, name == "WSK_CONFIG_FILE" }},
		flags: globalFlags{apihost: host, auth: "u:k"},
	}
	c, err := a.client(true)
	if err != nil {
		t.Fatal(err)
	}
	err = c.call(t.Context(), "GET", "/namespaces", nil, nil, nil)
	var failed *Error
	if !errors.As(err, &failed) || failed.Code != exitNetwork || !strings.HasSuffix(failed.Msg, "wsk property set --apihost http://"+host) {
		t.Errorf("got %v, want a failure that names http://%s", err, host)
	}
}

// A key that is none is sent all the same, so that the platform says it is invalid
// and not that there was none.
func TestKeyWithoutColon(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"The supplied authentication is invalid","code":"x"}`)) // which the command prints
	}))
	defer server.Close()
	out := command(t, server.URL, "namespace", "list", "--auth", "bogus")
	if got != "Basic Ym9ndXM=" || out.code != 145 || !strings.Contains(out.stderr, "The supplied authentication is invalid") {
		t.Errorf("sent %q, got %+v", got, out)
	}
}
