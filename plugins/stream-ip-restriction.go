package plugins

import "millrace/plugin"

const streamIPRestrictionSchema = `{"type":"object",
	"properties":{
		"message":{"type":"string","minLength":1,"maxLength":1024,"default":"Your IP address is not allowed"},
		"whitelist":{"type":"array","items":` + ipDef + `,"minItems":1},
		"blacklist":{"type":"array","items":` + ipDef + `,"minItems":1}
	},
	"oneOf":[{"required":["whitelist"]},{"required":["blacklist"]}]}`

func init() {
	plugin.RegisterStream[streamIPRestriction]("ip-restriction", 3000, streamIPRestrictionSchema)
}

// streamIPRestriction ends the connections of clients by their address.
type streamIPRestriction struct{ ipRestriction }

var (
	_ plugin.Checker   = (*streamIPRestriction)(nil)
	_ plugin.Prereader = (*streamIPRestriction)(nil)
)

// Check reads the addresses.
func (p *streamIPRestriction) Check() error {
	p.ResponseCode = 403
	return p.ipRestriction.Check()
}

// Preread lets the client pass or not.
func (p *streamIPRestriction) Preread(c *plugin.Context) error { return p.Access(c) }
