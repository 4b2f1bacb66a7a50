package plugins

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"millrace/internal/pcre"
	"millrace/plugin"
)

const redirectSchema = `{"type":"object",
	"properties":{
		"ret_code":{"type":"integer","minimum":200,"default":302},
		"uri":{"type":"string","minLength":2},
		"regex_uri":{"description":"params for generating new uri that substitute from client uri, first param is regular expression, the second one is uri template",
			"type":"array","maxItems":2,"minItems":2,"items":{"description":"regex uri","type":"string"}},
		"http_to_https":{"type":"boolean"},
		"encode_uri":{"type":"boolean","default":false},
		"append_query_string":{"type":"boolean","default":false}
	},
	"oneOf":[{"required":["uri"]},{"required":["regex_uri"]},{"required":["http_to_https"]}]}`

//lint:ignore ST1005 clients know this text from APISIX
var errRedirectQuery = errors.New("only one of `http_to_https` and `append_query_string` can be configured.")

func init() { plugin.Register[redirect]("redirect", 900, redirectSchema) }

// HTTPSPort is a service of the process that says where clients find its HTTPS.
type HTTPSPort interface {
	// HTTPSPort answers 0 if the port need not be named.
	HTTPSPort() int
}

// redirect sends clients elsewhere.
type redirect struct {
	RetCode           int      `json:"ret_code"`
	URI               string   `json:"uri"`
	RegexURI          []string `json:"regex_uri"`
	HTTPToHTTPS       bool     `json:"http_to_https"`
	EncodeURI         bool     `json:"encode_uri"`
	AppendQueryString bool     `json:"append_query_string"`

	uri   *plugin.Template
	regex *pcre.Pattern
	port  string // with its colon; of HTTPS
}

var (
	_ plugin.Checker  = (*redirect)(nil)
	_ plugin.Initer   = (*redirect)(nil)
	_ plugin.Rewriter = (*redirect)(nil)
)

// Check compiles the template and the pattern.
func (p *redirect) Check() (err error) {
	if p.HTTPToHTTPS && p.AppendQueryString {
		return errRedirectQuery
	}
	if p.URI != "" {
		p.uri = plugin.CompileTemplate(p.URI)
	}
	if p.RegexURI != nil {
		if p.regex, err = pcre.Compile(p.RegexURI[0]); err != nil {
			return fmt.Errorf(msgBadRedirect, p.RegexURI[0], p.RegexURI[1], err)
		}
	}
	return nil
}

// Init finds out the port of HTTPS.
func (p *redirect) Init(env *plugin.Env) error {
	if s, ok := plugin.Service[HTTPSPort](env); ok && s.HTTPSPort() != 0 && s.HTTPSPort() != 443 {
		p.port = ":" + strconv.Itoa(s.HTTPSPort())
	}
	return nil
}

// Rewrite answers with the new place, if there is one for the request.
func (p *redirect) Rewrite(c *plugin.Context) error {
	if p.HTTPToHTTPS {
		return p.toHTTPS(c)
	}
	location, err := p.location(c)
	if err != nil || location == "" {
		return err
	}
	path, query, hasQuery := strings.Cut(location, "?")
	if p.EncodeURI {
		path = escapeURIPath(path)
	}
	if hasQuery {
		path += "?" + query
	}
	if p.AppendQueryString {
		path = joinQuery(path, c.Request.Query())
	}
	c.Response.SetHeader("Location", path)
	return c.Exit(p.RetCode, nil)
}

// location answers the new place, "" if there is none for the request.
func (p *redirect) location(c *plugin.Context) (string, error) {
	switch {
	case p.uri != nil:
		return p.uri.Expand(c.Lookup()), nil
	case p.regex != nil:
		location, n, err := p.regex.Replace(c.Request.Path(), p.RegexURI[1], -1)
		if err != nil || n == 0 {
			return "", err
		}
		return location, nil
	}
	return "", nil // http_to_https is false
}

// toHTTPS sends a request that did not come by HTTPS there; only GET and HEAD may
// be repeated as another method.
func (p *redirect) toHTTPS(c *plugin.Context) error {
	scheme := c.Conn.Scheme
	if forwarded := c.Request.Header("X-Forwarded-Proto"); forwarded != nil {
		scheme = string(forwarded)
	}
	if strings.EqualFold(scheme, "https") {
		return nil
	}
	c.Response.SetHeader("Location", "https://"+c.Var("host").Text+p.port+c.Var("request_uri").Text)
	if m := c.Request.Method(); m == "GET" || m == "HEAD" {
		return c.Exit(301, nil)
	}
	return c.Exit(308, nil)
}
