package snippet

import (
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// ctxName is the global under which a state keeps the context of the request. No
// source can name it.
const ctxName = "\x00ctx"

// varsName is that of its variables.
const varsName = "\x00vars"

// kept names a table that the functions of a request share.
type kept int

const (
	ctxKept kept = iota // ctx
	ngxKept             // ngx.ctx
	keptTables
)

// keptFields are the fields of such a table between two calls: strings, numbers and
// bools as they are in Lua, tables as JSON.
type keptFields map[string]any

// keptJSON is a table.
type keptJSON string

// openCtx enters the context of the request.
func openCtx(s *sandbox.State) {
	vars := s.Variables(getVar, setVar)
	s.SetGlobal(varsName, vars)
	s.SetGlobal(ctxName, keptTable(s, ctxKept, func(s *sandbox.State, name string) lua.LValue {
		if name == "var" {
			return vars
		}
		return ctxField(s, name)
	}))
}

// keptTable makes a table whose fields live as long as the request does, in all
// phases; preset answers fields that were not assigned. In one call they are what was
// assigned; from one to another they go as JSON has them.
func keptTable(s *sandbox.State, which kept, preset func(s *sandbox.State, name string) lua.LValue) *lua.LTable {
	return s.Variables(func(s *sandbox.State, field string) lua.LValue {
		call := callOf(s)
		if v, ok := call.live[which][field]; ok {
			return v
		}
		v := call.recall(s, which, field)
		if v == lua.LNil {
			return preset(s, field)
		}
		call.enliven(which, field, v)
		return v
	}, func(s *sandbox.State, field string, v lua.LValue) {
		call := callOf(s)
		if which == ctxKept && field == "upstream_id" {
			call.setUpstream(s, v)
		}
		call.enliven(which, field, v)
	})
}

func (call *invocation) enliven(which kept, field string, v lua.LValue) {
	if call.live[which] == nil {
		call.live[which] = map[string]lua.LValue{}
	}
	call.live[which][field] = v
}

// recall answers a field as an earlier call has left it.
func (call *invocation) recall(s *sandbox.State, which kept, field string) lua.LValue {
	fields, _ := call.c.Value(which).(keptFields)
	switch v := fields[field].(type) {
	case nil:
		return lua.LNil
	case keptJSON:
		table, err := s.DecodeJSON(string(v))
		if err != nil {
			return lua.LNil
		}
		return table
	default:
		return s.Value(v)
	}
}

// keep puts down for later calls what this one has assigned. A function, or what else
// JSON does not know, is gone with the call.
func (call *invocation) keep() {
	for which, live := range call.live {
		if len(live) == 0 {
			continue
		}
		fields := fieldsOf(call.c, kept(which))
		for _, name := range slices.Sorted(maps.Keys(live)) {
			v, err := keptValue(live[name])
			switch {
			case err != nil:
				call.host.log.Warn("a field of ctx ends with the call", "field", name, "err", err)
				delete(fields, name)
			case v == nil:
				delete(fields, name)
			default:
				fields[name] = v
			}
		}
	}
}

func keptValue(v lua.LValue) (any, error) {
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LString:
		return string(v), nil
	case lua.LNumber:
		return float64(v), nil
	case lua.LBool:
		return bool(v), nil
	}
	text, err := sandbox.EncodeJSON(v)
	return keptJSON(text), err
}

// fieldsOf answers the fields of a table, made if there are none.
func fieldsOf(c *plugin.Context, which kept) keptFields {
	fields, _ := c.Value(which).(keptFields)
	if fields == nil {
		fields = keptFields{}
		c.SetValue(which, fields)
	}
	return fields
}

// Share keeps JSON for Lua functions, which find it as a field of their ctx in the
// phases that follow.
func Share(c *plugin.Context, field, json string) { fieldsOf(c, ctxKept)[field] = keptJSON(json) }

// setUpstream sends the request to another upstream resource.
func (call *invocation) setUpstream(s *sandbox.State, id lua.LValue) {
	compiler := call.host.upstreams
	if compiler == nil || call.filters() {
		s.RaiseError("upstream_id cannot be set here")
	}
	if id == lua.LNil {
		call.c.SetUpstream(nil)
		return
	}
	call.c.SetUpstream(compiler.SharedUpstream(lua.LVAsString(id)))
}

