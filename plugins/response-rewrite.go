package plugins

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"

	"millrace/internal/calmlog"
	"millrace/internal/expr"
	"millrace/internal/pcre"
	"millrace/plugin"
)

const responseRewriteSchema = `{"type":"object",
	"properties":{
		"headers":{"description":"new headers for response","anyOf":[
			{"type":"object","minProperties":1,"additionalProperties":false,"properties":{
				"add":{"type":"array","minItems":1,"items":{"type":"string","pattern":"^[^:]+:.+$"}},
				"set":{"type":"object","minProperties":1,"additionalProperties":false,
					"patternProperties":{"^[^:]+$":{"oneOf":[{"type":"string"},{"type":"number"}]}}},
				"remove":{"type":"array","minItems":1,"items":{"type":"string","pattern":"^[^:]+$"}}}},
			{"type":"object","minProperties":1,"additionalProperties":false,
				"patternProperties":{"^[^:]+$":{"oneOf":[{"type":"string"},{"type":"number"}]}}}]},
		"body":{"type":"string","description":"new body for response"},
		"body_base64":{"type":"boolean","default":false,"description":"whether new body for response need base64 decode before return"},
		"status_code":{"type":"integer","minimum":200,"maximum":598,"description":"new status code for response"},
		"vars":{"type":"array"},
		"filters":{"type":"array","minItems":1,"description":"a group of filters that modify response body by replacing one specified string by another",
			"items":{"type":"object","required":["regex","replace"],"properties":{
				"regex":{"type":"string","minLength":1,"description":"match pattern on response body"},
				"scope":{"type":"string","enum":["once","global"],"default":"once","description":"regex substitution range"},
				"replace":{"type":"string","description":"regex substitution content"},
				"options":{"type":"string","default":"jo","description":"regex options"}}}},
		"max_resp_body_size":{"type":"integer","minimum":1,"default":67108864,"description":"maximum response body size in bytes"}
	},
	"dependencies":{"body":{"not":{"required":["filters"]}},"filters":{"not":{"required":["body"]}}}}`

func init() {
	plugin.Register[responseRewrite]("response-rewrite", 899, responseRewriteSchema)
}

// responseRewrite changes the answer: its status, headers and body.
type responseRewrite struct {
	Headers         json.RawMessage  `json:"headers"`
	Body            *string          `json:"body"`
	BodyBase64      bool             `json:"body_base64"`
	StatusCode      int              `json:"status_code"`
	Vars            json.RawMessage  `json:"vars"`
	Filters         []responseFilter `json:"filters"`
	MaxRespBodySize int              `json:"max_resp_body_size"`

	vars    *expr.Expr
	headers *headerChanges
	body    []byte
	log     *slog.Logger
}

// responseFilter replaces what a pattern finds in the body.
type responseFilter struct {
	Regex   string `json:"regex"`
	Scope   string `json:"scope"`
	Replace string `json:"replace"`
	Options string `json:"options"`

	pattern *pcre.Pattern
}

var (
	_ plugin.Checker      = (*responseRewrite)(nil)
	_ plugin.Initer       = (*responseRewrite)(nil)
	_ plugin.HeaderFilter = (*responseRewrite)(nil)
	_ plugin.BodyFilter   = (*responseRewrite)(nil)
	_ plugin.BodyChooser  = (*responseRewrite)(nil)
)

// rewritten is what the header filter leaves for the body filter of its instance.
type rewritten struct {
	encoding             string // the answer's Content-Encoding
	lastModified, etag   string
	hadModified, hadETag bool
}

// Check compiles the configuration.
func (p *responseRewrite) Check() (err error) {
	if p.Body != nil {
		p.body = []byte(*p.Body)
	}
	if p.BodyBase64 {
		padded := strings.TrimRight(string(p.body), "=") // which need not be there
		if p.body, err = base64.RawStdEncoding.DecodeString(padded); err != nil || len(p.body) == 0 {
			return errors.New(msgBadBase64)
		}
	}
	if p.vars, err = expr.Compile(p.Vars); err != nil {
		return fmt.Errorf(msgBadVars, err)
	}
	for i := range p.Filters {
		f := &p.Filters[i]
		if f.pattern, err = pcre.CompileOptions(f.Regex, f.Options); err != nil {
			return fmt.Errorf(msgBadRegex, f.Regex, err)
		}
	}
	p.headers, err = parseHeaderChanges(p.Headers)
	return err
}

