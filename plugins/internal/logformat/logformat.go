// Package logformat makes the entries of loggers: of a request, with its bodies if
// they are wanted, in the default form or in that which a configuration gives.
package logformat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace/internal/expr"
	"millrace/plugin"
)

// Schema are the members that the schema of every logger has.
const Schema = `"log_format":{"type":"object"},"log_format_extra":{"type":"object"},
		"include_req_body":{"type":"boolean","default":false},
		"include_req_body_expr":{"type":"array","minItems":1,"items":{"type":"array"}},
		"include_resp_body":{"type":"boolean","default":false},
		"include_resp_body_expr":{"type":"array","minItems":1,"items":{"type":"array"}},
		"max_req_body_bytes":{"type":"integer","minimum":1,"default":524288},
		"max_resp_body_bytes":{"type":"integer","minimum":1,"default":524288}`

// MetadataSchema are those of its metadata.
const MetadataSchema = `"log_format":{"type":"object"},"log_format_extra":{"type":"object"}`

const (
	// maxDepth bounds the nesting of a log_format.
	maxDepth = 5
	// readable is how long a request body may be to be logged at all: it is kept
	// in memory as a whole, even if only its beginning is logged.
	readable = 8 << 20
)

// Conf is what Schema describes.
type Conf struct {
	Format              json.RawMessage `json:"log_format"`
	FormatExtra         json.RawMessage `json:"log_format_extra"`
	IncludeReqBody      bool            `json:"include_req_body"`
	IncludeReqBodyExpr  json.RawMessage `json:"include_req_body_expr"`
	IncludeRespBody     bool            `json:"include_resp_body"`
	IncludeRespBodyExpr json.RawMessage `json:"include_resp_body_expr"`
	MaxReqBodyBytes     int             `json:"max_req_body_bytes"`
	MaxRespBodyBytes    int             `json:"max_resp_body_bytes"`

	Layout            `json:"-"`
	reqExpr, respExpr *expr.Expr
	namesBody         bool // the log_format has $request_body
}

// Metadata is what MetadataSchema describes.
type Metadata struct {
	Format      json.RawMessage `json:"log_format"`
	FormatExtra json.RawMessage `json:"log_format_extra"`

	Layout `json:"-"`
}

// Layout is a log_format and a log_format_extra made ready; either may be nil.
type Layout struct{ own, extra *object }

// Check compiles the metadata.
func (m *Metadata) Check() (err error) {
	m.Layout, err = compileLayout(m.Format, m.FormatExtra)
	return err
}

// Check compiles the configuration.
func (c *Conf) Check() (err error) {
	if c.Layout, err = compileLayout(c.Format, c.FormatExtra); err != nil {
		return err
	}
	c.namesBody = c.own.has("request_body")
	if c.reqExpr, err = expr.Compile(c.IncludeReqBodyExpr); err != nil {
		return fmt.Errorf("failed to validate the 'include_req_body_expr' expression: %w", err)
	}
	if c.respExpr, err = expr.Compile(c.IncludeRespBodyExpr); err != nil {
		return fmt.Errorf("failed to validate the 'include_resp_body_expr' expression: %w", err)
	}
	return nil
}

func compileLayout(format, extra json.RawMessage) (l Layout, err error) {
	if l.own, err = compileObject(format, 1); err != nil {
		return l, err
	}
	l.extra, err = compileObject(extra, 1)
	return l, err
}

// object is a form: members in the order of the configuration.
type object struct{ members []member }

// member is a constant, a variable or a form.
type member struct {
	key      []byte // as JSON, with a colon
	constant json.RawMessage
	variable string
	nested   *object
}

// compileObject reads a form; none, and one without members, is nil.
func compileObject(conf json.RawMessage, depth int) (*object, error) {
	if len(conf) == 0 {
		return nil, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("log_format nesting exceeds the maximum depth of %d", maxDepth)
	}
	d := json.NewDecoder(bytes.NewReader(conf))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	o := &object{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		name, _ := key.(string)
		m, err := compileMember(name, value, depth)
		if err != nil {
			return nil, err
		}
		o.members = append(o.members, m)
	}
	if len(o.members) == 0 {
		return nil, nil
	}
	return o, nil
}

// has tells whether a variable is among the members.
func (o *object) has(variable string) bool {
	return o != nil && slices.ContainsFunc(o.members, func(m member) bool { return m.variable == variable || m.nested.has(variable) })
}

