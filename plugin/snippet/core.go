package snippet

import (
	"log/slog"
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// coreModule answers a part of apisix.core, nil if there is no such part.
func coreModule(s *sandbox.State, name string) lua.LValue {
	switch name {
	case "log":
		return library(s, coreLog, nil)
	case "json":
		return jsonModule(s, true)
	case "request":
		return library(s, coreRequest, nil)
	case "response":
		return library(s, coreResponse, nil)
	case "ctx":
		return library(s, coreCtx, nil)
	case "string":
		return library(s, coreString, inherit("string"))
	case "table":
		return library(s, coreTable, inherit("table"))
	case "utils":
		return library(s, coreUtils, nil)
	case "ip":
		return library(s, coreIP, nil)
	case "lrucache":
		return library(s, coreCache, nil)
	case "tablepool":
		return library(s, corePool, nil)
	case "id":
		return library(s, coreID, nil)
	case "sleep":
		return s.Register(ngxSleep)
	case "resolver":
		return library(s, map[string]luaFunc{"parse_domain": refuse("core.resolver.parse_domain")}, nil)
	case "version":
		t := s.NewTable()
		t.RawSetString("VERSION", lua.LString("3.18.0"))
		return t
	case "empty_tab":
		return s.NewTable()
	}
	return nil
}

// inherit answers what a library of Lua itself has.
func inherit(global string) func(s *sandbox.State, name string) lua.LValue {
	return func(s *sandbox.State, name string) lua.LValue {
		if t, ok := s.GetGlobal(global).(*lua.LTable); ok {
			return t.RawGetString(name)
		}
		return nil
	}
}

var coreLog = map[string]luaFunc{
	"emerg": logAt(slog.LevelError), "alert": logAt(slog.LevelError), "crit": logAt(slog.LevelError), "error": logAt(slog.LevelError),
	"warn": logAt(slog.LevelWarn), "notice": logAt(slog.LevelInfo), "info": logAt(slog.LevelInfo), "debug": logAt(slog.LevelDebug),
	"delay_exec": callThrough, // what is logged is made at once
}

// callThrough calls the first argument with those that follow.
func callThrough(s *sandbox.State) int {
	s.Call(s.GetTop()-1, 1)
	return 1
}

func logAt(level slog.Level) luaFunc {
	return func(s *sandbox.State) int { logLine(s, level, 1); return 0 }
}

// coreRequest are the functions of core.request, whose first argument is ctx.
var coreRequest = map[string]luaFunc{
	"header": func(s *sandbox.State) int {
		v := callOf(s).c.Request.Header(strings.ReplaceAll(textArg(s, s.GetTop()), "_", "-"))
		if v == nil {
			return pushNil(s)
		}
		return push(s, v)
	},
	"headers":                     func(s *sandbox.State) int { return pushHeaders(s, callOf(s).c.Request.Headers, false) },
	"set_header":                  func(s *sandbox.State) int { return setHeader(s, callOf(s).c.Request, afterCtx(s)) },
	"add_header":                  func(s *sandbox.State) int { return addHeader(s, callOf(s).c.Request, afterCtx(s)) },
	"get_ip":                      remoteAddr,
	"get_remote_client_ip":        remoteAddr,
	"get_remote_client_port":      func(s *sandbox.State) int { return push(s, callOf(s).c.Conn.RemotePort) },
	"get_method":                  requestFunctions["get_method"],
	"get_http_version":            requestFunctions["http_version"],
	"get_uri_args":                func(s *sandbox.State) int { return pushArgs(s, callOf(s).c.Request.Query(), 2) },
	"set_uri_args":                func(s *sandbox.State) int { callOf(s).c.Request.SetQuery(argsText(s, 2)); return 0 },
	"get_post_args":               func(s *sandbox.State) int { return pushArgs(s, string(callOf(s).requestBody(s)), 2) },
	"get_body":                    coreBody,
	"get_json_request_body_table": jsonBody,
	"get_scheme":                  func(s *sandbox.State) int { return push(s, callOf(s).c.Conn.Scheme) },
	"get_host":                    func(s *sandbox.State) int { return push(s, callOf(s).c.Var("host").Text) },
	"get_port":                    func(s *sandbox.State) int { return push(s, callOf(s).c.Conn.ServerPort) },
	"get_path":                    func(s *sandbox.State) int { return push(s, callOf(s).c.Request.Path()) },
}

func remoteAddr(s *sandbox.State) int { return push(s, callOf(s).c.Conn.RemoteAddr) }

// afterCtx is where the arguments behind ctx begin: older sources leave it out.
func afterCtx(s *sandbox.State) int {
	if s.Get(1).Type() == lua.LTString {
		return 1
	}
	return 2
}

// coreBody takes (most, ctx): more than most bytes are an error.
func coreBody(s *sandbox.State) int {
	body := callOf(s).requestBody(s)
	if most, ok := s.Get(1).(lua.LNumber); ok && len(body) > int(most) {
		pushNil(s)
		return 1 + push(s, "request size is greater than the maximum size allowed")
	}
	if len(body) == 0 {
		return pushNil(s)
	}
	return push(s, body)
}

// jsonBody answers the body as a table, else nil and {message = …}.
func jsonBody(s *sandbox.State) int {
	body := callOf(s).requestBody(s)
	message := "could not get body: request body is empty"
	if len(body) > 0 {
		v, err := s.DecodeJSON(string(body))
		if err == nil {
			s.Push(v)
			return 1
		}
		message = "could not parse JSON request body: " + err.Error()
	}
	pushNil(s)
	return 1 + push(s, map[string]any{"message": message})
}

// coreResponse are the functions of core.response.
var coreResponse = map[string]luaFunc{
	"exit":            coreExit,
	"set_header":      func(s *sandbox.State) int { return eachHeader(s, setHeaderValue) },
	"add_header":      func(s *sandbox.State) int { return eachHeader(s, addHeaderValue) },
	"hold_body_chunk": holdBodyChunk,
	"get_upstream_status": func(s *sandbox.State) int {
		if status := callOf(s).c.Upstream.Status; status != "" {
			return push(s, status[strings.LastIndexByte(status, ' ')+1:])
		}
		return pushNil(s)
	},
	"clear_header_as_body_modified": func(s *sandbox.State) int {
		for _, name := range []string{"Content-Length", "Content-Encoding", "Last-Modified", "ETag"} {
			callOf(s).c.Response.DelHeader(name)
		}
		return 0
	},
}

// coreExit takes (status, body); a status that is no number is a body.
func coreExit(s *sandbox.State) int {
	call := callOf(s)
	var parts [2]any
	for i := range parts {
		v, err := sandbox.GoValue(s.Get(i + 1))
		if err != nil {
			s.RaiseError("%s", err.Error())
		}
		parts[i] = v
	}
	if call.filters() {
		s.Raise(errFinished)
	}
	s.Raise(asRaised(call.exit(parts[0], parts[1])))
	return 0
}

// asRaised answers the error that ends a call whose request has been answered.
func asRaised(err error) error {
	if err == plugin.ErrExit {
		return errExited
	}
	return err
}

func addHeaderValue(h headers, name string, v lua.LValue) { h.AddHeader(name, headerText(v)) }

// eachHeader takes names and values in turn, or a table.
func eachHeader(s *sandbox.State, set func(h headers, name string, v lua.LValue)) int {
	r := callOf(s).c.Response
	if t, ok := s.Get(1).(*lua.LTable); ok {
		t.ForEach(func(name, v lua.LValue) { set(r, lua.LVAsString(name), v) })
		return 0
	}
	for i := 1; i <= s.GetTop(); i += 2 {
		set(r, s.CheckString(i), s.Get(i+1))
	}
	return 0
}

// coreCtx are the functions of core.ctx.
var coreCtx = map[string]luaFunc{
	// register_var takes (name, function(ctx), …): the variable is what the function
	// answers now, and stays it until the request ends.
	"register_var": func(s *sandbox.State) int {
		name, fn, c := s.CheckString(1), s.CheckFunction(2), callOf(s).c
		s.Push(fn)
		s.Push(s.GetGlobal(ctxName))
		s.Call(1, 1)
		v := s.Get(-1)
		s.Pop(1)
		if v != lua.LNil {
			c.SetVar(name, s.ToStringMeta(v).String())
		}
		return 0
	},
	"set_vars_meta": func(*sandbox.State) int { return 0 },
}