// ctxField answers what ctx knows of the request.
func ctxField(s *sandbox.State, name string) lua.LValue {
	c := callOf(s).c
	switch name {
	case "matched_route":
		return matchedRoute(s, c)
	case "matched_upstream":
		if doc := gjson.GetBytes(c.Matched.Document, "upstream"); doc.Exists() {
			return decoded(s, doc.Raw)
		}
		return lua.LNil
	case "curr_req_matched":
		return matchedParts(s, c)
	case "consumer":
		if c.Consumer.Username == "" {
			return lua.LNil
		}
		return consumerTable(s, &c.Consumer)
	case "picked_server":
		if c.Upstream.IP == "" {
			return lua.LNil
		}
		return s.Value(map[string]any{"host": c.Upstream.IP, "port": c.Upstream.Port})
	case "balancer_port":
		if c.Upstream.Port == 0 {
			return lua.LNil
		}
		return lua.LNumber(c.Upstream.Port)
	}
	if text := ctxText(c, name); text != "" {
		return lua.LString(text)
	}
	return lua.LNil
}

// ctxText answers a field that is a text, "" for one that is not there.
func ctxText(c *plugin.Context, name string) string {
	switch name {
	case "route_id":
		return c.Matched.RouteID
	case "route_name":
		return c.Matched.RouteName
	case "service_id":
		return c.Matched.ServiceID
	case "service_name":
		return c.Matched.ServiceName
	case "consumer_name":
		return c.Consumer.Username
	case "consumer_group_id":
		return c.Consumer.GroupID
	case "balancer_ip":
		return c.Upstream.IP
	case "upstream_scheme":
		return c.Upstream.Scheme
	case "conf_type":
		if c.Matched.RouteID != "" && c.Matched.ServiceID != "" {
			return "route&service"
		} else if c.Matched.RouteID != "" {
			return "route"
		}
	case "conf_id":
		if c.Matched.ServiceID != "" {
			return c.Matched.RouteID + "&" + c.Matched.ServiceID
		}
		return c.Matched.RouteID
	}
	return ""
}

// matchedRoute is the route as the Admin API keeps it or, where no plugin of the route
// asks for that, its identity.
func matchedRoute(s *sandbox.State, c *plugin.Context) lua.LValue {
	if c.Matched.RouteID == "" {
		return lua.LNil
	}
	value, ok := decoded(s, string(c.Matched.Document)).(*lua.LTable)
	if !ok {
		value = s.NewTable()
	}
	for field, text := range map[string]string{
		"id": c.Matched.RouteID, "name": c.Matched.RouteName, "uri": c.Matched.URI, "host": c.Matched.Host, "service_id": c.Matched.ServiceID,
	} {
		if text != "" && value.RawGetString(field) == lua.LNil {
			value.RawSetString(field, lua.LString(text))
		}
	}
	t := s.NewTable()
	t.RawSetString("value", value)
	t.RawSetString("key", lua.LString("/apisix/routes/"+c.Matched.RouteID))
	return t
}

// decoded answers JSON as a value, nil if it is none.
func decoded(s *sandbox.State, text string) lua.LValue {
	v, err := s.DecodeJSON(text)
	if text == "" || err != nil {
		return lua.LNil
	}
	return v
}

// matchedParts is what the router has found: the pattern of the path, of the host, and
// the parameters by name, :ext for what a * at the end stands for.
func matchedParts(s *sandbox.State, c *plugin.Context) lua.LValue {
	if c.Matched.RouteID == "" {
		return lua.LNil
	}
	t := s.NewTable()
	set := func(name, value string) {
		if value != "" {
			t.RawSetString(name, lua.LString(value))
		}
	}
	set("_path", c.Matched.URI)
	set("_host", strings.ToLower(c.Matched.Host))
	set("_method", c.Request.Method())
	if strings.HasSuffix(c.Matched.URI, "*") {
		t.RawSetString(":ext", lua.LString(c.Matched.Ext))
	}
	for name, value := range c.Matched.Params {
		set(name, value)
	}
	return t
}

func consumerTable(s *sandbox.State, who *plugin.Consumer) lua.LValue {
	labels := map[string]any{}
	for name, value := range who.Labels {
		labels[name] = value
	}
	fields := map[string]any{"username": who.Username, "consumer_name": who.Username, "labels": labels}
	for name, text := range map[string]string{"group_id": who.GroupID, "credential_id": who.CredentialID, "custom_id": who.CustomID} {
		if text != "" {
			fields[name] = text
		}
	}
	return s.Value(fields)
}
