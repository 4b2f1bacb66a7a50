package snippet

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	sandbox "millrace/internal/lua"
	"millrace/plugin"
)

// requestFunctions are those of ngx.req.
var requestFunctions = map[string]luaFunc{
	"get_method": func(s *sandbox.State) int { return push(s, callOf(s).method()) },
	"set_method": func(s *sandbox.State) int {
		callOf(s).c.UpstreamMethod = strings.ToUpper(s.CheckString(1))
		return 0
	},
	"get_headers": func(s *sandbox.State) int {
		return pushHeaders(s, callOf(s).c.Request.Headers, lua.LVAsBool(s.Get(2)))
	},
	"set_header":    func(s *sandbox.State) int { return setHeader(s, callOf(s).c.Request, 1) },
	"add_header":    func(s *sandbox.State) int { return addHeader(s, callOf(s).c.Request, 1) }, // of the module ngx.req
	"clear_header":  func(s *sandbox.State) int { callOf(s).c.Request.DelHeader(headerName(s, 1)); return 0 },
	"get_uri_args":  func(s *sandbox.State) int { return pushArgs(s, callOf(s).c.Request.Query(), 1) },
	"set_uri_args":  func(s *sandbox.State) int { callOf(s).c.Request.SetQuery(argsText(s, 1)); return 0 },
	"set_uri":       setURI,
	"read_body":     func(s *sandbox.State) int { callOf(s).requestBody(s); return 0 },
	"discard_body":  func(*sandbox.State) int { return 0 },
	"get_body_data": getBody,
	"get_body_file": pushNil,
	"set_body_data": func(s *sandbox.State) int {
		callOf(s).c.Request.SetBody([]byte(s.CheckString(1)))
		return 0
	},
	"set_body_file": refuse("ngx.req.set_body_file"),
	"socket":        refuse("ngx.req.socket"),
	"get_post_args": func(s *sandbox.State) int { return pushArgs(s, string(callOf(s).requestBody(s)), 1) },
	"http_version":  func(s *sandbox.State) int { return push(s, httpVersion(callOf(s).c.Conn.Proto)) },
	"start_time":    func(s *sandbox.State) int { return push(s, float64(callOf(s).c.Started.UnixMilli())/1000) },
	"is_internal":   func(s *sandbox.State) int { return push(s, false) },
	"raw_header":    rawHeader,
}

func (call *invocation) method() string {
	if own := call.c.UpstreamMethod; own != "" {
		return own
	}
	return call.c.Request.Method()
}

// setURI sets the path. To jump elsewhere with it is not possible in the phases there
// are.
func setURI(s *sandbox.State) int {
	path := s.CheckString(1)
	if lua.LVAsBool(s.Get(2)) {
		s.RaiseError("API disabled in the context of access_by_lua*")
	}
	if path == "" {
		s.RaiseError("attempt to use zero-length uri")
	}
	callOf(s).c.Request.SetPath("/" + strings.TrimPrefix(path, "/"))
	return 0
}

func getBody(s *sandbox.State) int {
	body := callOf(s).requestBody(s)
	if len(body) == 0 {
		return pushNil(s)
	}
	return push(s, body)
}

// rawHeader answers the head of the request; true leaves out its first line.
func rawHeader(s *sandbox.State) int {
	c := callOf(s).c
	var b strings.Builder
	if !lua.LVAsBool(s.Get(1)) {
		b.WriteString(c.Var("request").Text + "\r\n")
	}
	c.Request.Headers(func(name, value []byte) bool {
		b.Write(name)
		b.WriteString(": ")
		b.Write(value)
		b.WriteString("\r\n")
		return true
	})
	return push(s, b.String()+"\r\n")
}

func httpVersion(proto string) any {
	switch proto {
	case "HTTP/1.0":
		return 1.0
	case "HTTP/2.0":
		return 2.0
	case "HTTP/3.0":
		return 3.0
	}
	return 1.1
}

