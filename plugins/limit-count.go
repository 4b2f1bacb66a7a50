package plugins

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"millrace/plugin"
	"millrace/plugins/internal/quota"
)

const (
	limitCountSchema = `{"type":"object",
	"properties":{
		"count":` + countOrVar + `,
		"time_window":` + countOrVar + `,
		"rules":{"type":"array","items":{"type":"object","properties":{
			"count":` + countOrVar + `,"time_window":` + countOrVar + `,
			"key":{"type":"string"},
			"header_prefix":{"type":"string","description":"prefix for rate limit headers"}},
			"required":["count","time_window","key"]}},
		"group":{"type":"string"},
		"key":{"type":"string","default":"remote_addr"},
		"key_type":{"type":"string","enum":["var","var_combination","constant"],"default":"var"},
		"policy":{"type":"string","enum":["local","redis","redis-cluster","redis-sentinel"],"default":"local"},
		"window_type":{"type":"string","enum":["fixed","sliding"],"default":"fixed"},
		"sync_interval":{"type":"number","default":-1},
		"show_limit_quota_header":{"type":"boolean","default":true},
		` + limitAttributes + `},
	"encrypt_fields":["redis_password","sentinel_password"],
	"anyOf":[{"required":["count","time_window"]},{"required":["rules"]}],
	` + redisPolicies + `,
	"else":{"if":{"properties":{"policy":{"enum":["redis-sentinel"]}},"required":["policy"]},
	"then":{"properties":{
		"redis_sentinels":{"type":"array","minItems":1,"items":{"type":"object","properties":{
			"host":{"type":"string","minLength":2},"port":{"type":"integer","minimum":1,"maximum":65535}},"required":["host","port"]}},
		"redis_master_name":{"type":"string","minLength":1},
		"redis_role":{"type":"string","enum":["master","slave"],"default":"master"},
		"redis_connect_timeout":{"type":"integer","minimum":1,"default":1000},
		"redis_read_timeout":{"type":"integer","minimum":1,"default":1000},
		"redis_keepalive_timeout":{"type":"integer","minimum":1,"default":60000},
		"redis_database":{"type":"integer","minimum":0,"default":0},
		"redis_username":{"type":"string","minLength":1},
		"redis_password":{"type":"string","minLength":0},
		"sentinel_username":{"type":"string","minLength":1},
		"sentinel_password":{"type":"string","minLength":0}},
		"required":["redis_sentinels","redis_master_name"]}}}}`

	limitCountMetadataSchema = `{"type":"object",
	"properties":{
		"limit_header":{"type":"string","default":"X-RateLimit-Limit"},
		"remaining_header":{"type":"string","default":"X-RateLimit-Remaining"},
		"reset_header":{"type":"string","default":"X-RateLimit-Reset"}}}`
)

var (
	errCountAndRules = errors.New("count/time_window and rules cannot be specified at the same time")
	errGroupAndRules = errors.New("group and rules cannot be specified at the same time")
	errSyncShort     = errors.New("sync_interval should not be smaller than 0.1")
	errSyncLong      = errors.New("sync_interval should be smaller than time_window")
)

const msgDuplicateKey = "duplicate key '%s' in rules"

func init() {
	plugin.Register[limitCount]("limit-count", 1002, limitCountSchema, plugin.AsMetadata[limitCountHeaders](limitCountMetadataSchema))
}

// limitCount bounds how many requests come in a window of time.
type limitCount struct {
	countRule
	Rules                []countRule `json:"rules"`
	Group                string      `json:"group"`
	KeyType              string      `json:"key_type"`
	Policy               string      `json:"policy"`
	WindowType           string      `json:"window_type"`
	SyncInterval         float64     `json:"sync_interval"`
	ShowLimitQuotaHeader bool        `json:"show_limit_quota_header"`
	rejection

	env    *plugin.Env
	store  *quota.Store
	rules  []countRule
	joined bool
}

// countRule is one bound.
type countRule struct {
	Count        *amount `json:"count"`
	TimeWindow   *amount `json:"time_window"` // seconds
	Key          string  `json:"key"`
	HeaderPrefix string  `json:"header_prefix"`

	key   limitKey
	scope string
	// headers are nil for those of the metadata.
	headers *limitCountHeaders
}

// limitCountHeaders names the headers that tell the client how much is left.
type limitCountHeaders struct {
	Limit     string `json:"limit_header"`
	Remaining string `json:"remaining_header"`
	Reset     string `json:"reset_header"`
}

var (
	_ plugin.Checker    = (*limitCount)(nil)
	_ plugin.EnvChecker = (*limitCount)(nil)
	_ plugin.Initer     = (*limitCount)(nil)
	_ plugin.Accesser   = (*limitCount)(nil)
	_ plugin.Closer     = (*limitCount)(nil)
)

