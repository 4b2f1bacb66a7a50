package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/tidwall/gjson"

	"millrace/internal/expr"
	"millrace/plugin"
)

// splitUpstreamSchema is that of an upstream that stands in a rule.
const splitUpstreamSchema = `{"type":"object","additionalProperties":false,"properties":{
	"nodes":{"anyOf":[
		{"type":"object","patternProperties":{".*":{"description":"weight of node","type":"integer","minimum":0}}},
		{"type":"array","items":{"type":"object","required":["host","weight"],"additionalProperties":false,"properties":{
			"host":{"type":"string","pattern":"^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$"},"port":{"type":"integer","minimum":1,"maximum":65535},
			"weight":{"type":"integer","minimum":0},"priority":{"type":"integer","default":0},"metadata":{"type":"object"}}}}]},
	"retries":{"type":"integer","minimum":0},
	"retry_timeout":{"type":"number","minimum":0},
	"timeout":{"type":"object","required":["connect","send","read"],"additionalProperties":false,"properties":{
		"connect":{"type":"number","exclusiveMinimum":0},"send":{"type":"number","exclusiveMinimum":0},"read":{"type":"number","exclusiveMinimum":0}}},
	"tls":{"type":"object"},
	"keepalive_pool":{"type":"object"},
	"type":{"description":"algorithms of load balancing","type":"string","default":"roundrobin"},
	"checks":{"type":"object"},
	"hash_on":{"type":"string","enum":["vars","header","cookie","consumer","vars_combinations"]},
	"key":{"description":"the key of chash for dynamic load balancing","type":"string"},
	"scheme":{"default":"http","enum":["grpc","grpcs","http","https","tcp","tls","udp","kafka"]},
	"discovery_type":{"type":"string"},"discovery_args":{"type":"object"},
	"pass_host":{"description":"mod of host passing","type":"string","enum":["pass","node","rewrite"],"default":"pass"},
	"upstream_host":{"type":"string"},
	"name":{"type":"string","minLength":1,"maxLength":100},"desc":{"type":"string","maxLength":256},"labels":{"type":"object"},
	"service_name":{"type":"string","minLength":1,"maxLength":256},
	"id":{},"create_time":{"type":"integer"},"update_time":{"type":"integer"}},
	"oneOf":[{"required":["nodes"]},{"required":["service_name","discovery_type"]}]}`

const trafficSplitSchema = `{"type":"object","properties":{"rules":{"type":"array","items":{"type":"object","properties":{
	"match":{"type":"array","items":{"type":"object","properties":{"vars":{"type":"array"}}}},
	"weighted_upstreams":{"type":"array","minItems":1,"maxItems":20,"default":[{"weight":1}],"items":{"type":"object","properties":{
		"upstream_id":{"anyOf":[{"type":"string","minLength":1,"maxLength":64,"pattern":"^[a-zA-Z0-9-_.]+$"},{"type":"integer","minimum":1}]},
		"upstream":` + splitUpstreamSchema + `,
		"weight":{"type":"integer","minimum":0,"default":1,"description":"used to split traffic between upstreams"}}}}}}}}}`

func init() { plugin.Register[trafficSplit]("traffic-split", 966, trafficSplitSchema) }

// trafficSplit sends a part of the requests to other upstreams than the route's.
type trafficSplit struct {
	Rules []splitRule `json:"rules"`
}

// splitRule says how the requests that it matches are shared out.
type splitRule struct {
	Match []struct {
		Vars json.RawMessage `json:"vars"`
	} `json:"match"`
	Upstreams []weightedUpstream `json:"weighted_upstreams"`

	match []*expr.Expr
	mu    sync.Mutex // guards the current values of Upstreams
}

// weightedUpstream is an upstream with its share; without one it is the route's.
type weightedUpstream struct {
	UpstreamID json.RawMessage `json:"upstream_id"`
	Upstream   json.RawMessage `json:"upstream"`
	Weight     *int            `json:"weight"`

	handle  plugin.UpstreamHandle
	id      string // of a shared one
	weight  int
	current int
}

