package api

import (
	_ "embed"
	"net/http"
)

// apiDocs describes this API as Swagger 2.0. The tests of this package hold every
// answer that they see against it.
//
//go:embed apidocs.json
var apiDocs []byte

// serveDocs answers the description, to everybody.
func (a *API) serveDocs(x *exchange, r *http.Request) {
	if r.Method != http.MethodGet {
		a.write(x, answer{}, errNoSuchPath())
		return
	}
	a.write(x, answer{body: apiDocs}, nil)
}