// headers is what requests and answers have in common.
type headers interface {
	Header(name string) []byte
	SetHeader(name, value string)
	AddHeader(name, value string)
	DelHeader(name string)
}

// headerName is an argument that names a header, in which _ stands for -.
func headerName(s *sandbox.State, at int) string {
	return strings.ReplaceAll(s.CheckString(at), "_", "-")
}

// setHeader sets the header that an argument names to the value or values of the next;
// nil deletes it.
func setHeader(s *sandbox.State, h headers, at int) int {
	setHeaderValue(h, headerName(s, at), s.Get(at+1))
	return 0
}

func setHeaderValue(h headers, name string, v lua.LValue) {
	switch v := v.(type) {
	case *lua.LNilType:
		h.DelHeader(name)
	case *lua.LTable:
		h.DelHeader(name)
		v.ForEach(func(_, item lua.LValue) { h.AddHeader(name, headerText(item)) })
	default:
		h.SetHeader(name, headerText(v))
	}
}

// addHeader adds values to the header that an argument names.
func addHeader(s *sandbox.State, h headers, at int) int {
	name := headerName(s, at)
	if list, ok := s.Get(at + 1).(*lua.LTable); ok {
		list.ForEach(func(_, item lua.LValue) { h.AddHeader(name, headerText(item)) })
	} else {
		h.AddHeader(name, headerText(s.Get(at+1)))
	}
	return 0
}

// headerText is a value as a header has it.
func headerText(v lua.LValue) string {
	if b, ok := v.(lua.LBool); ok {
		return b.String()
	}
	return lua.LVAsString(v)
}

// pushHeaders pushes headers as a table by names in lower case, which answers for
// names in any case; raw leaves the names as they are.
func pushHeaders(s *sandbox.State, each func(fn func(name, value []byte) bool), raw bool) int {
	t := s.NewTable()
	each(func(name, value []byte) bool {
		key, v := string(name), lua.LString(value)
		if !raw {
			key = strings.ToLower(key)
		}
		addValue(s, t, key, v)
		return true
	})
	if !raw {
		t.Metatable = headersMeta(s)
	}
	s.Push(t)
	return 1
}

// addValue enters a value under a name, which gets a list if it has several.
func addValue(s *sandbox.State, t *lua.LTable, name string, v lua.LValue) {
	switch old := t.RawGetString(name).(type) {
	case *lua.LNilType:
		t.RawSetString(name, v)
	case *lua.LTable:
		old.Append(v)
	default:
		list := s.NewTable()
		list.Append(old)
		list.Append(v)
		t.RawSetString(name, list)
	}
}

// headersMeta makes a table of headers answer for names in any case, and with _ for -.
// It is made once a state.
func headersMeta(s *sandbox.State) lua.LValue {
	const name = "\x00headers"
	if meta := s.GetGlobal(name); meta != lua.LNil {
		return meta
	}
	meta := s.CreateTable(0, 1)
	meta.RawSetString("__index", s.Register(func(s *sandbox.State) int {
		key := strings.ReplaceAll(strings.ToLower(lua.LVAsString(s.Get(2))), "_", "-")
		s.Push(s.CheckTable(1).RawGetString(key))
		return 1
	}))
	s.SetGlobal(name, meta)
	return meta
}

// requestBody reads the body; there is none for who asks when it has been passed on,
// as in nginx.
func (call *invocation) requestBody(s *sandbox.State) []byte {
	body, err := call.c.Request.Body(maxFunctionBody)
	if err != nil && err != plugin.ErrBodyPassed {
		s.RaiseError("reading the request's body: %s", err.Error())
	}
	return body
}

// argsText answers a query that is given as text or as a table.
func argsText(s *sandbox.State, at int) string {
	if t, ok := s.Get(at).(*lua.LTable); ok {
		return encodeArgs(s, t)
	}
	return s.CheckString(at)
}
