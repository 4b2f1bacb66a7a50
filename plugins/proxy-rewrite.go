package plugins

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"millrace/internal/expr"
	"millrace/internal/pcre"
	"millrace/plugin"
)

const proxyRewriteSchema = `{"type":"object",
	"properties":{
		"uri":{"type":"string","minLength":1,"maxLength":4096,"pattern":"^\\/.*","description":"new uri for upstream"},
		"method":{"type":"string","description":"proxy route method",
			"enum":["GET","POST","PUT","HEAD","DELETE","OPTIONS","MKCOL","COPY","MOVE","PROPFIND","LOCK","UNLOCK","PATCH","TRACE"]},
		"regex_uri":{"type":"array","minItems":2,"items":{"type":"string"},
			"description":"new uri that substitute from client uri for upstream, lower priority than uri property"},
		"host":{"type":"string","pattern":"^[0-9a-zA-Z-.]+(:\\d{1,5})?$","description":"new host for upstream"},
		"headers":{"description":"new headers for request","oneOf":[
			{"type":"object","minProperties":1,"additionalProperties":false,"properties":{
				"add":` + headerValuesSchema + `,"set":` + headerValuesSchema + `,
				"remove":{"type":"array","minItems":1,"items":{"type":"string","pattern":"^[^:]+$"}}}},
			{"type":"object","minProperties":1,"additionalProperties":false,
				"patternProperties":{"^[^:]+$":{"oneOf":[{"type":"string"},{"type":"number"}]}}}]},
		"use_real_request_uri_unsafe":{"type":"boolean","default":false,"description":"use real_request_uri instead, THIS IS VERY UNSAFE."}
	}}`

// headerValuesSchema is that of headers with one value or several.
const headerValuesSchema = `{"type":"object","minProperties":1,"patternProperties":{"^[^:]+$":{"oneOf":[
	{"type":"string"},{"type":"number"},
	{"type":"array","minItems":1,"items":{"oneOf":[{"type":"string"},{"type":"number"}]}}]}},"additionalProperties":false}`

func init() { plugin.Register[proxyRewrite]("proxy-rewrite", 1008, proxyRewriteSchema) }

// proxyRewrite changes what the upstream is sent: target, method, host, headers.
type proxyRewrite struct {
	URI      *string         `json:"uri"`
	Method   string          `json:"method"`
	RegexURI []string        `json:"regex_uri"`
	Host     string          `json:"host"`
	Headers  json.RawMessage `json:"headers"`
	RealURI  bool            `json:"use_real_request_uri_unsafe"`

	uri     *plugin.Template
	pairs   []uriPair
	headers *headerChanges
}

// uriPair is a pattern with what takes the place of its match.
type uriPair struct {
	pattern     *pcre.Pattern
	replacement string
}

var (
	_ plugin.Checker  = (*proxyRewrite)(nil)
	_ plugin.Rewriter = (*proxyRewrite)(nil)
)

// Check compiles the configuration.
func (p *proxyRewrite) Check() (err error) {
	if len(p.RegexURI)%2 != 0 {
		return fmt.Errorf("%s", msgOddRegexURI) // the text is APISIX's, with its capital letter
	}
	for i := 0; i < len(p.RegexURI); i += 2 {
		pattern, err := pcre.Compile(p.RegexURI[i])
		if err != nil {
			return fmt.Errorf(msgBadRegexURI, p.RegexURI[i], p.RegexURI[i+1], err)
		}
		p.pairs = append(p.pairs, uriPair{pattern, p.RegexURI[i+1]})
	}
	if p.URI != nil {
		p.uri = plugin.CompileTemplate(*p.URI)
	}
	p.headers, err = parseHeaderChanges(p.Headers)
	return err
}

// Rewrite sets what the upstream is sent.
func (p *proxyRewrite) Rewrite(c *plugin.Context) error {
	captures, err := p.rewriteTarget(c)
	if err != nil {
		return c.Exit(500, map[string]string{"error_msg": err.Error()})
	}
	if p.Method != "" {
		c.UpstreamMethod = p.Method
	}
	if p.Host != "" {
		c.UpstreamHost = p.Host
	}
	if p.headers != nil {
		p.headers.apply(c.Request, captures.lookup(c))
	}
	return nil
}

