package snippet

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
)

// getVar is ngx.var.NAME and ctx.var.NAME.
func getVar(s *sandbox.State, name string) lua.LValue {
	c := callOf(s).c
	switch {
	case name == "upstream_uri" && c.UpstreamTarget != "":
		return lua.LString(c.UpstreamTarget)
	case name == "upstream_host" && c.UpstreamHost != "":
		return lua.LString(c.UpstreamHost)
	}
	v := c.Var(name)
	if !v.Present {
		return lua.LNil
	}
	return lua.LString(v.Joined())
}

// setVar is the assignment to ctx.var.NAME. What the gateway derives itself is from
// then on what was assigned, for plugins too.
func setVar(s *sandbox.State, name string, v lua.LValue) {
	c, value := callOf(s).c, lua.LVAsString(v)
	switch name {
	case "upstream_uri":
		c.UpstreamTarget = value
	case "upstream_host":
		c.UpstreamHost = value
	case "args", "query_string":
		c.Request.SetQuery(value)
	default:
		c.SetVar(name, value)
	}
}

// setNgxVar is the assignment to ngx.var.NAME, which nginx refuses for what it derives
// from the request.
func setNgxVar(s *sandbox.State, name string, v lua.LValue) {
	if name != "args" && !strings.HasPrefix(name, "upstream_") && fixedVar(name) {
		s.RaiseError("variable %q not changeable", name)
	}
	setVar(s, name, v)
}

// fixedVar tells whether a variable comes from the request itself.
func fixedVar(name string) bool {
	switch name {
	case "uri", "document_uri", "request_uri", "real_request_uri", "query_string", "is_args", "host", "hostname", "scheme", "request_method", "request",
		"remote_addr", "remote_port", "server_addr", "server_port", "server_name", "server_protocol", "status", "msec", "pid":
		return true
	}
	for _, prefix := range []string{"http_", "arg_", "cookie_", "sent_http_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
