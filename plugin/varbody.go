package plugin

import (
	"bytes"
	"encoding/base64"
	"mime"
	"mime/multipart"
	"strings"

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
