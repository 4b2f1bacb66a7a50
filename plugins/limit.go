package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"millrace/plugin"
	"millrace/plugins/internal/quota"
)

// Counters are what the limit plugins count by. One for the process, lent as a
// service of plugin.Env, bounds their memory together and lets groups reach over
// routes; without, each instance has its own.
type Counters struct{ store *quota.Store }

// NewCounters makes counters that have counted nothing.
func NewCounters() *Counters { return &Counters{quota.New()} }

func countersOf(env *plugin.Env) *quota.Store {
	if c, ok := plugin.Service[*Counters](env); ok {
		return c.store
	}
	return quota.New()
}

const (
	// redisPolicies is near the end of the schema of a plugin that can count in
	// Redis: what each policy needs. Another "else" may follow.
	redisPolicies = `"if":{"properties":{"policy":{"enum":["redis"]}},"required":["policy"]},
	"then":{"properties":{
		"redis_host":{"type":"string","minLength":2},
		"redis_port":{"type":"integer","minimum":1,"default":6379},
		"redis_username":{"type":"string","minLength":1},
		"redis_password":{"type":"string","minLength":0},
		"redis_database":{"type":"integer","minimum":0,"default":0},
		"redis_timeout":{"type":"integer","minimum":1,"default":1000},
		"redis_ssl":{"type":"boolean","default":false},
		"redis_ssl_verify":{"type":"boolean","default":false},
		"redis_keepalive_timeout":{"type":"integer","minimum":1000,"default":10000},
		"redis_keepalive_pool":{"type":"integer","minimum":1,"default":100}},
		"required":["redis_host"]},
	"else":{"if":{"properties":{"policy":{"enum":["redis-cluster"]}},"required":["policy"]},
	"then":{"properties":{
		"redis_cluster_nodes":{"type":"array","minItems":1,"items":{"type":"string","minLength":2,"maxLength":100}},
		"redis_password":{"type":"string","minLength":0},
		"redis_timeout":{"type":"integer","minimum":1,"default":1000},
		"redis_cluster_name":{"type":"string"},
		"redis_cluster_ssl":{"type":"boolean","default":false},
		"redis_cluster_ssl_verify":{"type":"boolean","default":false},
		"redis_keepalive_timeout":{"type":"integer","minimum":1000,"default":10000},
		"redis_keepalive_pool":{"type":"integer","minimum":1,"default":100}},
		"required":["redis_cluster_nodes","redis_cluster_name"]}`

	limitAttributes = `"rejected_code":{"type":"integer","minimum":200,"maximum":599,"default":503},
		"rejected_msg":{"type":"string","minLength":1},
		"allow_degradation":{"type":"boolean","default":false}`

	// countOrVar is a number above 0 that is given or stands in a variable.
	countOrVar = `{"oneOf":[{"type":"integer","exclusiveMinimum":0},{"type":"string"}]}`
)

var (
	// errPolicy refuses what would otherwise count in one process alone.
	errPolicy = errors.New("counting in Redis is not supported: policy must be local")
	errNoRule = errors.New("no rule has a key for the request")
)

// rejection is how limits answer what is too much.
type rejection struct {
	RejectedCode     int    `json:"rejected_code"`
	RejectedMsg      string `json:"rejected_msg"`
	AllowDegradation bool   `json:"allow_degradation"`
}

// errorMessage is the body of a refusal with a text, such as rejected_msg.
type errorMessage struct {
	ErrorMsg string `json:"error_msg"`
}

func (r *rejection) reject(c *plugin.Context) error {
	if r.RejectedMsg != "" {
		return c.Exit(r.RejectedCode, errorMessage{r.RejectedMsg})
	}
	return c.Exit(r.RejectedCode, nil)
}

// broken answers a request that cannot be counted, unless it may pass all the same.
func (r *rejection) broken(c *plugin.Context, log *slog.Logger, name string, err error) error {
	if r.AllowDegradation {
		return nil
	}
	log.Error("counting requests", "plugin", name, "route", c.Matched.RouteID, "err", err)
	return c.Exit(500, nil)
}

// limitKey is what requests are counted by.
type limitKey struct {
	constant bool
	name     string           // of one variable
	template *plugin.Template // of several
	text     string
}

func compileLimitKey(key, keyType string) limitKey {
	switch keyType {
	case "constant":
		return limitKey{constant: true, text: key}
	case "var_combination":
		return limitKey{template: plugin.CompileTemplate(key)}
	}
	return limitKey{name: key}
}

// of answers the key of a request; found is false if no variable of it is there.
func (k *limitKey) of(c *plugin.Context) (key string, found bool) {
	switch {
	case k.constant:
		return k.text, true
	case k.template != nil:
		text, present := k.template.Resolve(c.Lookup())
		return text, present > 0
	case k.name == "remote_addr":
		return c.Conn.RemoteAddr, true
	}
	v := c.Var(k.name)
	return v.Text, v.Present && v.Text != ""
}

// orClient is of, with the client's address for requests without a key.
func (k *limitKey) orClient(c *plugin.Context) string {
	if key, found := k.of(c); found {
		return key
	}
	return c.Conn.RemoteAddr
}

// forRule answers the key that a rule counts a request by. A rule that is one of several
// does not apply to requests without its key; one that stands alone counts those by
// their client.
func (k *limitKey) forRule(c *plugin.Context, several bool) (key string, applies bool) {
	if several {
		return k.of(c)
	}
	return k.orClient(c), true
}

// amount is a number of the configuration, or a variable that holds one.
type amount struct {
	n        int64
	template *plugin.Template
	text     string // as configured
}

// UnmarshalJSON reads a number, or a text with variables.
func (a *amount) UnmarshalJSON(b []byte) (err error) {
	if len(b) == 0 || b[0] != '"' {
		a.text = string(b)
		a.n, err = strconv.ParseInt(a.text, 10, 64)
		return err
	}
	if err = json.Unmarshal(b, &a.text); err == nil {
		a.template = plugin.CompileTemplate(a.text)
	}
	return err
}

// format is n, which of answered, as a text.
func (a *amount) format(n int64) string {
	if a.template == nil {
		return a.text
	}
	return strconv.FormatInt(n, 10)
}

func (a *amount) String() string {
	if a == nil {
		return ""
	}
	return a.text
}

// of answers the number for a request. It is an error if the variable holds none,
// or less than least.
func (a *amount) of(c *plugin.Context, least int64) (int64, error) {
	if a.template == nil {
		return a.n, nil
	}
	text := a.template.Expand(c.Lookup())
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err == nil && n < least {
		err = fmt.Errorf("%d is below %d", n, least)
	}
	if err != nil {
		return 0, fmt.Errorf("resolving a limit: %w", err)
	}
	return n, nil
}

// appendKey makes a counter's key of its scope and what the request is counted by.
func appendKey(dst []byte, scope, key string) []byte {
	return append(append(dst, scope...), key...)
}