func compileMember(name string, value json.RawMessage, depth int) (m member, err error) {
	m.key = append(appendText(nil, name), ':')
	switch value[0] {
	case '{':
		m.nested, err = compileObject(value, depth+1)
		if m.nested == nil {
			m.constant = value
		}
	case '"':
		text := ""
		if err = json.Unmarshal(value, &text); err == nil && strings.HasPrefix(text, "$") {
			m.variable = strings.TrimSuffix(strings.TrimPrefix(text[1:], "{"), "}")
			return m, nil
		}
		m.constant = value
	case '[':
		return m, errors.New("log_format values must be texts, numbers or objects")
	default:
		m.constant = value
	}
	return m, err
}

// appendMembers appends the members, each behind a comma unless it is the first in
// its object; variables that are absent are left out.
func (o *object) appendMembers(dst []byte, lookup expr.Lookup) []byte {
	for i := range o.members {
		m := &o.members[i]
		switch {
		case m.nested != nil:
			dst = append(key(dst, m.key), '{')
			dst = append(m.nested.appendMembers(dst, lookup), '}')
		case m.variable == "":
			dst = append(key(dst, m.key), m.constant...)
		default:
			v := lookup(m.variable)
			switch {
			case m.variable == "rpc_time" && json.Valid([]byte(v.Text)): // a number, as in APISIX
				dst = append(key(dst, m.key), v.Text...)
			case v.Present:
				dst = appendValue(key(dst, m.key), v)
			}
		}
	}
	return dst
}

func appendValue(dst []byte, v expr.Value) []byte {
	if v.List == nil {
		return appendText(dst, v.Text)
	}
	dst = append(dst, '[')
	for i, text := range v.List {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, text)
	}
	return append(dst, ']')
}

// Server says where an entry was made.
type Server struct{ Hostname, Version string }

// Bodies are what was kept of the bodies of a request; a nil one is not logged.
type Bodies struct{ Request, Response []byte }

// Given tells whether a form was given, by the configuration or by the metadata.
func (c *Conf) Given(meta *Metadata) bool { return c.own != nil || meta.own != nil }

// Append appends the entry of a request as one line of JSON without line feed. The
// form of the plugin's own configuration goes before that of its metadata.
func (c *Conf) Append(dst []byte, ctx *plugin.Context, meta *Metadata, server Server, bodies Bodies) []byte {
	own, extra := c.own, c.extra
	if own == nil {
		own = meta.own
	}
	if extra == nil {
		extra = meta.extra
	}
	if own == nil {
		return appendDefault(dst, ctx, server, bodies, extra)
	}
	dst = append(dst, '{')
	dst = own.appendMembers(dst, lookup(ctx, bodies))
	if id := ctx.Matched.RouteID; id != "" {
		dst = appendText(key(dst, []byte(`"route_id":`)), id)
	}
	if id := ctx.Matched.ServiceID; id != "" {
		dst = appendText(key(dst, []byte(`"service_id":`)), id)
	}
	if bodies.Request != nil && c.IncludeReqBody {
		dst = appendText(key(dst, []byte(`"request_body":`)), string(bodies.Request))
	}
	if bodies.Response != nil {
		dst = appendText(key(dst, []byte(`"response_body":`)), string(bodies.Response))
	}
	return append(dst, '}')
}

// lookup finds variables, and those that only logs have.
func lookup(ctx *plugin.Context, bodies Bodies) expr.Lookup {
	return func(name string) expr.Value {
		switch name {
		case "request_body":
			return expr.Value{Text: string(bodies.Request), Present: bodies.Request != nil}
		case "resp_body":
			return expr.Text(string(bodies.Response))
		case "start_time":
			return expr.Text(fmt.Sprint(ctx.Started.UnixMilli()))
		}
		return ctx.Var(name)
	}
}

// WantsRequestBody tells whether this request's body is logged: it may be wanted as
// such, or as a variable of the log_format.
func (c *Conf) WantsRequestBody(ctx *plugin.Context) bool {
	return c.namesBody && !c.IncludeReqBody || c.IncludeReqBody && c.reqExpr.Holds(ctx.Lookup())
}

// LogsBodies tells whether bodies of requests may be logged.
func (c *Conf) LogsBodies() bool { return c.IncludeReqBody || c.IncludeRespBody || c.namesBody }

// WantsResponseBody tells whether this answer's body is logged.
func (c *Conf) WantsResponseBody(ctx *plugin.Context) bool {
	return c.IncludeRespBody && c.respExpr.Holds(ctx.Lookup())
}

// RequestBody reads the beginning of the request's body; nil if it is too long to
// be kept, and then it streams on as if it had not been looked at.
func (c *Conf) RequestBody(ctx *plugin.Context) []byte {
	body, err := ctx.Request.Body(int64(max(readable, c.MaxReqBodyBytes)))
	if err != nil || len(body) == 0 {
		return nil
	}
	return bytes.Clone(body[:min(len(body), c.MaxReqBodyBytes)])
}