var (
	_ plugin.Checker  = (*trafficSplit)(nil)
	_ plugin.Initer   = (*trafficSplit)(nil)
	_ plugin.Accesser = (*trafficSplit)(nil)
	_ plugin.Closer   = (*trafficSplit)(nil)
)

var errNoUpstreams = errors.New("nothing here compiles upstreams")

// Check compiles the conditions.
func (p *trafficSplit) Check() error {
	for i := range p.Rules {
		r := &p.Rules[i]
		for _, m := range r.Match {
			e, err := expr.Compile(m.Vars)
			if err != nil {
				return fmt.Errorf(msgBadVars, err)
			}
			r.match = append(r.match, e)
		}
		if r.Upstreams == nil {
			r.Upstreams = []weightedUpstream{{}}
		}
	}
	return nil
}

// Init makes the upstreams ready.
func (p *trafficSplit) Init(env *plugin.Env) error {
	compiler, ok := plugin.Service[plugin.UpstreamCompiler](env)
	if !ok {
		return errNoUpstreams
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		for j := range r.Upstreams {
			if err := r.Upstreams[j].init(compiler); err != nil {
				return err
			}
		}
		// Instances begin at different upstreams, or all would prefer the first.
		for range rand.IntN(max(1, r.total())) % 1000 {
			r.pick()
		}
	}
	return nil
}

func (u *weightedUpstream) init(compiler plugin.UpstreamCompiler) (err error) {
	if u.weight = 1; u.Weight != nil {
		u.weight = *u.Weight
	}
	switch {
	case u.Upstream != nil:
		u.handle, err = compiler.CompileUpstream(inlineUpstream(u.Upstream))
	case u.UpstreamID != nil:
		u.id = gjson.ParseBytes(u.UpstreamID).String()
		u.handle = compiler.SharedUpstream(u.id)
	}
	return err
}

// inlineUpstream keeps the attributes of an upstream that hold here.
func inlineUpstream(conf json.RawMessage) json.RawMessage {
	var all, kept = map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if json.Unmarshal(conf, &all) != nil {
		return conf // the compiler says what is wrong
	}
	for _, name := range []string{"nodes", "type", "key", "hash_on", "pass_host", "upstream_host", "timeout", "scheme"} {
		if v, ok := all[name]; ok {
			kept[name] = v
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return conf
	}
	return text
}

// Close lets go of the upstreams.
func (p *trafficSplit) Close() {
	for i := range p.Rules {
		for j := range p.Rules[i].Upstreams {
			if h := p.Rules[i].Upstreams[j].handle; h != nil {
				h.Close()
			}
		}
	}
}

// Access chooses the upstream by the first rule that matches.
func (p *trafficSplit) Access(c *plugin.Context) error {
	u := p.choose(c)
	switch {
	case u == nil || u.handle == nil:
	case !u.handle.Exists():
		return c.Exit(500, msgNoUpstream+u.id)
	default:
		c.SetUpstream(u.handle)
	}
	return nil
}

// choose answers whose turn it is, nil if no rule matches.
func (p *trafficSplit) choose(c *plugin.Context) *weightedUpstream {
	for i := range p.Rules {
		r := &p.Rules[i]
		if !r.matches(c) {
			continue
		}
		r.mu.Lock()
		u := r.pick()
		r.mu.Unlock()
		return u
	}
	return nil
}

func (r *splitRule) matches(c *plugin.Context) bool {
	for _, e := range r.match {
		if e.Holds(c.Lookup()) {
			return true
		}
	}
	return len(r.match) == 0
}

// pick chooses in turn by weight, so that shares hold over each round and one
// upstream's turns are spread over it; nil if all weights are 0.
func (r *splitRule) pick() *weightedUpstream {
	var best *weightedUpstream
	for i := range r.Upstreams {
		u := &r.Upstreams[i]
		if u.weight == 0 {
			continue
		}
		u.current += u.weight
		if best == nil || u.current > best.current {
			best = u
		}
	}
	if best != nil {
		best.current -= r.total()
	}
	return best
}

func (r *splitRule) total() (sum int) {
	for i := range r.Upstreams {
		sum += r.Upstreams[i].weight
	}
	return sum
}