// captures are the groups of the match of a regex_uri.
type captures struct {
	subject string
	match   []int
}

// lookup answers variables, those named by a number from the captures.
func (cs captures) lookup(c *plugin.Context) expr.Lookup {
	if cs.match == nil {
		return c.Var
	}
	return func(name string) expr.Value {
		if i, err := strconv.Atoi(name); err == nil {
			text, ok := pcre.Submatch(cs.subject, cs.match, i)
			return expr.Value{Text: text, Present: ok}
		}
		return c.Var(name)
	}
}

// rewriteTarget sets the request target. The path is that which routes are matched
// by, escaped again; of the client's target itself only the query is kept.
func (p *proxyRewrite) rewriteTarget(c *plugin.Context) (cs captures, err error) {
	target := c.Request.Path()
	if p.RealURI {
		target = c.Request.Target()
	}
	split := false // a ? in target begins its query
	switch {
	case p.uri != nil:
		split = true
		target = p.uri.Expand(func(name string) expr.Value { return withoutSeparator(c.Var(name)) })
	case len(p.pairs) > 0:
		split = !strings.Contains(target, "?")
		if target, cs, err = p.replaceURI(target); err != nil {
			return cs, err
		}
	}
	if p.RealURI {
		if p.uri != nil {
			target = joinQuery(target, c.Request.Query())
		}
		c.UpstreamTarget = escapeURITarget(target)
		return cs, nil
	}
	path, query := target, ""
	if i := strings.IndexByte(target, '?'); split && i >= 0 {
		path, query = target[:i], target[i:]
	}
	c.UpstreamTarget = joinQuery(escapeURIPath(path)+escapeURITarget(query), c.Request.Query())
	return cs, nil
}

// replaceURI applies the first pair whose pattern is found.
func (p *proxyRewrite) replaceURI(uri string) (string, captures, error) {
	for i := range p.pairs {
		found, err := p.pairs[i].pattern.FindAll(uri, 1)
		if err != nil {
			return "", captures{}, fmt.Errorf(msgMatchingURI, uri, p.RegexURI[2*i], err)
		}
		if len(found) == 0 {
			continue
		}
		replaced, _, err := p.pairs[i].pattern.Replace(uri, p.pairs[i].replacement, 1)
		if err != nil {
			return "", captures{}, fmt.Errorf(msgMatchingURI, uri, p.RegexURI[2*i], err)
		}
		return replaced, captures{uri, found[0]}, nil
	}
	return uri, captures{}, nil
}

// withoutSeparator keeps a ? in a variable from beginning the query.
func withoutSeparator(v expr.Value) expr.Value {
	if !strings.Contains(v.Text, "?") {
		return v
	}
	v.Text = strings.ReplaceAll(v.Text, "?", separatorMark)
	return v
}

// separatorMark stands for an escaped ? until the rest is escaped.
const separatorMark = "\x00"

// joinQuery puts the client's query behind a target.
func joinQuery(target, query string) string {
	switch {
	case query == "":
		return target
	case strings.Contains(target, "?"):
		return target + "&" + query
	}
	return target + "?" + query
}

// escapeURIPath escapes what cannot stand in a path; a % stands for itself there.
func escapeURIPath(s string) string {
	return percentEncode(s, func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%<>?\\^`{|}", c) >= 0
	})
}

// escapeURITarget escapes only what would end a request target.
func escapeURITarget(s string) string {
	return percentEncode(s, func(c byte) bool { return c <= ' ' || c == 0x7f })
}

func percentEncode(s string, must func(c byte) bool) string {
	n := 0
	for i := range len(s) {
		if must(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		switch c := s[i]; {
		case c == separatorMark[0]:
			b = append(b, "%3F"...)
		case must(c):
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
