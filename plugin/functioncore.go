package plugin

import (
	"log/slog"
	"os"
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
)

// ctxName is the global under which a state keeps the second argument of functions.
// No source can name it.
const ctxName = "\x00ctx"

// openCore enters ctx, and what require answers: apisix.core, cjson and ngx.re's
// companions.
func openCore(s *sandbox.State) {
	vars := s.Variables(getVar, setVar)
	s.SetGlobal(ctxName, sharedTable(s, "ctx", func(s *sandbox.State, name string) lua.LValue {
		return ctxField(s, vars, name)
	}))
	safe, strict := s.NewTable(), s.NewTable()
	setAll(s, safe, jsonFunctions(true))
	setAll(s, strict, jsonFunctions(false))
	for _, t := range []*lua.LTable{safe, strict} {
		t.RawSetString("null", s.Null())
	}
	core := makeCore(s, safe)
	modules := map[string]lua.LValue{
		"apisix.core": core, "cjson": strict, "cjson.safe": safe, "apisix.core.json": safe,
		"apisix.core.log": core.RawGetString("log"), "apisix.core.request": core.RawGetString("request"),
		"apisix.core.response": core.RawGetString("response"),
	}
	s.SetGlobal("require", s.Register(func(s *sandbox.State) int {
		m := modules[s.CheckString(1)]
		if m == nil {
			s.RaiseError("module '%s' not found", s.CheckString(1))
		}
		s.Push(m)
		return 1
	}))
}

// ctxField answers what ctx knows of the request.
func ctxField(s *sandbox.State, vars *lua.LTable, name string) lua.LValue {
	if name == "var" {
		return vars
	}
	c := callOf(s).c
	text := ""
	switch name {
	case "route_id":
		text = c.Matched.RouteID
	case "route_name":
		text = c.Matched.RouteName
	case "service_id":
		text = c.Matched.ServiceID
	case "service_name":
		text = c.Matched.ServiceName
	case "consumer_name":
		text = c.Consumer.Username
	case "consumer_group_id":
		text = c.Consumer.GroupID
	case "consumer":
		if c.Consumer.Username == "" {
			return lua.LNil
		}
		return consumerTable(s, &c.Consumer)
	}
	if text == "" {
		return lua.LNil
	}
	return lua.LString(text)
}

func consumerTable(s *sandbox.State, who *Consumer) lua.LValue {
	labels := map[string]any{}
	for name, value := range who.Labels {
		labels[name] = value
	}
	return s.Value(map[string]any{
		"username": who.Username, "consumer_name": who.Username, "group_id": who.GroupID, "credential_id": who.CredentialID,
		"custom_id": who.CustomID, "labels": labels,
	})
}

// sharedKey names a table that the functions of a request share.
type sharedKey string

// sharedTable makes a table whose fields live as long as the request does, in all
// phases. They are kept as JSON has them. preset answers fields of its own first.
func sharedTable(s *sandbox.State, name string, preset func(s *sandbox.State, name string) lua.LValue) *lua.LTable {
	key := sharedKey(name)
	return s.Variables(func(s *sandbox.State, field string) lua.LValue {
		if preset != nil {
			if v := preset(s, field); v != lua.LNil {
				return v
			}
		}
		fields, _ := callOf(s).c.Value(key).(map[string]string)
		text, ok := fields[field]
		if !ok {
			return lua.LNil
		}
		v, err := s.DecodeJSON(text)
		if err != nil {
			return lua.LNil
		}
		return v
	}, func(s *sandbox.State, field string, v lua.LValue) {
		fields := sharedFields(callOf(s).c, key)
		if v == lua.LNil {
			delete(fields, field)
			return
		}
		text, err := sandbox.EncodeJSON(v)
		if err != nil {
			s.RaiseError("%s cannot be kept: %s", field, err.Error())
		}
		fields[field] = text
	})
}

// Share keeps JSON for Lua functions, which find it as a field of their ctx in the
// phases that follow.
func (c *Context) Share(field, json string) {
	sharedFields(c, "ctx")[field] = json
}

