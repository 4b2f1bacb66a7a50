package plugins

import (
	"encoding/json"
	"log/slog"

	"millrace/plugin"
)

const examplePlugin = "example-plugin"

const (
	exampleSchema = `{"type":"object",
	"properties":{
		"i":{"type":"number","minimum":0},
		"s":{"type":"string"},
		"t":{"type":"array","minItems":1},
		"ip":{"type":"string"},
		"port":{"type":"integer"}
	},
	"required":["i"]}`
	exampleMetadataSchema = `{"type":"object",
	"properties":{
		"ikey":{"type":"number","minimum":0},
		"skey":{"type":"string"}
	},
	"required":["ikey","skey"]}`
)

func init() {
	plugin.Register[example](examplePlugin, 0, exampleSchema, plugin.AsMetadata[exampleMetadata](exampleMetadataSchema))
}

// example shows what a plugin looks like: it notes in the log which phases a request
// comes to, and sends it to the node that the configuration names, if it does.
type example struct {
	I    float64         `json:"i"`
	S    string          `json:"s"`
	T    json.RawMessage `json:"t"`
	IP   string          `json:"ip"`
	Port int             `json:"port"`

	log  *slog.Logger
	node plugin.UpstreamHandle // nil without ip
}

// exampleMetadata is what all its instances have in common.
type exampleMetadata struct {
	IKey float64 `json:"ikey"`
	SKey string  `json:"skey"`
}

var (
	_ plugin.Initer       = (*example)(nil)
	_ plugin.Rewriter     = (*example)(nil)
	_ plugin.Accesser     = (*example)(nil)
	_ plugin.HeaderFilter = (*example)(nil)
	_ plugin.Logger       = (*example)(nil)
	_ plugin.Closer       = (*example)(nil)
)

// Init makes the node ready.
func (p *example) Init(env *plugin.Env) error {
	p.log = env.Log
	if p.IP == "" {
		return nil
	}
	compiler, ok := plugin.Service[plugin.UpstreamCompiler](env)
	if !ok {
		return errNoUpstreams
	}
	node := map[string]any{"host": p.IP, "weight": 1}
	if p.Port != 0 {
		node["port"] = p.Port
	}
	conf, err := json.Marshal(map[string]any{"type": "roundrobin", "nodes": []any{node}})
	if err != nil {
		return err
	}
	p.node, err = compiler.CompileUpstream(conf)
	return err
}

// Rewrite notes the phase.
func (p *example) Rewrite(c *plugin.Context) error {
	p.note(c, plugin.PhaseRewrite)
	return nil
}

// Access sends the request to the node.
func (p *example) Access(c *plugin.Context) error {
	p.note(c, plugin.PhaseAccess)
	if p.node != nil {
		c.SetUpstream(p.node)
	}
	return nil
}

// FilterHeader notes the phase.
func (p *example) FilterHeader(c *plugin.Context) { p.note(c, plugin.PhaseHeaderFilter) }

// Log notes the phase.
func (p *example) Log(c *plugin.Context) { p.note(c, plugin.PhaseLog) }

func (p *example) note(c *plugin.Context, phase plugin.Phase) {
	p.log.Debug("a request comes to a phase of "+examplePlugin, "phase", string(phase), "route", c.Matched.RouteID, "i", p.I, "s", p.S)
}

// Close lets go of the node.
func (p *example) Close() {
	if p.node != nil {
		p.node.Close()
	}
}
