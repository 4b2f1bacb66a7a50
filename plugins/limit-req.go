package plugins

import (
	"time"

	"millrace/plugin"
	"millrace/plugins/internal/quota"
)

const limitReqSchema = `{"type":"object",
	"properties":{
		"rate":{"type":"number","exclusiveMinimum":0},
		"burst":{"type":"number","minimum":0},
		"key":{"type":"string"},
		"key_type":{"type":"string","enum":["var","var_combination"],"default":"var"},
		"policy":{"type":"string","enum":["local","redis","redis-cluster"],"default":"local"},
		"nodelay":{"type":"boolean","default":false},
		` + limitAttributes + `},
	"encrypt_fields":["redis_password"],
	"required":["rate","burst","key"],
	` + redisPolicies + `}}`

func init() { plugin.Register[limitReq]("limit-req", 1001, limitReqSchema) }

// limitReq slows requests down to a rate and refuses those that would wait too long.
type limitReq struct {
	Rate    float64 `json:"rate"`
	Burst   float64 `json:"burst"`
	Key     string  `json:"key"`
	KeyType string  `json:"key_type"`
	Policy  string  `json:"policy"`
	Nodelay bool    `json:"nodelay"`
	rejection

	key   limitKey
	scope string
	store *quota.Store
}

var (
	_ plugin.Initer   = (*limitReq)(nil)
	_ plugin.Accesser = (*limitReq)(nil)
)

// Init makes the key and finds where to count.
func (p *limitReq) Init(env *plugin.Env) error {
	if p.Policy != "local" {
		return errPolicy
	}
	p.key = compileLimitKey(p.Key, p.KeyType)
	p.store = countersOf(env)
	p.scope = p.store.Scope()
	return nil
}

// Access lets the request wait its turn or answers.
func (p *limitReq) Access(c *plugin.Context) error {
	var room [128]byte
	delay, ok := p.store.Leak(appendKey(room[:0], p.scope, p.key.orClient(c)), p.Rate, p.Burst)
	if !ok {
		return p.reject(c)
	}
	if p.Nodelay || delay < time.Millisecond {
		return nil
	}
	return wait(c, delay)
}