// sharedFields answers the fields of a shared table; it makes them if there are none.
func sharedFields(c *Context, key sharedKey) map[string]string {
	fields, _ := c.Value(key).(map[string]string)
	if fields == nil {
		fields = map[string]string{}
		c.SetValue(key, fields)
	}
	return fields
}

// makeCore makes apisix.core.
func makeCore(s *sandbox.State, json *lua.LTable) *lua.LTable {
	core, log := s.NewTable(), s.NewTable()
	for name, level := range map[string]slog.Level{
		"emerg": slog.LevelError, "alert": slog.LevelError, "crit": slog.LevelError, "error": slog.LevelError,
		"warn": slog.LevelWarn, "notice": slog.LevelInfo, "info": slog.LevelInfo, "debug": slog.LevelDebug,
	} {
		log.RawSetString(name, s.Register(func(s *sandbox.State) int { logLine(s, level, 1); return 0 }))
	}
	core.RawSetString("log", log)
	core.RawSetString("json", json)
	json.RawSetString("delay_encode", json.RawGetString("encode")) // what is logged is written at once
	for name, functions := range map[string]map[string]luaFunc{
		"request": coreRequest, "response": coreResponse, "string": coreString, "table": coreTable, "utils": coreUtils,
	} {
		t := s.NewTable()
		setAll(s, t, functions)
		core.RawSetString(name, t)
	}
	return core
}

// jsonFunctions are those of cjson; safe ones answer nil and the error.
func jsonFunctions(safe bool) map[string]luaFunc {
	fail := func(s *sandbox.State, err error) int {
		if !safe {
			s.RaiseError("%s", err.Error())
		}
		s.Push(lua.LNil)
		return 1 + push(s, err.Error())
	}
	return map[string]luaFunc{
		"encode": func(s *sandbox.State) int {
			text, err := sandbox.EncodeJSON(s.Get(1))
			if err != nil {
				return fail(s, err)
			}
			return push(s, text)
		},
		"decode": func(s *sandbox.State) int {
			v, err := s.DecodeJSON(s.CheckString(1))
			if err != nil {
				return fail(s, err)
			}
			s.Push(v)
			return 1
		},
	}
}

// coreRequest are the functions of core.request, whose first argument is ctx.
var coreRequest = map[string]luaFunc{
	"header": func(s *sandbox.State) int {
		v := callOf(s).c.Request.Header(strings.ReplaceAll(s.CheckString(2), "_", "-"))
		if v == nil {
			return pushNil(s)
		}
		return push(s, v)
	},
	"headers":              func(s *sandbox.State) int { return pushHeaders(s, callOf(s).c.Request.Headers) },
	"set_header":           setCoreHeader,
	"add_header":           addCoreHeader,
	"get_ip":               remoteAddr,
	"get_remote_client_ip": remoteAddr,
	"get_remote_client_port": func(s *sandbox.State) int {
		return push(s, callOf(s).c.Conn.RemotePort)
	},
	"get_method":    requestFunctions["get_method"],
	"get_uri_args":  requestFunctions["get_uri_args"],
	"set_uri_args":  func(s *sandbox.State) int { callOf(s).setQuery(argsText(s, 2)); return 0 },
	"get_post_args": requestFunctions["get_post_args"],
	"get_body":      requestFunctions["get_body_data"],
	"get_scheme":    func(s *sandbox.State) int { return push(s, callOf(s).c.Conn.Scheme) },
	"get_host":      func(s *sandbox.State) int { return push(s, hostOnly(callOf(s).c.Request.Host())) },
	"get_port":      func(s *sandbox.State) int { return push(s, callOf(s).c.Conn.ServerPort) },
	"get_path":      func(s *sandbox.State) int { return push(s, callOf(s).c.Request.Path()) },
}

func remoteAddr(s *sandbox.State) int { return push(s, callOf(s).c.Conn.RemoteAddr) }

