package plugin

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/tidwall/gjson"

	"millrace/internal/expr"
)

// Limits bound the bodies that variables are read from, in bytes; where they are 0, what
// APISIX has by default does.
type Limits struct{ PostArgs, Graphql int64 }

func (l *Limits) postArgs() int64 { return cmp.Or(l.PostArgs, 64<<20) }
func (l *Limits) graphql() int64  { return cmp.Or(l.Graphql, 1<<20) }

// bodyVars is what variables have found in a body, kept until it is another: a request
// may be held against many routes.
type bodyVars struct {
	of     []byte
	kind   string
	params map[string]string
	json   gjson.Result // of a body of JSON

	graphql    graphqlDefinition
	graphqlErr error
	read       bool // the two of graphql are known
}

// bodyOf reads the body, nil if there is none that is short enough.
func (c *Context) bodyOf(limit int64) *bodyVars {
	body, err := c.Request.Body(limit)
	if err != nil || len(body) == 0 {
		return nil
	}
	if v := c.bodyVars; v != nil && len(v.of) == len(body) && &v.of[0] == &body[0] {
		return v
	}
	v := &bodyVars{of: body}
	if v.kind, v.params, err = mime.ParseMediaType(string(c.Request.Header("Content-Type"))); err != nil {
		v.kind = ""
	}
	if v.kind == "application/json" && gjson.ValidBytes(body) {
		v.json = gjson.ParseBytes(body)
	}
	c.bodyVars = v
	return v
}

// postArgVar is post_arg_NAME: the first value in a form.
func (c *Context) postArgVar(name string) expr.Value {
	if v := c.bodyOf(c.Limits.postArgs()); v != nil && v.kind == "application/x-www-form-urlencoded" {
		return formVar(string(v.of), name)
	}
	return expr.Value{}
}

// postPathVar is post_arg.PATH: a value in a form or in JSON.
func (c *Context) postPathVar(path string) expr.Value {
	v := c.bodyOf(c.Limits.postArgs())
	if v == nil {
		return expr.Value{}
	}
	switch v.kind {
	case "application/x-www-form-urlencoded":
		return formVar(string(v.of), path)
	case "multipart/form-data":
		return multipartVar(v.of, v.params["boundary"], path)
	case "application/json":
		return jsonVar(v.json, path)
	}
	return expr.Value{}
}

// bodyVar is request_body, if the body has been read.
func (c *Context) bodyVar() expr.Value {
	if r, ok := c.Request.(interface{ WholeBody() []byte }); ok {
		return present(string(r.WholeBody()))
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
