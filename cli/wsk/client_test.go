package wsk

import (
	"errors"
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