// Init takes the log.
func (p *responseRewrite) Init(env *plugin.Env) error {
	p.log = calmlog.New(env.Log.With("plugin", "response-rewrite"), "")
	return nil
}

// FilterHeader changes status and headers, if the conditions hold.
func (p *responseRewrite) FilterHeader(c *plugin.Context) {
	if !p.vars.Holds(c.Lookup()) {
		return
	}
	r := c.Response
	if p.StatusCode != 0 {
		r.SetStatus(p.StatusCode)
	}
	if p.changesBody() {
		c.SetValue(p, dropBodyHeaders(r))
	}
	if p.headers != nil {
		p.headers.apply(r, c.Lookup())
	}
}

func (p *responseRewrite) changesBody() bool { return p.Body != nil || len(p.Filters) > 0 }

// dropBodyHeaders removes the headers that are true of the old body only.
func dropBodyHeaders(r plugin.Response) (old rewritten) {
	old.encoding = string(r.Header("Content-Encoding"))
	modified, etag := r.Header("Last-Modified"), r.Header("ETag")
	old.hadModified, old.hadETag = modified != nil, etag != nil
	old.lastModified, old.etag = string(modified), string(etag)
	for _, name := range []string{"Content-Length", "Content-Encoding", "Last-Modified", "ETag"} {
		r.DelHeader(name)
	}
	return old
}

// restore puts the headers back when the body stays what it is.
func (old *rewritten) restore(r plugin.Response) {
	if old.encoding != "" {
		r.SetHeader("Content-Encoding", old.encoding)
	}
	if old.hadModified {
		r.SetHeader("Last-Modified", old.lastModified)
	}
	if old.hadETag {
		r.SetHeader("ETag", old.etag)
	}
}

// WantsBody tells whether this answer's body is changed.
func (p *responseRewrite) WantsBody(c *plugin.Context) bool { return c.Value(p) != nil }

// FilterBody changes the body.
func (p *responseRewrite) FilterBody(c *plugin.Context, body []byte) []byte {
	old, ok := c.Value(p).(rewritten)
	switch {
	case !ok:
		return body
	case p.Body != nil:
		return p.body
	}
	text, err := p.decode(body, old.encoding)
	if err != nil {
		p.log.Error("reading an answer for filters; it stays as it is", "route", c.Matched.RouteID, "err", err)
		old.restore(c.Response)
		return body
	}
	return []byte(p.filter(text))
}

func (p *responseRewrite) filter(text string) string {
	for i := range p.Filters {
		f := &p.Filters[i]
		n := 1
		if f.Scope == "global" {
			n = -1
		}
		changed, _, err := f.pattern.Replace(text, f.Replace, n)
		if err != nil {
			p.log.Error("filtering an answer", "regex", f.Regex, "err", err)
			continue
		}
		text = changed
	}
	return text
}

// decode undoes the compression of a body. What is longer than max_resp_body_size,
// before or after, is an error.
func (p *responseRewrite) decode(body []byte, encoding string) (string, error) {
	if len(body) > p.MaxRespBodySize {
		return "", errTooLong
	}
	switch strings.ToLower(encoding) {
	case "", "identity":
		return string(body), nil
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return "", fmt.Errorf("decompressing: %w", err)
		}
		return p.decompress(r)
	case "br":
		return p.decompress(brotli.NewReader(bytes.NewReader(body)))
	}
	return "", fmt.Errorf("unsupported compression encoding %q", encoding)
}

var errTooLong = errors.New("the body is longer than max_resp_body_size")

func (p *responseRewrite) decompress(r io.Reader) (string, error) {
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(r, int64(p.MaxRespBodySize)+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("decompressing: %w", err)
	case n > int64(p.MaxRespBodySize):
		return "", errTooLong
	}
	return b.String(), nil
}
