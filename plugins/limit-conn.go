package plugins

import (
	"math"
	"sync/atomic"
	"time"

	"millrace/plugin"
	"millrace/plugins/internal/quota"
)

const (
	burstOrVar = `{"oneOf":[{"type":"integer","minimum":0},{"type":"string"}]}`

	limitConnSchema = `{"type":"object",
	"properties":{
		"conn":` + countOrVar + `,
		"burst":` + burstOrVar + `,
		"default_conn_delay":{"type":"number","exclusiveMinimum":0},
		"only_use_default_delay":{"type":"boolean","default":false},
		"key":{"type":"string"},
		"key_type":{"type":"string","enum":["var","var_combination"],"default":"var"},
		"rules":{"type":"array","items":{"type":"object","properties":{
			"conn":` + countOrVar + `,"burst":` + burstOrVar + `,"key":{"type":"string"}},
			"required":["conn","burst","key"]}},
		"policy":{"type":"string","enum":["local","redis","redis-cluster"],"default":"local"},
		"key_ttl":{"type":"integer","default":3600},
		` + limitAttributes + `},
	"encrypt_fields":["redis_password"],
	"oneOf":[{"required":["conn","burst","default_conn_delay","key"]},{"required":["default_conn_delay","rules"]}],
	` + redisPolicies + `}}`
)

func init() { plugin.Register[limitConn]("limit-conn", 1003, limitConnSchema) }

// limitConn bounds how many requests are under way at once.
type limitConn struct {
	connRule
	DefaultConnDelay    float64    `json:"default_conn_delay"`
	OnlyUseDefaultDelay bool       `json:"only_use_default_delay"`
	KeyType             string     `json:"key_type"`
	Rules               []connRule `json:"rules"`
	Policy              string     `json:"policy"`
	rejection

	env   *plugin.Env
	crowd quota.Crowd
	rules []connRule
	// unit is how long one request more than conn waits, in seconds: a moving mean
	// of how long requests take, as bits of a float64.
	unit atomic.Uint64
}

// connRule is one bound.
type connRule struct {
	Conn  *amount `json:"conn"`
	Burst *amount `json:"burst"`
	Key   string  `json:"key"`

	key   limitKey
	scope string
}

// occupied is what one request holds, and how long it had to wait for it.
type occupied struct {
	places []*quota.Place
	delay  time.Duration
	since  time.Time
}

var (
	_ plugin.Initer   = (*limitConn)(nil)
	_ plugin.Accesser = (*limitConn)(nil)
	_ plugin.Logger   = (*limitConn)(nil)
)

// Init makes the keys.
func (p *limitConn) Init(env *plugin.Env) error {
	if p.Policy != "local" {
		return errPolicy
	}
	p.env = env
	p.unit.Store(math.Float64bits(p.DefaultConnDelay))
	if p.rules = p.Rules; p.rules == nil {
		p.connRule.key = compileLimitKey(p.Key, p.KeyType)
		p.rules = []connRule{p.connRule}
		return nil
	}
	for i := range p.rules {
		p.rules[i].key = compileLimitKey(p.rules[i].Key, "var_combination")
		p.rules[i].scope = p.rules[i].Key + "\x00"
	}
	return nil
}

// Access counts the request in, delays it beyond conn and answers beyond burst.
func (p *limitConn) Access(c *plugin.Context) error {
	held := &occupied{since: time.Now()}
	c.SetValue(p, held)
	used := 0
	for i := range p.rules {
		r := &p.rules[i]
		key, applies := r.key.forRule(c, p.Rules != nil)
		if !applies {
			continue
		}
		used++
		if err := p.enter(c, r, key, held); err != nil {
			return err
		}
	}
	if used == 0 {
		return p.broken(c, errNoRule)
	}
	return wait(c, held.delay)
}

// enter counts the request in by one rule.
func (p *limitConn) enter(c *plugin.Context, r *connRule, key string, held *occupied) error {
	conn, err := r.Conn.of(c, 1)
	if err != nil {
		return p.broken(c, err)
	}
	burst, err := r.Burst.of(c, 0)
	if err != nil {
		return p.broken(c, err)
	}
	var room [128]byte
	place, n := p.crowd.Enter(appendKey(room[:0], r.scope, key), conn+burst)
	if place == nil {
		p.leave(held)
		return p.reject(c)
	}
	held.places = append(held.places, place)
	if n > conn {
		unit := math.Float64frombits(p.unit.Load())
		held.delay = max(held.delay, seconds(float64((n-1)/conn)*unit))
	}
	return nil
}

func (p *limitConn) broken(c *plugin.Context, err error) error {
	return p.rejection.broken(c, p.env.Log, "limit-conn", err)
}

// Log counts the request out and learns from how long it took.
func (p *limitConn) Log(c *plugin.Context) {
	held, ok := c.Value(p).(*occupied)
	if !ok || len(held.places) == 0 {
		return
	}
	p.leave(held)
	if p.OnlyUseDefaultDelay {
		return
	}
	latency := c.Upstream.ResponseTime
	if c.Upstream.Addr == "" {
		latency = time.Since(held.since) - held.delay
	}
	if latency < 0 {
		return // the client went while it waited
	}
	unit := math.Float64frombits(p.unit.Load())
	p.unit.Store(math.Float64bits((unit + latency.Seconds()) / 2))
}

func (p *limitConn) leave(held *occupied) {
	for _, place := range held.places {
		p.crowd.Leave(place)
	}
	held.places = nil
}
