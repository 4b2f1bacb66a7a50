package plugin

import (
	"bytes"
	"encoding/base64"
	"mime"
	"mime/multipart"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"

	"millrace/internal/expr"
)

// maxPostArgs bounds the bodies that variables are read from.
const maxPostArgs = 64 << 20

// bodyOf reads the body if it is of a type that variables can be read from.
func (c *Context) bodyOf() (kind string, params map[string]string, body []byte) {
	kind, params, err := mime.ParseMediaType(string(c.Request.Header("Content-Type")))
	if err != nil {
		return "", nil, nil
	}
	if body, err = c.Request.Body(maxPostArgs); err != nil {
		return "", nil, nil
	}
	return kind, params, body
}

// postArgVar is post_arg_NAME: the first value in a form.
func (c *Context) postArgVar(name string) expr.Value {
	kind, _, body := c.bodyOf()
	if kind != "application/x-www-form-urlencoded" {
		return expr.Value{}
	}
	return formVar(string(body), name)
}

// postPathVar is post_arg.PATH: a value in a form or in JSON.
func (c *Context) postPathVar(path string) expr.Value {
	kind, params, body := c.bodyOf()
	switch kind {
	case "application/x-www-form-urlencoded":
		return formVar(string(body), path)
	case "multipart/form-data":
		return multipartVar(body, params["boundary"], path)
	case "application/json":
		return jsonVar(body, path)
	}
	return expr.Value{}
}

func multipartVar(body []byte, boundary, name string) expr.Value {
	if boundary == "" {
		return expr.Value{}
	}
	for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := r.NextPart()
		if err != nil {
			return expr.Value{}
		}
		if part.FormName() != name {
			continue
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(part); err != nil {
			return expr.Value{}
		}
		return expr.Text(b.String())
	}
}

// jsonVar finds a value by a dotted path, or all that match if the path has [, * or
// two dots.
func jsonVar(body []byte, path string) expr.Value {
	if !gjson.ValidBytes(body) {
		return expr.Value{}
	}
	several := strings.ContainsAny(path, "[*") || strings.Contains(path, "..")
	r := gjson.GetBytes(body, jsonPath(path))
	if !r.Exists() {
		return expr.Value{}
	}
	if !several {
		return expr.Text(r.String())
	}
	v := expr.Value{List: []string{}, Present: true}
	for _, item := range r.Array() {
		v.List = append(v.List, item.String())
	}
	return v
}

var brackets = regexp.MustCompile(`\[(\*|\d+)\]`)

// jsonPath turns a[*].b and a[0] into gjson's a.#.b and a.0.
func jsonPath(path string) string {
	return brackets.ReplaceAllStringFunc(path, func(m string) string {
		if m == "[*]" {
			return ".#"
		}
		return "." + m[1:len(m)-1]
	})
}

// remoteUser is the user of Basic credentials.
func (c *Context) remoteUser() expr.Value {
	scheme, credentials, _ := strings.Cut(string(c.Request.Header("Authorization")), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return expr.Value{}
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	if err != nil {
		return expr.Value{}
	}
	user, _, ok := strings.Cut(string(text), ":")
	return expr.Value{Text: user, Present: ok}
}

// graphqlOperation finds the operation of a GraphQL document: its sort, its name.
var graphqlOperation = regexp.MustCompile(`^\s*(?:#[^\n]*\n\s*)*(query|mutation|subscription)?\s*([_A-Za-z]\w*)?`)

// maxGraphql bounds a GraphQL request.
const maxGraphql = 1 << 20

// graphqlVar is graphql_operation, graphql_name and graphql_root_fields.
func (c *Context) graphqlVar(what string) expr.Value {
	doc := c.graphqlDocument()
	if doc == "" {
		return expr.Value{}
	}
	m := graphqlOperation.FindStringSubmatch(doc)
	switch what {
	case "operation":
		if m == nil || m[1] == "" {
			return expr.Text("query")
		}
		return expr.Text(m[1])
	case "name":
		if m == nil {
			return expr.Text("")
		}
		return expr.Text(m[2])
	case "root_fields":
		return expr.Value{List: rootFields(doc), Present: true}
	}
	return expr.Value{}
}

func (c *Context) graphqlDocument() string {
	if c.Request.Method() == "GET" {
		return c.argVar("query").Text
	}
	body, err := c.Request.Body(maxGraphql)
	if err != nil {
		return ""
	}
	if kind, _, _ := mime.ParseMediaType(string(c.Request.Header("Content-Type"))); kind == "application/graphql" {
		return string(body)
	}
	return gjson.GetBytes(body, "query").String()
}

// rootFields are the names in the outermost braces, aliases left out.
func rootFields(doc string) []string {
	fields, depth, parens := []string{}, 0, 0
	for i := 0; i < len(doc); i++ {
		switch ch := doc[i]; {
		case ch == '#':
			for i < len(doc) && doc[i] != '\n' {
				i++
			}
		case ch == '"':
			for i++; i < len(doc) && doc[i] != '"'; i++ {
				if doc[i] == '\\' {
					i++
				}
			}
		case ch == '{':
			depth++
		case ch == '}':
			depth--
		case ch == '(':
			parens++
		case ch == ')':
			parens--
		case depth == 1 && parens == 0 && nameChar(ch):
			start := i
			for i < len(doc) && nameChar(doc[i]) {
				i++
			}
			name := doc[start:i]
			if rest := strings.TrimLeft(doc[i:], " \t\r\n"); !strings.HasPrefix(rest, ":") {
				fields = append(fields, name)
			}
			i--
		}
	}
	return fields
}
