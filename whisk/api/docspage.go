package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

//go:embed docspage.html
var docsTemplate string

// docsPath is the page for people; OpenWhisk has Swagger UI there, which is told
// by a query parameter what to show.
const docsPath = "/api/v1/docs/index.html"

// docsRow is a row of the page for people.
type docsRow struct {
	Method, Path, Summary string
	Query                 []queryParameter
}

type queryParameter struct{ Name, Description string }

// docsPage renders apiDocs for people, in its order.
func docsPage() []byte {
	var operations []docsRow
	gjson.GetBytes(apiDocs, "paths").ForEach(func(path, methods gjson.Result) bool {
		methods.ForEach(func(method, o gjson.Result) bool {
			row := docsRow{Method: strings.ToUpper(method.String()), Path: path.String(), Summary: o.Get("summary").String()}
			for _, p := range o.Get(`parameters.#(in=="query")#`).Array() {
				row.Query = append(row.Query, queryParameter{p.Get("name").String(), p.Get("description").String()})
			}
			operations = append(operations, row)
			return true
		})
		return true
	})
	var page bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsTemplate)).Execute(&page, operations); err != nil {
		panic(err) // the template and what it is given are both of this package
	}
	return page.Bytes()
}

// serveDocsPage answers the page for people, to everybody.
func (a *API) serveDocsPage(x *exchange, r *http.Request) {
	switch {
	case r.Method != http.MethodGet:
		a.write(x, answer{}, errNoSuchPath())
	case r.URL.Path == docsPath:
		x.Header().Set("Content-Type", "text/html; charset=UTF-8")
		x.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = x.Write(a.about.page) // a client that went away needs no answer
	default:
		x.Header().Set("Location", docsPath+"?url=/api/v1/api-docs")
		x.WriteHeader(http.StatusPermanentRedirect)
	}
}
