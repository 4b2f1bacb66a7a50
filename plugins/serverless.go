package plugins

import (
	"encoding/json"
	"log/slog"
	"slices"

	"millrace/internal/calmlog"
	"millrace/plugin"
	"millrace/plugin/snippet"
)

// serverlessSchema is that of both plugins that run Lua functions.
const serverlessSchema = `{"type":"object",
	"properties":{
		"phase":{"type":"string","default":"access","enum":["rewrite","access","header_filter","body_filter","log","before_proxy"]},
		"functions":{"type":"array","items":{"type":"string"},"minItems":1}
	},
	"required":["functions"]}`

// serverless runs Lua functions in one phase of a request. serverless-pre-function
// and serverless-post-function are it, before and after the other plugins.
type serverless struct {
	Phase     plugin.Phase `json:"phase"`
	Functions []string     `json:"functions"`

	conf      json.RawMessage
	log       *slog.Logger
	functions []*snippet.Function
}

var (
	_ plugin.Checker       = (*serverless)(nil)
	_ plugin.Initer        = (*serverless)(nil)
	_ plugin.Rewriter      = (*serverless)(nil)
	_ plugin.Accesser      = (*serverless)(nil)
	_ plugin.BeforeProxier = (*serverless)(nil)
	_ plugin.HeaderFilter  = (*serverless)(nil)
	_ plugin.BodyStreamer  = (*serverless)(nil)
	_ plugin.BodyChooser   = (*serverless)(nil)
	_ plugin.Logger        = (*serverless)(nil)
	_ plugin.RouteReader   = (*serverless)(nil)
)

// UnmarshalJSON keeps the configuration as a whole: functions get it.
func (p *serverless) UnmarshalJSON(conf []byte) error {
	type plain serverless
	if err := json.Unmarshal(conf, (*plain)(p)); err != nil {
		return err
	}
	p.conf = append(json.RawMessage(nil), conf...)
	return nil
}

// Check compiles the functions.
func (p *serverless) Check() error { return p.compile(nil) }

// Init compiles them again, with what they are lent.
func (p *serverless) Init(env *plugin.Env) error {
	p.log = calmlog.New(env.Log, "")
	return p.compile(env)
}

func (p *serverless) compile(env *plugin.Env) error {
	p.functions = p.functions[:0]
	for _, source := range p.Functions {
		f, err := snippet.CompileFunction(source, p.conf, env)
		if err != nil {
			return err
		}
		p.functions = append(p.functions, f)
	}
	return nil
}

// ReadsRoute tells whether one of the functions does.
func (p *serverless) ReadsRoute() bool {
	return slices.ContainsFunc(p.functions, (*snippet.Function).ReadsRoute)
}

// run runs the functions one after the other until one ends the request.
func (p *serverless) run(c *plugin.Context, phase plugin.Phase) error {
	if p.Phase != phase {
		return nil
	}
	for _, f := range p.functions {
		if err := f.Call(c, phase); err != nil {
			return err
		}
	}
	return nil
}

// Rewrite and the following run the functions if the phase is theirs.
func (p *serverless) Rewrite(c *plugin.Context) error { return p.run(c, plugin.PhaseRewrite) }

// Access runs them in the access phase.
func (p *serverless) Access(c *plugin.Context) error { return p.run(c, plugin.PhaseAccess) }

// BeforeProxy runs them before the upstream is called.
func (p *serverless) BeforeProxy(c *plugin.Context) error { return p.run(c, plugin.PhaseBeforeProxy) }

// FilterHeader runs them on the head of the answer.
func (p *serverless) FilterHeader(c *plugin.Context) { p.filter(c, plugin.PhaseHeaderFilter) }

// Log runs them when the answer has been sent.
func (p *serverless) Log(c *plugin.Context) { p.filter(c, plugin.PhaseLog) }

// filter runs the functions in a phase in which they cannot end the request.
func (p *serverless) filter(c *plugin.Context, phase plugin.Phase) {
	if err := p.run(c, phase); err != nil && err != plugin.ErrExit {
		p.log.Error("running a function", "phase", phase, "route", c.Matched.RouteID, "err", err)
	}
}

// WantsBody tells whether the functions work on the body.
func (p *serverless) WantsBody(*plugin.Context) bool { return p.Phase == plugin.PhaseBodyFilter }

// StreamBody runs them on a part of the body.
func (p *serverless) StreamBody(c *plugin.Context, part []byte, last bool) []byte {
	for _, f := range p.functions {
		part = f.FilterPart(c, part, last)
	}
	return part
}
