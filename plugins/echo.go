package plugins

import (
	"encoding/json"

	"millrace/plugin"
)

const echoSchema = `{"type":"object",
	"properties":{
		"before_body":{"type":"string","description":"body before the filter phase."},
		"body":{"type":"string","description":"body to replace upstream response."},
		"after_body":{"type":"string","description":"body after the modification of filter phase."},
		"headers":{"description":"new headers for response","type":"object","minProperties":1}
	},
	"anyOf":[{"required":["before_body"]},{"required":["body"]},{"required":["after_body"]}],
	"minProperties":1}`

func init() { plugin.Register[echo]("echo", 412, echoSchema) }

// echo replaces the answer's body, or puts text around it.
type echo struct {
	BeforeBody *string        `json:"before_body"`
	Body       *string        `json:"body"`
	AfterBody  *string        `json:"after_body"`
	Headers    map[string]any `json:"headers"`
}

var (
	_ plugin.HeaderFilter = (*echo)(nil)
	_ plugin.BodyFilter   = (*echo)(nil)
)

// FilterHeader sets the headers, and removes those that describe the body as it was.
func (p *echo) FilterHeader(c *plugin.Context) {
	for _, name := range []string{"Content-Length", "Content-Encoding", "Last-Modified", "ETag"} {
		c.Response.DelHeader(name)
	}
	for name, value := range p.Headers {
		c.Response.SetHeader(name, plainText(value))
	}
}

// FilterBody makes the new body.
func (p *echo) FilterBody(_ *plugin.Context, body []byte) []byte {
	if p.Body != nil {
		body = []byte(*p.Body)
	}
	if p.BeforeBody != nil {
		body = append([]byte(*p.BeforeBody), body...)
	}
	if p.AfterBody != nil {
		body = append(body[:len(body):len(body)], *p.AfterBody...)
	}
	return body
}

// plainText is a decoded JSON value as a header has it: a text without quotation
// marks, anything else as JSON.
func plainText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	b, _ := json.Marshal(value) // was JSON
	return string(b)
}