// setCoreHeader takes (ctx, name, value), or the older (name, value).
func setCoreHeader(s *sandbox.State) int {
	at := 2
	if s.Get(1).Type() == lua.LTString {
		at = 1
	}
	return setHeader(s, callOf(s).c.Request, at)
}

func addCoreHeader(s *sandbox.State) int {
	callOf(s).c.Request.AddHeader(s.CheckString(2), lua.LVAsString(s.Get(3)))
	return 0
}

// coreResponse are the functions of core.response.
var coreResponse = map[string]luaFunc{
	"exit": func(s *sandbox.State) int {
		call := callOf(s)
		var body any
		if s.GetTop() > 1 {
			v, err := sandbox.GoValue(s.Get(2))
			if err != nil {
				s.RaiseError("%s", err.Error())
			}
			body = v
		}
		return call.end(s, s.CheckInt(1), body)
	},
	"set_header": func(s *sandbox.State) int { return eachHeader(s, Response.SetHeader) },
	"add_header": func(s *sandbox.State) int { return eachHeader(s, Response.AddHeader) },
	"get_upstream_status": func(s *sandbox.State) int {
		return push(s, callOf(s).c.Upstream.Status)
	},
}

// eachHeader takes names and values in turn, or a table.
func eachHeader(s *sandbox.State, set func(r Response, name, value string)) int {
	r := callOf(s).c.Response
	if t, ok := s.Get(1).(*lua.LTable); ok {
		t.ForEach(func(name, v lua.LValue) { set(r, lua.LVAsString(name), lua.LVAsString(v)) })
		return 0
	}
	for i := 1; i < s.GetTop(); i += 2 {
		if v := s.Get(i + 1); v != lua.LNil {
			set(r, s.CheckString(i), lua.LVAsString(v))
		} else {
			r.DelHeader(s.CheckString(i))
		}
	}
	return 0
}

var coreString = map[string]luaFunc{
	"has_prefix": func(s *sandbox.State) int { return push(s, strings.HasPrefix(s.CheckString(1), s.CheckString(2))) },
	"has_suffix": func(s *sandbox.State) int { return push(s, strings.HasSuffix(s.CheckString(1), s.CheckString(2))) },
	"find": func(s *sandbox.State) int {
		i := strings.Index(s.CheckString(1), s.CheckString(2))
		if i < 0 {
			return pushNil(s)
		}
		return push(s, i+1)
	},
	"split": func(s *sandbox.State) int {
		t := s.NewTable()
		for _, part := range strings.Split(s.CheckString(1), s.CheckString(2)) {
			t.Append(lua.LString(part))
		}
		s.Push(t)
		return 1
	},
}

var coreTable = map[string]luaFunc{
	"nkeys": func(s *sandbox.State) int {
		n := 0
		s.CheckTable(1).ForEach(func(lua.LValue, lua.LValue) { n++ })
		return push(s, n)
	},
	"clear": func(s *sandbox.State) int {
		t := s.CheckTable(1)
		var keys []lua.LValue
		t.ForEach(func(key, _ lua.LValue) { keys = append(keys, key) })
		for _, key := range keys {
			t.RawSet(key, lua.LNil)
		}
		return 0
	},
	"array_find": func(s *sandbox.State) int {
		t := s.CheckTable(1)
		for i := 1; i <= t.Len(); i++ {
			if t.RawGetInt(i) == s.Get(2) {
				return push(s, i)
			}
		}
		return pushNil(s)
	},
	"insert": func(s *sandbox.State) int { s.CheckTable(1).Append(s.Get(s.GetTop())); return 0 },
	"new":    func(s *sandbox.State) int { s.Push(s.NewTable()); return 1 },
}

var coreUtils = map[string]luaFunc{
	"resolve_var": func(s *sandbox.State) int {
		return push(s, CompileTemplate(s.CheckString(1)).Expand(callOf(s).c.Lookup()))
	},
	"gethostname": func(s *sandbox.State) int {
		name, _ := os.Hostname()
		return push(s, name)
	},
}
