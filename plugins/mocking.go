package plugins

import (
	"encoding/json"
	"errors"
	"strings"

	"millrace/plugin"
)

const (
	mockingSchema = `{"type":"object",
	"properties":{
		"delay":{"type":"integer","default":0},
		"response_status":{"type":"integer","default":200,"minimum":100},
		"content_type":{"type":"string","default":"application/json;charset=utf8"},
		"response_example":{"type":"string"},
		"response_schema":{"type":"object"},
		"with_mock_header":{"type":"boolean","default":true},
		"response_headers":{"type":"object","minProperties":1,"additionalProperties":{"oneOf":[{"type":"string"},{"type":"number"}]}}
	},
	"anyOf":[{"required":["response_example"]},{"required":["response_schema"]}]}`

	// mockBy is the value of x-mock-by, which clients know from the original.
	mockBy = "APISIX/3.18.0"
)

//lint:ignore ST1005 clients know this text from APISIX
var errMockingType = errors.New("unsupported content type!")

func init() { plugin.Register[mocking]("mocking", 10900, mockingSchema) }

// mocking answers in the place of an upstream: with an example, or with values that
// fit a schema.
type mocking struct {
	Delay           int             `json:"delay"`
	ResponseStatus  int             `json:"response_status"`
	ContentType     string          `json:"content_type"`
	ResponseExample *string         `json:"response_example"`
	ResponseSchema  json.RawMessage `json:"response_schema"`
	WithMockHeader  bool            `json:"with_mock_header"`
	ResponseHeaders map[string]any  `json:"response_headers"`

	example *plugin.Template
	headers map[string]*plugin.Template
	schema  *mockSchema
	xml     bool
}

var (
	_ plugin.Checker  = (*mocking)(nil)
	_ plugin.Accesser = (*mocking)(nil)
)

// Check looks at the type and compiles the example or the schema.
func (p *mocking) Check() error {
	base, _, _ := strings.Cut(p.ContentType, ";")
	switch strings.TrimSpace(base) {
	case "application/xml", "text/xml":
		p.xml = true
	case "application/json", "text/plain", "text/html":
	default:
		return errMockingType
	}
	p.headers = make(map[string]*plugin.Template, len(p.ResponseHeaders))
	for name, value := range p.ResponseHeaders {
		p.headers[name] = plugin.CompileTemplate(plainText(value))
	}
	if p.ResponseExample != nil {
		p.example = plugin.CompileTemplate(*p.ResponseExample)
		return nil
	}
	p.schema = &mockSchema{}
	if err := json.Unmarshal(p.ResponseSchema, p.schema); err != nil {
		return errors.New("response_schema is not valid")
	}
	if p.schema.Type == "" {
		p.schema.Type = "object" // which a schema that says nothing is of
	}
	return nil
}

// Access answers.
func (p *mocking) Access(c *plugin.Context) error {
	for name, value := range p.headers {
		setHeaderOrNone(c.Response, name, value.Expand(c.Lookup()))
	}
	c.Response.SetHeader("Content-Type", p.ContentType)
	if p.WithMockHeader {
		c.Response.SetHeader("x-mock-by", mockBy)
	}
	body := p.body(c)
	if err := wait(c, seconds(float64(p.Delay))); err != nil {
		return err
	}
	return c.Exit(p.ResponseStatus, body)
}

func (p *mocking) body(c *plugin.Context) string {
	if p.example != nil {
		return p.example.Expand(c.Lookup())
	}
	budget := mockNodes
	value := p.schema.generate(&budget)
	if p.xml {
		var b strings.Builder
		appendXML(&b, "data", value)
		return b.String()
	}
	text, _ := json.Marshal(value) // made of what JSON has
	return string(text)
}
