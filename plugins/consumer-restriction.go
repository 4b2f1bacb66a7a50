package plugins

import (
	"slices"

	"millrace/plugin"
)

const consumerRestrictionSchema = `{"type":"object",
	"properties":{
		"type":{"type":"string","enum":["consumer_name","service_id","route_id","consumer_group_id"],"default":"consumer_name"},
		"blacklist":{"type":"array","minItems":1,"items":{"type":"string"}},
		"whitelist":{"type":"array","minItems":1,"items":{"type":"string"}},
		"allowed_by_methods":{"type":"array","items":{"type":"object","properties":{
			"user":{"type":"string"},
			"methods":{"type":"array","minItems":1,"items":{"type":"string",
				"enum":["GET","POST","PUT","DELETE","PATCH","HEAD","OPTIONS","CONNECT","TRACE","PURGE"]}}}}},
		"rejected_code":{"type":"integer","minimum":200,"default":403},
		"rejected_msg":{"type":"string"}
	},
	"anyOf":[{"required":["blacklist"]},{"required":["whitelist"]},{"required":["allowed_by_methods"]}]}`

func init() {
	plugin.Register[consumerRestriction]("consumer-restriction", 2400, consumerRestrictionSchema)
}

// consumerRestriction refuses callers by who they are, or by what they call.
type consumerRestriction struct {
	Type             string           `json:"type"`
	Blacklist        []string         `json:"blacklist"`
	Whitelist        []string         `json:"whitelist"`
	AllowedByMethods []allowedMethods `json:"allowed_by_methods"`
	RejectedCode     int              `json:"rejected_code"`
	RejectedMsg      string           `json:"rejected_msg"`
}

// allowedMethods are the methods that a user may use.
type allowedMethods struct {
	User    string   `json:"user"`
	Methods []string `json:"methods"`
}

var _ plugin.Accesser = (*consumerRestriction)(nil)

// Access looks the request's value of Type up in the lists.
func (p *consumerRestriction) Access(c *plugin.Context) error {
	value := p.value(c)
	if value == "" {
		return c.Exit(401, message{"The request is rejected, please check the " + p.Type + " for this request"})
	}
	if p.allows(value, c.Request.Method()) {
		return nil
	}
	if p.RejectedMsg != "" {
		return c.Exit(p.RejectedCode, message{p.RejectedMsg})
	}
	return c.Exit(p.RejectedCode, message{"The " + p.Type + " is forbidden."})
}

func (p *consumerRestriction) value(c *plugin.Context) string {
	switch p.Type {
	case "service_id":
		return c.Matched.ServiceID
	case "route_id":
		return c.Matched.RouteID
	case "consumer_group_id":
		return c.Consumer.GroupID
	}
	return c.Consumer.Username
}

// allows: the whitelist opens what the methods of a user would close.
func (p *consumerRestriction) allows(value, method string) bool {
	if slices.Contains(p.Blacklist, value) {
		return false
	}
	if len(p.Whitelist) > 0 {
		return slices.Contains(p.Whitelist, value)
	}
	for _, a := range p.AllowedByMethods {
		if a.User == value {
			return slices.Contains(a.Methods, method)
		}
	}
	return true
}
