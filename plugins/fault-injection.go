package plugins

import (
	"encoding/json"
	"math/rand/v2"
	"slices"

	"millrace/internal/expr"
	"millrace/plugin"
)

const faultInjectionSchema = `{"type":"object",
	"properties":{
		"abort":{"type":"object","properties":{
			"http_status":{"type":"integer","minimum":200},
			"body":{"type":"string","minLength":0},
			"headers":{"type":"object","minProperties":1,"additionalProperties":{"oneOf":[{"type":"string"},{"type":"number"}]}},
			"percentage":{"type":"integer","minimum":0,"maximum":100},
			"vars":{"type":"array","maxItems":20,"items":{"type":"array"}}},
			"required":["http_status"]},
		"delay":{"type":"object","properties":{
			"duration":{"type":"number","minimum":0},
			"percentage":{"type":"integer","minimum":0,"maximum":100},
			"vars":{"type":"array","maxItems":20,"items":{"type":"array"}}},
			"required":["duration"]}
	},
	"minProperties":1}`

func init() { plugin.Register[faultInjection]("fault-injection", 11000, faultInjectionSchema) }

// faultInjection delays requests and makes them fail, to see what clients do then.
type faultInjection struct {
	Abort *struct {
		HTTPStatus int            `json:"http_status"`
		Body       *string        `json:"body"`
		Headers    map[string]any `json:"headers"`
		faultCase
	} `json:"abort"`
	Delay *struct {
		Duration float64 `json:"duration"`
		faultCase
	} `json:"delay"`

	body    *plugin.Template
	headers map[string]*plugin.Template
}

// faultCase is which requests meet a fault.
type faultCase struct {
	Percentage *int              `json:"percentage"`
	Vars       []json.RawMessage `json:"vars"`

	conditions []*expr.Expr // one is enough
}

var (
	_ plugin.Checker  = (*faultInjection)(nil)
	_ plugin.Rewriter = (*faultInjection)(nil)
)

// Check compiles conditions and templates.
func (p *faultInjection) Check() error {
	if p.Delay != nil {
		if err := p.Delay.compile(); err != nil {
			return err
		}
	}
	if p.Abort == nil {
		return nil
	}
	if p.Abort.Body != nil {
		p.body = plugin.CompileTemplate(*p.Abort.Body)
	}
	p.headers = make(map[string]*plugin.Template, len(p.Abort.Headers))
	for name, value := range p.Abort.Headers {
		p.headers[name] = plugin.CompileTemplate(plainText(value))
	}
	return p.Abort.compile()
}

func (f *faultCase) compile() error {
	for _, conf := range f.Vars {
		e, err := expr.Compile(conf)
		if err != nil {
			return err
		}
		f.conditions = append(f.conditions, e)
	}
	return nil
}

// meets tells whether the request is one that meets the fault.
func (f *faultCase) meets(c *plugin.Context) bool {
	if f.Vars != nil && !slices.ContainsFunc(f.conditions, func(e *expr.Expr) bool { return e.Holds(c.Lookup()) }) {
		return false
	}
	return f.Percentage == nil || rand.IntN(100) < *f.Percentage
}

// Rewrite delays the request, then ends it.
func (p *faultInjection) Rewrite(c *plugin.Context) error {
	if p.Delay != nil && p.Delay.meets(c) {
		if err := wait(c, seconds(p.Delay.Duration)); err != nil {
			return err
		}
	}
	if p.Abort == nil || !p.Abort.meets(c) {
		return nil
	}
	for name, value := range p.headers {
		setHeaderOrNone(c.Response, name, value.Expand(c.Lookup()))
	}
	if p.body == nil {
		return c.Exit(p.Abort.HTTPStatus, nil)
	}
	return c.Exit(p.Abort.HTTPStatus, p.body.Expand(c.Lookup()))
}
