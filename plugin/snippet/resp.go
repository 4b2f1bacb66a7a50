package snippet

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
)

// responseFunctions are those of ngx.resp.
var responseFunctions = map[string]luaFunc{
	"get_headers": func(s *sandbox.State) int {
		return pushHeaders(s, callOf(s).c.Response.Headers, lua.LVAsBool(s.Get(2)))
	},
	"add_header": func(s *sandbox.State) int { return addHeader(s, callOf(s).c.Response, 1) },
	"set_status": func(s *sandbox.State) int { return setStatus(s, 1) },
}

// setStatus sets the status that an argument names. In filters it goes to the client as
// it is, so it has to be one that an answer with a body may have.
func setStatus(s *sandbox.State, at int) int {
	call, status := callOf(s), s.CheckInt(at)
	if call.filters() && (status < 200 || status > 999) {
		s.RaiseError("no status of an answer: %d", status)
	}
	call.c.Response.SetStatus(status)
	return 0
}

// getResponseHeader is ngx.header.NAME: a list if the header has several values.
func getResponseHeader(s *sandbox.State, name string) lua.LValue {
	name = strings.ReplaceAll(name, "_", "-")
	t := s.NewTable()
	callOf(s).c.Response.Headers(func(field, value []byte) bool {
		if strings.EqualFold(string(field), name) {
			t.Append(lua.LString(value))
		}
		return true
	})
	switch t.Len() {
	case 0:
		return lua.LNil
	case 1:
		return t.RawGetInt(1)
	}
	return t
}

func setResponseHeader(s *sandbox.State, name string, v lua.LValue) {
	setHeaderValue(callOf(s).c.Response, strings.ReplaceAll(name, "_", "-"), v)
}

// argTable is ngx.arg: the part of the body at hand, and whether it is the last.
func argTable(s *sandbox.State) *lua.LTable {
	meta, arg := s.CreateTable(0, 2), s.NewTable()
	meta.RawSetString("__index", s.Register(func(s *sandbox.State) int {
		switch call := callOf(s); lua.LVAsNumber(s.Get(2)) {
		case 1:
			s.Push(lua.LString(call.body)) // the answer's, however long
			return 1
		case 2:
			return push(s, call.last)
		}
		return pushNil(s)
	}))
	meta.RawSetString("__newindex", s.Register(func(s *sandbox.State) int {
		if lua.LVAsNumber(s.Get(2)) == 1 {
			var b strings.Builder
			if v := s.Get(3); v != lua.LNil {
				appendText(s, &b, v)
			}
			callOf(s).body = []byte(b.String())
		}
		return 0
	}))
	arg.Metatable = meta
	return arg
}

// heldBody is the key of what a source has held back of an answer's body.
type heldBody struct{ host *host }

// holdBodyChunk is core.response.hold_body_chunk(ctx, keep): it holds the parts of the
// body back until the last, and answers the whole then, nil before. keep leaves the
// parts to go on their way.
func holdBodyChunk(s *sandbox.State) int {
	call := callOf(s)
	key := heldBody{call.host}
	held, _ := call.c.Value(key).([]byte)
	if len(held)+len(call.body) > sandbox.MaxString {
		s.RaiseError("the body is too long to be held")
	}
	held = append(held, call.body...)
	call.c.SetValue(key, held)
	switch {
	case call.last:
		call.c.SetValue(key, nil)
		return push(s, held)
	case !lua.LVAsBool(s.Get(2)):
		call.body = nil
	}
	return pushNil(s)
}