// Check looks at what goes together.
func (p *limitCount) Check() error {
	if p.Rules != nil {
		if p.Count != nil || p.TimeWindow != nil {
			return errCountAndRules
		}
		if p.Group != "" {
			return errGroupAndRules
		}
	}
	keys := map[string]bool{}
	for i := range p.Rules {
		key := p.Rules[i].Key
		if keys[key] {
			return fmt.Errorf(msgDuplicateKey, key)
		}
		keys[key] = true
	}
	switch {
	case p.SyncInterval == -1:
	case p.SyncInterval < 0.1:
		return errSyncShort
	case p.TimeWindow != nil && p.TimeWindow.template == nil && p.SyncInterval >= float64(p.TimeWindow.n):
		return errSyncLong
	}
	return nil
}

// CheckIn refuses a configuration that does not fit its group.
func (p *limitCount) CheckIn(env *plugin.Env) error {
	if c, ok := plugin.Service[*Counters](env); ok && p.Group != "" {
		return c.store.Fits(p.Group, p.identity())
	}
	return nil
}

// Init makes the keys and joins the group.
func (p *limitCount) Init(env *plugin.Env) error {
	if p.Policy != "local" {
		return errPolicy
	}
	p.env, p.store = env, countersOf(env)
	if p.Rules != nil {
		p.initRules()
		return nil
	}
	p.rules = []countRule{p.countRule}
	r := &p.rules[0]
	r.key = compileLimitKey(p.Key, p.KeyType)
	if r.scope = p.store.Scope(); p.Group == "" {
		return nil
	}
	if err := p.store.Join(p.Group, p.identity()); err != nil {
		return err
	}
	p.joined = true
	r.scope = "group:" + p.Group + ":"
	return nil
}

func (p *limitCount) initRules() {
	p.rules = p.Rules
	for i := range p.rules {
		r := &p.rules[i]
		r.key = compileLimitKey(r.Key, "var_combination")
		r.scope = p.store.Scope()
		prefix := r.HeaderPrefix
		if prefix == "" {
			prefix = strconv.Itoa(i + 1)
		}
		prefix = "X-" + prefix + "-RateLimit-"
		r.headers = &limitCountHeaders{prefix + "Limit", prefix + "Remaining", prefix + "Reset"}
	}
}

// identity is what must be the same in all of a group.
func (p *limitCount) identity() []byte {
	return fmt.Appendf(nil, "%s %s %q %q %q %g %t %d %q %t", p.Count, p.TimeWindow, p.Key, p.KeyType, p.WindowType,
		p.SyncInterval, p.ShowLimitQuotaHeader, p.RejectedCode, p.RejectedMsg, p.AllowDegradation)
}

// Close leaves the group.
func (p *limitCount) Close() {
	if p.joined {
		p.store.Leave(p.Group)
	}
}

// Access counts the request by each rule, up to one by which it is too much.
func (p *limitCount) Access(c *plugin.Context) error {
	used := 0
	for i := range p.rules {
		r := &p.rules[i]
		key, applies := r.key.forRule(c, p.Rules != nil)
		if !applies {
			continue
		}
		used++
		if err := p.count(c, r, key); err != nil {
			return err
		}
	}
	if used == 0 {
		return p.broken(c, errNoRule)
	}
	return nil
}

// count counts the request by one rule and tells the client what is left.
func (p *limitCount) count(c *plugin.Context, r *countRule, key string) error {
	limit, err := r.Count.of(c, 1)
	if err != nil {
		return p.broken(c, err)
	}
	seconds, err := r.TimeWindow.of(c, 1)
	if err != nil {
		return p.broken(c, err)
	}
	window := time.Duration(min(seconds, math.MaxInt32)) * time.Second
	var room [128]byte
	full := appendKey(room[:0], r.scope, key)
	var use quota.Use
	if p.WindowType == "sliding" {
		use = p.store.Sliding(full, limit, window)
	} else {
		use = p.store.Fixed(full, limit, window)
	}
	if p.ShowLimitQuotaHeader {
		names := r.headers
		if names == nil {
			names = plugin.MetadataOf[limitCountHeaders](c, "limit-count")
		}
		c.Response.SetHeader(names.Limit, r.Count.format(limit))
		c.Response.SetHeader(names.Remaining, strconv.FormatInt(max(use.Left, 0), 10))
		c.Response.SetHeader(names.Reset, resetText(use.Reset))
	}
	if use.Left < 0 {
		return p.reject(c)
	}
	return nil
}

// resetText is a time in seconds with at most two decimals.
func resetText(d time.Duration) string {
	hundredths := int64((d + 5*time.Millisecond) / (10 * time.Millisecond))
	var room [24]byte
	text := strconv.AppendInt(room[:0], hundredths/100, 10)
	switch rest := byte(hundredths % 100); {
	case rest == 0:
	case rest%10 == 0:
		text = append(text, '.', '0'+rest/10)
	default:
		text = append(text, '.', '0'+rest/10, '0'+rest%10)
	}
	return string(text)
}

func (p *limitCount) broken(c *plugin.Context, err error) error {
	return p.rejection.broken(c, p.env.Log, "limit-count", err)
}
