package plugins

import "millrace/plugin"

const streamLimitConnSchema = `{"type":"object",
	"properties":{
		"conn":{"type":"integer","exclusiveMinimum":0},
		"burst":{"type":"integer","minimum":0},
		"default_conn_delay":{"type":"number","exclusiveMinimum":0},
		"only_use_default_delay":{"type":"boolean","default":false},
		"key":{"type":"string"},
		"key_type":{"type":"string","enum":["var","var_combination"],"default":"var"}},
	"required":["conn","burst","default_conn_delay","key"]}`

func init() {
	plugin.RegisterStream[streamLimitConn]("limit-conn", 1003, streamLimitConnSchema)
}

// streamLimitConn bounds how many connections are open at once.
type streamLimitConn struct{ limitConn }

var (
	_ plugin.Initer       = (*streamLimitConn)(nil)
	_ plugin.Prereader    = (*streamLimitConn)(nil)
	_ plugin.StreamLogger = (*streamLimitConn)(nil)
)

// Init makes the key.
func (p *streamLimitConn) Init(env *plugin.Env) error {
	p.Policy, p.RejectedCode = "local", 503
	// How long connections stay open says nothing of how long one should wait.
	p.OnlyUseDefaultDelay = true
	return p.limitConn.Init(env)
}

// Preread counts the connection in, delays it beyond conn and ends it beyond burst.
func (p *streamLimitConn) Preread(c *plugin.Context) error { return p.Access(c) }

// LogStream counts the connection out.
func (p *streamLimitConn) LogStream(c *plugin.Context) { p.Log(c) }
